//! What is measured of a network: the training curve, and the confusion of its per-example gradients.

mod capture;
mod confusion;
mod curve;
mod pairs;
mod quantile;

pub use capture::{Capture, LayerCapture};
pub use confusion::{Occasion, chosen_examples, confusion_rows};
pub use curve::{Curve, Figures};
pub use pairs::{BINS, PairStatistics, pair_statistics};
pub use quantile::quantile;
