//! Why a job is where it is, in words for the person who asks.

use std::time::Duration;

use domain::{SweepName, Timestamp};
use proto::error::ApiError;

use super::core::{Core, Heard};
use super::watch::worker_name;
use crate::machine::{Job, JobNo, Lineage, Offer, RetryPolicy, State};

/// Fewest digits of an id that name a job.
const PREFIX_MIN: usize = 4;

impl Core {
    /// What there is to say of a job, by its id or the beginning of it; the most important first.
    pub fn explain(
        &self,
        sweep: &SweepName,
        id: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, ApiError> {
        let lineage = self.lineage(sweep)?;
        let number = find(sweep, lineage, id)?;
        let job = lineage.job(number);
        let retry = format!("`gradsweep retry {sweep} --job {}` queues it again", job.id);
        let mut lines = vec![
            format!("job {} of {sweep} is {}", job.id, job.state.as_str()),
            lineage.point(number),
        ];
        match job.state {
            State::Queued { not_before } => {
                lines.extend(self.why_queued(sweep, lineage, number, not_before, now));
            }
            State::Leased { worker } => {
                lines.push(format!("attempt {} runs on {}", job.last, worker_name(self, worker)));
                let key = (sweep.clone(), job.id);
                lines.extend(self.progress.get(&key).and_then(|heard| how_far(heard, now)));
                if let Some(until) = self.leases.until(&key) {
                    let left = seconds(until - now);
                    lines.push(format!("others get it if the worker is not heard for {left}"));
                }
            }
            State::Committed { .. } => {
                lines.push(format!("attempt {} gave its result", job.last));
                lines.push(match lineage.waits_to_be_sealed(number) {
                    true => {
                        format!(
                            "its rows are in the journal; `gradsweep flush {sweep}` writes them"
                        )
                    }
                    false => format!("its rows are in {}", self.results),
                });
                let origin = lineage.origin(number);
                if origin != lineage.current().id {
                    lines.push(format!("revision {origin} asked for it first, and it was kept"));
                }
            }
            State::Abandoned { class } => {
                lines.push(format!("given up after {}", lineage.last_words(number, class)));
                lines.push(retry);
            }
            State::Cancelled => lines.push(retry),
        }
        lines.extend(budgets(lineage, job));
        if let Some(checkpoint) = job.checkpoint.as_ref().filter(|_| !job.state.is_settled()) {
            let (step, keep) = (checkpoint.step, lineage.current().sweep.run().keep_weights);
            lines.push(match job.has_kept_as(keep) {
                true => format!("its checkpoint at step {step} is kept for the next attempt"),
                false => format!(
                    "its checkpoint at step {step} is of no use: the weights before it were not kept as run.keep_weights = \"{}\" \
                     asks, so the next attempt starts over",
                    keep.as_str()
                ),
            });
        }
        if !job.kept.is_empty() {
            let steps = job.kept.len();
            lines.push(format!("weights of {steps} steps are kept, and in no file yet"));
        }
        Ok(lines)
    }

    fn why_queued(
        &self,
        sweep: &SweepName,
        lineage: &Lineage,
        number: JobNo,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Vec<String> {
        if !lineage.asks_for(number) {
            let id = lineage.current().id;
            let why = format!("the sweep's current revision {id} does not ask for it");
            return vec![why, "hand in a sweep file whose grid holds it, and it runs".to_owned()];
        }
        if lineage.is_paused() {
            return vec![format!("the sweep is paused; `gradsweep resume {sweep}` lets it go on")];
        }
        if not_before > now {
            let wait = seconds(not_before - now);
            return vec![format!("its last attempt failed; it is tried again in {wait}")];
        }
        let connected = self.roster.connected();
        if connected.is_empty() {
            let start = "start one with `gradsweep worker --connection FILE`";
            return vec!["no worker is connected".to_owned(), start.to_owned()];
        }
        let workers = connected.iter().filter_map(|id| self.roster.get(*id));
        let fitting = workers.filter(|worker| lineage.fits(&worker.offer()) && !worker.draining);
        let offer = fitting.clone().next().map(|worker| Offer { is_idle: true, ..worker.offer() });
        let slots: u32 = fitting.map(|worker| worker.hello.slots).sum();
        let run = lineage.current().sweep.run();
        if slots == 0 {
            let memory = run.memory.map(|bytes| format!(" and {} MiB", bytes >> 20));
            return vec![format!(
                "none of the {} connected workers fits and takes work: a job wants {} threads{}",
                connected.len(),
                run.threads,
                memory.unwrap_or_default(),
            )];
        }
        if lineage.job(number).is_suspect() {
            return vec![
                "its workers were lost twice in a row: it may be what kills them".to_owned(),
                "it is tried once more when a worker has nothing else to do, alone".to_owned(),
            ];
        }
        let mut lines = vec![format!("it waits for one of the {slots} slots that can run it")];
        let ahead = lineage.ready_before(number);
        if ahead > 0 {
            lines.push(format!("{ahead} jobs of the sweep go before it"));
        }
        let before = self.machine.lineages().filter(|(name, other)| {
            let is_urgent = other.current().sweep.run().priority > run.priority;
            let next = offer.as_ref().and_then(|offer| other.next(now, offer));
            *name != sweep && is_urgent && next.is_some()
        });
        lines.extend(before.map(|(name, _)| format!("sweep {name} has a higher priority")));
        lines
    }
}

fn find(sweep: &SweepName, lineage: &Lineage, id: &str) -> Result<JobNo, ApiError> {
    if let Ok(whole) = id.parse()
        && let Some(number) = lineage.number(whole)
    {
        return Ok(number);
    }
    if id.len() < PREFIX_MIN {
        let problem = format!("\"{id}\" names no job: give its id, or {PREFIX_MIN} digits of it");
        return Err(ApiError::Invalid { problem });
    }
    let numbers = (0..).take(lineage.job_count());
    let mut found = numbers.filter(|&number| lineage.job(number).id.to_string().starts_with(id));
    match (found.next(), found.next()) {
        (Some(number), None) => Ok(number),
        (None, _) => Err(ApiError::Unknown { what: format!("job {id} of sweep {sweep}") }),
        (Some(_), Some(_)) => {
            let problem =
                format!("more than one job of {sweep} begins with {id}: give more digits");
            Err(ApiError::Invalid { problem })
        }
    }
}

fn budgets(lineage: &Lineage, job: &Job) -> Option<String> {
    if job.failures == 0 && job.losses == 0 {
        return None;
    }
    let policy = RetryPolicy::of_attempts(lineage.current().sweep.run().attempts);
    let RetryPolicy { failures_max, losses_max, .. } = policy;
    Some(format!(
        "{} of {failures_max} attempts failed, {} of {losses_max} leases were lost in a row",
        job.failures, job.losses
    ))
}

/// Steps of the slowest jobs take seconds: a job that stays at one for longer may hang, and its worker lives on.
const STILL: Duration = Duration::from_secs(60);

fn how_far(heard: &Heard, now: Timestamp) -> Option<String> {
    let Heard { progress, since } = heard;
    let still = now - *since;
    let mut line = match progress.steps {
        0 if still < STILL => return None,
        0 => "it has not told of a step".to_owned(),
        steps => format!("it is at step {} of {steps}", progress.step),
    };
    if still >= STILL {
        line.push_str(&format!(", and has not moved for {}", seconds(still)));
    }
    Some(line)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use domain::{AttemptNo, JobId};
    use proto::message::{Attempt, Progress};

    use super::*;

    #[test]
    fn a_job_that_stays_at_a_step_is_said_to() {
        let attempt = Attempt {
            sweep: "s".parse().expect("a good name"),
            job: JobId([1; 16]),
            number: AttemptNo(1),
        };
        let at = |step| Progress {
            attempt: attempt.clone(),
            step,
            steps: 10,
            risk: None,
            min_cos: None,
            rms_cos: None,
        };
        let time = |seconds: i64| Timestamp::from_millis(1_000 * seconds);
        let mut heard = Heard::after(None, at(3), time(0));
        for now in [5, 10, 100] {
            heard = Heard::after(Some(&heard), at(3), time(now));
        }
        assert_eq!(how_far(&heard, time(59)).as_deref(), Some("it is at step 3 of 10"));
        let still = "it is at step 3 of 10, and has not moved for 100.0 s";
        assert_eq!(how_far(&heard, time(100)).as_deref(), Some(still));
        heard = Heard::after(Some(&heard), at(4), time(101));
        assert_eq!(how_far(&heard, time(102)).as_deref(), Some("it is at step 4 of 10"));
    }
}
