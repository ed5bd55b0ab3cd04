//! Training curves: the loss over epochs, with a band from the best seed to the worst.

use std::collections::BTreeMap;

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::{Figure, View, csv_line, question, thinned};
use crate::statistics::mean;

pub(super) const PANELS_MAX: usize = 3;
pub(super) const SERIES_MAX: usize = 6;

/// Panels by width, lines by depth, at the middle dim; of models without layers, one panel and lines by dim.
pub(super) fn figure(view: &View<'_>) -> Option<Figure> {
    let group = view.group;
    let dims = group.values(|trial| trial.dim);
    let has_layers = group.trials.iter().any(|trial| trial.width.is_some());
    let middle = dims.get(dims.len() / 2).copied().filter(|_| has_layers);
    let mut points: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for trial in group.trials.iter().filter(|trial| !trial.is_diverged) {
        if middle.is_some() && trial.dim != middle {
            continue;
        }
        let line = if has_layers { trial.depth } else { trial.dim };
        for point in &trial.curve {
            // One zero of an exact optimum would take the logarithm's axis down with it.
            if let Some(risk) = point.risk.filter(|risk| risk.is_finite()) {
                let at = (trial.width, line, point.step);
                points.entry(at).or_default().push(risk);
            }
        }
    }
    if points.is_empty() {
        return None;
    }
    let samples = group.number("data_samples").unwrap_or(1.0).max(1.0);
    let batch = group.number("train_batch").unwrap_or(1.0);
    let mut widths: Vec<_> = points.keys().map(|key| key.0).collect();
    let mut lines: Vec<_> = points.keys().map(|key| key.1).collect();
    lines.sort_unstable();
    for keys in [&mut widths, &mut lines] {
        keys.dedup();
    }
    let lines = thinned(&lines, SERIES_MAX);
    let floor = 1e-12;
    let mut chart = Chart::default();
    for width in thinned(&widths, PANELS_MAX) {
        let mut marks = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let series = spread(index, lines.len());
            let of = points.iter().filter(|((w, l, _), _)| (w, l) == (&width, line));
            let band: Vec<_> = of
                .filter_map(|((_, _, step), risks)| {
                    let epoch = *step as f64 * batch / samples;
                    let low = risks.iter().copied().fold(f64::INFINITY, f64::min);
                    let high = risks.iter().copied().fold(0.0, f64::max);
                    Some((epoch, low.max(floor), mean(risks)?.max(floor), high.max(floor)))
                })
                .collect();
            let points = band.iter().map(|&(x, _, y, _)| (x, y)).collect();
            let band = band.iter().map(|&(x, low, _, high)| (x, low, high)).collect();
            marks.push(Mark::Band { points: band, series });
            marks.push(Mark::Line { points, series, is_dashed: false });
            if let Some(Mark::Line { points, .. }) = marks.last() {
                let points = points.clone();
                marks.push(Mark::Dots { points, series });
            }
        }
        let title = width.map_or(String::new(), |width| format!("width {width}"));
        let empty = || FigureAxis::new("", Scale::Linear, std::iter::empty());
        chart.plots.push(Plot { title, x: empty(), y: empty(), marks });
    }
    let all: Vec<_> =
        chart.plots.iter().flat_map(|plot| &plot.marks).flat_map(Mark::points).collect();
    for plot in &mut chart.plots {
        plot.x = FigureAxis::new("epochs", Scale::Linear, all.iter().map(|point| point.0));
        plot.y = FigureAxis::new("training loss F(w)", Scale::Log, all.iter().map(|point| point.1));
    }
    let word = if has_layers { "depth" } else { "d =" };
    let name = |line: &Option<i64>| line.map_or("-".to_owned(), |line| format!("{word} {line}"));
    let name = |(index, line)| (spread(index, lines.len()), name(line));
    chart.legend = lines.iter().enumerate().map(name).collect();

    let mut csv =
        "model_width,model_depth,data_dim,step,risk,risk_min,risk_max,trials\n".to_owned();
    for ((width, line, step), risks) in &points {
        let text = |x: Option<i64>| x.map_or(String::new(), |x| x.to_string());
        let (depth, dim) = if has_layers { (*line, middle) } else { (None, *line) };
        let bounds = risks.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), risk| {
            (low.min(*risk), high.max(*risk))
        });
        csv += &csv_line(&[
            text(*width),
            text(depth),
            text(dim),
            step.to_string(),
            mean(risks).map_or(String::new(), |mean| mean.to_string()),
            bounds.0.to_string(),
            bounds.1.to_string(),
            risks.len().to_string(),
        ]);
    }
    let at_dim = middle.map_or(String::new(), |dim| format!(" AND c.data_dim = {dim}"));
    let from = question::curves(view.study, group);
    let caption = match middle {
        Some(dim) => format!("At d = {dim}. Lines are means over the seeds that did not diverge, bands reach from the best to the worst of them."),
        None => "Lines are means over the seeds that did not diverge, bands reach from the best to the worst of them.".to_owned(),
    };
    Some(Figure {
        name: "curves".to_owned(),
        title: "Training loss".to_owned(),
        caption,
        svg: chart.svg(),
        csv,
        sql: format!(
            "SELECT c.model_width, c.model_depth, c.data_dim, c.step, avg(c.risk) AS risk, min(c.risk) AS risk_min,\n  \
             max(c.risk) AS risk_max, count(c.risk) AS trials\n{from}{at_dim}\nGROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;"
        ),
    })
}
