//! Why jobs of a sweep were abandoned, shortly: one line a reason.

use std::collections::BTreeMap;

use proto::client::Client;
use proto::message::{JobLine, JobsQuery, SweepProgress};

use crate::text;

/// Jobs that are looked at.
const JOBS_LOOKED_AT: u32 = 1_000;

/// Reasons that are said.
const REASONS_MAX: usize = 5;

/// The reasons for which jobs were abandoned, the most frequent first; none where no job was.
pub async fn of(client: &Client, progress: &SweepProgress) -> Vec<String> {
    if progress.counts.abandoned == 0 {
        return Vec::new();
    }
    let query = JobsQuery {
        sweep: progress.sweep.clone(),
        state: Some("abandoned".to_owned()),
        offset: 0,
        limit: JOBS_LOOKED_AT,
    };
    // Without an answer the verdict still says how many there are.
    client.jobs(query).await.map(|page| lines(&page.jobs)).unwrap_or_default()
}

fn lines(jobs: &[JobLine]) -> Vec<String> {
    let mut by_note: BTreeMap<&str, Vec<&JobLine>> = BTreeMap::new();
    for job in jobs {
        by_note.entry(job.note.lines().next().unwrap_or_default()).or_default().push(job);
    }
    let mut reasons: Vec<_> = by_note.into_iter().collect();
    reasons.sort_by_key(|(_, jobs)| std::cmp::Reverse(jobs.len()));
    let mut lines = Vec::new();
    for (note, jobs) in reasons.iter().take(REASONS_MAX) {
        let why = if note.is_empty() { "no reason is known" } else { note };
        let count = text::counted(jobs.len() as u64, "job");
        lines.push(format!("abandoned, {count}: {why} (as {})", jobs[0].point));
    }
    if reasons.len() > REASONS_MAX {
        lines.push(format!("and {} more reasons", reasons.len() - REASONS_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    use domain::{AttemptNo, JobId};

    use super::*;

    #[test]
    fn equal_reasons_are_one_line() {
        let job = |point: &str, note: &str| JobLine {
            job: JobId([0; 16]),
            point: point.into(),
            state: "abandoned".into(),
            attempt: AttemptNo(3),
            worker: String::new(),
            note: note.into(),
        };
        let jobs = [job("a=1", "timeout"), job("a=2", "out-of-memory\nlog"), job("a=3", "timeout")];
        assert_eq!(
            lines(&jobs),
            ["abandoned, 2 jobs: timeout (as a=1)", "abandoned, 1 job: out-of-memory (as a=2)"]
        );
    }
}
