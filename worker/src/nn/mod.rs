//! Networks and their kernels: forward, backward to pre-activation gradients, and weight gradients.
//!
//! Every sum runs in an order fixed by constants, multiply-adds are fused where the source says so, and the transcendental
//! functions are our own: equal inputs give equal bits on every instruction set.

mod activation;
mod aligned;
pub mod conv;
mod descent;
pub mod dispatch;
pub mod elementary;
mod init;
pub mod kernel;
pub mod lanes;
mod loss;
mod network;
pub mod orthogonal;
mod pass;
pub mod product;
mod real;
mod step;

pub use aligned::Aligned;
pub use descent::Descent;
pub use init::initialise;
pub use loss::loss_and_gradient;
pub use network::{Layer, Network};
pub use pass::{Pass, copies};
pub use real::Real;
pub use step::step_one;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
