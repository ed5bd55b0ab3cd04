//! Axes: from numbers to places, and where the ticks are.

/// How an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// An axis over a range that holds all its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FigureAxis {
    pub label: String,
    pub scale: Scale,
    low: f64,
    high: f64,
    /// Numbers that ticks must name, rather than round ones: widths, depths.
    named: Vec<f64>,
}

/// The most ticks that an axis of a panel has room for.
const TICKS_MAX: usize = 7;

impl FigureAxis {
    pub(super) fn new(label: &str, scale: Scale, numbers: impl Iterator<Item = f64>) -> Self {
        let is_shown = |x: &f64| x.is_finite() && (scale == Scale::Linear || *x > 0.0);
        let (low, high) = numbers
            .filter(is_shown)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = match (low <= high, scale) {
            (true, Scale::Linear) => {
                let pad = 0.05 * (high - low).max(1e-9 * high.abs()).max(1e-12);
                (low - pad, high + pad)
            }
            (true, Scale::Log) => {
                let pad = ((high / low).ln() * 0.05).max(0.1).exp();
                (low / pad, high * pad)
            }
            (false, Scale::Linear) => (0.0, 1.0),
            (false, Scale::Log) => (1.0, 10.0),
        };
        Self { label: label.to_owned(), scale, low, high, named: Vec::new() }
    }

    /// The axis with ticks at these numbers.
    pub(super) fn naming(mut self, numbers: &[i64]) -> Self {
        self.named = numbers.iter().map(|number| *number as f64).collect();
        self
    }

    /// The axis with ticks at these numbers, whole or not.
    pub(super) fn at_numbers(mut self, numbers: &[f64]) -> Self {
        self.named = numbers.to_vec();
        self
    }

    /// The axis over these limits.
    pub(super) fn within(mut self, low: f64, high: f64) -> Self {
        (self.low, self.high) = (low, high);
        self
    }

    /// From 0 at the low end to 1 at the high end; numbers outside are put at the nearer end.
    pub(super) fn place(&self, x: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (x - self.low) / (self.high - self.low),
            Scale::Log if x <= 0.0 => 0.0,
            Scale::Log => (x / self.low).ln() / (self.high / self.low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// Numbers with their words, from low to high.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let is_in = |x: &f64| self.low <= *x && *x <= self.high;
        if !self.named.is_empty() {
            let named: Vec<_> = self.named.iter().copied().filter(is_in).collect();
            let every = named.len().div_ceil(TICKS_MAX);
            return named.iter().step_by(every.max(1)).map(|x| (*x, words(*x))).collect();
        }
        match self.scale {
            Scale::Log if self.high / self.low > 30.0 => {
                let (first, last) =
                    (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
                let every = ((last - first) as usize).div_ceil(TICKS_MAX - 1).max(1);
                (first..=last).step_by(every).map(|e| (10_f64.powi(e), power(e))).collect()
            }
            _ => {
                let step = round_step((self.high - self.low) / 5.0);
                let first = (self.low / step).ceil() as i64;
                let numbers = (first..).map(|k| k as f64 * step).take_while(is_in).take(20);
                numbers.map(|x| (x, rounded(x, step))).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= 0.999 * least).unwrap_or(10.0 * power)
}

fn rounded(x: f64, step: f64) -> String {
    if x.abs() >= 1e5 || step < 1e-4 {
        return words(x);
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{:.digits$}", if x.abs() < step / 2.0 { 0.0 } else { x });
    text.replace('-', "−")
}

fn power(exponent: i32) -> String {
    match exponent {
        -2..=4 => words(10_f64.powi(exponent)),
        _ => format!("1e{exponent}").replace('-', "−"),
    }
}

/// A number in as few characters as it takes.
pub(super) fn words(x: f64) -> String {
    let size = x.abs();
    let text = if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{x:.1e}")
    } else if size >= 100.0 || x == x.round() {
        format!("{x:.0}")
    } else {
        let text = format!("{x:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, numbers: &[f64]) -> Vec<String> {
        let axis = FigureAxis::new("", scale, numbers.iter().copied());
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_few_and_exact() {
        assert_eq!(labels(Scale::Linear, &[0.0, 1.0]), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(Scale::Linear, &[-0.9, -0.1]), ["−0.8", "−0.6", "−0.4", "−0.2"]);
        assert_eq!(labels(Scale::Log, &[1e-8, 1.0]), ["1e−8", "1e−6", "1e−4", "0.01", "1"]);
        for odd in [&[][..], &[f64::NAN], &[3.0], &[0.0], &[1e300, -1e300]] {
            for scale in [Scale::Linear, Scale::Log] {
                assert!(labels(scale, odd).len() < 21, "{odd:?}");
            }
        }
    }

    #[test]
    fn places_run_from_0_to_1() {
        let axis = FigureAxis::new("", Scale::Log, [1.0, 100.0].into_iter()).within(1.0, 100.0);
        assert_eq!([0.0, 1.0, 10.0, 100.0, 1e9].map(|x| axis.place(x)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        let axis = axis.naming(&[1, 2, 50]);
        assert_eq!(axis.ticks().len(), 3);
    }
}
