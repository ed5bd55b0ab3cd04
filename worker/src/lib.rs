//! The worker of gradsweep: the agent, the trial, data, networks, optimiser and measures.
//!
//! Arrows: agent -> trial -> {data, optim, measure} -> nn -> random. Nothing below the agent names tokio, the network or
//! the clock: a trial is a pure function of its spec and its data.

pub mod agent;
pub mod data;
pub mod measure;
pub mod nn;
pub mod optim;
pub mod random;
pub mod trial;
