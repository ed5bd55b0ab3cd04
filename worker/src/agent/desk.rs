//! The agent's one loop: it takes grants in, gives them to slots, sends what trials say, and decides when to leave.

use std::sync::Arc;
use std::time::Duration;

use domain::WorkerId;
use proto::client::Client;
use proto::error::ApiError;
use proto::limits::{PROTOCOL, SLOTS_MAX};
use proto::message::{FromWorker, Hello, ToWorker};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::blobs::Blobs;
use super::child::Launch;
use super::clerk::{Clerk, News, Order};
use super::config::{AgentError, Config, Ended, RowsKept, StopRequest};
use super::ending::chain;
use super::exchange::Exchange;
use super::link::{Link, LinkError, Turn, by_file};
use super::overflow::Overflow;
use super::relay::relay;
use super::seats::Seated;
use super::slot::{Assignment, Common, Intent, Signal, Slot};
use super::{clock, host};
use crate::trial;

/// What slots told and the desk has not taken, on either side of the overflow: at most some 8 MiB of rows in all.
const TALES_WAITING: usize = 8;

/// Signals of the slots that wait for the desk.
const SIGNALS_WAITING: usize = 64;

/// How long trials have for their last checkpoint where the host is about to stop. Batch systems and Kubernetes kill
/// 30 s after their warning; this leaves time to hand over.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(20);

/// How long trials have where a person asked the coordinator to drain the worker, and nothing presses.
const UNHURRIED_HAND_BACK_LIMIT: Duration = Duration::from_secs(600);

/// How long the coordinator has to acknowledge what is handed back. Counted from the stop request, or, where nothing
/// presses, from the end of the last trial. Under the 30 s after which batch systems kill.
const LEAVE_LIMIT: Duration = Duration::from_secs(25);

/// How long a token may be refused before it is final: a coordinator that just started has yet to write its file.
const DENIED_LIMIT: Duration = Duration::from_secs(10);

/// How long before its own time limit a worker drains, but not before half of its time.
const TIME_MARGIN: Duration = Duration::from_secs(60);

/// Stands for no deadline.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs a worker until `stop` asks it to leave, its coordinator has drained it, or no coordinator answers for too long.
///
/// # Errors
/// [`AgentError`] where it cannot start, is not taken, or gave up. Its trial processes are gone by then in every case.
pub async fn run(
    config: Config,
    mut stop: watch::Receiver<StopRequest>,
) -> Result<Ended, AgentError> {
    let mut desk = Desk::new(config)?;
    let ended = desk.serve(&mut stop).await;
    // Ends the tasks of the slots, and with each its trial process.
    desk.tasks.shutdown().await;
    if ended.is_ok() {
        desk.link.goodbye().await;
    }
    ended
}

struct Desk {
    config: Config,
    worker: WorkerId,
    started: Instant,
    link: Link,
    clients: watch::Sender<Option<Client>>,
    clerk: Clerk,
    places: Vec<Place>,
    tasks: JoinSet<()>,
    tales: mpsc::Receiver<FromWorker>,
    signals: mpsc::Receiver<Signal>,
    leaving: Option<Leaving>,
    was_welcome: bool,
    /// Why there is no session, as far as the last try told.
    trouble: Option<String>,
}

/// The way to the task of one slot.
struct Place {
    assignments: mpsc::Sender<Assignment>,
    intent: watch::Sender<Intent>,
}

/// The worker drains.
struct Leaving {
    /// When trials are ended by force.
    hand_back_by: Instant,
    /// When acknowledgements are waited for no longer.
    leave_by: Option<Instant>,
}

impl Desk {
    fn new(config: Config) -> Result<Self, AgentError> {
        let (found, limit) = (config.slots, SLOTS_MAX);
        if found == 0 || found > limit {
            return Err(AgentError::Slots { found, limit });
        }
        let (found, least) = (config.rows.in_memory, RowsKept::IN_MEMORY_MIN);
        if found < least {
            return Err(AgentError::RowsKept { found, least });
        }
        let path = config.cache.clone();
        if path.to_str().is_none() {
            return Err(AgentError::CachePath { path });
        }
        let worker = WorkerId(*uuid::Uuid::new_v4().as_bytes());
        let (clients, receiver) = watch::channel(None);
        let exchange = Exchange::new(receiver);
        let blobs = Blobs::open(path.clone(), config.data.clone(), exchange.clone())
            .map_err(|source| AgentError::Cache { path, source })?;
        let launch =
            Launch { program: config.program.clone(), arguments: vec!["trial".to_owned().into()] };
        let (told, heard) = mpsc::channel(TALES_WAITING);
        let (passed_on, tales) = mpsc::channel(TALES_WAITING);
        let (sender, signals) = mpsc::channel(SIGNALS_WAITING);
        let mut tasks = JoinSet::new();
        let overflow = Overflow::new(config.cache.clone(), config.rows.on_disk);
        tasks.spawn(relay(heard, overflow, passed_on, sender.clone()));
        let common =
            Common { launch, blobs: Arc::new(blobs), exchange, tales: told, signals: sender };
        let places = (0..config.slots as usize).map(|index| {
            // A slot without an attempt takes the next one at once, so one place is never full.
            let (assignments, receiver) = mpsc::channel(1);
            tasks.spawn(Slot::new(index, common.clone()).serve(receiver));
            Place { assignments, intent: watch::Sender::new(Intent::Drop) }
        });
        let places = places.collect();
        Ok(Self {
            worker,
            started: clock::timer(),
            link: Link::new(by_file(config.connection.clone()), worker),
            clients,
            clerk: Clerk::with_room(config.slots, config.rows.in_memory),
            places,
            tasks,
            tales,
            signals,
            leaving: None,
            was_welcome: false,
            trouble: None,
            config,
        })
    }

    async fn serve(
        &mut self,
        stop: &mut watch::Receiver<StopRequest>,
    ) -> Result<Ended, AgentError> {
        let mut is_stop_open = true;
        stop.mark_changed();
        loop {
            if self.is_over() {
                return Ok(Ended { work_left: self.clerk.has_work_left() });
            }
            let (is_full, has_message, deadline) =
                (self.clerk.is_full(), self.clerk.has_message(), self.deadline());
            tokio::select! {
                changed = stop.changed(), if is_stop_open => {
                    is_stop_open = changed.is_ok();
                    let request = *stop.borrow_and_update();
                    match request {
                        StopRequest::None => {}
                        StopRequest::Drain => self.leave(true),
                        StopRequest::Now => return Ok(self.abandon()),
                    }
                }
                Some(tale) = self.tales.recv(), if !is_full => self.on_tale(tale),
                Some(signal) = self.signals.recv() => self.on_signal(signal),
                turn = self.link.turn(has_message) => self.on_turn(turn)?,
                () = sleep_until(deadline) => self.on_deadline()?,
            }
        }
    }

    // ---- the coordinator ----

    fn on_turn(&mut self, turn: Turn) -> Result<(), AgentError> {
        match turn {
            Turn::HelloDue => self.link.open(self.hello()),
            Turn::Opened(client) => {
                tracing::info!(worker = %self.worker, held = self.clerk.attempts().len(), "connected");
                self.was_welcome = true;
                self.trouble = None;
                self.clients.send_replace(Some(client));
                self.clerk.opened();
            }
            Turn::Lost(error) => return self.on_lost(error),
            Turn::Said(message) => self.on_message(message),
            Turn::Room => self.send(),
            Turn::HeartbeatDue => self.clerk.heartbeat(),
        }
        Ok(())
    }

    fn hello(&self) -> Hello {
        let passed = clock::timer().duration_since(self.started);
        Hello {
            worker: self.worker,
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_revision: trial::ENGINE_REVISION.to_owned(),
            instruction_set: trial::instruction_set().to_owned(),
            host: host::name(),
            process: std::process::id(),
            slots: self.config.slots,
            cores: host::cores(),
            memory_bytes: self.config.memory_bytes,
            held: self.clerk.attempts(),
            time_left: self.config.time_left.map(|left| left.saturating_sub(passed)),
        }
    }

    fn on_lost(&mut self, error: LinkError) -> Result<(), AgentError> {
        self.clients.send_replace(None);
        self.clerk.lost();
        let away = self.away();
        match error.answer() {
            Some(ApiError::Incompatible { reason }) => {
                return Err(AgentError::Incompatible { reason: reason.clone() });
            }
            // A worker that was welcome before keeps its trials: a new token is on its way.
            Some(ApiError::Unauthenticated) if !self.was_welcome && away >= DENIED_LIMIT => {
                return Err(AgentError::Denied { connection: self.config.connection.clone() });
            }
            _ => {}
        }
        let reason = chain(&error);
        // Said once each time it is lost, not at each try to get it back.
        if self.trouble.is_none() {
            tracing::info!(worker = %self.worker, reason, "no coordinator");
        } else {
            tracing::debug!(worker = %self.worker, reason, "still no coordinator");
        }
        self.trouble = Some(reason);
        self.give_up_if_due()
    }

    /// Ends with an error where nobody answered for as long as the config says.
    fn give_up_if_due(&self) -> Result<(), AgentError> {
        let (after, away) = (self.config.retry_for, self.away());
        match after.filter(|limit| self.link.away_since().is_some() && away >= *limit) {
            Some(_) => {
                let reason =
                    self.trouble.clone().unwrap_or_else(|| "no try has ended yet".to_owned());
                Err(AgentError::Unreachable { after: away, reason })
            }
            None => Ok(()),
        }
    }

    fn away(&self) -> Duration {
        self.link.away_since().map_or(Duration::ZERO, |since| clock::timer().duration_since(since))
    }

    fn on_message(&mut self, message: ToWorker) {
        let (news, orders) = self.clerk.hear(message);
        self.carry_out(orders);
        match news {
            News::None => {}
            News::Revoked { attempt, reason } => {
                tracing::info!(job = %attempt.job, attempt = %attempt.number, reason, "revoked");
            }
            News::NotAccepted { attempt, refusal } => {
                let (job, number) = (attempt.job, attempt.number);
                tracing::warn!(%job, attempt = %number, refusal, "an outcome was not accepted");
            }
            News::Drain { reason } => {
                tracing::info!(worker = %self.worker, reason, "drained by the coordinator");
                self.leave(false);
            }
        }
    }

    fn send(&mut self) {
        while self.link.has_room() {
            let Some(message) = self.clerk.next_message() else { return };
            self.link.send(message);
        }
    }

    // ---- the slots ----

    fn on_tale(&mut self, tale: FromWorker) {
        match tale {
            FromWorker::Rows(batch) => self.clerk.rows(batch),
            FromWorker::Checkpoint(attempt, checkpoint) => {
                self.clerk.checkpoint(&attempt, checkpoint);
            }
            FromWorker::Weights(attempt, kept) => self.clerk.weights(&attempt, kept),
            FromWorker::Outcome(attempt, outcome) => self.clerk.finish(&attempt, outcome),
            FromWorker::Hello(_)
            | FromWorker::Capacity { .. }
            | FromWorker::Heartbeat(_)
            | FromWorker::Goodbye => unreachable!("slots tell of attempts only"),
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Progress(progress) => self.clerk.advance(progress),
            Signal::Vacated { slot, took } => {
                let orders = self.clerk.vacate(slot, took);
                self.carry_out(orders);
            }
            Signal::Lost(attempts) => {
                for attempt in attempts {
                    let (job, number) = (attempt.job, attempt.number);
                    tracing::warn!(%job, attempt = %number, "handed back: its rows on disk are lost");
                    let orders = self.clerk.forsake(&attempt);
                    self.carry_out(orders);
                }
            }
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Start(seated) => {
                    let Seated { slot, grant } = *seated;
                    let attempt = &grant.attempt;
                    tracing::debug!(job = %attempt.job, attempt = %attempt.number, "started");
                    let (sender, intent) = watch::channel(Intent::Run);
                    let place = &mut self.places[slot];
                    let sent = place.assignments.try_send(Assignment { grant, intent });
                    sent.expect("a slot without an attempt waits for one");
                    place.intent = sender;
                }
                Order::Drop { slot } => drop(self.places[slot].intent.send_replace(Intent::Drop)),
                Order::HandBack { slot } => {
                    let by = self.leaving.as_ref().map_or_else(clock::timer, |l| l.hand_back_by);
                    self.places[slot].intent.send_if_modified(|intent| {
                        let is_wanted = *intent != Intent::Drop;
                        if is_wanted {
                            *intent = Intent::HandBack { by };
                        }
                        is_wanted
                    });
                }
            }
        }
    }

    // ---- leaving ----

    fn leave(&mut self, is_hurried: bool) {
        let now = clock::timer();
        let limit = if is_hurried { HAND_BACK_LIMIT } else { UNHURRIED_HAND_BACK_LIMIT };
        let leaving =
            self.leaving.get_or_insert(Leaving { hand_back_by: now + limit, leave_by: None });
        leaving.hand_back_by = leaving.hand_back_by.min(now + limit);
        if is_hurried {
            leaving.leave_by.get_or_insert(now + LEAVE_LIMIT);
        }
        let orders = self.clerk.leave();
        self.carry_out(orders);
    }

    /// Whether it drained, and all is handed over or nobody takes it in time.
    fn is_over(&mut self) -> bool {
        let is_idle = self.clerk.is_idle();
        let Some(leaving) = &mut self.leaving else { return false };
        let now = clock::timer();
        if is_idle {
            leaving.leave_by.get_or_insert(now + LEAVE_LIMIT);
        }
        let is_late = leaving.leave_by.is_some_and(|leave_by| leave_by <= now);
        is_late || (is_idle && self.clerk.is_empty())
    }

    /// Leaves at once. What still fits on the wire saves the coordinator from waiting for leases to run out.
    fn abandon(&mut self) -> Ended {
        let work_left = self.clerk.has_work_left();
        self.clerk.abandon();
        self.send();
        Ended { work_left }
    }

    fn deadline(&self) -> Instant {
        let leave_by = self.leaving.as_ref().and_then(|leaving| leaving.leave_by);
        let since = self.link.away_since();
        let give_up = since.zip(self.config.retry_for).map(|(since, limit)| since + limit.min(FAR));
        let drain = self.drain_at().filter(|_| self.leaving.is_none());
        let far = clock::timer() + FAR;
        leave_by.into_iter().chain(give_up).chain(drain).min().unwrap_or(far)
    }

    /// When to drain so as to be gone by the worker's own time limit.
    fn drain_at(&self) -> Option<Instant> {
        let left = self.config.time_left?.min(FAR);
        Some(self.started + left.saturating_sub(TIME_MARGIN).max(left / 2))
    }

    fn on_deadline(&mut self) -> Result<(), AgentError> {
        if self.leaving.is_none() && self.drain_at().is_some_and(|at| at <= clock::timer()) {
            tracing::info!(worker = %self.worker, "drained by its own time limit");
            self.leave(true);
        }
        self.give_up_if_due()
    }
}
