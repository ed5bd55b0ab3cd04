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
mod readers;
#[cfg(feature = "cloud")]
mod s3_server;
mod same_bits;
mod tidy;
