//! The async shell: sockets, clock, files and the loop that drives the machine.

mod api;
mod blobs;
mod clock;
mod core;
mod handle;
mod identity;
mod leases;
mod request;
mod roster;
mod run;
mod serve;
mod watch;
mod worker_messages;

pub use identity::IdentityError;
pub use serve::{ServeError, serve};
