//! What is measured of a network: the training curve, and the confusion of its per-example gradients.

mod capture;
mod confusion;
mod curve;
mod formed;
mod pairs;
mod quantile;

pub use capture::{Capture, LayerCapture};
pub use confusion::{Occasion, chosen_examples, confusion_rows, formed_row};
pub use curve::{ConvCurve, Curve, Figures, TILE};
pub use formed::{Formed, panel_len};
pub use pairs::{BINS, PairStatistics, pair_statistics};
pub use quantile::quantile;
