//! How often the 95 % regions hold the truth, over simulated sweeps.
//!
//! ```text
//! cargo bench -p analysis --bench coverage                      every line
//! cargo bench -p analysis --bench coverage -- collapse 1..64    the lines that have these words
//! cargo bench -p analysis --bench coverage -- sweeps=100        fewer sweeps a line than 500
//! ```
//!
//! Prints, for the boundary at one threshold and for the collapse, for each truth, censoring and number of seeds, the
//! share of regions that hold the true exponents, its Monte-Carlo standard error, and the share that hold the poster's.

use analysis::scaling::{Boundary, collapse_of, collapse_region};
use analysis::simulated::{Simulation, Truth};
use analysis::statistics::Region;
use analysis::statistics::bootstrap::Clusters;
use analysis::study::{Moment, Panel, Statistic};

const SWEEPS: u64 = 500;
/// Of a boundary, as in the report.
const RESAMPLES: usize = 500;
/// Of a collapse: each is a search, and the standard error of a region's extent stays below 6 %.
const COLLAPSES: usize = 125;
const POSTER: [f64; 2] = [0.5, 0.25];

/// One line of the table.
struct Line {
    what: &'static str,
    truth: [f64; 2],
    depths: &'static [i64],
    seeds: &'static str,
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (counts, words): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| word.starts_with("sweeps="));
    let sweeps = counts.first().and_then(|word| word["sweeps=".len()..].parse().ok());
    let sweeps: u64 = sweeps.unwrap_or(SWEEPS);
    println!(
        "{sweeps} simulated sweeps a line; resamples each: boundary {RESAMPLES}, collapse {COLLAPSES}"
    );
    println!(
        "          true p, q       depths  seeds  coverage  error  poster held  rows censored  fitted"
    );
    for what in ["boundary", "collapse"] {
        for truth in [POSTER, [1.0, 0.0], [-1.0 / 3.0, 2.0 / 3.0]] {
            for depths in [[1, 2, 4, 8, 16, 32, 64].as_slice(), &[4, 8, 16]] {
                for seeds in ["5", "10", "20", "5x5", "10x10"] {
                    let line = Line { what, truth, depths, seeds };
                    let name = line.name();
                    if words.iter().all(|word| name.split_whitespace().any(|has| has == word)) {
                        println!("{name}  {}", line.measured(sweeps));
                    }
                }
            }
        }
    }
}

impl Line {
    fn name(&self) -> String {
        let [p, q] = self.truth;
        let [first, .., last] = self.depths else { unreachable!("more than one depth") };
        format!(
            "{}  {p:>6.2} {q:>6.2}  {:>7}  {:>5}",
            self.what,
            format!("{first}..{last}"),
            self.seeds
        )
    }

    fn seeds(&self) -> Vec<(i64, i64)> {
        let count = |text: &str| text.parse::<i64>().expect("a number");
        match self.seeds.split_once('x') {
            None => (0..count(self.seeds)).map(|seed| (seed, seed)).collect(),
            Some((data, init)) => (0..count(data))
                .flat_map(|data| (0..count(init)).map(move |init| (data, init)))
                .collect(),
        }
    }

    fn measured(&self, sweeps: u64) -> String {
        let [p, q] = self.truth;
        let truth = Truth::Exponents { p, q, scale: 0.7 };
        let depths = self.depths.to_vec();
        let simulation = Simulation { depths, seeds: self.seeds(), ..Simulation::of(truth, 1) };
        let (mut held, mut poster, mut fitted, mut censored) = (0.0, 0.0, 0, 0.0);
        for draw in 0..sweeps {
            let panel = simulation.group(draw).panel(Statistic::RmsCos, Moment::Start);
            // Sweeps of which nearly every row is censored have no exponents, and say so.
            let Some((region, share)) = self.region(&panel) else { continue };
            fitted += 1;
            held += f64::from(u8::from(region.contains(self.truth)));
            poster += f64::from(u8::from(region.contains(POSTER)));
            censored += share;
        }
        let n = f64::from(fitted);
        let share = held / n;
        let error = (share * (1.0 - share) / n).sqrt();
        let (poster, censored) = (poster / n, censored / n);
        format!("{share:>8.3}  {error:.3}  {poster:>11.3}  {censored:>13.2}  {fitted:>6}")
    }

    /// The region, and the share of rows that are censored, of which a collapse has none.
    fn region(&self, panel: &Panel) -> Option<(Region, f64)> {
        let clusters = Clusters::of(&panel.seeds);
        if self.what == "collapse" {
            let found = collapse_of(panel, &panel.even_weights())?;
            return Some((collapse_region(panel, &found, &clusters, COLLAPSES)?, 0.0));
        }
        let estimate = Boundary::at(0.25).estimate(panel, &clusters, RESAMPLES).ok()?;
        let censored = estimate.censored_count() as f64 / estimate.rows.len() as f64;
        Some((estimate.region?, censored))
    }
}
