//! What is measured of a network: the training curve, and the confusion of its per-example gradients.

mod averages;
mod capture;
mod confusion;
mod curve;
mod formed;
mod gram;
mod listed;
mod pairs;
mod quantile;
mod ranks;
mod tiles;

pub use averages::Averages;
pub use capture::{COMPARED, Capture, LayerCapture};
pub use confusion::{Compared, Occasion, batch_pair, chosen_examples, confusion_rows, formed_rows};
pub use curve::{ConvCurve, Curve, Figures};
pub use formed::{Formed, Workspace, panel_len};
pub use listed::{StepTaken, batch_pair_rows};
pub use pairs::{BINS, HELD, PairStatistics};
pub use tiles::{ConvTiles, DenseTiles, TILE, Tiles};
