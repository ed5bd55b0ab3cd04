//! Every way of drawing the boundary that a reader could have asked for, side by side.

use super::boundary::{
    Boundary, Convention, Estimate, Regime, Row, Treatment, Without, collapse_region,
};
use super::held_out::{Score, compare};
use crate::statistics::bootstrap::Clusters;
use crate::statistics::collapse::Collapse;
use crate::statistics::{FitError, Region};
use crate::study::{Group, Moment, Panel, Statistic};

/// One way of drawing the boundary and what it gave.
#[derive(Clone, Debug)]
pub struct Variant {
    pub statistic: Statistic,
    pub moment: Moment,
    pub boundary: Boundary,
    pub drawn: Drawn,
    /// Where each width and dim crosses, also where that gives no estimate.
    pub rows: Vec<Row>,
    pub estimate: Result<Estimate, FitError>,
    /// Of plain variants.
    pub without: Option<Without>,
}

impl Variant {
    /// Whether it differs from others in statistic, threshold and moment alone.
    pub fn is_plain(&self) -> bool {
        self.boundary == Boundary::at(self.boundary.threshold) && self.drawn == Drawn::All
    }

    /// What it differs in from the plain analysis; empty if in nothing.
    pub fn remark(&self) -> &'static str {
        let Boundary { convention, treatment, regime, .. } = self.boundary;
        match (convention, treatment, regime, self.drawn) {
            (Convention::HiddenLayers, ..) => "depth counted as β + 1",
            (Convention::WeightMatrices, ..) => "depth counted as β + 2",
            (_, Treatment::Bracketed, ..) => "crossings known only between two depths",
            (_, _, Some(Regime::Narrow), _) => "only cells with l β ≤ d",
            (_, _, Some(Regime::Wide), _) => "only cells with l β > d",
            (_, _, None, Drawn::ByData) => "only data seeds resampled",
            (_, _, None, Drawn::WithinData) => "only initial seeds resampled, within data seeds",
            (_, _, None, Drawn::All) => "",
        }
    }
}

/// What a region speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// New seeds of every kind.
    All,
    /// New initial weights on the same data.
    WithinData,
    /// New data with the same initial weights.
    ByData,
}

/// All of them for one group, and what needs no threshold.
#[derive(Clone, Debug)]
pub struct Survey {
    pub variants: Vec<Variant>,
    /// Clusters of seeds less strata: what regions rest on.
    pub freedom: usize,
    /// By moment: the collapse of the rms cosine, and the region of its exponents.
    pub collapses: Vec<(Moment, Collapse, Option<Region>)>,
    /// By moment and statistic: the laws by held-out rows, the best first.
    pub scores: Vec<(Moment, Statistic, Vec<Score>)>,
}

/// A collapse is resampled so many times less often than a boundary: each resample is a search. Of the report's 500 that
/// leaves 125, and a standard error of 6 % of a region's extent.
const COLLAPSE_SHARE: usize = 4;

/// Draws the boundary of a group in every way, with `resamples` bootstrap draws each.
pub fn survey(group: &Group, resamples: usize) -> Survey {
    let mut found =
        Survey { variants: Vec::new(), freedom: 0, collapses: Vec::new(), scores: Vec::new() };
    for moment in Moment::ALL {
        for statistic in Statistic::ALL {
            let panel = group.panel(statistic, moment);
            if panel.filled() > 0.0 {
                found.add(&panel, statistic, moment, resamples);
            }
        }
    }
    found
}

impl Survey {
    fn add(&mut self, panel: &Panel, statistic: Statistic, moment: Moment, resamples: usize) {
        let clusters = Clusters::of(&panel.seeds);
        self.freedom = clusters.freedom();
        let weights = panel.even_weights();
        let mut add = |boundary: Boundary, clusters: &Clusters, drawn: Drawn| {
            let estimate = boundary.estimate(panel, clusters, resamples);
            let rows = boundary.rows(panel, &weights);
            let is_plain = boundary == Boundary::at(boundary.threshold) && drawn == Drawn::All;
            let without = is_plain && estimate.is_ok();
            let without = without.then(|| boundary.without(panel, clusters, resamples)).flatten();
            self.variants.push(Variant {
                statistic,
                moment,
                boundary,
                drawn,
                rows,
                estimate,
                without,
            });
        };
        let thresholds = statistic.thresholds();
        for &threshold in thresholds {
            add(Boundary::at(threshold), &clusters, Drawn::All);
        }
        // What else could have been chosen is tried where the analysis is at its plainest: rms cosine, middle threshold.
        if statistic == Statistic::ALL[0] {
            let plain = Boundary::at(thresholds[thresholds.len() / 2]);
            for convention in [Convention::HiddenLayers, Convention::WeightMatrices] {
                add(Boundary { convention, ..plain }, &clusters, Drawn::All);
            }
            add(Boundary { treatment: Treatment::Bracketed, ..plain }, &clusters, Drawn::All);
            for regime in [Regime::Narrow, Regime::Wide] {
                add(Boundary { regime: Some(regime), ..plain }, &clusters, Drawn::All);
            }
            let collapse = super::boundary::collapse_of(panel, &weights);
            self.collapses.extend(collapse.map(|collapse| {
                let resamples = resamples / COLLAPSE_SHARE;
                let region = collapse_region(panel, &collapse, &clusters, resamples);
                (moment, collapse, region)
            }));
            for (drawn, others) in [
                (Drawn::WithinData, Clusters::stratified(&panel.seeds)),
                (Drawn::ByData, Clusters::by_data(&panel.seeds)),
            ] {
                if others != clusters {
                    add(plain, &others, drawn);
                }
            }
        }
        self.scores.push((moment, statistic, compare(panel, &weights)));
    }
}

/// The exponents along a fine grid of thresholds, those with any estimate: an answer that moves along it is none.
pub fn threshold_curve(
    panel: &Panel,
    statistic: Statistic,
    resamples: usize,
) -> Vec<(f64, Estimate)> {
    const STEPS: usize = 12;
    let thresholds = statistic.thresholds();
    let (Some(first), Some(last)) = (thresholds.first(), thresholds.last()) else {
        return Vec::new();
    };
    // A third of the way beyond the thresholds of the analysis on either side.
    let reach = (last - first) / 3.0;
    let (low, high) = (first - reach, last + reach);
    let clusters = Clusters::of(&panel.seeds);
    let at = |k: usize| low + (high - low) * k as f64 / STEPS as f64;
    let estimate = |threshold: f64| {
        let found = Boundary::at(threshold).estimate(panel, &clusters, resamples).ok()?;
        Some((threshold, found))
    };
    (0..=STEPS).map(at).filter_map(estimate).collect()
}
