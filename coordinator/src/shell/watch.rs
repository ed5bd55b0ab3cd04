//! Progress for those who watch: snapshots, sent when something changed, and never more often than people can read.

use std::collections::{HashMap, VecDeque};

use domain::{JobId, SweepName};
use proto::message::{FinishedJob, RunningJob, SweepProgress};
use tokio::sync::mpsc;

use super::core::Core;
use crate::machine::Lineage;

/// Most running jobs in one snapshot: what fits a screen.
const RUNNING_SHOWN_MAX: usize = 64;

/// Committed jobs that a sweep remembers for its watchers.
const FINISHED_KEPT: usize = 16;

/// Everybody who watches, and the latest commits of every sweep.
#[derive(Default)]
pub struct Watchers {
    watchers: Vec<Watcher>,
    finished: HashMap<SweepName, VecDeque<Commit>>,
    commits: u64,
}

/// A commit, of which words are made only for those who watch.
struct Commit {
    /// Which of all commits it was.
    number: u64,
    job: JobId,
    final_risk: Option<f64>,
}

struct Watcher {
    sweep: SweepName,
    progress: mpsc::Sender<SweepProgress>,
    /// Commits told so far.
    told: u64,
    last: Option<SweepProgress>,
}

impl Watchers {
    /// Sends progress of `sweep` from now on.
    pub fn add(&mut self, sweep: SweepName, progress: mpsc::Sender<SweepProgress>) {
        self.watchers.push(Watcher { sweep, progress, told: 0, last: None });
    }

    /// A job committed.
    pub fn finished(&mut self, sweep: &SweepName, job: JobId, final_risk: Option<f64>) {
        self.commits += 1;
        let kept = self.finished.entry(sweep.clone()).or_default();
        kept.push_back(Commit { number: self.commits, job, final_risk });
        if kept.len() > FINISHED_KEPT {
            kept.pop_front();
        }
    }

    /// Ends every watch.
    pub fn close(&mut self) {
        self.watchers.clear();
    }
}

/// Tells those who watch why nothing moves. Nothing but that: the rest of what there is to say is not durable yet.
pub fn tell_trouble(core: &mut Core, trouble: &str) {
    for watcher in &mut core.watchers.watchers {
        let Some(last) = &mut watcher.last else { continue };
        trouble.clone_into(&mut last.trouble);
        // It has not read the last one yet: it hears of it when there is more to say.
        drop(watcher.progress.try_send(last.clone()));
    }
}

/// Where a sweep stands, without news of single commits.
pub fn progress_of(core: &Core, sweep: &SweepName, lineage: &Lineage) -> SweepProgress {
    let running = lineage.leased().take(RUNNING_SHOWN_MAX).filter_map(|(job, worker)| {
        let key = (sweep.clone(), job.id);
        let progress = core.progress.get(&key)?.progress.clone();
        let point = lineage.number(job.id).map(|number| lineage.point(number)).unwrap_or_default();
        Some(RunningJob { progress, point, worker: worker_name(core, worker) })
    });
    SweepProgress {
        sweep: sweep.clone(),
        sweep_id: lineage.current().id,
        total: lineage.members().len() as u64,
        counts: lineage.counts(),
        running: running.collect(),
        finished: Vec::new(),
        sealed: lineage.is_sealed(),
        workers: core.roster.connected().len() as u32,
        results: core.results.clone(),
        trouble: core.trouble().to_owned(),
        paused: lineage.is_paused(),
    }
}

/// The host and process of a worker, or its id when it is not here.
pub fn worker_name(core: &Core, worker: domain::WorkerId) -> String {
    match core.roster.get(worker) {
        Some(worker) => format!("{}/{}", worker.hello.host, worker.hello.process),
        None => worker.to_string(),
    }
}

/// Tells every watcher what changed; those whose sweep is over hear so and are let go.
pub fn tell_watchers(core: &mut Core) {
    let mut watchers = std::mem::take(&mut core.watchers.watchers);
    watchers.retain_mut(|watcher| {
        let Some(lineage) = core.machine.lineage(&watcher.sweep) else { return false };
        let now = progress_of(core, &watcher.sweep, lineage);
        if watcher.last.as_ref() == Some(&now) {
            return !watcher.progress.is_closed();
        }
        let news = core.watchers.finished.get(&watcher.sweep).into_iter().flatten();
        let news: Vec<_> = news.filter(|commit| commit.number > watcher.told).collect();
        let told = news.last().map_or(watcher.told, |commit| commit.number);
        let finished = news.into_iter().filter_map(|commit| finished_job(lineage, commit));
        let finished = finished.collect();
        let message = SweepProgress { finished, ..now.clone() };
        let over = message.is_over();
        match watcher.progress.try_send(message) {
            Ok(()) => {
                watcher.told = told;
                watcher.last = Some(now);
                !over
            }
            // It has not read the last one yet: it will get a fresher one.
            Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    });
    core.watchers.watchers.append(&mut watchers);
}

/// The job as watchers are told of it.
fn finished_job(lineage: &Lineage, commit: &Commit) -> Option<FinishedJob> {
    let &Commit { job, final_risk, .. } = commit;
    let number = lineage.number(job)?;
    let status = lineage.job(number).state.as_str().to_owned();
    Some(FinishedJob { job, point: lineage.point(number), status, final_risk })
}
