//! The real binary as its users run it: processes, sockets, files, kills.

#![expect(
    clippy::disallowed_methods,
    reason = "how long a refusal or a farewell takes is measured"
)]

mod bad_input;
mod beyond;
#[cfg(feature = "cloud")]
mod cloud;
mod content;
mod deaf;
mod end_to_end;
mod export;
mod faults;
mod harness;
mod health;
#[cfg(feature = "sql")]
mod live;
#[cfg(feature = "cloud")]
mod object_server;
mod readers;
mod same_bits;
mod skip;
mod tidy;
mod weights;
