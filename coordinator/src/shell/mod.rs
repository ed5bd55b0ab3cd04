//! The async shell: sockets, clock, files and the loop that drives the machine.
//!
//! [`Core`] and what it takes are public for the simulation, which drives the same core and the same journal on a
//! virtual clock, disk and network: see `tests/sim`.

mod api;
mod blame;
mod blobs;
mod clock;
mod core;
mod explain;
mod handle;
mod identity;
mod leases;
mod live;
mod request;
mod roster;
mod run;
mod serve;
mod watch;
mod worker_messages;

pub use self::core::{Core, Owed, Settings};
pub use identity::IdentityError;
pub use request::{Reply, Request};
pub use roster::SessionNo;
pub use serve::{Coordinator, Place, ServeError, serve};
