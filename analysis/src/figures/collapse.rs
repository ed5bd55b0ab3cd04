//! The collapse plot: every cell against the index that makes them one curve, and against the poster's.

use super::axis::{FigureAxis, Scale};
use super::boundary::region_plot;
use super::chart::{Chart, Mark, Plot, spread};
use super::{Figure, View, csv_line};
use crate::scaling::{Law, Survey, collapse_share};
use crate::statistics::Region;
use crate::study::{Cell, Statistic};

const STATISTIC: Statistic = Statistic::ALL[0];

pub(super) fn figure(view: &View<'_>, survey: &Survey) -> Option<Figure> {
    let (_, found, region) = survey.collapses.iter().find(|(moment, ..)| *moment == view.moment)?;
    let panel = view.panel(STATISTIC);
    let weights = panel.even_weights();
    let cells = panel.cells.iter().filter(|cell| cell.depth > 0);
    let cells: Vec<_> = cells.filter_map(|cell| Some((cell, cell.mean(&weights)?.0))).collect();
    let mut dims: Vec<_> = cells.iter().map(|(cell, _)| cell.dim).collect();
    dims.dedup();
    let poster = Law::Poster.exponents()?;
    let mut chart = Chart::default();
    let name = |[p, q]: [f64; 2]| match dims.len() {
        1 => format!("β / l^{p:.2}"),
        _ => format!("β / (l^{p:.2} d^{q:.2})"),
    };
    for (title, [p, q]) in [
        (format!("best: {}", name([found.p, found.q])), [found.p, found.q]),
        (format!("poster: {}", name(poster)), poster),
    ] {
        let place = |cell: &Cell| {
            let [l, b, d] = [cell.width, cell.depth, cell.dim].map(|x| x as f64);
            b / (l.powf(p) * d.powf(q))
        };
        let mut marks = Vec::new();
        for (index, dim) in dims.iter().enumerate() {
            let series = spread(index, dims.len());
            let own = cells.iter().filter(|(cell, _)| cell.dim == *dim);
            let points = own.map(|(cell, mean)| (place(cell), *mean)).collect();
            marks.push(Mark::Dots { points, series });
        }
        let index = if dims.len() == 1 { "index β / l^p" } else { "index β / (l^p d^q)" };
        let all: Vec<_> = marks.iter().flat_map(Mark::points).collect();
        let x = FigureAxis::new(index, Scale::Log, all.iter().map(|point| point.0));
        let y = FigureAxis::new("rms cosine", Scale::Linear, all.iter().map(|point| point.1));
        chart.plots.push(Plot { title, x, y, marks });
    }
    chart.plots.extend(region.as_ref().and_then(region_plot));
    let name = |(index, dim)| (spread(index, dims.len()), format!("d = {dim}"));
    chart.legend = dims.iter().enumerate().map(name).collect();
    let mut csv = "data_dim,model_width,model_depth,rms_cos,trials\n".to_owned();
    for (cell, mean) in &cells {
        let [dim, width, depth] = [cell.dim, cell.width, cell.depth].map(|x| x.to_string());
        csv += &csv_line(&[dim, width, depth, mean.to_string(), cell.trial_count.to_string()]);
    }
    let edge = if found.is_at_edge {
        " An exponent is at the edge of what was searched, [−1, 2]."
    } else {
        ""
    };
    Some(Figure {
        name: format!("collapse-{}", view.moment_name()),
        title: format!("All cells on one curve? {}", view.moment.label()),
        caption: format!(
            "No threshold: the exponents under which one increasing curve through all other rows best predicts a row \
             (one width and dim), {:.1} % of the variance between cells; the poster's predict {:.1} %.{edge} {}",
            100.0 * found.predicted,
            100.0 * collapse_share(&panel, &weights, poster)?,
            told(region.as_ref(), dims.len() > 1)
        ),
        svg: chart.svg(),
        csv,
        sql: view.sql(
            "c.data_dim, c.model_width, c.model_depth, avg(c.rms_cos) AS rms_cos, count(c.rms_cos) AS trials",
            3,
        ),
    })
}

/// What the region of the exponents says.
fn told(region: Option<&Region>, has_dims: bool) -> String {
    let Some(region) = region else {
        return "No region of the exponents: it takes five seeds of each kind, exponents within what is searched, and resamples that \
                scatter by more than the 0.005 that the search resolves.".to_owned();
    };
    let [(p_low, p_high), (q_low, q_high)] = [0, 1].map(|k| region.extent(k));
    match has_dims {
        true => format!(
            "The joint 95 % region of the exponents, from resampled seeds, reaches from {p_low:.2} to {p_high:.2} in p and from \
             {q_low:.2} to {q_high:.2} in q."
        ),
        false => format!("95 % interval of p, from resampled seeds: {p_low:.2} to {p_high:.2}."),
    }
}
