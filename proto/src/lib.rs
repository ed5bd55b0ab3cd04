//! The wire of gradsweep: gRPC services, conversions between wire and domain, a typed client.
