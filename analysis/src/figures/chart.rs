//! Charts: panels side by side with shared axes, marks in them, one legend. Drawn as SVG that names classes, no colours.

use std::fmt::Write;

use super::axis::FigureAxis;
use super::labels;
use super::style::escape;

/// What is drawn in a panel. `series` picks colour and marker together, so that neither is needed to tell them apart.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    Line {
        points: Vec<(f64, f64)>,
        series: usize,
        is_dashed: bool,
    },
    /// `(x, low, high)`.
    Band {
        points: Vec<(f64, f64, f64)>,
        series: usize,
    },
    Dots {
        points: Vec<(f64, f64)>,
        series: usize,
    },
    /// `(x, low, high)`.
    Bars {
        points: Vec<(f64, f64, f64)>,
        series: usize,
    },
    /// The value is at most (down) or more than (up) this.
    Arrow {
        at: (f64, f64),
        is_up: bool,
        series: usize,
    },
    Area {
        points: Vec<(f64, f64)>,
        series: usize,
    },
    /// Places of no series: what was measured as a spot, what laws say as crosses.
    Signs {
        points: Vec<(f64, f64)>,
        is_measured: bool,
    },
    /// Names beside points, where they cover neither each other nor a point.
    Words(Vec<((f64, f64), String)>),
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub title: String,
    pub x: FigureAxis,
    pub y: FigureAxis,
    pub marks: Vec<Mark>,
}

/// A figure of panels, at most three in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    pub plots: Vec<Plot>,
    /// The series by name; none, no legend.
    pub legend: Vec<(usize, String)>,
}

const ROW: usize = 3;
const PLOT_WIDTH: f64 = 230.0;
const PLOT_HEIGHT: f64 = 190.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 46.0;
const GAP: f64 = 14.0;
/// How wide a letter of 12 px is taken to be: on the safe side for any sans-serif face.
pub(super) const LETTER: f64 = 6.8;

impl Chart {
    /// The SVG element, without a style sheet.
    pub(super) fn svg(&self) -> String {
        let columns = self.plots.len().clamp(1, ROW);
        let width = columns as f64 * (LEFT + PLOT_WIDTH + GAP);
        let (legend, legend_height) = self.legend(width);
        let cell_height = TOP + PLOT_HEIGHT + BOTTOM;
        let rows = self.plots.len().div_ceil(ROW);
        let height = rows as f64 * cell_height + legend_height;
        let mut out = open(width, height);
        out.push_str(&legend);
        for (index, plot) in self.plots.iter().enumerate() {
            let x = (index % ROW) as f64 * (LEFT + PLOT_WIDTH + GAP) + LEFT;
            let y = legend_height + (index / ROW) as f64 * cell_height + TOP;
            plot.draw(&mut out, (x, y));
        }
        out.push_str("</svg>\n");
        out
    }

    /// The legend over the panels, and its height. Each entry shows what the panels have of its series.
    fn legend(&self, width: f64) -> (String, f64) {
        let (mut out, mut x, mut y) = (String::new(), 10.0, 14.0);
        for (series, name) in &self.legend {
            let room = 26.0 + LETTER * name.chars().count() as f64 + 14.0;
            if x > 10.0 && x + room > width {
                (x, y) = (10.0, y + 18.0);
            }
            let marks = || self.plots.iter().flat_map(|plot| &plot.marks);
            let line = marks().filter_map(|mark| mark.line_of(*series)).min();
            if let Some(is_dashed) = line {
                let class = line_class(is_dashed, *series);
                let _ = write!(out, "<path class=\"{class}\" d=\"M{x:.1} {y:.1}h18\"/>");
            }
            if marks().any(|mark| mark.has_marker_of(*series)) {
                marker(&mut out, (x + 9.0, y), *series);
            }
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 24.0,
                y + 4.0,
                escape(name)
            );
            x += room;
        }
        if self.legend.is_empty() { (out, 0.0) } else { (out, y + 12.0) }
    }
}

fn line_class(is_dashed: bool, series: usize) -> String {
    format!("line{} s{}", if is_dashed { " dash" } else { "" }, series % SERIES)
}

/// The start of an SVG element of this size, which shrinks to where it stands.
pub(super) fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n"
    )
}

/// The number of series that have a colour and marker of their own.
const SERIES: usize = 8;

/// The series to use for item `index` of `count`, as far apart as there are colours.
pub(super) fn spread(index: usize, count: usize) -> usize {
    if count < 2 { 2 } else { (index * (SERIES - 1) / (count - 1)) % SERIES }
}

/// A circle, square, triangle, diamond, and those again hollow.
fn marker(out: &mut String, (x, y): (f64, f64), series: usize) {
    let class =
        format!("{} s{}", if series % SERIES < 4 { "dot" } else { "ring" }, series % SERIES);
    let _ = match series % 4 {
        0 => write!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>"),
        1 => write!(
            out,
            "<path class=\"{class}\" d=\"M{:.1} {:.1}h5.8v5.8h-5.8z\"/>",
            x - 2.9,
            y - 2.9
        ),
        2 => write!(out, "<path class=\"{class}\" d=\"M{x:.1} {:.1}l3.7 6.4h-7.4z\"/>", y - 3.9),
        _ => write!(
            out,
            "<path class=\"{class}\" d=\"M{x:.1} {:.1}l3.9 3.9l-3.9 3.9l-3.9 -3.9z\"/>",
            y - 3.9
        ),
    };
}

impl Plot {
    fn draw(&self, out: &mut String, (left, top): (f64, f64)) {
        let (right, bottom) = (left + PLOT_WIDTH, top + PLOT_HEIGHT);
        let at = |(x, y): (f64, f64)| {
            (left + PLOT_WIDTH * self.x.place(x), bottom - PLOT_HEIGHT * self.y.place(y))
        };
        let middle = left + PLOT_WIDTH / 2.0;
        for (x, label) in self.x.ticks() {
            let (x, _) = at((x, 0.0));
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/><text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 15.0
            );
        }
        for (y, label) in self.y.ticks() {
            let y = bottom - PLOT_HEIGHT * self.y.place(y);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                left - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            out,
            "<rect class=\"frame\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{PLOT_WIDTH}\" height=\"{PLOT_HEIGHT}\"/>"
        );
        let _ = writeln!(
            out,
            "<text class=\"mid head\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            top - 8.0,
            escape(&self.title)
        );
        let _ = writeln!(
            out,
            "<text class=\"mid\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 34.0,
            escape(&self.x.label)
        );
        let (x, y) = (left - 48.0, top + PLOT_HEIGHT / 2.0);
        let _ = writeln!(
            out,
            "<text class=\"mid\" transform=\"rotate(-90 {x:.1} {y:.1})\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(&self.y.label)
        );
        for mark in &self.marks {
            mark.draw(out, &at, [left, top, right, bottom]);
        }
    }
}

impl Mark {
    /// Every point of it, for the range of the axes.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Line { points, .. }
            | Self::Dots { points, .. }
            | Self::Area { points, .. }
            | Self::Signs { points, .. } => points.clone(),
            Self::Band { points, .. } | Self::Bars { points, .. } => {
                points.iter().flat_map(|&(x, low, high)| [(x, low), (x, high)]).collect()
            }
            Self::Arrow { at, .. } => vec![*at],
            Self::Words(words) => words.iter().map(|(at, _)| *at).collect(),
        }
    }

    /// Whether it is a dashed line, where it is a line of this series.
    fn line_of(&self, of: usize) -> Option<bool> {
        match self {
            Self::Line { series, is_dashed, .. } if *series == of => Some(*is_dashed),
            _ => None,
        }
    }

    fn has_marker_of(&self, of: usize) -> bool {
        matches!(self, Self::Dots { series, .. } | Self::Arrow { series, .. } if *series == of)
    }

    fn draw(&self, out: &mut String, at: &impl Fn((f64, f64)) -> (f64, f64), frame: [f64; 4]) {
        match self {
            Self::Line { points, series, is_dashed } => {
                let path = path(points.iter().map(|point| at(*point)));
                let class = line_class(*is_dashed, *series);
                let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
            }
            Self::Band { points, series } => {
                let top = points.iter().map(|&(x, _, high)| at((x, high)));
                let back = points.iter().rev().map(|&(x, low, _)| at((x, low)));
                let path = path(top.chain(back));
                let _ = writeln!(out, "<path class=\"band s{}\" d=\"{path}z\"/>", series % SERIES);
            }
            Self::Area { points, series } => {
                let path = path(points.iter().map(|point| at(*point)));
                let _ = writeln!(out, "<path class=\"area s{}\" d=\"{path}z\"/>", series % SERIES);
            }
            Self::Dots { points, series } => {
                points.iter().for_each(|point| marker(out, at(*point), *series));
                out.push('\n');
            }
            Self::Signs { points, is_measured } => {
                for (x, y) in points.iter().map(|point| at(*point)) {
                    let _ = match is_measured {
                        true => {
                            writeln!(
                                out,
                                "<circle class=\"spot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\"/>"
                            )
                        }
                        false => writeln!(
                            out,
                            "<path class=\"cross\" d=\"M{:.1} {:.1}l7 7m0 -7l-7 7\"/>",
                            x - 3.5,
                            y - 3.5
                        ),
                    };
                }
            }
            Self::Bars { points, series } => {
                for &(x, low, high) in points {
                    let ((x, low), (_, high)) = (at((x, low)), at((x, high)));
                    let _ = writeln!(
                        out,
                        "<path class=\"line s{}\" d=\"M{:.1} {low:.1}h6m-3 0V{high:.1}m-3 0h6\"/>",
                        series % SERIES,
                        x - 3.0
                    );
                }
            }
            Self::Arrow { at: point, is_up, series } => {
                let ((x, y), way) = (at(*point), if *is_up { -1.0 } else { 1.0 });
                marker(out, (x, y), *series);
                let _ = writeln!(
                    out,
                    "<path class=\"line s{}\" d=\"M{x:.1} {y:.1}v{:.1}m-4 {:.1}l4 {:.1}l4 {:.1}\"/>",
                    series % SERIES,
                    16.0 * way,
                    -5.0 * way,
                    5.0 * way,
                    -5.0 * way
                );
            }
            Self::Words(words) => {
                let places: Vec<_> =
                    words.iter().map(|(point, text)| (at(*point), text.as_str())).collect();
                for ((_, text), (x, y)) in places.iter().zip(labels::place(&places, frame)) {
                    let text = escape(text);
                    let _ = writeln!(
                        out,
                        "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
                    );
                }
            }
        }
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut out = String::new();
    for (index, (x, y)) in points.enumerate() {
        let _ = write!(out, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::axis::Scale;
    use super::*;

    #[test]
    fn an_entry_of_the_legend_looks_like_what_it_names() {
        let points = vec![(1.0, 1.0), (2.0, 2.0)];
        let marks = vec![
            Mark::Line { points: points.clone(), series: 0, is_dashed: true },
            Mark::Dots { points: points.clone(), series: 1 },
            Mark::Line { points: points.clone(), series: 2, is_dashed: true },
            Mark::Line { points, series: 2, is_dashed: false },
        ];
        let axis = || FigureAxis::new("", Scale::Linear, [1.0, 2.0].into_iter());
        let plot = Plot { title: String::new(), x: axis(), y: axis(), marks };
        let legend = (0..3).map(|series| (series, format!("name {series}"))).collect();
        let (legend, _) = Chart { plots: vec![plot], legend }.legend(500.0);
        let lines: Vec<_> = legend.lines().collect();
        assert!(lines[0].starts_with("<path class=\"line dash s0\""), "{legend}");
        assert!(lines[1].starts_with("<path class=\"dot s1\""), "{legend}");
        assert!(lines[2].starts_with("<path class=\"line s2\""), "{legend}");
        assert_eq!(legend.matches("dot").count(), 1, "{legend}");
    }
}
