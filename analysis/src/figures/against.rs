//! The smallest cosine against width and against depth: the published figures, with error bars over seeds.

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::curves::{PANELS_MAX, SERIES_MAX};
use super::{Figure, View, csv_line, thinned};
use crate::statistics::{crossed, mean};
use crate::study::{Cell, Statistic};

pub(super) fn width(view: &View<'_>) -> Option<Figure> {
    let words = ("min-cos-width", "width l (units)", "depth");
    figure(view, words, |cell| cell.width, |cell| cell.depth)
}

pub(super) fn depth(view: &View<'_>) -> Option<Figure> {
    let words = ("min-cos-depth", "depth β (matrices)", "width");
    figure(view, words, |cell| cell.depth, |cell| cell.width)
}

fn figure(
    view: &View<'_>,
    (name, label, line_word): (&str, &str, &str),
    along: fn(&Cell) -> i64,
    line: fn(&Cell) -> i64,
) -> Option<Figure> {
    let panel = view.panel(Statistic::MinCos);
    let cells: Vec<_> = panel
        .cells
        .iter()
        .filter_map(|cell| {
            let labelled = panel.seeds.iter().zip(&cell.values);
            let (labels, values): (Vec<_>, Vec<f64>) =
                labelled.filter_map(|(label, value)| Some((*label, -(*value)?))).unzip();
            let error = crossed::error(&labels, &values).map(|(error, _)| error);
            Some((cell, mean(&values)?, error, cell.trial_count))
        })
        .collect();
    let distinct = |of: &dyn Fn(&Cell) -> i64| {
        let mut values: Vec<_> = cells.iter().map(|(cell, ..)| of(cell)).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let (places, lines, dims) = (distinct(&along), distinct(&line), distinct(&|cell| cell.dim));
    if places.len() < 2 {
        return None;
    }
    let lines = thinned(&lines, SERIES_MAX);
    let mut chart = Chart::default();
    for dim in thinned(&dims, PANELS_MAX) {
        let mut marks = Vec::new();
        for (index, value) in lines.iter().enumerate() {
            let series = spread(index, lines.len());
            // A depth of 0 has no place on a logarithmic axis.
            let own = cells
                .iter()
                .filter(|(cell, ..)| cell.dim == dim && line(cell) == *value && along(cell) > 0);
            let mut own: Vec<_> =
                own.map(|(cell, mean, error, _)| (along(cell) as f64, *mean, *error)).collect();
            own.sort_by(|a, b| a.0.total_cmp(&b.0));
            let points: Vec<_> = own.iter().map(|&(x, y, _)| (x, y)).collect();
            let bars = own.iter().filter_map(|&(x, y, e)| Some((x, y - e?, y + e?))).collect();
            marks.push(Mark::Line { points: points.clone(), series, is_dashed: false });
            marks.push(Mark::Bars { points: bars, series });
            marks.push(Mark::Dots { points, series });
        }
        let xs = places.iter().map(|place| *place as f64);
        let x = FigureAxis::new(label, Scale::Log, xs).naming(&places);
        let ys = cells.iter().flat_map(|(_, y, e, _)| [y - e.unwrap_or(0.0), y + e.unwrap_or(0.0)]);
        let y = FigureAxis::new("min cosine", Scale::Linear, ys);
        chart.plots.push(Plot { title: format!("d = {dim}"), x, y, marks });
    }
    let entry = |(index, line)| (spread(index, lines.len()), format!("{line_word} {line}"));
    chart.legend = lines.iter().enumerate().map(entry).collect();
    let mut csv = "data_dim,model_width,model_depth,min_cos,standard_error,trials\n".to_owned();
    for (cell, mean, error, count) in &cells {
        let [dim, width, depth] = [cell.dim, cell.width, cell.depth].map(|x| x.to_string());
        let error = error.map_or(String::new(), |error| error.to_string());
        csv += &csv_line(&[dim, width, depth, mean.to_string(), error, count.to_string()]);
    }
    let word = label.split(' ').next().unwrap_or_default();
    Some(Figure {
        name: name.to_owned(),
        title: format!("Smallest cosine against {word}, {}", view.moment.label()),
        caption: "Means over seeds; bars are one standard error of the mean, where data seeds and \
                  initial seeds are crossed that of both kinds (the SQL's takes every trial for independent). Minima over different numbers of \
                  gradients are never compared."
            .to_owned(),
        svg: chart.svg(),
        csv,
        sql: view.sql(
            "c.data_dim, c.model_width, c.model_depth, avg(c.min_cos) AS min_cos,\n  \
             stddev_samp(c.min_cos) / sqrt(count(c.min_cos)) AS standard_error, count(c.min_cos) AS trials",
            3,
        ),
    })
}
