//! The estimators and tests behind the report, one a file: pure functions of numbers and, where they draw, of a seed.
//!
//! Nothing here knows of files, columns or claims. Every value was compared with a closed form or with scipy and
//! statsmodels (`analysis/tests/reference.py`). What cannot be estimated is `None` or a [`FitError`], never NaN.

pub mod bootstrap;
pub mod censored;
pub mod collapse;
pub mod crossed;
pub mod crossing;
pub mod gaussian;
pub mod holm;
pub mod isotonic;
pub mod kendall;
mod linear;
pub mod page;
pub mod random;
pub mod region;
pub mod slope;
pub mod student;
pub mod ties;
mod two_way;

pub use censored::{CensoredFit, FitError, Observation};
pub use crossing::Crossing;
pub use random::Random;
pub use region::{Part, Parts, Region};

/// The mean, and none of no numbers.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard error of the mean, `√(Σ(x − x̄)² / (n − 1) / n)`; none of fewer than two numbers.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let (center, n) = (mean(values)?, values.len() as f64);
    let squares: f64 = values.iter().map(|x| (x - center).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_errors_of_few_numbers_are_none_not_nan() {
        assert_eq!((mean(&[]), standard_error(&[1.0])), (None, None));
        assert_eq!(mean(&[1.0, 4.0]), Some(2.5));
        // Deviations ±1: variance 2, over two numbers 1.
        assert_eq!(standard_error(&[1.0, 3.0]), Some(1.0));
    }
}
