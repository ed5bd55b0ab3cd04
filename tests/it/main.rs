//! The real binary as its users run it: processes, sockets, files, kills.

mod bad_input;
mod beyond;
#[cfg(feature = "cloud")]
mod cloud;
mod content;
mod end_to_end;
mod export;
mod faults;
mod harness;
#[cfg(feature = "sql")]
mod live;
#[cfg(feature = "cloud")]
mod object_server;
mod readers;
mod same_bits;
mod tidy;
mod weights;
