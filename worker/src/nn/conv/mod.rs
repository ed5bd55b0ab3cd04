//! Convolutional networks: pre-activation Wide ResNets, with or without skips and batch norm.
//!
//! Images lie pixel by pixel, channels innermost, with a border of one zero pixel around each: `[n, side + 2, side + 2,
//! channels]`. So a 3x3 convolution needs no case at the edge, and no patches are copied out. Kernels keep 16 output
//! channels of a few pixels in registers and add up in an order fixed by constants: each image's bits are the same alone
//! and in a minibatch, batch norm in train mode apart.

mod correlate;
mod grid;
mod layout;
mod network;
mod norm;
mod pass;
mod phase;
mod pool;
mod walks;
mod weight_gradient;

pub use network::ConvNetwork;
pub use pass::ConvPass;

use super::lanes::LANES;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
