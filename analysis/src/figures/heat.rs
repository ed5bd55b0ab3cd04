//! The heat map: a statistic for each width and depth, one panel a dim.

use std::fmt::Write;

use super::axis::words;
use super::chart::open;
use super::style::{escape, viridis};
use super::{Figure, View, csv_line, thinned};
use crate::study::Statistic;

/// A cell is as wide as three panels in a row let it be, between these.
const CELL_WIDTH: (f64, f64) = (32.0, 46.0);
const CELL_HEIGHT: f64 = 26.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;
const GAP: f64 = 18.0;
/// Panels side by side; more dims are thinned out.
const PANELS_MAX: usize = 6;
const WIDTH_MAX: f64 = 920.0;

pub(super) fn figure(view: &View<'_>) -> Option<Figure> {
    let panel = view.panel(Statistic::RmsCos);
    let weights = panel.even_weights();
    let means: Vec<_> = panel.cells.iter().filter_map(|c| Some((c, c.mean(&weights)?.0))).collect();
    if means.is_empty() {
        return None;
    }
    let distinct = |of: fn(&crate::study::Cell) -> i64| {
        let mut values: Vec<_> = means.iter().map(|(cell, _)| of(cell)).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let (widths, depths) = (distinct(|cell| cell.width), distinct(|cell| cell.depth));
    let dims = thinned(&distinct(|cell| cell.dim), PANELS_MAX);
    let (low, high) =
        means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, x)| {
            (low.min(*x), high.max(*x))
        });

    let room = WIDTH_MAX / dims.len().min(3) as f64 - LEFT - GAP;
    let cell_width = (room / depths.len() as f64).clamp(CELL_WIDTH.0, CELL_WIDTH.1);
    let (grid_width, grid_height) =
        (cell_width * depths.len() as f64, CELL_HEIGHT * widths.len() as f64);
    let (step_x, step_y) = (LEFT + grid_width + GAP, TOP + grid_height + BOTTOM);
    let columns = ((WIDTH_MAX / step_x) as usize).clamp(1, dims.len());
    let rows = dims.len().div_ceil(columns);
    let mut svg = open(columns as f64 * step_x, rows as f64 * step_y);
    for (index, dim) in dims.iter().enumerate() {
        let left = (index % columns) as f64 * step_x + LEFT;
        let top = (index / columns) as f64 * step_y + TOP;
        let center = left + grid_width / 2.0;
        let _ = writeln!(
            svg,
            "<text class=\"mid head\" x=\"{center:.1}\" y=\"{:.1}\">d = {dim}</text>",
            top - 9.0
        );
        let _ = writeln!(
            svg,
            "<text class=\"mid\" x=\"{center:.1}\" y=\"{:.1}\">depth β (matrices)</text>",
            top + grid_height + 34.0
        );
        let (x, y) = (left - 46.0, top + grid_height / 2.0);
        let _ = writeln!(
            svg,
            "<text class=\"mid\" transform=\"rotate(-90 {x:.1} {y:.1})\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape("width l (units)")
        );
        for (row, width) in widths.iter().enumerate() {
            let y = top + CELL_HEIGHT * row as f64;
            let _ = writeln!(
                svg,
                "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{width}</text>",
                left - 6.0,
                y + 17.0
            );
        }
        for (column, depth) in depths.iter().enumerate() {
            let x = left + cell_width * (column as f64 + 0.5);
            let _ = writeln!(
                svg,
                "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{depth}</text>",
                top + grid_height + 15.0
            );
        }
        for (cell, mean) in means.iter().filter(|(cell, _)| cell.dim == *dim) {
            let column = depths.binary_search(&cell.depth).unwrap_or(0) as f64;
            let row = widths.binary_search(&cell.width).unwrap_or(0) as f64;
            let (x, y) = (left + cell_width * column, top + CELL_HEIGHT * row);
            let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
            let (colour, is_light) = viridis(share);
            let ink = if is_light { "#000" } else { "#fff" };
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell_width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{colour}\"/><text class=\"mid small\" style=\"fill:{ink}\" x=\"{:.1}\" y=\"{:.1}\">{mean:.2}</text>",
                x + cell_width / 2.0,
                y + 17.0
            );
        }
    }
    svg.push_str("</svg>\n");

    let mut csv = "data_dim,model_width,model_depth,rms_cos,trials\n".to_owned();
    for (cell, mean) in &means {
        let [dim, width, depth] = [cell.dim, cell.width, cell.depth].map(|x| x.to_string());
        csv += &csv_line(&[dim, width, depth, mean.to_string(), cell.trial_count.to_string()]);
    }
    let (low, high) = (words(low), words(high));
    Some(Figure {
        name: "heat".to_owned(),
        title: format!("rms cosine {}, by width and depth", view.moment.label()),
        caption: format!(
            "Mean over seeds; colour and number say the same, from {low} (dark) to {high} (light). An empty place has no \
             trial that did not diverge."
        ),
        svg,
        csv,
        sql: view.sql(
            "c.data_dim, c.model_width, c.model_depth, avg(c.rms_cos) AS rms_cos, count(c.rms_cos) AS trials",
            3,
        ),
    })
}
