//! The wire of gradsweep: gRPC services, conversions between wire and domain, a typed client and server.
//!
//! The generated protobuf types are private to this crate, as are tonic's: others speak in [`message`], in the errors
//! of [`error`] and through [`client::Client`] and [`server::CoordinatorApi`].

pub mod carrier;
pub mod client;
pub mod connection;
mod convert;
pub mod error;
pub mod limits;
pub mod message;
pub mod rows;
pub mod server;
#[doc(hidden)]
pub mod untrusted;

/// What prost and tonic make of the .proto files.
mod wire {
    #![expect(clippy::allow_attributes, reason = "generated code")]
    tonic::include_proto!("gradsweep.v1");

    /// The compiled .proto files, for the reflection service.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
