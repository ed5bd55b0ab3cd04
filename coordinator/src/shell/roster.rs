//! The workers that have a session, or had one and still hold leases. Forgotten at a restart: they say hello again.

use std::collections::{BTreeMap, BTreeSet};

use domain::WorkerId;
use proto::limits::{AHEAD_MAX, OUTBOX_QUEUE};
use proto::message::{Hello, ToWorker, WorkerLine};
use tokio::sync::mpsc;

use super::leases::JobKey;
use crate::machine::Offer;

/// Most grants on their way to one worker: its queue has room for them and for what else it is told meanwhile. A worker with more
/// free slots says so again once these have reached it.
const BURST_MAX: u32 = OUTBOX_QUEUE as u32 / 2;

/// One session of a worker; a worker that reconnects gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNo(pub u64);

/// A worker as the coordinator knows it.
#[derive(Debug)]
pub struct Worker {
    pub hello: Hello,
    session: Option<(SessionNo, mpsc::Sender<ToWorker>)>,
    /// Grants it can take now.
    free_slots: u32,
    /// Grants that were sent in this session.
    granted: u64,
    pub draining: bool,
    pub held: BTreeSet<JobKey>,
    /// It holds a job that may kill it: no other job is put at risk beside that one.
    is_alone: bool,
    /// Everything fails on its host.
    is_blamed: bool,
}

impl Worker {
    /// What it offers to a job.
    pub fn offer(&self) -> Offer {
        Offer {
            worker: self.hello.worker,
            cores: self.hello.cores,
            memory_bytes: self.hello.memory_bytes,
            engine_revision: self.hello.engine_revision.clone(),
            instruction_set: self.hello.instruction_set.clone(),
            is_idle: self.held.is_empty(),
        }
    }

    /// Whether it can take a grant now.
    pub fn is_free(&self) -> bool {
        self.session.is_some() && !self.draining && !self.is_alone && self.free_slots > 0
    }

    /// It says that it can take `free_slots` grants beyond the `taken` that had reached it: those on their way are some
    /// of them.
    pub fn can_take(&mut self, free_slots: u32, taken: u64) {
        let most = self.hello.slots.saturating_mul(1 + AHEAD_MAX);
        let on_their_way = u32::try_from(self.granted.saturating_sub(taken)).unwrap_or(u32::MAX);
        let most = most.min(BURST_MAX);
        self.free_slots = free_slots.min(most).saturating_sub(on_their_way);
    }

    /// A grant is sent to it.
    pub fn granted(&mut self) {
        self.free_slots = self.free_slots.saturating_sub(1);
        self.granted += 1;
    }

    /// Whether it has a session.
    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    fn state(&self) -> &'static str {
        match (self.is_connected(), self.draining) {
            (false, _) => "away",
            (true, true) if self.is_blamed => "failing",
            (true, true) => "draining",
            (true, false) if self.held.is_empty() => "idle",
            (true, false) => "working",
        }
    }
}

/// All workers.
#[derive(Debug, Default)]
pub struct Roster {
    workers: BTreeMap<WorkerId, Worker>,
    sessions: u64,
}

impl Roster {
    /// A worker has a new session; an older one of the same worker is over.
    pub fn attach(&mut self, hello: Hello, outbox: mpsc::Sender<ToWorker>) -> SessionNo {
        self.sessions += 1;
        let number = SessionNo(self.sessions);
        let session = Some((number, outbox));
        match self.workers.get_mut(&hello.worker) {
            Some(worker) => {
                worker.hello = hello;
                worker.session = session;
                worker.free_slots = 0;
                worker.granted = 0;
            }
            None => {
                let id = hello.worker;
                let held = BTreeSet::new();
                let (free_slots, granted) = (0, 0);
                let (draining, is_alone, is_blamed) = (false, false, false);
                let worker = Worker {
                    hello,
                    session,
                    free_slots,
                    granted,
                    draining,
                    held,
                    is_alone,
                    is_blamed,
                };
                self.workers.insert(id, worker);
            }
        }
        number
    }

    /// A session is over. The worker is forgotten once it holds nothing.
    pub fn detach(&mut self, id: WorkerId, session: SessionNo) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.session.as_ref().is_some_and(|(number, _)| *number == session)
        {
            worker.session = None;
            worker.free_slots = 0;
        }
        self.forget_if_gone(id);
    }

    /// Whether `session` is the worker's current one: what comes through an older one is void.
    pub fn is_current(&self, id: WorkerId, session: SessionNo) -> bool {
        let worker = self.workers.get(&id);
        worker
            .and_then(|worker| worker.session.as_ref())
            .is_some_and(|(number, _)| *number == session)
    }

    /// A worker by its id.
    pub fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// A worker by its id, to change.
    pub fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.get_mut(&id)
    }

    /// Ids of the workers that can take a grant now.
    pub fn free(&self) -> Vec<WorkerId> {
        let free = self.workers.iter().filter(|(_, worker)| worker.is_free());
        free.map(|(id, _)| *id).collect()
    }

    /// Everything fails on `host`: its workers get no more. Ids of those that took work until now.
    pub fn blame(&mut self, host: &str) -> Vec<WorkerId> {
        let there = self.workers.iter_mut().filter(|(_, worker)| worker.hello.host == host);
        let mut drained = Vec::new();
        for (id, worker) in there.filter(|(_, worker)| !worker.draining) {
            worker.draining = true;
            worker.is_blamed = true;
            drained.push(*id);
        }
        drained
    }

    /// Ids of the workers that have a session.
    pub fn connected(&self) -> Vec<WorkerId> {
        let connected = self.workers.iter().filter(|(_, worker)| worker.is_connected());
        connected.map(|(id, _)| *id).collect()
    }

    /// A lease began, perhaps of a job that may kill its worker.
    pub fn hold(&mut self, id: WorkerId, job: JobKey, is_suspect: bool) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.held.insert(job);
            worker.is_alone |= is_suspect;
        }
    }

    /// A lease ended.
    pub fn let_go(&mut self, id: WorkerId, job: &JobKey) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.held.remove(job);
            worker.is_alone &= !worker.held.is_empty();
        }
        self.forget_if_gone(id);
    }

    fn forget_if_gone(&mut self, id: WorkerId) {
        let gone = |worker: &Worker| !worker.is_connected() && worker.held.is_empty();
        if self.workers.get(&id).is_some_and(gone) {
            self.workers.remove(&id);
        }
    }

    /// Sends to a worker, if it has a session. One that reads so slowly that its queue is full loses its session: it
    /// comes back with all it holds, and the others are not held up.
    pub fn send(&mut self, id: WorkerId, message: ToWorker) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some((_, outbox)) = &worker.session else { return };
        if outbox.try_send(message).is_err() {
            tracing::info!(worker = %id, "session ended: the worker does not read");
            worker.session = None;
            worker.free_slots = 0;
        }
    }

    /// Ends every session.
    pub fn close(&mut self) {
        self.workers.clear();
    }

    /// One line a worker.
    pub fn lines(&self) -> Vec<WorkerLine> {
        let line = |worker: &Worker| WorkerLine {
            worker: worker.hello.worker,
            host: worker.hello.host.clone(),
            process: worker.hello.process,
            slots: worker.hello.slots,
            leases: worker.held.len() as u32,
            state: worker.state().to_owned(),
            version: worker.hello.version.clone(),
            instruction_set: worker.hello.instruction_set.clone(),
            memory_bytes: worker.hello.memory_bytes,
        };
        self.workers.values().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use proto::limits::SLOTS_MAX;

    use super::*;

    #[test]
    fn a_worker_of_many_slots_is_given_no_more_at_once_than_fits_into_its_queue() {
        let hello = Hello {
            worker: WorkerId([1; 16]),
            protocol: 0,
            version: String::new(),
            engine_revision: String::new(),
            instruction_set: String::new(),
            host: String::new(),
            process: 1,
            slots: SLOTS_MAX,
            cores: 1,
            memory_bytes: 0,
            held: Vec::new(),
            time_left: None,
        };
        let (outbox, mut queue) = mpsc::channel(OUTBOX_QUEUE);
        let mut roster = Roster::default();
        let id = hello.worker;
        roster.attach(hello, outbox);
        let wants = SLOTS_MAX * (1 + AHEAD_MAX);
        let mut taken = 0;
        for _ in 0..4 {
            roster.get_mut(id).expect("is there").can_take(wants - taken as u32, taken);
            while roster.get(id).is_some_and(Worker::is_free) {
                roster.get_mut(id).expect("is there").granted();
                roster.send(id, ToWorker::Heard);
            }
            assert!(roster.get(id).is_some_and(Worker::is_connected), "it is cut off");
            let before = taken;
            while queue.try_recv().is_ok() {
                taken += 1;
            }
            assert!(taken > before, "it gets more as it takes them");
        }
    }
}
