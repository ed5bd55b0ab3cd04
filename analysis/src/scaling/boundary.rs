//! The boundary `β*(l, d)` at one threshold, and the exponents of `ln β* = a + p ln l + q ln d`.

use std::collections::{BTreeMap, BTreeSet};

use crate::statistics::bootstrap::{Clusters, Kind};
use crate::statistics::collapse::{
    Collapse, Point, RESOLUTION, collapse, collapse_near, predicted,
};
use crate::statistics::isotonic::Curve;
use crate::statistics::{
    Crossing, FitError, Observation, Part, Parts, Random, Region, censored, crossing,
};
use crate::study::{Cell, Panel};

/// What counts as depth. At small depths the choice moves a slope by tens of percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// β: hidden-to-hidden matrices, as the poster counts.
    HiddenMatrices,
    /// β + 1: hidden layers.
    HiddenLayers,
    /// β + 2: weight matrices.
    WeightMatrices,
}

impl Convention {
    /// Every convention, the poster's first.
    pub const ALL: [Self; 3] = [Self::HiddenMatrices, Self::HiddenLayers, Self::WeightMatrices];

    fn depth(self, beta: i64) -> f64 {
        beta as f64
            + match self {
                Self::HiddenMatrices => 0.0,
                Self::HiddenLayers => 1.0,
                Self::WeightMatrices => 2.0,
            }
    }
}

/// The side of `l β = d` that a cell is on. The laws of the two sides differ, and one line across both fits neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// `l β ≤ d`: the first layer may dominate.
    Narrow,
    /// `l β > d`.
    Wide,
}

impl Regime {
    /// The regime of a cell.
    pub fn of(width: f64, depth: f64, dim: f64) -> Self {
        if width * depth <= dim { Self::Narrow } else { Self::Wide }
    }
}

/// What a crossing between two depths is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The interpolated depth.
    Interpolated,
    /// No more than the two depths it lies between.
    Bracketed,
}

/// How a boundary is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    pub threshold: f64,
    pub convention: Convention,
    pub treatment: Treatment,
    /// Only the cells of this regime; a row that has not crossed by its edge is censored there.
    pub regime: Option<Regime>,
}

/// One width and dim, and where it crosses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub width: f64,
    pub dim: f64,
    pub crossing: Crossing,
}

/// Exponents of a boundary, and how well they are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    pub rows: Vec<Row>,
    /// `ln β* = intercept + p ln l + q ln d`.
    pub intercept: f64,
    /// p and q; q is 0 where the rows have one dim.
    pub exponents: [f64; 2],
    pub has_dims: bool,
    /// What rows scatter by around the line, in ln β*.
    pub sigma: f64,
    /// The 95 % region; none with too few seeds.
    pub region: Option<Region>,
}

/// The same boundary without the dims and widths of which no row crosses within its depths.
///
/// A row that is above the threshold at its first depth may never cross at all: cosines of random inputs alone are about 1/√d
/// whatever the network. Where all rows of a dim are such, "at most the first depth" is more than is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Without {
    pub dims: Vec<i64>,
    pub widths: Vec<i64>,
    pub estimate: Result<Estimate, FitError>,
}

impl Without {
    /// What it is without, as `d = 16 and l = 4, 8`.
    pub fn dropped(&self) -> String {
        let list = |name: &str, values: &[i64]| {
            let values: Vec<_> = values.iter().map(i64::to_string).collect();
            (!values.is_empty()).then(|| format!("{name} = {}", values.join(", ")))
        };
        let lists = [list("d", &self.dims), list("l", &self.widths)];
        lists.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}

/// Resamples without a fit that a region may do without.
const LOST_MAX: f64 = 0.1;

impl Boundary {
    /// The plain boundary at a threshold: the poster's depth, interpolated, both regimes.
    pub fn at(threshold: f64) -> Self {
        let (convention, treatment) = (Convention::HiddenMatrices, Treatment::Interpolated);
        Self { threshold, convention, treatment, regime: None }
    }

    /// Where each width and dim crosses, seeds weighted by `weights`.
    pub fn rows(&self, panel: &Panel, weights: &[f64]) -> Vec<Row> {
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for cell in &panel.cells {
            let depth = self.convention.depth(cell.depth);
            let is_in = depth > 0.0 && self.regime.is_none_or(|regime| regime == regime_of(cell));
            if let Some((mean, weight)) = cell.mean(weights).filter(|_| is_in) {
                rows.entry((cell.dim, cell.width)).or_default().push((depth, mean, weight));
            }
        }
        let row = |((dim, width), points): ((i64, i64), Vec<_>)| {
            let crossing = crossing::critical_depth(&points, self.threshold)?;
            Some(Row { width: width as f64, dim: dim as f64, crossing })
        };
        rows.into_iter().filter_map(row).collect()
    }

    fn fit(&self, rows: &[Row]) -> Result<(f64, [f64; 2], f64), FitError> {
        let has_dims = has_dims(rows);
        let known: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut x = vec![1.0, row.width.ln()];
                x.extend(has_dims.then(|| row.dim.ln()));
                let y = match (row.crossing, self.treatment) {
                    (Crossing::AtMost(depth), _) => Observation::AtMost(depth.ln()),
                    (Crossing::MoreThan(depth), _) => Observation::AtLeast(depth.ln()),
                    (Crossing::At { depth, .. }, Treatment::Interpolated) => {
                        Observation::Exact(depth.ln())
                    }
                    (Crossing::At { above, up_to, .. }, Treatment::Bracketed) => {
                        Observation::Between(above.ln(), up_to.ln())
                    }
                };
                (x, y)
            })
            .collect();
        let fit = censored::fit(&known)?;
        let b = &fit.coefficients;
        Ok((b[0], [b[1], b.get(2).copied().unwrap_or(0.0)], fit.sigma))
    }

    /// The exponents, with a region from `resamples` draws of whole clusters of seeds.
    ///
    /// # Errors
    /// Why the rows give no exponents.
    pub fn estimate(
        &self,
        panel: &Panel,
        clusters: &Clusters,
        resamples: usize,
    ) -> Result<Estimate, FitError> {
        let rows = self.rows(panel, &panel.even_weights());
        let (intercept, exponents, sigma) = self.fit(&rows)?;
        let draw = |weights: &[f64]| {
            self.fit(&self.rows(panel, weights)).ok().map(|(_, exponents, _)| exponents)
        };
        let region = region_of(exponents, clusters, resamples, draw);
        let has_dims = has_dims(&rows);
        Ok(Estimate { rows, intercept, exponents, has_dims, sigma, region })
    }

    /// The sensitivity to dims and widths of which no row crosses within its depths; none where each has one that does.
    pub fn without(&self, panel: &Panel, clusters: &Clusters, resamples: usize) -> Option<Without> {
        let rows = self.rows(panel, &panel.even_weights());
        let uncrossed = |of: fn(&Row) -> f64| -> Vec<i64> {
            let all: BTreeSet<_> = rows.iter().map(|row| of(row) as i64).collect();
            let crossing = |place: &i64| {
                let mut own = rows.iter().filter(|row| of(row) as i64 == *place);
                own.any(|row| !row.crossing.is_censored())
            };
            all.into_iter().filter(|place| !crossing(place)).collect()
        };
        let (dims, widths) = (uncrossed(|row| row.dim), uncrossed(|row| row.width));
        if dims.is_empty() && widths.is_empty() {
            return None;
        }
        let part = panel.filter(|cell| !dims.contains(&cell.dim) && !widths.contains(&cell.width));
        let estimate = self.estimate(&part, clusters, resamples);
        Some(Without { dims, widths, estimate })
    }
}

/// The 95 % region around `center` of what `draw` makes of `resamples` draws of each kind of seeds; none with fewer than five
/// clusters of a kind, or where more than a tenth of the draws have no estimate.
pub(super) fn region_of(
    center: [f64; 2],
    clusters: &Clusters,
    resamples: usize,
    draw: impl Fn(&[f64]) -> Option<[f64; 2]>,
) -> Option<Region> {
    if clusters.freedom() < FREEDOM_MIN {
        return None;
    }
    let mut random = Random::new(BOOTSTRAP_SEED);
    let mut part = |kind: &Kind| {
        let drawn = (0..resamples).filter_map(|_| draw(&kind.resample(&mut random)));
        let drawn: Vec<_> = drawn.collect();
        let is_whole = drawn.len() as f64 >= (1.0 - LOST_MAX) * resamples as f64;
        let (freedom, inflation) = (kind.freedom(), kind.inflation());
        is_whole.then_some(Part { resamples: drawn, freedom, inflation })
    };
    let sources: Option<Vec<_>> = clusters.kinds().iter().map(&mut part).collect();
    let parts = Parts { sources: sources?, trials: clusters.trials().and_then(&mut part) };
    Region::new(center, &parts, ALPHA)
}

/// Degrees of freedom without which there is no region: fewer clusters do not tell how clusters scatter.
pub const FREEDOM_MIN: usize = 4;

/// Of the bootstrap: fixed, so that the same results give the same report.
const BOOTSTRAP_SEED: u64 = 0x6772_6164;
/// Regions hold the truth in all but this share of sweeps.
const ALPHA: f64 = 0.05;

impl Estimate {
    /// The fit, as `β* ∝ l^0.50 d^0.25`.
    pub fn law(&self) -> String {
        let [p, q] = self.exponents;
        let dims = if self.has_dims { format!(" d^{q:.2}") } else { String::new() };
        format!("β* ∝ l^{p:.2}{dims}")
    }

    /// The depth at which the fit has a width and dim cross.
    pub fn depth(&self, width: f64, dim: f64) -> f64 {
        let [p, q] = self.exponents;
        (self.intercept + p * width.ln() + q * dim.ln()).exp()
    }

    /// How many rows are censored.
    pub fn censored_count(&self) -> usize {
        self.rows.iter().filter(|row| row.crossing.is_censored()).count()
    }

    /// Whether rows cross on both sides of `l β = d`, so that one line was fitted across it.
    pub fn mixes_regimes(&self) -> bool {
        let side = |row: &Row| match row.crossing {
            Crossing::At { depth, .. } => Some(Regime::of(row.width, depth, row.dim)),
            Crossing::AtMost(_) | Crossing::MoreThan(_) => None,
        };
        let sides: Vec<_> = self.rows.iter().filter_map(side).collect();
        sides.contains(&Regime::Narrow) && sides.contains(&Regime::Wide)
    }

    /// Whether the regions of both overlap along an exponent; none where one has no region or does not know that exponent.
    pub fn overlaps(&self, other: &Self, exponent: usize) -> Option<bool> {
        if exponent == 1 && !(self.has_dims && other.has_dims) {
            return None;
        }
        let (a, b) =
            (self.region.as_ref()?.extent(exponent), other.region.as_ref()?.extent(exponent));
        Some(a.0 <= b.1 && b.0 <= a.1)
    }

    /// Whether exponents are compatible with the region: in it, or, where one dim leaves q open, their p is.
    pub fn holds(&self, exponents: [f64; 2]) -> Option<bool> {
        self.region.as_ref().map(|region| region.contains(exponents))
    }
}

fn has_dims(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.dim != rows[0].dim)
}

fn regime_of(cell: &Cell) -> Regime {
    Regime::of(cell.width as f64, cell.depth as f64, cell.dim as f64)
}

/// The collapse of a panel onto one curve, seeds weighted by `weights`.
pub fn collapse_of(panel: &Panel, weights: &[f64]) -> Option<Collapse> {
    collapse(&points(panel, weights))
}

/// The share of the variance between cells that a collapse by these exponents predicts.
pub fn collapse_share(panel: &Panel, weights: &[f64], exponents: [f64; 2]) -> Option<f64> {
    predicted(&points(panel, weights), exponents)
}

/// The joint 95 % region of the exponents of a collapse, from `resamples` draws of whole clusters of seeds; none too where
/// one is at the edge of the search, beyond which resamples cannot scatter, or where the region is no wider than what the search
/// resolves: on grids of powers of two all resamples may fall on one point of it.
///
/// What resampling adds to a cell's mean is added to the curve there, not to the mean: that has the noise of its seeds
/// already, and noise upon noise makes the search, which is no smooth function of it, scatter by more than it does.
pub fn collapse_region(
    panel: &Panel,
    found: &Collapse,
    clusters: &Clusters,
    resamples: usize,
) -> Option<Region> {
    if found.is_at_edge {
        return None;
    }
    let (center, even) = ([found.p, found.q], panel.even_weights());
    let whole = points(panel, &even);
    let known = whole.iter().map(|point| (point.index(center), point.value, point.weight));
    let curve = Curve::through(known.collect());
    let about_the_curve = |cell: &Cell, weights: &[f64]| {
        let (drawn, mean) = (point(cell, weights)?, cell.mean(&even)?.0);
        let value = curve.at(drawn.index(center))? + drawn.value - mean;
        Some(Point { value, ..drawn })
    };
    let draw = |weights: &[f64]| {
        let cells = panel.cells.iter().filter_map(|cell| about_the_curve(cell, weights));
        collapse_near(&cells.collect::<Vec<_>>(), center)
    };
    let varied = if panel.cells.iter().any(|cell| cell.dim != panel.cells[0].dim) { 2 } else { 1 };
    let is_resolved = |region: &Region| {
        (0..varied).all(|k| {
            let (low, high) = region.extent(k);
            high - low > 2.0 * RESOLUTION
        })
    };
    region_of(center, clusters, resamples, draw).filter(is_resolved)
}

fn points(panel: &Panel, weights: &[f64]) -> Vec<Point> {
    panel.cells.iter().filter_map(|cell| point(cell, weights)).collect()
}

/// A cell as a collapse sees it; none at depth 0, which has no logarithm, or without a value.
fn point(cell: &Cell, weights: &[f64]) -> Option<Point> {
    let (value, weight) = cell.mean(weights).filter(|_| cell.depth > 0)?;
    let [ln_width, ln_depth, ln_dim] = [cell.width, cell.depth, cell.dim].map(|x| (x as f64).ln());
    Some(Point { ln_width, ln_depth, ln_dim, value, weight })
}
