//! An attempt while its trial runs: what the trial says on one side, what the desk wants on the other, and the clock.

use std::pin::Pin;
use std::time::Duration;

use domain::{FailureClass, JobSpec};
use proto::message::{Checkpoint, FromWorker, Grant, Outcome, Progress, RowBatch};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::child::Child;
use super::ending::{self, Death, chain, failure};
use super::exchange::ExchangeError;
use super::message::{FromTrial, ToTrial};
use super::oom::OomKills;
use super::slot::{Common, Intent, Signal};
use super::{clock, frame::FrameError};
use crate::trial;

/// How long a trial may go on that is to be dropped. Nobody wants its work, so there is nothing to lose.
const DROP_LIMIT: Duration = Duration::from_secs(2);

/// The shortest time between two checkpoints, whatever a grant says.
const CHECKPOINT_EVERY_MIN: Duration = Duration::from_millis(100);

/// Stands for no limit.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

type Upload = Pin<Box<dyn Future<Output = (Result<domain::Digest, ExchangeError>, Place)> + Send>>;

/// Where a checkpoint was taken.
#[derive(Clone, Copy)]
struct Place {
    step: u64,
    steps_rows: u64,
    confusion_rows: u64,
}

/// How an attempt ended; the process, if it can run another.
pub struct Over {
    /// `None`: it was dropped.
    pub outcome: Option<Outcome>,
    pub child: Option<Child>,
}

/// A running attempt.
pub struct Running<'a> {
    common: &'a Common,
    grant: &'a Grant,
    steps: u64,
    tag: u64,
    child: Child,
    intent: Intent,
    started: Instant,
    /// Time for which nothing could be told: not the trial's fault, so not counted against its limit.
    blocked: Duration,
    /// When the trial is ended by force because it was asked to stop.
    force_at: Option<Instant>,
    upload: Option<Upload>,
    oom_before: OomKills,
}

/// Why the loop ends.
enum End {
    /// The trial said its last word, and its process can run another job.
    Reusable(Option<Outcome>),
    /// The trial failed in a way after which its process is not trusted.
    Retire(String),
    /// The process closed its output.
    Dead,
    /// The process says what makes no sense.
    Garbled(FrameError),
    /// A limit passed.
    Late,
}

impl<'a> Running<'a> {
    /// The attempt that `child` was told to start.
    pub fn new(
        common: &'a Common,
        grant: &'a Grant,
        spec: &JobSpec,
        tag: u64,
        child: Child,
    ) -> Self {
        Self {
            common,
            grant,
            steps: spec.train.steps,
            tag,
            child,
            intent: Intent::Run,
            started: clock::timer(),
            blocked: Duration::ZERO,
            force_at: None,
            upload: None,
            oom_before: OomKills::read(),
        }
    }

    /// Follows the attempt to its end.
    pub async fn run(mut self, mut intents: watch::Receiver<Intent>) -> Over {
        let resumed_at = self.grant.resume.as_ref().map_or(0, |checkpoint| checkpoint.step);
        self.progress(resumed_at, [None; 3]).await;
        let mut checkpoints = self.checkpoint_timer();
        // What the desk wanted before is seen too.
        intents.mark_changed();
        let end = loop {
            let limit = self.limit();
            let may_checkpoint = self.intent == Intent::Run && self.upload.is_none();
            tokio::select! {
                heard = self.child.hear() => match heard {
                    Some(Ok(message)) => {
                        if let Some(end) = self.on_message(message).await {
                            break end;
                        }
                    }
                    Some(Err(error)) => break End::Garbled(error),
                    None => break End::Dead,
                },
                Ok(()) = intents.changed() => {
                    let intent = *intents.borrow_and_update();
                    self.on_intent(intent).await;
                }
                uploaded = finish(&mut self.upload) => self.on_uploaded(uploaded).await,
                _ = checkpoints.tick(), if may_checkpoint => {
                    if self.common.exchange.is_open() {
                        self.order(ToTrial::Checkpoint { tag: self.tag }).await;
                    }
                }
                () = sleep_until(limit) => break End::Late,
            }
        };
        self.close(end).await
    }

    fn checkpoint_timer(&self) -> Interval {
        let period = self.grant.checkpoint.clamp(CHECKPOINT_EVERY_MIN, FAR);
        let mut timer = interval_at(self.started + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer
    }

    /// When the trial is ended by force.
    fn limit(&self) -> Instant {
        let timeout = self.grant.timeout.unwrap_or(FAR).min(FAR);
        let late = self.started + timeout + self.blocked;
        self.force_at.map_or(late, |force_at| force_at.min(late))
    }

    async fn on_message(&mut self, message: FromTrial) -> Option<End> {
        let is_wanted = self.intent != Intent::Drop;
        match message {
            FromTrial::Rows { table, first_row, row_count, cells } => {
                let attempt = self.grant.attempt.clone();
                let batch = RowBatch { attempt, table, first_row, row_count, cells };
                if is_wanted {
                    self.tell(FromWorker::Rows(batch)).await;
                }
            }
            FromTrial::Progress { step, risk, min_cos, rms_cos } => {
                self.progress(step, [risk, min_cos, rms_cos]).await;
            }
            FromTrial::Checkpoint { step, steps_rows, confusion_rows, bytes } => {
                if is_wanted {
                    self.store(Place { step, steps_rows, confusion_rows }, bytes);
                }
            }
            FromTrial::Done { steps_rows, confusion_rows, cells } => {
                let outcome = Outcome::Result { steps_rows, confusion_rows, cells };
                return Some(End::Reusable(is_wanted.then_some(outcome)));
            }
            FromTrial::Stopped { step } => return Some(self.on_stopped(step).await),
            FromTrial::Failed { class: FailureClass::Bug, message } => {
                return Some(End::Retire(message));
            }
            FromTrial::Failed { class, message } => {
                let log_tail = self.child.log_tail();
                let report = domain::FailureReport { log_tail, ..failure(class, &message) };
                return Some(End::Reusable(is_wanted.then_some(Outcome::Failure(report))));
            }
        }
        None
    }

    async fn on_stopped(&mut self, step: u64) -> End {
        match self.intent {
            Intent::Drop => End::Reusable(None),
            Intent::Run => End::Retire(format!("the trial stopped at step {step} unasked")),
            Intent::HandBack { by } => {
                // Without its checkpoint the work since the one before is done again, no more.
                if self.upload.is_some() {
                    tokio::select! {
                        uploaded = finish(&mut self.upload) => self.on_uploaded(uploaded).await,
                        () = sleep_until(by) => {}
                    }
                }
                End::Reusable(Some(Outcome::Released))
            }
        }
    }

    async fn on_intent(&mut self, intent: Intent) {
        if intent == self.intent {
            return;
        }
        self.intent = intent;
        let (keep, force_at) = match intent {
            Intent::Run => return,
            Intent::HandBack { by } => (true, by),
            Intent::Drop => {
                self.upload = None;
                (false, clock::timer() + DROP_LIMIT)
            }
        };
        self.force_at = Some(force_at);
        self.order(ToTrial::Stop { tag: self.tag, keep }).await;
    }

    /// Sends a checkpoint on its way while the trial goes on. One at a time: the next one holds more anyway.
    fn store(&mut self, place: Place, bytes: Vec<u8>) {
        if self.upload.is_some() && self.intent == Intent::Run {
            return;
        }
        let exchange = self.common.exchange.clone();
        self.upload = Some(Box::pin(async move { (exchange.store(bytes).await, place) }));
    }

    async fn on_uploaded(&mut self, uploaded: (Result<domain::Digest, ExchangeError>, Place)) {
        self.upload = None;
        let Place { step, steps_rows, confusion_rows } = uploaded.1;
        match uploaded.0 {
            Ok(digest) => {
                let checkpoint = Checkpoint {
                    digest,
                    step,
                    steps_rows,
                    confusion_rows,
                    engine_revision: trial::ENGINE_REVISION.to_owned(),
                    instruction_set: trial::instruction_set().to_owned(),
                };
                self.tell(FromWorker::Checkpoint(self.grant.attempt.clone(), checkpoint)).await;
            }
            Err(error) => {
                let job = self.grant.attempt.job;
                tracing::warn!(%job, step, error = chain(&error), "a checkpoint was not stored");
            }
        }
    }

    async fn progress(&mut self, step: u64, [risk, min_cos, rms_cos]: [Option<f64>; 3]) {
        let attempt = self.grant.attempt.clone();
        let steps = self.steps;
        let progress = Progress { attempt, step, steps, risk, min_cos, rms_cos };
        drop(self.common.signals.send(Signal::Progress(progress)).await);
    }

    /// Tells what is to reach the coordinator. The slot may be kept waiting while memory and disk are used up.
    async fn tell(&mut self, tale: FromWorker) {
        let before = clock::timer();
        // A desk that is gone ends this task next.
        drop(self.common.tales.send(tale).await);
        self.blocked += clock::timer().duration_since(before);
    }

    async fn order(&mut self, order: ToTrial) {
        // A process that takes no orders is dead, which its closed output says, or stuck, which the limit ends.
        drop(self.child.tell(&order).await);
    }

    async fn close(self, end: End) -> Over {
        let (intent, grant) = (self.intent, self.grant);
        let gone = |outcome| Over { outcome, child: None };
        let report = match end {
            End::Reusable(outcome) => return Over { outcome, child: Some(self.child) },
            End::Late if intent != Intent::Run && self.force_at.is_some() => {
                drop(self.child.kill().await);
                return gone((intent != Intent::Drop).then_some(Outcome::Released));
            }
            End::Late => {
                let log_tail =
                    self.child.kill().await.map_or_else(|_| String::new(), |it| it.log_tail);
                ending::timeout(grant.timeout.unwrap_or(FAR), log_tail)
            }
            End::Retire(message) => {
                let log_tail =
                    self.child.leave().await.map_or_else(|_| String::new(), |it| it.log_tail);
                domain::FailureReport { log_tail, ..failure(FailureClass::Bug, &message) }
            }
            End::Garbled(error) => {
                let log_tail =
                    self.child.kill().await.map_or_else(|_| String::new(), |it| it.log_tail);
                let message = format!("the trial process is not understood: {}", chain(&error));
                domain::FailureReport { log_tail, ..failure(FailureClass::Bug, &message) }
            }
            End::Dead => match self.child.leave().await {
                Ok(remains) => {
                    let oom_evidence = OomKills::read().evidence_since(&self.oom_before);
                    let (status, log_tail) = (remains.status, remains.log_tail);
                    let death = Death { status, log_tail, oom_evidence };
                    // Whoever stops a whole host may kill the trial before the agent: that is preemption too.
                    if matches!(intent, Intent::HandBack { .. }) && death.was_asked_for() {
                        return gone(Some(Outcome::Released));
                    }
                    death.report()
                }
                Err(error) => {
                    let message = format!("the trial process cannot be waited for: {error}");
                    failure(FailureClass::Exit, &message)
                }
            },
        };
        gone((intent != Intent::Drop).then_some(Outcome::Failure(report)))
    }
}

/// The end of the upload; never, where there is none.
async fn finish(upload: &mut Option<Upload>) -> (Result<domain::Digest, ExchangeError>, Place) {
    match upload {
        Some(upload) => upload.await,
        None => std::future::pending().await,
    }
}
