//! The single-index collapse: exponents under which every cell falls on one monotone curve. It needs no threshold.

use super::isotonic::Curve;

/// One cell as a collapse sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub ln_width: f64,
    pub ln_depth: f64,
    pub ln_dim: f64,
    pub value: f64,
    pub weight: f64,
}

/// The exponents of the best collapse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collapse {
    pub p: f64,
    pub q: f64,
    /// The share of the cells' variance that the curves of the other rows predict; negative if worse than their mean.
    pub predicted: f64,
    /// Whether an exponent is at the edge of what was searched.
    pub is_at_edge: bool,
}

const LOW: f64 = -1.0;
const HIGH: f64 = 2.0;
/// Steps of the search: each pass looks one step of the one before around its best.
const STEPS: [f64; 3] = [0.15, 0.03, 0.005];

/// The (p, q) in [−1, 2]² whose index `s = ln β − p ln l − q ln d` best predicts each row of cells from the others.
///
/// ```text
/// minimise over p, q:  Σ over rows r  Σ over cells of r  w (y − f₋ᵣ(s))²
/// ```
///
/// `f₋ᵣ` is the isotonic regression on `s` of all rows (a width and a dim, all depths) but r, straight between its points;
/// the outer minimum is a profile search on a grid refined twice, to 0.005. The residual of one regression over all cells
/// would not do: it depends on their order alone, and on grids of powers of two that stays the same over wide ranges
/// of exponents. Where the cells have one dim, q is 0. None with fewer than three rows, or values all equal.
pub fn collapse(points: &[Point]) -> Option<Collapse> {
    let total: f64 = points.iter().map(|point| point.weight).sum();
    let mean = points.iter().map(|point| point.weight * point.value).sum::<f64>() / total;
    let spread: f64 = points.iter().map(|p| p.weight * (p.value - mean).powi(2)).sum();
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.ln_dim.total_cmp(&b.ln_dim).then(a.ln_width.total_cmp(&b.ln_width)));
    let is_row = |a: &Point, b: &Point| (a.ln_dim, a.ln_width) == (b.ln_dim, b.ln_width);
    let rows: Vec<_> = sorted.chunk_by(is_row).collect();
    if rows.len() < 3 || spread.is_nan() || spread <= 0.0 {
        return None;
    }
    let has_one = |of: fn(&Point) -> f64| points.iter().all(|point| of(point) == of(&points[0]));
    if has_one(|point| point.ln_width) || has_one(|point| point.ln_depth) {
        return None;
    }
    let (mut p, mut q) = ((LOW, HIGH), (LOW, HIGH));
    if has_one(|point| point.ln_dim) {
        q = (0.0, 0.0);
    }
    let mut best = Best { left: f64::INFINITY, p: 0.0, q: 0.0, count: 0.0 };
    for step in STEPS {
        best = Best { left: f64::INFINITY, p: 0.0, q: 0.0, count: 0.0 };
        for p in grid(p, step) {
            for q in grid(q, step) {
                best.take(error(&rows, p, q), p, q);
            }
        }
        let around = |center: f64, (low, high): (f64, f64)| {
            ((center - step).max(low), (center + step).min(high))
        };
        p = around(best.p / best.count, (LOW, HIGH));
        q = if q.0 == q.1 { q } else { around(best.q / best.count, (LOW, HIGH)) };
    }
    let (p, q) = (best.p / best.count, best.q / best.count);
    let at_edge = |x: f64| !(LOW + 0.05..=HIGH - 0.05).contains(&x);
    let predicted = 1.0 - best.left / spread;
    Some(Collapse { p, q, predicted, is_at_edge: at_edge(p) || at_edge(q) })
}

fn grid((low, high): (f64, f64), step: f64) -> impl Iterator<Item = f64> {
    let count = ((high - low) / step).round() as usize;
    (0..=count).map(move |k| low + step * k as f64)
}

/// The least residual so far, and the sum of the grid points that have it.
struct Best {
    left: f64,
    p: f64,
    q: f64,
    count: f64,
}

impl Best {
    fn take(&mut self, left: f64, p: f64, q: f64) {
        if left < self.left * (1.0 - 1e-9) {
            *self = Self { left, p, q, count: 1.0 };
        } else if left <= self.left * (1.0 + 1e-9) {
            (self.p, self.q, self.count) = (self.p + p, self.q + q, self.count + 1.0);
        }
    }
}

/// What the curves through all rows but one leave of that one, over all rows.
fn error(rows: &[&[Point]], p: f64, q: f64) -> f64 {
    let index = |c: &Point| c.ln_depth - p * c.ln_width - q * c.ln_dim;
    let placed = rows
        .iter()
        .enumerate()
        .flat_map(|(row, cells)| cells.iter().map(move |c| (row, (index(c), c.value, c.weight))));
    // Sorted once: what is left of it without a row is in order still.
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let of_row = |out: usize| {
        let others = placed.iter().filter(|(row, _)| *row != out);
        let curve = Curve::through(others.map(|(_, point)| *point).collect());
        let miss = |c: &Point| Some(c.weight * (c.value - curve.at(index(c))?).powi(2));
        rows[out].iter().filter_map(miss).sum::<f64>()
    };
    (0..rows.len()).map(of_row).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(p: f64, q: f64, dims: &[f64]) -> Vec<Point> {
        let mut points = Vec::new();
        for ln_width in [2.1, 2.8, 3.4, 4.2, 4.8_f64] {
            for ln_depth in [0.0, 0.7, 1.4, 2.1, 2.8, 3.4] {
                for &ln_dim in dims {
                    let s: f64 = ln_depth - p * ln_width - q * ln_dim;
                    points.push(Point { ln_width, ln_depth, ln_dim, value: s.tanh(), weight: 1.0 });
                }
            }
        }
        points
    }

    #[test]
    fn it_finds_the_exponents_of_an_exact_law() {
        for (p, q) in [(0.5, 0.25), (1.0, 0.0), (-0.33, 0.67)] {
            let found = collapse(&cells(p, q, &[2.8, 4.2, 5.5])).unwrap();
            assert!((found.p - p).abs() < 0.05 && (found.q - q).abs() < 0.05, "{found:?}");
            assert!(found.predicted > 0.98 && !found.is_at_edge, "{found:?}");
        }
    }

    #[test]
    fn one_dim_has_no_second_exponent_and_odd_cells_no_collapse() {
        let found = collapse(&cells(0.8, 0.0, &[4.2])).unwrap();
        assert!((found.p - 0.8).abs() < 0.05 && found.q == 0.0, "{found:?}");
        assert_eq!(collapse(&[]), None);
        let flat: Vec<_> =
            cells(0.8, 0.0, &[4.2]).iter().map(|c| Point { value: 1.0, ..*c }).collect();
        assert_eq!(collapse(&flat), None);
    }
}
