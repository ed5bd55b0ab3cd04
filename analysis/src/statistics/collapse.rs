//! The single-index collapse: exponents under which every cell falls on one monotone curve. It needs no threshold.

use super::isotonic::Curve;
use super::ties::is_rounding;

/// One cell as a collapse sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub ln_width: f64,
    pub ln_depth: f64,
    pub ln_dim: f64,
    pub value: f64,
    pub weight: f64,
}

impl Point {
    /// `s = ln β − p ln l − q ln d`.
    pub fn index(&self, [p, q]: [f64; 2]) -> f64 {
        self.ln_depth - p * self.ln_width - q * self.ln_dim
    }
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

/// What a search resolves: the step of its last pass. A region of exponents no wider than this to either side is that of the grid.
pub const RESOLUTION: f64 = 0.005;

/// One pass of a search: a grid of this step, so many steps to either side of the best of the pass before.
struct Pass {
    step: f64,
    reach: i32,
}

/// All of [−1, 2]², then around the best.
const EVERYWHERE: [Pass; 3] = [
    Pass { step: 0.15, reach: 10 },
    Pass { step: 0.03, reach: 5 },
    Pass { step: RESOLUTION, reach: 6 },
];
/// From exponents that are nearly the best ones. A tenth of the points, and resamples end where the search of all does.
const NEARBY: [Pass; 4] = [
    Pass { step: 0.1, reach: 1 },
    Pass { step: 0.03, reach: 2 },
    Pass { step: 0.01, reach: 2 },
    Pass { step: RESOLUTION, reach: 1 },
];
/// A pass whose best is at the edge of its grid begins again there; so often, since ties could turn it in circles.
const MOVES_MAX: usize = 40;

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
    let spread = spread(points)?;
    let middle = 0.5 * (LOW + HIGH);
    let best = Search::of(points)?.best([middle; 2], &EVERYWHERE);
    let [p, q] = best.mean();
    let at_edge = |x: f64| !(LOW + 0.05..=HIGH - 0.05).contains(&x);
    let predicted = 1.0 - best.left / spread;
    Some(Collapse { p, q, predicted, is_at_edge: at_edge(p) || at_edge(q) })
}

/// The share of the variance that these exponents predict, as [`Collapse::predicted`] is for the best.
pub fn predicted(points: &[Point], exponents: [f64; 2]) -> Option<f64> {
    Some(1.0 - Search::of(points)?.error(exponents) / spread(points)?)
}

/// The weighted sum of squares about the mean; none where it is 0, to rounding.
fn spread(points: &[Point]) -> Option<f64> {
    let total: f64 = points.iter().map(|point| point.weight).sum();
    let mean = points.iter().map(|point| point.weight * point.value).sum::<f64>() / total;
    let spread: f64 = points.iter().map(|p| p.weight * (p.value - mean).powi(2)).sum();
    let whole: f64 = points.iter().map(|point| point.weight * point.value.powi(2)).sum();
    (!is_rounding(spread, whole)).then_some(spread)
}

/// The (p, q) of [`collapse`] for resampled values of cells whose own is `start`: found by going downhill from there.
pub fn collapse_near(points: &[Point], start: [f64; 2]) -> Option<[f64; 2]> {
    Some(Search::of(points)?.best(start, &NEARBY).mean())
}

/// The cells in which exponents are looked for, and the memory it takes.
struct Search {
    /// By rows.
    points: Vec<Point>,
    /// Where in `points` each row begins and ends.
    rows: Vec<std::ops::Range<usize>>,
    has_dims: bool,
    /// The index of each point, its row, and its place in `points`, in the order of the index.
    placed: Vec<(f64, usize, usize)>,
    curve: Curve,
}

impl Search {
    /// None of fewer than three rows, of one width or of one depth.
    fn of(points: &[Point]) -> Option<Self> {
        let varies = |of: fn(&Point) -> f64| points.iter().any(|point| of(point) != of(&points[0]));
        let row = |point: &Point| (point.ln_dim, point.ln_width);
        let has_dims = varies(|point| point.ln_dim);
        let mut points_by_row = points.to_vec();
        points_by_row
            .sort_by(|a, b| a.ln_dim.total_cmp(&b.ln_dim).then(a.ln_width.total_cmp(&b.ln_width)));
        let mut rows = Vec::new();
        let mut placed = Vec::new();
        for cells in points_by_row.chunk_by(|a, b| row(a) == row(b)) {
            let first = placed.len();
            placed.extend((first..first + cells.len()).map(|place| (0.0, rows.len(), place)));
            rows.push(first..placed.len());
        }
        let is_open =
            rows.len() >= 3 && varies(|point| point.ln_width) && varies(|point| point.ln_depth);
        let curve = Curve::default();
        is_open.then_some(Self { points: points_by_row, rows, has_dims, placed, curve })
    }

    /// The best exponents from `start`, pass by pass.
    fn best(&mut self, start: [f64; 2], passes: &[Pass]) -> Best {
        let mut center = [start[0], if self.has_dims { start[1] } else { 0.0 }];
        let mut best = Best::default();
        for &Pass { step, reach } in passes {
            let reach_q = if self.has_dims { reach } else { 0 };
            for _ in 0..MOVES_MAX {
                best = Best::default();
                for i in -reach..=reach {
                    for j in -reach_q..=reach_q {
                        let at = [center[0] + step * f64::from(i), center[1] + step * f64::from(j)];
                        if at.iter().all(|x| (LOW - 1e-9..=HIGH + 1e-9).contains(x)) {
                            best.take(self.error(at), at);
                        }
                    }
                }
                let edge = (f64::from(reach) - 0.5) * step;
                let has_moved = (0..2).any(|k| (best.mean()[k] - center[k]).abs() > edge);
                center = best.mean();
                if !has_moved {
                    break;
                }
            }
        }
        best
    }

    /// What the curves through all rows but one leave of that one, over all rows.
    fn error(&mut self, exponents: [f64; 2]) -> f64 {
        let Self { points, rows, placed, curve, .. } = self;
        let index = |point: &Point| point.index(exponents);
        placed.iter_mut().for_each(|(x, _, place)| *x = index(&points[*place]));
        // Sorted once: what is left of it without a row is in order still. Ties by place, so that the sum is always the same.
        placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        let mut left = 0.0;
        for (out, cells) in rows.iter().enumerate() {
            let others = placed.iter().filter(|(_, row, _)| *row != out);
            curve.fit(others.map(|&(x, _, place)| (x, points[place].value, points[place].weight)));
            let miss = |c: &Point| Some(c.weight * (c.value - curve.at(index(c))?).powi(2));
            left += points[cells.clone()].iter().filter_map(miss).sum::<f64>();
        }
        left
    }
}

/// The least residual so far, and the sum of the grid points that have it.
struct Best {
    left: f64,
    sum: [f64; 2],
    count: f64,
}

impl Default for Best {
    fn default() -> Self {
        Self { left: f64::INFINITY, sum: [0.0; 2], count: 0.0 }
    }
}

impl Best {
    fn take(&mut self, left: f64, at: [f64; 2]) {
        if left < self.left * (1.0 - 1e-9) {
            *self = Self { left, sum: at, count: 1.0 };
        } else if left <= self.left * (1.0 + 1e-9) {
            self.sum = [self.sum[0] + at[0], self.sum[1] + at[1]];
            self.count += 1.0;
        }
    }

    fn mean(&self) -> [f64; 2] {
        self.sum.map(|sum| sum / self.count)
    }
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
            let cells = cells(p, q, &[2.8, 4.2, 5.5]);
            let of = |exponents| predicted(&cells, exponents).unwrap();
            assert!((of([found.p, found.q]) - found.predicted).abs() < 0.01, "{found:?}");
            assert!(of([p + 0.5, q]) < found.predicted, "{found:?}");
        }
    }

    /// A search with scipy.optimize.isotonic_regression, `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_the_same_search_by_scipy() {
        let rows = [(2.1, 2.8), (2.8, 4.2), (3.4, 2.8), (4.2, 4.2), (4.8, 5.5), (3.1, 5.5)];
        let cell = |r: usize, k: usize, ln_depth: f64| {
            let (ln_width, ln_dim): (f64, f64) = rows[r];
            let noise = 0.1 * (7.0 * r as f64 + 3.0 * k as f64).sin();
            let value = (ln_depth - 0.6 * ln_width - 0.1 * ln_dim + 1.5).tanh() + noise;
            Point { ln_width, ln_depth, ln_dim, value, weight: 1.0 }
        };
        let row = |r: usize| {
            let depths = [0.0, 0.61, 1.43, 2.17, 2.9].into_iter().enumerate();
            depths.map(move |(k, ln_depth)| (r, k, ln_depth))
        };
        let cells: Vec<_> = (0..6).flat_map(row).map(|(r, k, b)| cell(r, k, b)).collect();
        for (exponents, expected) in [
            ([0.6, 0.1], 0.982_552_463_388_304_5),
            ([0.9, 0.0], 0.940_106_689_976_557_3),
            ([0.5, 0.25], 0.965_563_492_128_075_4),
        ] {
            let found = predicted(&cells, exponents).unwrap();
            assert!((found - expected).abs() < 1e-12, "{exponents:?}: {found}");
        }
        let found = collapse(&cells).unwrap();
        assert!((found.p - 0.645).abs() < 1e-9 && (found.q - 0.085).abs() < 1e-9, "{found:?}");
        assert!((found.predicted - 0.984_275_679_349_518_2).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn from_nearby_it_finds_the_same_exponents() {
        for (p, q) in [(0.5, 0.25), (1.0, 0.0), (-0.33, 0.67)] {
            let cells = cells(p, q, &[2.8, 4.2, 5.5]);
            let found = collapse(&cells).unwrap();
            for start in [[p + 0.2, q - 0.15], [p - 0.4, q], [p, q + 0.3]] {
                let near = collapse_near(&cells, start).unwrap();
                let is_same = (near[0] - found.p).abs() < 0.03 && (near[1] - found.q).abs() < 0.03;
                assert!(is_same, "{near:?} from {start:?}, {found:?}");
            }
        }
        let found = collapse_near(&cells(0.8, 0.0, &[4.2]), [0.6, 0.0]).unwrap();
        assert!((found[0] - 0.8).abs() < 0.06 && found[1] == 0.0, "{found:?}");
        assert_eq!(collapse_near(&[], [0.0; 2]), None);
    }

    #[test]
    fn one_dim_has_no_second_exponent_and_odd_cells_no_collapse() {
        let found = collapse(&cells(0.8, 0.0, &[4.2])).unwrap();
        assert!((found.p - 0.8).abs() < 0.05 && found.q == 0.0, "{found:?}");
        assert_eq!(collapse(&[]), None);
        for off in [0.0, 1e-16] {
            let value = |k: usize| if k.is_multiple_of(3) { 0.1 + off } else { 0.1 };
            let cells = cells(0.8, 0.0, &[4.2]);
            let flat = cells.iter().enumerate().map(|(k, c)| Point { value: value(k), ..*c });
            assert_eq!(collapse(&flat.collect::<Vec<_>>()), None);
        }
    }
}
