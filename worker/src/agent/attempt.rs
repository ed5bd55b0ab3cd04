//! An attempt while its trial runs: what the trial says on one side, what the desk wants on the other, and the clock.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use domain::{FailureClass, JobSpec};
use proto::message::{Checkpoint, FromWorker, Grant, Kept, Outcome, Progress, RowBatch};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::child::Child;
use super::ending::{self, Death, chain, failure};
use super::exchange::{Exchange, ExchangeError};
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

/// Bytes that may wait to be stored by the coordinator; the trial waits when there are more.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Wait before weights are stored again that the coordinator did not take: its disk may be full.
const STORE_AGAIN: Duration = Duration::from_secs(2);

type Stored = Result<domain::Digest, ExchangeError>;

/// What the coordinator stores before it is told of.
#[derive(Clone, Copy)]
enum Parcel {
    Checkpoint { step: u64, steps_rows: u64, confusion_rows: u64 },
    Weights { step: u64 },
}

impl Parcel {
    fn is_checkpoint(self) -> bool {
        matches!(self, Self::Checkpoint { .. })
    }
}

/// A parcel on its way.
struct Upload {
    parcel: Parcel,
    bytes: usize,
    stored: Pin<Box<dyn Future<Output = Stored> + Send>>,
}

/// Parcels on their way, one at a time and in the order in which they came: whoever goes on from a checkpoint must not lack
/// weights from before it.
#[derive(Default)]
struct Uploads {
    first: Option<Upload>,
    waiting: VecDeque<(Parcel, Vec<u8>)>,
    /// Of all.
    bytes: usize,
}

impl Uploads {
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }

    fn has_checkpoint(&self) -> bool {
        let mut waiting = self.waiting.iter().map(|(parcel, _)| *parcel);
        self.first.iter().any(|first| first.parcel.is_checkpoint())
            || waiting.any(Parcel::is_checkpoint)
    }

    fn push(&mut self, parcel: Parcel, bytes: Vec<u8>, exchange: &Exchange) {
        self.bytes += bytes.len();
        self.waiting.push_back((parcel, bytes));
        self.go_on(exchange);
    }

    /// Gives up the checkpoints: a newer one comes, or none is needed.
    fn drop_checkpoints(&mut self, exchange: &Exchange) {
        self.first = self.first.take().filter(|first| !first.parcel.is_checkpoint());
        self.waiting.retain(|(parcel, _)| !parcel.is_checkpoint());
        let waiting: usize = self.waiting.iter().map(|(_, bytes)| bytes.len()).sum();
        self.bytes = waiting + self.first.as_ref().map_or(0, |first| first.bytes);
        self.go_on(exchange);
    }

    fn go_on(&mut self, exchange: &Exchange) {
        if self.first.is_none()
            && let Some((parcel, bytes)) = self.waiting.pop_front()
        {
            let (length, exchange) = (bytes.len(), exchange.clone());
            let stored = Box::pin(send(exchange, parcel, bytes));
            self.first = Some(Upload { parcel, bytes: length, stored });
        }
    }

    /// The end of the one on its way; never, where there is none.
    async fn next(&mut self, exchange: &Exchange) -> (Stored, Parcel) {
        let (stored, parcel, bytes) = match &mut self.first {
            Some(first) => ((&mut first.stored).await, first.parcel, first.bytes),
            None => std::future::pending().await,
        };
        self.first = None;
        self.bytes -= bytes;
        self.go_on(exchange);
        (stored, parcel)
    }
}

/// Stores a parcel. A result lacks weights that are not stored, so those are tried for as long as the attempt goes on.
async fn send(exchange: Exchange, parcel: Parcel, bytes: Vec<u8>) -> Stored {
    loop {
        match (exchange.store(&bytes).await, parcel) {
            (Err(error @ ExchangeError::Call { .. }), Parcel::Weights { step }) => {
                tracing::warn!(step, error = chain(&error), "weights are not stored, trying again");
                sleep(STORE_AGAIN).await;
            }
            // This task ends next.
            (Err(ExchangeError::Leaving { .. }), Parcel::Weights { .. }) => {
                std::future::pending().await
            }
            (stored, _) => return stored,
        }
    }
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
    uploads: Uploads,
    /// Since when the trial has had to wait until something is stored.
    full_since: Option<Instant>,
    /// The result, which waits until its weights are stored.
    result: Option<Outcome>,
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
    /// Weights cannot be stored, and never will.
    Unstorable(ExchangeError),
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
            uploads: Uploads::default(),
            full_since: None,
            result: None,
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
            let is_over = self.result.is_some();
            let may_checkpoint =
                self.intent == Intent::Run && !is_over && !self.uploads.has_checkpoint();
            let may_hear = !self.is_full() && !is_over;
            let limit = self.limit();
            let exchange = &self.common.exchange;
            tokio::select! {
                heard = self.child.hear(), if may_hear => match heard {
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
                    if let Some(end) = self.on_intent(intent).await {
                        break end;
                    }
                }
                stored = self.uploads.next(exchange) => {
                    if let Some(end) = self.on_stored(stored).await {
                        break end;
                    }
                }
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

    /// Whether the trial has to wait; the time is not counted against it.
    fn is_full(&mut self) -> bool {
        let is_full = self.uploads.is_full();
        match self.full_since {
            None if is_full => self.full_since = Some(clock::timer()),
            Some(since) if !is_full => {
                self.blocked += clock::timer().duration_since(since);
                self.full_since = None;
            }
            _ => {}
        }
        is_full
    }

    /// When the trial is ended by force.
    fn limit(&self) -> Instant {
        if self.result.is_some() || self.full_since.is_some() {
            return self.force_at.unwrap_or_else(|| clock::timer() + FAR);
        }
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
                // One at a time: the next one holds more anyway. The last one does not wait for one before.
                let is_last = self.intent != Intent::Run;
                if is_last {
                    self.uploads.drop_checkpoints(&self.common.exchange);
                }
                if is_wanted && (is_last || !self.uploads.has_checkpoint()) {
                    self.store(Parcel::Checkpoint { step, steps_rows, confusion_rows }, bytes);
                }
            }
            FromTrial::Weights { step, bytes } => {
                if is_wanted {
                    self.store(Parcel::Weights { step }, bytes);
                }
            }
            FromTrial::Done { steps_rows, confusion_rows, weights, cells } => {
                if !is_wanted {
                    return Some(End::Reusable(None));
                }
                let result = Outcome::Result { steps_rows, confusion_rows, weights, cells };
                self.uploads.drop_checkpoints(&self.common.exchange);
                if self.uploads.is_empty() {
                    return Some(End::Reusable(Some(result)));
                }
                self.result = Some(result);
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
                while !self.uploads.is_empty() {
                    tokio::select! {
                        stored = self.uploads.next(&self.common.exchange) => {
                            if let Some(end) = self.on_stored(stored).await {
                                return end;
                            }
                        }
                        () = sleep_until(by) => break,
                    }
                }
                End::Reusable(Some(Outcome::Released))
            }
        }
    }

    async fn on_intent(&mut self, intent: Intent) -> Option<End> {
        if intent == self.intent {
            return None;
        }
        self.intent = intent;
        let (keep, force_at) = match intent {
            Intent::Run => return None,
            Intent::HandBack { by } => (true, by),
            Intent::Drop => {
                self.uploads = Uploads::default();
                if self.result.take().is_some() {
                    return Some(End::Reusable(None));
                }
                (false, clock::timer() + DROP_LIMIT)
            }
        };
        self.force_at = Some(force_at);
        if self.result.is_none() {
            self.order(ToTrial::Stop { tag: self.tag, keep }).await;
        }
        None
    }

    /// Sends a parcel on its way while the trial goes on.
    fn store(&mut self, parcel: Parcel, bytes: Vec<u8>) {
        self.uploads.push(parcel, bytes, &self.common.exchange);
    }

    /// Tells of what was stored; an end, where it is what the result waited for, or can never be stored.
    async fn on_stored(&mut self, (stored, parcel): (Stored, Parcel)) -> Option<End> {
        let attempt = self.grant.attempt.clone();
        match (stored, parcel) {
            (Ok(digest), Parcel::Checkpoint { step, steps_rows, confusion_rows }) => {
                let checkpoint = Checkpoint {
                    digest,
                    step,
                    steps_rows,
                    confusion_rows,
                    engine_revision: trial::ENGINE_REVISION.to_owned(),
                    instruction_set: trial::instruction_set().to_owned(),
                };
                self.tell(FromWorker::Checkpoint(attempt, checkpoint)).await;
            }
            (Ok(digest), Parcel::Weights { step }) => {
                self.tell(FromWorker::Weights(attempt, Kept { step, digest })).await;
            }
            (Err(error), Parcel::Checkpoint { step, .. }) => {
                let job = attempt.job;
                tracing::warn!(%job, step, error = chain(&error), "a checkpoint was not stored");
            }
            (Err(error), Parcel::Weights { .. }) => return Some(End::Unstorable(error)),
        }
        if self.uploads.is_empty() {
            self.result.take().map(|it| End::Reusable(Some(it)))
        } else {
            None
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
            End::Unstorable(error) => {
                drop(self.child.kill().await);
                failure(
                    FailureClass::Refused,
                    &format!("weights cannot be kept: {}", chain(&error)),
                )
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
