//! The slots as the desk sees them: who works on what, and the grants for which none is free.

use std::collections::VecDeque;

use proto::message::{Attempt, Grant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::slot::{Assignment, Common, Intent, Slot};

/// The slots of one worker, each a task of its own.
pub struct Seats {
    seats: Vec<Seat>,
    /// Grants beyond the free slots: a capacity and a grant that cross on the wire can bring them. At most as many as
    /// there are slots.
    waiting: VecDeque<Grant>,
}

struct Seat {
    assignments: mpsc::Sender<Assignment>,
    running: Option<(Attempt, watch::Sender<Intent>)>,
}

impl Seats {
    /// `count` free slots, whose tasks are put into `tasks`.
    pub fn open(count: u32, common: &Common, tasks: &mut JoinSet<()>) -> Self {
        let seats = (0..count as usize).map(|index| {
            // A slot without an attempt takes the next one at once, so one place is never full.
            let (assignments, receiver) = mpsc::channel(1);
            tasks.spawn(Slot::new(index, common.clone()).serve(receiver));
            Seat { assignments, running: None }
        });
        Self { seats: seats.collect(), waiting: VecDeque::new() }
    }

    /// Takes a grant in, to run now or when a slot is free; `false`: there are too many already.
    pub fn admit(&mut self, grant: Grant) -> bool {
        if self.waiting.len() >= self.seats.len() {
            return false;
        }
        self.waiting.push_back(grant);
        self.fill();
        true
    }

    /// The slot's attempt is over; the next one starts.
    pub fn vacate(&mut self, slot: usize) {
        self.seats[slot].running = None;
        self.fill();
    }

    fn fill(&mut self) {
        for seat in self.seats.iter_mut().filter(|seat| seat.running.is_none()) {
            let Some(grant) = self.waiting.pop_front() else { return };
            let attempt = grant.attempt.clone();
            tracing::debug!(job = %attempt.job, attempt = %attempt.number, "started");
            let (sender, intent) = watch::channel(Intent::Run);
            let sent = seat.assignments.try_send(Assignment { grant, intent });
            sent.expect("a slot without an attempt waits for one");
            seat.running = Some((attempt, sender));
        }
    }

    /// Stops an attempt whose work nobody wants, if it is here.
    pub fn stop(&mut self, attempt: &Attempt) {
        self.waiting.retain(|grant| grant.attempt != *attempt);
        for (running, intent) in self.running() {
            if running == attempt {
                intent.send_replace(Intent::Drop);
            }
        }
    }

    /// Has every running attempt handed back, by force at `by`; answers those that had not started, which no slot will
    /// speak of.
    pub fn hand_back(&mut self, by: Instant) -> Vec<Attempt> {
        for (_, intent) in self.running() {
            intent.send_if_modified(|intent| {
                let is_wanted = *intent != Intent::Drop;
                if is_wanted {
                    *intent = Intent::HandBack { by };
                }
                is_wanted
            });
        }
        self.waiting.drain(..).map(|grant| grant.attempt).collect()
    }

    /// Slots that no grant is meant for.
    pub fn free(&self) -> u32 {
        let free = self.seats.len() - self.running().count();
        u32::try_from(free.saturating_sub(self.waiting.len())).unwrap_or(u32::MAX)
    }

    /// Whether no slot works.
    pub fn is_idle(&self) -> bool {
        self.running().next().is_none()
    }

    fn running(&self) -> impl Iterator<Item = &(Attempt, watch::Sender<Intent>)> {
        self.seats.iter().filter_map(|seat| seat.running.as_ref())
    }
}
