//! The figures of the report: SVG, the numbers in them as CSV, and the SQL that gives those.

mod against;
mod axis;
mod boundary;
mod chart;
mod collapse;
mod cosines;
mod curves;
mod envelopes;
mod heat;
mod labels;
#[cfg(feature = "png")]
pub mod png;
mod question;
mod style;
mod tuning;

use crate::scaling::Survey;
use crate::study::{Group, Moment, Panel, Statistic, Study};

pub use style::{SHEET, escape, standalone};

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What its files are called, without an ending.
    pub name: String,
    pub title: String,
    /// What is shown, in sentences.
    pub caption: String,
    /// An SVG element that takes its colours from [`SHEET`].
    pub svg: String,
    pub csv: String,
    pub sql: String,
}

/// The figures of one group; `index` tells their files from those of other groups. Figures without data are left out.
pub fn figures(study: &Study, group: &Group, survey: &Survey, index: usize) -> Vec<Figure> {
    let view = View { study, group, moment: moment_of(group) };
    let mut found = Vec::new();
    found.extend(heat::figure(&view));
    found.extend(curves::figure(&view));
    found.extend(envelopes::figure(&view));
    found.extend(cosines::figure(&view));
    found.extend(against::width(&view));
    found.extend(against::depth(&view));
    for moment in Moment::ALL {
        let view = View { study, group, moment };
        found.extend(boundary::figure(&view, survey));
        found.extend(collapse::figure(&view, survey));
        found.extend(boundary::thresholds(&view));
    }
    for figure in &mut found {
        figure.name = format!("{}-{}", index + 1, figure.name);
    }
    found
}

/// The figures that lie across the groups of a study: those in which a setting other than width, depth and dim is an axis.
pub fn shared(study: &Study) -> Vec<Figure> {
    let mut found = tuning::figures(study);
    for (index, figure) in found.iter_mut().enumerate() {
        figure.name = format!("{}-{}", figure.name, index + 1);
    }
    found
}

/// A group at the moment that is shown.
struct View<'a> {
    study: &'a Study,
    group: &'a Group,
    moment: Moment,
}

/// The end of training, or the start where nothing else was measured.
fn moment_of(group: &Group) -> Moment {
    match group.panel(Statistic::MinCos, Moment::End).filled() > 0.0 {
        true => Moment::End,
        false => Moment::Start,
    }
}

impl View<'_> {
    fn panel(&self, statistic: Statistic) -> Panel {
        self.group.panel(statistic, self.moment)
    }

    /// The SQL of `columns` at this moment, grouped by the first `keys` of them.
    fn sql(&self, columns: &str, keys: usize) -> String {
        let from = question::measured(self.study, self.group, self.moment);
        let places = (1..=keys).map(|key| key.to_string()).collect::<Vec<_>>().join(", ");
        format!("SELECT {columns}\n{from}\nGROUP BY {places} ORDER BY {places};")
    }

    fn moment_name(&self) -> &'static str {
        match self.moment {
            Moment::Start => "start",
            Moment::End => "end",
        }
    }
}

/// Up to `count` of these, evenly chosen, the first and last among them.
fn thinned<T: Copy>(values: &[T], count: usize) -> Vec<T> {
    if values.len() <= count {
        return values.to_vec();
    }
    (0..count).map(|k| values[k * (values.len() - 1) / (count - 1)]).collect()
}

/// One line of CSV; what does not exist is empty.
fn csv_line(cells: &[String]) -> String {
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_both_ends() {
        assert_eq!(thinned(&[1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(thinned(&[1, 2, 3, 4, 5, 6, 7], 3), [1, 4, 7]);
        assert!(thinned::<i64>(&[], 3).is_empty());
    }
}
