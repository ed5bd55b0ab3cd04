//! Stochastic gradient descent: which examples a step takes, and what it does with their gradient.

mod augment;
mod conv;
mod order;
mod sgd;

pub use conv::ConvSgd;
pub use order::Order;
pub use sgd::Sgd;
