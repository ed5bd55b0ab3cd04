//! A snapshot of a sweep in words.

use std::time::Duration;

use proto::message::{FinishedJob, RunningJob, SweepProgress};

use crate::text;

/// Work that is done, in jobs: settled ones, and the fractions of those that run.
pub fn done(progress: &SweepProgress) -> f64 {
    let fraction = |job: &RunningJob| match job.progress.steps {
        0 => 0.0,
        steps => job.progress.step.min(steps) as f64 / steps as f64,
    };
    progress.counts.settled() as f64 + progress.running.iter().map(fraction).sum::<f64>()
}

/// How far the sweep is: `12 of 40 jobs, about 3m left, 4 running, 2 diverged`.
pub fn summary(progress: &SweepProgress, left: Option<Duration>) -> String {
    let counts = progress.counts;
    let (settled, total) = (text::count(counts.settled()), text::count(progress.total));
    let mut parts = vec![format!("{settled} of {total} jobs")];
    // Before the rest: a narrow terminal shows only the beginning.
    if counts.settled() == progress.total {
        parts.push(if progress.sealed { "all written" } else { "writing the results" }.to_owned());
    } else if let Some(left) = left {
        parts.push(format!("about {} left", text::duration(left)));
    }
    let part =
        |count: u64, word: &str| (count > 0).then(|| format!("{} {word}", text::count(count)));
    // Silence would look like a hang where there is no worker, or none that may have what is queued.
    let is_idle = counts.leased == 0 && counts.settled() < progress.total;
    let attempts = if counts.failed_attempts == 1 { "attempt" } else { "attempts" };
    let told = [
        if is_idle { Some("none running".to_owned()) } else { part(counts.leased, "running") },
        part(counts.diverged, "diverged"),
        part(counts.abandoned, "abandoned"),
        part(counts.cancelled, "cancelled"),
        part(counts.failed_attempts, &format!("{attempts} without a result")),
        progress.paused.then(|| "paused".to_owned()),
        Some(text::plain(&progress.trouble)).filter(|trouble| !trouble.is_empty()),
    ];
    parts.extend(told.into_iter().flatten());
    parts.join(", ")
}

/// Running jobs with their latest measurements: at most `max` lines, and how many more there are.
pub fn running(progress: &SweepProgress, max: usize) -> Vec<String> {
    let mut lines: Vec<String> = progress.running.iter().take(max).map(running_line).collect();
    // Jobs whose worker has said nothing yet have no line, and are no more than the summary counts.
    let more = progress.counts.leased.saturating_sub(lines.len() as u64);
    if progress.running.len() > max && max > 1 {
        lines.push(format!("and {} more", text::count(more)));
    }
    lines
}

fn running_line(job: &RunningJob) -> String {
    let progress = &job.progress;
    let (step, steps) = (text::count(progress.step), text::count(progress.steps));
    let mut line = name(&job.point).to_owned();
    // Until its worker has said how far it is, nothing is known of it.
    if progress.steps > 0 {
        line.push_str(&format!(": step {step} of {steps}"));
    }
    let mut figure = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            line.push_str(&format!(", {name} {}", text::figure(value)));
        }
    };
    figure("risk", progress.risk);
    figure("min cos", progress.min_cos);
    figure("rms cos", progress.rms_cos);
    line
}

/// A job that ended: `width=16 depth=2 seed=0 completed, final risk 0.0123`.
pub fn finished(job: &FinishedJob) -> String {
    let risk = job.final_risk.map(|risk| format!(", final risk {}", text::figure(risk)));
    format!("{} {}{}", name(&job.point), job.status, risk.unwrap_or_default())
}

/// A sweep without axes has one job, whose point has no words.
fn name(point: &str) -> &str {
    if point.is_empty() { "the job" } else { point }
}

#[cfg(test)]
pub mod tests {
    use domain::{AttemptNo, JobId, SweepId};
    use proto::message::{Attempt, JobCounts, Progress};

    use super::*;

    fn running_job(seed: u64, step: u64) -> RunningJob {
        let sweep = "tanh".parse().expect("a name");
        let attempt = Attempt { sweep, job: JobId([0; 16]), number: AttemptNo(1) };
        let (risk, min_cos) = (Some(0.25), Some(-0.5));
        let progress = Progress { attempt, step, steps: 2_000, risk, min_cos, rms_cos: None };
        RunningJob { progress, point: format!("width=64 seed={seed}"), worker: "h/1".into() }
    }

    pub fn snapshot(total: u64, counts: JobCounts) -> SweepProgress {
        SweepProgress {
            sweep: "tanh".parse().expect("a name"),
            sweep_id: SweepId([0; 16]),
            total,
            counts,
            running: Vec::new(),
            finished: Vec::new(),
            sealed: false,
            workers: 2,
            results: "r".into(),
            trouble: String::new(),
            paused: false,
        }
    }

    #[test]
    fn running_jobs_count_for_their_steps() {
        let counts = JobCounts { committed: 3, leased: 2, ..JobCounts::default() };
        let mut progress = snapshot(10, counts);
        progress.running = vec![running_job(0, 500), running_job(1, 1_000)];
        assert!((done(&progress) - 3.75).abs() < 1e-12);
    }

    #[test]
    fn a_summary_says_only_what_there_is() {
        let counts =
            JobCounts { committed: 12, diverged: 2, leased: 4, queued: 24, ..JobCounts::default() };
        let progress = snapshot(40, counts);
        let left = Some(Duration::from_secs(180));
        let expected = "12 of 40 jobs, about 3m left, 4 running, 2 diverged";
        assert_eq!(summary(&progress, left), expected);
        let over = SweepProgress {
            sealed: true,
            ..snapshot(1, JobCounts { committed: 1, ..JobCounts::default() })
        };
        assert_eq!(summary(&over, None), "1 of 1 jobs, all written");
    }

    #[test]
    fn a_sweep_that_waits_for_workers_says_so() {
        let counts = JobCounts { committed: 1, failed_attempts: 1, ..JobCounts::default() };
        let expected = "1 of 3 jobs, none running, 1 attempt without a result";
        assert_eq!(summary(&snapshot(3, counts), None), expected);
    }

    #[test]
    fn more_running_jobs_than_lines_are_counted() {
        let counts = JobCounts { leased: 5, ..JobCounts::default() };
        let mut progress = snapshot(10, counts);
        progress.running = (0..5).map(|seed| running_job(seed, 1_500)).collect();
        let lines = running(&progress, 2);
        let first = "width=64 seed=0: step 1,500 of 2,000, risk 0.2500, min cos -0.5000";
        assert_eq!((lines.len(), lines[0].as_str(), lines[2].as_str()), (3, first, "and 3 more"));
        assert_eq!(running(&progress, 1).len(), 1);
    }
}
