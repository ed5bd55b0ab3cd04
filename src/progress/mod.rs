//! What a person sees while a sweep runs: a bar with running cells on a terminal, a plain line every few seconds
//! elsewhere. All of it goes to standard error; answers go to standard output.

mod estimate;
mod words;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::message::SweepProgress;

use crate::output::note;
use estimate::Estimate;

#[cfg(test)]
pub use words::tests::snapshot;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Running cells below the bar: more would push the bar off a small screen.
const RUNNING_LINES_MAX: usize = 8;

/// Shows how a sweep moves on.
pub struct Display {
    look: Look,
    estimate: Estimate,
    started: Instant,
    latest: Option<SweepProgress>,
    /// The job that ended last.
    ended: Option<String>,
}

enum Look {
    Bar(Bar),
    Lines { last: Option<(Instant, String)> },
}

struct Bar {
    all: MultiProgress,
    bar: ProgressBar,
    lines: Vec<ProgressBar>,
}

impl Display {
    /// A display on standard error, a bar where that is a terminal.
    pub fn new(now: Instant) -> Self {
        let look = if io::stderr().is_terminal() {
            Look::Bar(Bar::new())
        } else {
            Look::Lines { last: None }
        };
        Self { look, estimate: Estimate::default(), started: now, latest: None, ended: None }
    }

    /// Takes a new snapshot and shows it.
    pub fn show(&mut self, now: Instant, progress: SweepProgress) {
        self.estimate.observe(now.duration_since(self.started), words::done(&progress));
        let over = progress.is_over();
        if let Some(job) = progress.finished.last() {
            self.ended = Some(words::finished(job));
        }
        self.latest = Some(progress);
        self.draw(now, over);
    }

    /// Takes a new snapshot without showing it.
    pub fn keep(&mut self, progress: SweepProgress) {
        self.latest = Some(progress);
    }

    /// Draws what is known again: the time that is left goes on falling without news.
    pub fn tick(&mut self, now: Instant) {
        self.draw(now, false);
    }

    /// The latest snapshot.
    pub fn latest(&self) -> Option<&SweepProgress> {
        self.latest.as_ref()
    }

    /// Writes a line that stays, above a bar.
    pub fn note(&self, text: &str) {
        match &self.look {
            // A bar that cannot be drawn on is no reason to stop a sweep.
            Look::Bar(bar) => bar.all.suspend(|| note(text)),
            Look::Lines { .. } => note(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Look::Bar(bar) = &mut self.look {
            // Cleared as a whole: bars that are finished one by one leave lines behind. A terminal that is gone has nothing
            // to clear.
            drop(bar.all.clear());
            bar.all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    fn draw(&mut self, now: Instant, at_once: bool) {
        let Some(progress) = &self.latest else { return };
        let elapsed = now.duration_since(self.started);
        let left = self.estimate.left(elapsed, progress.total as f64);
        let summary = words::summary(progress, left);
        match &mut self.look {
            Look::Bar(bar) => bar.draw(progress, &summary, self.ended.as_deref()),
            Look::Lines { last } => {
                let due = |(at, line): &(Instant, String)| {
                    *line != summary && (at_once || now.duration_since(*at) >= LINE_EVERY)
                };
                if last.as_ref().is_none_or(due) {
                    let running = words::running(progress, 1);
                    let running =
                        running.first().map(|line| format!("; {line}")).unwrap_or_default();
                    note(&format!("{}: {summary}{running}", progress.sweep));
                    *last = Some((now, summary));
                }
            }
        }
    }
}

impl Bar {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let bar = all.add(ProgressBar::new(0).with_style(style("{prefix} [{bar:24}] {wide_msg}")));
        Self { all, bar, lines: Vec::new() }
    }

    fn draw(&mut self, progress: &SweepProgress, summary: &str, ended: Option<&str>) {
        if self.bar.prefix().is_empty() {
            self.bar.set_prefix(progress.sweep.to_string());
        }
        // In thousandths of a job: running jobs move the bar too.
        self.bar.set_length(progress.total.saturating_mul(1_000));
        self.bar.set_position((words::done(progress) * 1_000.0) as u64);
        self.bar.set_message(summary.to_owned());
        let mut texts = words::running(progress, RUNNING_LINES_MAX);
        texts.extend(ended.map(|job| format!("last done: {job}")));
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                self.all.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            let line = ProgressBar::new_spinner().with_style(style("  {wide_msg}"));
            self.lines.push(self.all.add(line));
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.expect("the templates are ours").progress_chars("=> ")
}
