//! How the critical depth grows with width and dim: boundary fits, their sensitivity, and the rival laws.
//!
//! Pure functions of a [`Panel`](crate::study::Panel). A fit that rests on one statistic at one threshold can confirm
//! almost anything here, so [`survey()`] makes all of them and says which agree.

mod boundary;
mod held_out;
mod law;
mod survey;

pub use boundary::{
    Boundary, Convention, Estimate, FREEDOM_MIN, Regime, Row, Treatment, Without, collapse_of,
    collapse_region, collapse_share,
};
pub use held_out::{Score, compare};
pub use law::Law;
pub use survey::{Drawn, Survey, Variant, survey, threshold_curve};
