//! Densities of the cosines between gradients: how confusion spreads over all pairs.

use std::collections::BTreeMap;

use domain::table::HISTOGRAM_BINS;

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::curves::{PANELS_MAX, SERIES_MAX};
use super::{Figure, View, csv_line, thinned};
use crate::study::bin_middle;

/// Bins of the files drawn as one: 200 of them over a few thousand pairs would be noise.
const JOINED: usize = 5;

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
    let density = |sum: &[i64]| -> Vec<(f64, f64)> {
        let total = sum.iter().sum::<i64>() as f64;
        let step = 2.0 * JOINED as f64 / HISTOGRAM_BINS as f64;
        let bins = sum.chunks(JOINED).enumerate();
        bins.map(|(bin, counts)| {
            let middle = bin_middle(bin * JOINED + JOINED / 2);
            (middle, counts.iter().sum::<i64>() as f64 / total / step)
        })
        .collect()
    };
    let mut chart = Chart::default();
    for width in thinned(&widths, PANELS_MAX) {
        let lines = depths.iter().enumerate().filter_map(|(index, depth)| {
            let series = spread(index, depths.len());
            let points = density(counts.get(&(width, *depth))?);
            Some(Mark::Line { points, series, is_dashed: false })
        });
        let marks: Vec<_> = lines.collect();
        let heights = counts.values().flat_map(|sum| density(sum)).map(|point| point.1);
        let y = FigureAxis::new("density of pairs", Scale::Linear, heights.chain([0.0]));
        let x = FigureAxis::new("cosine", Scale::Linear, std::iter::empty()).within(-1.0, 1.0);
        chart.plots.push(Plot { title: format!("width {width}"), x, y, marks });
    }
    if chart.plots.is_empty() {
        return None;
    }
    let name = |(index, depth)| (spread(index, depths.len()), format!("depth {depth}"));
    chart.legend = depths.iter().enumerate().map(name).collect();
    let mut csv = "model_width,model_depth,cosine,pairs\n".to_owned();
    for ((width, depth), sum) in &counts {
        for (bin, count) in sum.iter().enumerate() {
            let [width, depth, count] = [*width, *depth, *count].map(|x| x.to_string());
            csv += &csv_line(&[width, depth, format!("{:.3}", bin_middle(bin)), count]);
        }
    }
    let from = super::question::measured(view.study, group, view.moment);
    Some(Figure {
        name: "cosines".to_owned(),
        title: format!("Cosines between gradients {}", view.moment.label()),
        caption: format!(
            "At d = {dim}, all pairs of all seeds. Mass on the left of 0 is confusion."
        ),
        svg: chart.svg(),
        csv,
        sql: format!(
            "-- one row a trial; the figure adds the counts of 200 bins over [-1, 1]\n\
             SELECT c.model_width, c.model_depth, c.histogram\n{from} AND c.data_dim = {dim};"
        ),
    })
}
