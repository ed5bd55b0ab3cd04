//! Tuning curves: the final loss along the step size, where a sweep has it as an axis.

use std::collections::BTreeMap;

use super::axis::{FigureAxis, Scale};
use super::chart::{Chart, Mark, Plot, spread};
use super::curves::{PANELS_MAX, SERIES_MAX};
use super::{Figure, csv_line, question, thinned};
use crate::statistics::{mean, standard_error};
use crate::study::{Group, Study};

const STEP_SIZE: &str = "train_step_size";

/// Final losses of one cell at one step size, and how many trials diverged there.
#[derive(Default)]
struct Found {
    risks: Vec<f64>,
    diverged: usize,
}

/// Width, line (depth, or dim of models without layers), and place among the step sizes.
type Place = (Option<i64>, Option<i64>, usize);

/// One figure for each set of groups that differ in the step size alone.
pub(super) fn figures(study: &Study) -> Vec<Figure> {
    let groups: Vec<_> =
        study.distinct_groups().filter(|group| group.number(STEP_SIZE).is_some()).collect();
    let mut families: Vec<Vec<&Group>> = Vec::new();
    for group in groups {
        let is_kin = |family: &&mut Vec<&Group>| {
            family[0].differs_only_in(group, &[STEP_SIZE, crate::study::MEASURE_COUNT])
        };
        match families.iter_mut().find(is_kin) {
            Some(family) => family.push(group),
            None => families.push(vec![group]),
        }
    }
    families
        .iter()
        .filter(|family| family.len() > 1)
        .filter_map(|family| figure(study, family))
        .collect()
}

fn figure(study: &Study, family: &[&Group]) -> Option<Figure> {
    let mut sizes: Vec<f64> = family.iter().filter_map(|group| group.number(STEP_SIZE)).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let trials =
        || family.iter().flat_map(|group| group.trials.iter().map(move |trial| (group, trial)));
    let has_layers = trials().any(|(_, trial)| trial.width.is_some());
    let mut dims: Vec<_> = trials().filter_map(|(_, trial)| trial.dim).collect();
    dims.sort_unstable();
    dims.dedup();
    let middle = dims.get(dims.len() / 2).copied().filter(|_| has_layers);
    let mut found: BTreeMap<Place, Found> = BTreeMap::new();
    for (group, trial) in trials().filter(|(_, t)| middle.is_none() || t.dim == middle) {
        let line = if has_layers { trial.depth } else { trial.dim };
        let place = sizes.iter().position(|size| group.number(STEP_SIZE) == Some(*size))?;
        let cell = found.entry((trial.width, line, place)).or_default();
        match trial.final_risk.filter(|risk| risk.is_finite() && !trial.is_diverged) {
            Some(risk) => cell.risks.push(risk),
            None => cell.diverged += 1,
        }
    }
    let distinct = |of: fn(&Place) -> Option<i64>| {
        let mut values: Vec<_> = found.keys().map(of).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let lines = thinned(&distinct(|place| place.1), SERIES_MAX);
    let floor = 1e-16;
    let means = found.values().filter_map(|cell| mean(&cell.risks)).map(|risk| risk.max(floor));
    let (low, high) =
        means.fold((f64::INFINITY, 0.0_f64), |(l, h), risk| (l.min(risk), h.max(risk)));
    if high == 0.0 {
        return None;
    }
    // Where trials diverged, their arrow stands above every loss.
    let above = high * (high / low).powf(0.12).max(1.5);
    let mut chart = Chart::default();
    for width in thinned(&distinct(|place| place.0), PANELS_MAX) {
        let mut marks = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let series = spread(index, lines.len());
            let (mut points, mut bars) = (Vec::new(), Vec::new());
            for (place, size) in sizes.iter().enumerate() {
                let Some(cell) = found.get(&(width, *line, place)) else { continue };
                if cell.diverged > 0 {
                    marks.push(Mark::Arrow { at: (*size, above), is_up: true, series });
                } else if let Some(risk) = mean(&cell.risks).map(|risk| risk.max(floor)) {
                    points.push((*size, risk));
                    let bar = |error: f64| (*size, (risk - error).max(0.1 * risk), risk + error);
                    bars.extend(standard_error(&cell.risks).map(bar));
                }
            }
            marks.push(Mark::Line { points: points.clone(), series, is_dashed: false });
            marks.push(Mark::Bars { points: bars, series });
            marks.push(Mark::Dots { points, series });
        }
        let x = FigureAxis::new("step size α", Scale::Log, sizes.iter().copied());
        let y = marks.iter().flat_map(Mark::points).map(|point| point.1).chain([low, above * 2.0]);
        let y = FigureAxis::new("final training loss F(w)", Scale::Log, y);
        let title = width.map_or(String::new(), |width| format!("width {width}"));
        chart.plots.push(Plot { title, x: x.at_numbers(&sizes), y, marks });
    }
    let word = if has_layers { "depth" } else { "d =" };
    let name = |(index, line): (usize, &Option<i64>)| {
        let line = line.map_or("-".to_owned(), |line| format!("{word} {line}"));
        (spread(index, lines.len()), line)
    };
    chart.legend = lines.iter().enumerate().map(name).collect();
    let mut csv = "train_step_size,model_width,model_depth,data_dim,final_risk,standard_error,completed,diverged\n".to_owned();
    for ((width, line, place), cell) in &found {
        let (depth, dim) = if has_layers { (*line, middle) } else { (None, *line) };
        let [width, depth, dim] =
            [*width, depth, dim].map(|x| x.map_or(String::new(), |x| x.to_string()));
        let [risk, error] = [mean(&cell.risks), standard_error(&cell.risks)]
            .map(|x| x.map_or(String::new(), |x| x.to_string()));
        csv += &csv_line(&[
            sizes[*place].to_string(),
            width,
            depth,
            dim,
            risk,
            error,
            cell.risks.len().to_string(),
            cell.diverged.to_string(),
        ]);
    }
    let at_dim = middle.map_or(String::new(), |dim| format!("\n  AND j.data_dim = {dim}"));
    let label = study.label_but(family[0], &[STEP_SIZE, crate::study::MEASURE_COUNT]);
    Some(Figure {
        name: "tuning".to_owned(),
        title: match label.is_empty() {
            true => "Final loss along the step size".to_owned(),
            false => format!("Final loss along the step size: {label}"),
        },
        caption: format!(
            "{}Means over seeds; bars are one standard error. An arrow at the top says that at least one seed diverged there: the \
             others alone would look too good, so no mean is drawn. The step sizes are the sweep's axis; none was \
             chosen by an earlier stage of tuning, which gradsweep has not.",
            middle.map_or(String::new(), |dim| format!("At d = {dim}. "))
        ),
        svg: chart.svg(),
        csv,
        sql: format!(
            "SELECT j.train_step_size, j.model_width, j.model_depth, j.data_dim,\n  avg(CASE WHEN j.status = 'completed' THEN j.final_risk END) AS final_risk,\n  \
             stddev_samp(CASE WHEN j.status = 'completed' THEN j.final_risk END)\n    / sqrt(count(CASE WHEN j.status = 'completed' THEN j.final_risk END)) AS standard_error,\n  \
             count(CASE WHEN j.status = 'completed' THEN j.final_risk END) AS completed,\n  \
             count(CASE WHEN j.status = 'diverged' THEN 1 END) AS diverged\nFROM jobs j\nWHERE j.sweep = '{}' AND j.stage <> 'tune'{}{at_dim}\nGROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4, 1;",
            study.sweep,
            question::family(study, family[0], &[STEP_SIZE, crate::study::MEASURE_COUNT])
        ),
    })
}
