//! Why a job is where it is, in words for the person who asks.

use std::time::Duration;

use domain::{AttemptNo, JobId, SweepName, Timestamp};
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
            State::Abandoned { .. } => {
                let words = lineage.last_words(number).unwrap_or_default();
                lines.push(format!("given up after {words}"));
                lines.push(retry);
            }
            State::Cancelled => lines.push(retry),
        }
        lines.extend(how_it_got_here(lineage, number));
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
            return vec![format!("it is tried again in {wait}")];
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
    let mut found = numbers.filter(|&number| begins_with(lineage.job(number).id, id));
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

/// Whether the digits of `id` begin with these. All ids of a sweep are asked, so nothing is written down for it.
fn begins_with(id: JobId, digits: &str) -> bool {
    let digit = |place: usize| {
        let byte = *id.0.get(place / 2)?;
        char::from_digit(u32::from(if place.is_multiple_of(2) { byte >> 4 } else { byte & 15 }), 16)
    };
    digits.chars().enumerate().all(|(place, asked)| digit(place) == Some(asked))
}

/// What a job that is to run, or runs, has been through.
fn how_it_got_here(lineage: &Lineage, number: JobNo) -> Option<String> {
    let Job { state, last, failures, losses, rows, checkpoint, .. } = lineage.job(number);
    let has_failed = *failures > 0 || *losses > 0;
    let words = || lineage.last_words(number).unwrap_or_default();
    match state {
        State::Queued { not_before } if *not_before > Timestamp::ZERO => {
            Some(format!("attempt {last} failed: {}", words()))
        }
        State::Queued { .. } if *last == AttemptNo(0) => None,
        State::Queued { .. } => {
            let has_rows = rows.steps > 0 || rows.confusion > 0;
            // Whoever asks for a settled job again begins with nothing.
            let mut line = match has_failed || has_rows || checkpoint.is_some() {
                true => format!("attempt {last} was handed back, which costs the job nothing"),
                false => format!(
                    "attempt {last} was handed back before it had told anything, or the job was given up or cancelled and then \
                     asked for again"
                ),
            };
            if has_failed {
                line.push_str(&format!("; before that one failed: {}", words()));
            }
            Some(line)
        }
        State::Leased { .. } => has_failed.then(|| format!("one before failed: {}", words())),
        State::Committed { .. } | State::Abandoned { .. } | State::Cancelled => None,
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
#[path = "explain_tests.rs"]
mod tests;
