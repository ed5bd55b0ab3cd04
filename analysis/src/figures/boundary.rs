//! The boundary and the region of its exponents, and how both move with the threshold.

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::{Figure, View, csv_line};
use crate::scaling::{Estimate, FREEDOM_MIN, Law, Survey, threshold_curve};
use crate::statistics::{Crossing, Region};
use crate::study::Statistic;

const STATISTIC: Statistic = Statistic::ALL[0];
const MEANS: &str = "c.data_dim, c.model_width, c.model_depth, avg(c.rms_cos) AS rms_cos, count(c.rms_cos) AS trials";

/// Critical depths of the primary statistic at its middle threshold, and the joint region of the exponents.
pub(super) fn figure(view: &View<'_>, survey: &Survey) -> Option<Figure> {
    let threshold = STATISTIC.thresholds()[STATISTIC.thresholds().len() / 2];
    let variant = survey.variants.iter().find(|variant| {
        variant.is_plain()
            && (variant.statistic, variant.moment) == (STATISTIC, view.moment)
            && variant.boundary.threshold == threshold
    })?;
    let estimate = variant.estimate.as_ref().ok()?;
    let other = variant.without.as_ref().and_then(|without| without.estimate.as_ref().ok());
    let mut chart = Chart { plots: vec![depths(estimate, other)], legend: Vec::new() };
    chart.plots.extend(estimate.region.as_ref().and_then(region_plot));
    chart.legend = names(&dims(estimate));
    let mut csv = "data_dim,model_width,critical_depth,censored\n".to_owned();
    for row in &estimate.rows {
        let (depth, censored) = match row.crossing {
            Crossing::At { depth, .. } => (depth, "no"),
            Crossing::AtMost(depth) => (depth, "at most"),
            Crossing::MoreThan(depth) => (depth, "more than"),
        };
        let (dim, width) = (row.dim.to_string(), row.width.to_string());
        csv += &csv_line(&[dim, width, depth.to_string(), censored.to_owned()]);
    }
    let law = estimate.law();
    let without = variant.without.as_ref().map_or(String::new(), |without| {
        let told = match &without.estimate {
            Ok(other) => format!("solid lines: the fit is {}", other.law()),
            Err(why) => format!("there is no fit ({why})"),
        };
        format!(" Without {}, of which no row crosses, {told}.", without.dropped())
    });
    let region = match (&estimate.region, estimate.has_dims) {
        (None, _) if survey.freedom < FREEDOM_MIN => "Seeds are too few for a region of the exponents.".to_owned(),
        (None, _) => "No region of the exponents: too many resamples of seeds have no fit.".to_owned(),
        (Some(_), true) => {
            "Right: the joint 95 % region of the exponents from resampled seeds; crosses are what the laws say. It \
             says what other seeds would give, not whether a power law fits.".to_owned()
        }
        (Some(region), false) => {
            let (low, high) = region.extent(0);
            format!("95 % interval of the exponent: {low:.2} to {high:.2}: what other seeds would give, not whether a power law fits.")
        }
    };
    Some(Figure {
        name: format!("boundary-{}", view.moment_name()),
        title: format!("Where the rms cosine reaches {threshold} {}", view.moment.label()),
        caption: format!(
            "The critical depth, interpolated in ln β on an isotonic fit; an arrow says that a row crosses beyond its \
             depths, and is fitted as such. Dashed lines: the fit of all rows, {law}; a row lies off it by a factor of {:.1} (one standard deviation).{without} {region} A line across l β = d fits two regimes at once: see the \
             sensitivity.",
            estimate.sigma.exp()
        ),
        svg: chart.svg(),
        csv,
        sql: format!("-- the means that the isotonic fits start from\n{}", view.sql(MEANS, 3)),
    })
}

/// The legend of lines by dim.
fn names(dims: &[i64]) -> Vec<(usize, String)> {
    let name = |(index, dim): (usize, &i64)| (spread(index, dims.len()), format!("d = {dim}"));
    dims.iter().enumerate().map(name).collect()
}

fn dims(estimate: &Estimate) -> Vec<i64> {
    let mut dims: Vec<_> = estimate.rows.iter().map(|row| row.dim as i64).collect();
    dims.sort_unstable();
    dims.dedup();
    dims
}

/// The rows with the fit of all of them, and of those that `other` is of.
fn depths(estimate: &Estimate, other: Option<&Estimate>) -> Plot {
    let rows = &estimate.rows;
    let mut widths: Vec<_> = rows.iter().map(|row| row.width as i64).collect();
    widths.sort_unstable();
    widths.dedup();
    let mut marks = Vec::new();
    let dims = dims(estimate);
    for (index, &dim) in dims.iter().enumerate() {
        let series = spread(index, dims.len());
        let has_dim = |fit: &&Estimate| fit.rows.iter().any(|row| row.dim as i64 == dim);
        for (fit, is_dashed) in [(Some(estimate), true), (other.filter(has_dim), false)] {
            let Some(fit) = fit else { continue };
            let at = |width: &i64| (*width as f64, fit.depth(*width as f64, dim as f64));
            let points = widths.iter().map(at).collect();
            marks.push(Mark::Line { points, series, is_dashed });
        }
        for row in rows.iter().filter(|row| row.dim as i64 == dim) {
            marks.push(match row.crossing {
                Crossing::At { depth, .. } => {
                    Mark::Dots { points: vec![(row.width, depth)], series }
                }
                Crossing::AtMost(depth) => {
                    Mark::Arrow { at: (row.width, depth), is_up: false, series }
                }
                Crossing::MoreThan(depth) => {
                    Mark::Arrow { at: (row.width, depth), is_up: true, series }
                }
            });
        }
    }
    // Lines may run far beyond what was measured; the points say what the axis shows, with room for arrows.
    let measured = marks.iter().filter(|mark| !matches!(mark, Mark::Line { .. }));
    let ys: Vec<_> = measured.flat_map(Mark::points).map(|point| point.1).collect();
    let (low, high) =
        ys.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), y| (low.min(*y), high.max(*y)));
    for mark in &mut marks {
        if let Mark::Line { points, .. } = mark {
            points.retain(|(_, y)| (low / 2.0..=high * 2.0).contains(y));
        }
    }
    let xs = widths.iter().map(|width| *width as f64);
    let x = FigureAxis::new("width l (units)", Scale::Log, xs).naming(&widths);
    let powers: Vec<_> = (0..20).map(|k| 1_i64 << k).collect();
    let y = FigureAxis::new(
        "critical depth β* (matrices)",
        Scale::Log,
        [low / 2.0, high * 2.0].into_iter(),
    );
    Plot { title: "boundary".to_owned(), x, y: y.naming(&powers), marks }
}

/// A region with the laws; none where one dim leaves only one exponent.
pub(super) fn region_plot(region: &Region) -> Option<Plot> {
    let outline = region.outline(72);
    if outline.is_empty() {
        return None;
    }
    let outline: Vec<_> = outline.into_iter().map(|[p, q]| (p, q)).collect();
    let [p, q] = region.center;
    let laws = [
        (Law::Poster, "poster"),
        (Law::Iclr, "ICLR"),
        (Law::IcmlNarrow, "ICML, lβ≪d"),
        (Law::IcmlWide, "ICML, lβ≫d"),
        (Law::RandomMatrix, "random matrix"),
        (Law::FirstLayer, "first layer"),
    ];
    let mut marks = vec![
        Mark::Area { points: outline.clone(), series: 3 },
        Mark::Signs { points: vec![(p, q)], is_measured: true },
    ];
    let mut words = vec![((p, q), "measured".to_owned())];
    for (law, name) in laws {
        let [p, q] = law.exponents()?;
        marks.push(Mark::Signs { points: vec![(p, q)], is_measured: false });
        words.push(((p, q), name.to_owned()));
    }
    marks.push(Mark::Words(words));
    let mut all: Vec<_> = marks.iter().flat_map(Mark::points).collect();
    // Room for the names around the outermost laws.
    all.extend([(1.6, -0.15), (-0.45, 0.8)]);
    let x = FigureAxis::new("p, exponent of width", Scale::Linear, all.iter().map(|point| point.0));
    let y = FigureAxis::new("q, exponent of dim", Scale::Linear, all.iter().map(|point| point.1));
    Some(Plot { title: "joint 95 % region of (p, q)".to_owned(), x, y, marks })
}

/// The exponents along the threshold.
pub(super) fn thresholds(view: &View<'_>) -> Option<Figure> {
    const RESAMPLES: usize = 200;
    let panel = view.panel(STATISTIC);
    let curve = threshold_curve(&panel, STATISTIC, RESAMPLES);
    if curve.len() < 2 {
        return None;
    }
    let has_dims = curve.iter().any(|(_, estimate)| estimate.has_dims);
    let count = if has_dims { 2 } else { 1 };
    let names = ["p, exponent of width", "q, exponent of dim"];
    let poster = Law::Poster.exponents()?;
    let mut chart = Chart::default();
    for k in 0..count {
        let points: Vec<_> = curve.iter().map(|(t, e)| (*t, e.exponents[k])).collect();
        let bars: Vec<_> = curve
            .iter()
            .filter_map(|(t, e)| {
                let (low, high) = e.region.as_ref()?.extent(k);
                Some((*t, low, high))
            })
            .collect();
        let ends = [curve[0].0, curve[curve.len() - 1].0].map(|t| (t, poster[k]));
        let marks = vec![
            Mark::Line { points: ends.to_vec(), series: 7, is_dashed: true },
            Mark::Bars { points: bars, series: 2 },
            Mark::Line { points: points.clone(), series: 2, is_dashed: false },
            Mark::Dots { points, series: 2 },
        ];
        let xs = curve.iter().map(|(t, _)| *t);
        let x = FigureAxis::new("threshold of the rms cosine", Scale::Linear, xs);
        let ys: Vec<_> = marks.iter().flat_map(Mark::points).map(|point| point.1).collect();
        let y = FigureAxis::new(names[k], Scale::Linear, ys.into_iter());
        chart.plots.push(Plot {
            title: format!("{} along the threshold", &names[k][..1]),
            x,
            y,
            marks,
        });
    }
    let mut csv = "threshold,p,p_low,p_high,q,q_low,q_high,rows,censored\n".to_owned();
    for (threshold, estimate) in &curve {
        let mut cells = vec![threshold.to_string()];
        for k in 0..2 {
            let is_there = k < count;
            let extent =
                estimate.region.as_ref().map(|region| region.extent(k)).filter(|_| is_there);
            cells.push(if is_there { estimate.exponents[k].to_string() } else { String::new() });
            cells.push(extent.map_or(String::new(), |extent| extent.0.to_string()));
            cells.push(extent.map_or(String::new(), |extent| extent.1.to_string()));
        }
        cells.push(estimate.rows.len().to_string());
        cells.push(estimate.censored_count().to_string());
        csv += &csv_line(&cells);
    }
    Some(Figure {
        name: format!("thresholds-{}", view.moment_name()),
        title: format!("The exponents along the threshold, {}", view.moment.label()),
        caption: "Bars: the extent of the joint 95 % region. Dashed: the poster's exponent. An answer that moves along \
                  the axis depends on where one chose to look."
            .to_owned(),
        svg: chart.svg(),
        csv,
        sql: format!("-- the means that the isotonic fits start from\n{}", view.sql(MEANS, 3)),
    })
}
