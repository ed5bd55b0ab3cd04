//! What was measured under what the two convergence theorems allow.

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::{Figure, View, csv_line, curves::SERIES_MAX, question, thinned};
use crate::theorem::{self, Point};

/// Below this a logarithmic axis shows rounding alone.
const FLOOR: f64 = 1e-16;

/// One panel a theorem, lines by dim; none for groups to which neither applies.
pub(super) fn figure(view: &View<'_>) -> Option<Figure> {
    let (linear, stationary) = (theorem::linear(view.group), theorem::stationary(view.group));
    let all = || linear.iter().chain(&stationary);
    let mut dims: Vec<_> = all().filter_map(|point| point.dim).collect();
    dims.sort_unstable();
    dims.dedup();
    let shown = thinned(&dims, SERIES_MAX);
    if shown.is_empty() {
        return None;
    }
    let mut chart = Chart::default();
    for (title, label, points) in [
        ("first theorem", "F(w) − F* (loss)", &linear),
        ("second theorem", "smallest |∇F|² so far ((loss per weight)²)", &stationary),
    ] {
        if !points.is_empty() {
            chart.plots.push(panel((title, label), points, &shown));
        }
    }
    let name = |(index, dim)| (spread(index, shown.len()), format!("d = {dim}"));
    chart.legend = shown.iter().enumerate().map(name).collect();

    let mut csv =
        "data_dim,step,excess_risk,excess_bound,least_gradient_squared,gradient_bound,trials\n"
            .to_owned();
    let mut places: Vec<_> = all().map(|point| (point.dim, point.step)).collect();
    places.sort_unstable();
    places.dedup();
    for (dim, step) in places {
        let of = |points: &[Point]| {
            points.iter().find(|point| (point.dim, point.step) == (dim, step)).copied()
        };
        let (first, second) = (of(&linear), of(&stationary));
        let text = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
        csv += &csv_line(&[
            dim.map_or(String::new(), |dim| dim.to_string()),
            step.to_string(),
            text(first.map(|point| point.mean)),
            text(first.map(|point| point.bound)),
            text(second.map(|point| point.mean)),
            text(second.map(|point| point.bound)),
            first.or(second).map_or(String::new(), |point| point.trials.to_string()),
        ]);
    }
    let seeds = all().map(|point| point.trials).min().unwrap_or(0);
    Some(Figure {
        name: "envelopes".to_owned(),
        title: "Training under the convergence theorems".to_owned(),
        caption: format!(
            "Marked: means over the trials to which the theorems apply, at least {seeds} at each step; bars are one standard \
             error. Dashed: what the theorems allow on average, with each trial's own μ, L, F*, step size and the largest eta \
             measured in it. Eta between measured steps may be larger, and the true bound with it. \
             The theorems bound an expectation, never a single run."
        ),
        svg: chart.svg(),
        csv,
        sql: question::envelopes(view.study, view.group),
    })
}

fn panel((title, label): (&str, &str), points: &[Point], dims: &[i64]) -> Plot {
    let mut marks = Vec::new();
    for (index, dim) in dims.iter().enumerate() {
        let series = spread(index, dims.len());
        let own = || points.iter().filter(|point| point.dim == Some(*dim));
        let line = |of: fn(&Point) -> f64| -> Vec<_> {
            own().map(|point| (point.step as f64, of(point).max(FLOOR))).collect()
        };
        let (means, bounds) = (line(|point| point.mean), line(|point| point.bound));
        let bars = own().filter_map(|point| {
            let error = point.error?;
            let (low, high) = (point.mean - error, point.mean + error);
            Some((point.step as f64, low.max(0.1 * point.mean).max(FLOOR), high.max(FLOOR)))
        });
        marks.push(Mark::Line { points: bounds, series, is_dashed: true });
        marks.push(Mark::Bars { points: bars.collect(), series });
        marks.push(Mark::Line { points: means.clone(), series, is_dashed: false });
        marks.push(Mark::Dots { points: means, series });
    }
    let all: Vec<_> = marks.iter().flat_map(Mark::points).collect();
    let x = FigureAxis::new("SGD steps", Scale::Linear, all.iter().map(|point| point.0));
    let y = FigureAxis::new(label, Scale::Log, all.iter().map(|point| point.1));
    Plot { title: title.to_owned(), x, y, marks }
}
