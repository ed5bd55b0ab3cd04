//! Densities of the cosines between gradients: how confusion spreads over all pairs.

use std::collections::BTreeMap;

use domain::table::HISTOGRAM_BINS;

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::curves::{PANELS_MAX, SERIES_MAX};
use super::{Figure, View, csv_line, thinned};
use crate::statistics::gaussian;
use crate::study::bin_middle;

/// Standard deviation of the kernel: pairs share gradients, so rules for independent values would make it too narrow.
const BANDWIDTH: f64 = 0.04;
/// Up to this |cosine| a panel shows all; networks whose gradients are all parallel have spikes beyond it that would leave
/// the others no room.
const SHOWN_WHOLE: f64 = 0.9;

/// A line has a marker every so many of its 200 points.
const MARKED: usize = 25;

/// Panels by width, lines by depth, at the middle dim.
pub(super) fn figure(view: &View<'_>) -> Option<Figure> {
    let group = view.group;
    let dims = group.values(|trial| trial.dim);
    let dim = *dims.get(dims.len() / 2)?;
    let mut counts: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for trial in group.trials.iter().filter(|t| !t.is_diverged && t.dim == Some(dim)) {
        let (Some(width), Some(depth), Some(histogram)) =
            (trial.width, trial.depth, &trial.histogram)
        else {
            continue;
        };
        let sum = counts.entry((width, depth)).or_insert_with(|| vec![0; HISTOGRAM_BINS]);
        sum.iter_mut().zip(histogram).for_each(|(sum, count)| *sum += count);
    }
    counts.retain(|_, sum| sum.iter().any(|count| *count > 0));
    let mut widths: Vec<_> = counts.keys().map(|key| key.0).collect();
    widths.dedup();
    let mut depths: Vec<_> = counts.keys().map(|key| key.1).collect();
    depths.sort_unstable();
    depths.dedup();
    let depths = thinned(&depths, SERIES_MAX);
    let densities: BTreeMap<_, _> = counts.iter().map(|(at, sum)| (*at, density(sum))).collect();
    let heights = |is_in: &dyn Fn(f64) -> bool| {
        let points = densities.values().flatten().filter(|(x, _)| is_in(*x));
        points.fold(0.0_f64, |top, (_, height)| top.max(*height))
    };
    let (inner, all) = (heights(&|x| x.abs() <= SHOWN_WHOLE), heights(&|_| true));
    let (top, cut) = if all > 2.5 * inner && inner > 0.0 {
        (1.25 * inner, format!(" Spikes near ±1 leave the panels: the highest reaches {all:.1}."))
    } else {
        (1.05 * all, String::new())
    };
    let mut chart = Chart::default();
    for width in thinned(&widths, PANELS_MAX) {
        let lines = depths.iter().enumerate().filter_map(|(index, depth)| {
            let series = spread(index, depths.len());
            let points = densities.get(&(width, *depth))?.clone();
            // Markers tell lines apart where colours do not: some of each, none where another line has its own.
            let own = points.iter().skip(MARKED / 2 + index * MARKED / depths.len());
            let dots = own.step_by(MARKED).copied().filter(|(_, height)| *height <= top).collect();
            Some([
                Mark::Line { points, series, is_dashed: false },
                Mark::Dots { points: dots, series },
            ])
        });
        let marks: Vec<_> = lines.flatten().collect();
        let y = FigureAxis::new("density of pairs", Scale::Linear, std::iter::empty());
        let y = y.within(0.0, top);
        let x = FigureAxis::new("cosine", Scale::Linear, std::iter::empty()).within(-1.0, 1.0);
        chart.plots.push(Plot { title: format!("width {width}"), x, y, marks });
    }
    if chart.plots.is_empty() {
        return None;
    }
    let name = |(index, depth)| (spread(index, depths.len()), format!("depth {depth}"));
    chart.legend = depths.iter().enumerate().map(name).collect();
    let mut csv = "model_width,model_depth,cosine,pairs,density\n".to_owned();
    for (at, sum) in &counts {
        for (count, (cosine, density)) in sum.iter().zip(&densities[at]) {
            let [width, depth, count] = [at.0, at.1, *count].map(|x| x.to_string());
            csv += &csv_line(&[width, depth, format!("{cosine:.3}"), count, density.to_string()]);
        }
    }
    let from = super::question::measured(view.study, group, view.moment);
    Some(Figure {
        name: "cosines".to_owned(),
        title: format!("Cosines between gradients {}", view.moment.label()),
        caption: format!(
            "At d = {dim}, all pairs of all seeds that did not diverge: a Gaussian kernel of standard deviation {BANDWIDTH} over \
             the 200 bins of the files, reflected at ±1. Pairs on the left of 0 pull against each other.{cut}"
        ),
        svg: chart.svg(),
        csv,
        sql: format!(
            "-- one row a trial; the figure adds the counts of 200 bins over [-1, 1]\n\
             SELECT c.model_width, c.model_depth, c.histogram\n{from} AND c.data_dim = {dim};"
        ),
    })
}

/// Kernel density of binned cosines at the middles of the bins, reflected at −1 and 1 so that no mass leaves.
///
/// ```text
/// f(x) = Σ_b n_b/n · [φ((x − m_b)/h) + φ((x + 2 + m_b)/h) + φ((x − 2 + m_b)/h)] / h
/// ```
fn density(counts: &[i64]) -> Vec<(f64, f64)> {
    let total = counts.iter().sum::<i64>() as f64;
    let kernel = |x: f64| gaussian::ln_density(x / BANDWIDTH).exp() / BANDWIDTH;
    let at = |x: f64| {
        let parts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let sum = parts.map(|(bin, count)| {
            let m = bin_middle(bin);
            *count as f64 * (kernel(x - m) + kernel(x + 2.0 + m) + kernel(x - 2.0 + m))
        });
        sum.sum::<f64>() / total
    };
    (0..counts.len()).map(|bin| (bin_middle(bin), at(bin_middle(bin)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.norm over the same bins, `analysis/tests/reference.py`; all the mass stays within ±1.
    #[test]
    fn the_density_is_that_of_scipy_and_keeps_its_mass() {
        let mut counts = vec![0; HISTOGRAM_BINS];
        (counts[0], counts[100], counts[104], counts[199]) = (30, 50, 10, 10);
        let found = density(&counts);
        for (bin, expected) in [(0, DENSITY_AT[0]), (100, DENSITY_AT[1]), (110, DENSITY_AT[2])] {
            assert!(
                (found[bin].1 - expected).abs() < 1e-12 * expected.max(1.0),
                "{:?}",
                found[bin]
            );
        }
        let mass: f64 = found.iter().map(|point| point.1).sum::<f64>() * 2.0 / 200.0;
        assert!((mass - 1.0).abs() < 1e-6, "{mass}");
    }

    const DENSITY_AT: [f64; 3] = [5.892077979032117, 5.591705316315767, 0.5428977453343342];
}
