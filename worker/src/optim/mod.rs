//! Stochastic gradient descent: which examples a step takes, and what it does with their gradient.

mod order;
mod sgd;

pub use order::Order;
pub use sgd::Sgd;
