//! What a worker does about each message and each event, and nothing else: no clock, socket, channel or process.
//!
//! The desk brings what the coordinator says and what the slots tell, carries out the [`Order`]s that come back, and
//! sends what [`Clerk::next_message`] gives. The simulation drives the same clerk on a virtual clock and network.

use std::time::Duration;

use proto::limits::AHEAD_MAX;
use proto::message::{
    Attempt, Checkpoint, FromWorker, Grant, Kept, Outcome, Progress, RowBatch, ToWorker,
};

use super::held::{BYTES_MAX, Held};
use super::seats::{Seated, Seats};

/// Grants are asked for ahead only so far that each should start within this time: what waits here, others cannot run.
const WAIT_WANTED: Duration = Duration::from_millis(100);

/// What a slot is to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// The slot is free, and starts.
    Start(Box<Seated>),
    /// Stop; nobody wants what it measures.
    Drop { slot: usize },
    /// Checkpoint and stop.
    HandBack { slot: usize },
}

/// What came of a message of the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Nothing that anybody needs to hear of.
    None,
    /// The coordinator took the attempt away.
    Revoked { attempt: Attempt, reason: String },
    /// It did not accept how the attempt ended.
    NotAccepted { attempt: Attempt, refusal: String },
    /// It wants this worker to drain: [`Clerk::leave`] when the desk has noted the time.
    Drain { reason: String },
}

/// The account of what a worker holds, runs and owes.
#[derive(Debug)]
pub struct Clerk {
    held: Held,
    seats: Seats,
    /// Grants that came in this session.
    taken: u64,
    /// How long trials take, or somewhat more; none has ended: unknown.
    typical: Option<Duration>,
    /// Whether a trial has ended since the last heartbeat.
    is_moving: bool,
    capacity_due: bool,
    heartbeat_due: bool,
    is_leaving: bool,
    /// Some attempt was handed back.
    released: bool,
}

impl Clerk {
    /// The clerk of a worker with `slots` free slots.
    pub fn new(slots: u32) -> Self {
        Self::with_room(slots, BYTES_MAX)
    }

    /// The same, where slots must wait once so many bytes of rows are not acknowledged.
    pub fn with_room(slots: u32, bytes_max: usize) -> Self {
        Self {
            held: Held::new(bytes_max),
            seats: Seats::new(slots),
            taken: 0,
            typical: None,
            is_moving: false,
            capacity_due: false,
            heartbeat_due: false,
            is_leaving: false,
            released: false,
        }
    }

    // ---- the coordinator ----

    /// Every attempt that is held, for a hello.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.held.attempts()
    }

    /// A session is open: all that is not acknowledged is to be sent again.
    pub fn opened(&mut self) {
        self.held.resend();
        self.taken = 0;
        self.capacity_due = true;
    }

    /// The session is lost.
    pub fn lost(&mut self) {
        self.heartbeat_due = false;
    }

    /// It is time for a heartbeat.
    pub fn heartbeat(&mut self) {
        self.heartbeat_due = true;
        if !std::mem::take(&mut self.is_moving) {
            // Jobs take longer than those before: what waits behind them is for others, if there are any.
            self.typical = None;
            self.give_up_waiting();
            self.capacity_due = true;
        }
    }

    fn give_up_waiting(&mut self) {
        for attempt in self.seats.give_up_waiting() {
            self.release(&attempt);
        }
    }

    /// Grants to ask for ahead, a slot.
    fn ahead(&self) -> u32 {
        let Some(typical) = self.typical else { return 0 };
        let ahead = WAIT_WANTED.as_micros() / typical.as_micros().max(1);
        u32::try_from(ahead).unwrap_or(u32::MAX).min(AHEAD_MAX)
    }

    /// Takes in what the coordinator says.
    pub fn hear(&mut self, message: ToWorker) -> (News, Vec<Order>) {
        match message {
            ToWorker::Grant(grant) => return (News::None, self.grant(grant)),
            ToWorker::Rows { attempt, table, next_row } => {
                self.held.rows_are_durable(&attempt, table, next_row);
            }
            ToWorker::Checkpoint { attempt, step } => self.held.checkpoint_is_known(&attempt, step),
            ToWorker::Weights { attempt, step } => self.held.weights_are_durable(&attempt, step),
            ToWorker::Outcome { attempt, refusal } => {
                let orders = self.let_go(&attempt);
                let news = refusal.map(|refusal| News::NotAccepted { attempt, refusal });
                return (news.unwrap_or(News::None), orders);
            }
            ToWorker::Revoke { attempt, reason } => {
                // Each message about it may have been answered so; the first one counts.
                let is_new = self.held.has(&attempt);
                let orders = self.let_go(&attempt);
                let news = if is_new { News::Revoked { attempt, reason } } else { News::None };
                return (news, orders);
            }
            ToWorker::Drain { reason } => return (News::Drain { reason }, Vec::new()),
            // A second welcome says nothing new.
            ToWorker::Heard | ToWorker::Welcome { .. } => {}
        }
        (News::None, Vec::new())
    }

    fn grant(&mut self, grant: Grant) -> Vec<Order> {
        self.taken += 1;
        let attempt = grant.attempt.clone();
        if !self.held.take(attempt.clone()) {
            return Vec::new();
        }
        let seated = if self.is_leaving { None } else { self.seats.admit(grant) };
        if seated.is_none() {
            self.release(&attempt);
        }
        start(seated.unwrap_or_default())
    }

    /// Forgets an attempt that is no longer this worker's, and stops its trial if it runs.
    fn let_go(&mut self, attempt: &Attempt) -> Vec<Order> {
        self.held.drop(attempt);
        self.seats.stop(attempt).map(|slot| Order::Drop { slot }).into_iter().collect()
    }

    /// Hands an attempt back that no slot works on.
    fn release(&mut self, attempt: &Attempt) {
        self.held.finish(attempt, Outcome::Released);
        self.released |= self.is_leaving;
    }

    /// Whether a message waits to be sent.
    pub fn has_message(&self) -> bool {
        self.capacity_due || self.heartbeat_due || self.held.has_unsent()
    }

    /// The next message to send.
    pub fn next_message(&mut self) -> Option<FromWorker> {
        if std::mem::take(&mut self.capacity_due) {
            // A worker that leaves takes nothing on.
            let free_slots = if self.is_leaving { 0 } else { self.seats.free(self.ahead()) };
            Some(FromWorker::Capacity { free_slots, taken: self.taken })
        } else if std::mem::take(&mut self.heartbeat_due) {
            Some(FromWorker::Heartbeat(self.held.progress()))
        } else {
            self.held.next_unsent()
        }
    }

    // ---- the slots ----

    /// Whether slots must wait with what they have to say.
    pub fn is_full(&self) -> bool {
        self.held.is_full()
    }

    /// A slot measured.
    pub fn rows(&mut self, batch: RowBatch) {
        self.held.rows(batch);
    }

    /// A slot's checkpoint is stored.
    pub fn checkpoint(&mut self, attempt: &Attempt, checkpoint: Checkpoint) {
        self.held.checkpoint(attempt, checkpoint);
    }

    /// A slot's weights are stored.
    pub fn weights(&mut self, attempt: &Attempt, kept: Kept) {
        self.held.weights(attempt, kept);
    }

    /// A slot is on its way.
    pub fn advance(&mut self, progress: Progress) {
        self.held.advance(progress);
    }

    /// An attempt ended so, and every message about it came before.
    pub fn finish(&mut self, attempt: &Attempt, outcome: Outcome) {
        self.released |= outcome == Outcome::Released && self.held.has(attempt);
        self.held.finish(attempt, outcome);
    }

    /// What an attempt had to say is lost. It is handed back: whoever goes on with it measures the same again.
    pub fn forsake(&mut self, attempt: &Attempt) -> Vec<Order> {
        self.finish(attempt, Outcome::Released);
        self.seats.stop(attempt).map(|slot| Order::Drop { slot }).into_iter().collect()
    }

    /// A slot is free again; what it did took so long. How it ended may be told later: see [`Self::finish`].
    pub fn vacate(&mut self, slot: usize, took: Duration) -> Vec<Order> {
        self.is_moving = true;
        // Up at once, down slowly: one short job among long ones asks for nothing ahead.
        self.typical = Some(self.typical.map_or(took, |typical| took.max(typical * 3 / 4)));
        // Said after each job: the grant for it lowered what the coordinator counts with.
        self.capacity_due = true;
        start(self.seats.vacate(slot))
    }

    // ---- leaving ----

    /// Takes nothing on any more and has everything handed back.
    pub fn leave(&mut self) -> Vec<Order> {
        self.is_leaving = true;
        self.capacity_due = true;
        self.give_up_waiting();
        self.seats.working().into_iter().map(|slot| Order::HandBack { slot }).collect()
    }

    /// Gives up everything at once.
    pub fn abandon(&mut self) {
        for attempt in self.held.unfinished() {
            self.held.finish(&attempt, Outcome::Released);
        }
        self.capacity_due = false;
    }

    /// Whether no slot works.
    pub fn is_idle(&self) -> bool {
        self.seats.is_idle()
    }

    /// Whether nothing is held, so that leaving costs nobody anything.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether somebody has to do again, or go on with, what this worker was given.
    pub fn has_work_left(&self) -> bool {
        self.released || !self.held.is_empty()
    }
}

fn start(seated: Vec<Seated>) -> Vec<Order> {
    seated.into_iter().map(|seated| Order::Start(Box::new(seated))).collect()
}
