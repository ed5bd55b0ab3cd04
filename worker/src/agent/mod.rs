//! The worker's shell: it holds leases, feeds trial processes, and hands over what they measure.
//!
//! ```text
//!  coordinator ◀── one stream ──▶ desk ◀── relay ◀── slot ◀── frames ──▶ trial process     (one slot, one process,
//!                                  │   ── intent ──▶  │                                     any number of each)
//!                                clerk               blobs
//! ```
//!
//! [`run`] is the agent: `desk` is its one loop; `clerk` decides, purely, what is done about each message and event, with
//! `held`, the account of what the coordinator has not acknowledged, and `seats`; `link` is the connection and its
//! silence. A `slot` runs one attempt after the other on one `child`. [`trial_process`]
//! is the other end of the pipe: the same binary, which runs jobs until its standard input closes.
//!
//! Every queue is bounded: a coordinator that does not acknowledge fills `held`; the desk then takes no more, `relay` puts
//! what slots tell on disk, into `overflow`; when that is full too the slots take no more frames, and the trials wait in
//! their writes. Nothing below this folder names tokio, the network or
//! the clock.

mod attempt;
mod backoff;
mod blobs;
mod child;
pub mod clerk;
mod clock;
mod config;
mod desk;
mod ending;
mod exchange;
mod frame;
mod held;
mod host;
mod jobs_row;
pub mod link;
mod message;
mod oom;
mod overflow;
mod process;
mod relay;
mod reporter;
pub mod seats;
mod slot;
mod tail;

pub use config::{AgentError, Config, Ended, RowsKept, StopRequest};
pub use desk::run;
pub use process::trial_process;
