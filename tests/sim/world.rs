//! One simulated cluster: a virtual clock, a network, a disk, a coordinator, worker processes and a client.
//!
//! The coordinator is the real core over the real journal; the workers' decisions are the real clerk's. What is pretended
//! is what they stand on: time, disk, wires, trials. Everything follows from the seed.

mod lives;
mod strikes;
mod workers;

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coordinator::journal::{Batch, Journal, LogJournal};
use coordinator::machine::{Change, Event, Machine, Terms};
use coordinator::shell::{Core, Request, SessionNo, Settings};
use coordinator::sink::{PutError, SinkError};
use domain::spec::KeepWeights;
use domain::{
    Digest, FailureClass, FailureReport, JobId, JournalId, Sweep, SweepName, Table, Timestamp,
    WorkerId, sweep_file,
};
use proto::error::ApiError;
use proto::limits::SESSION_QUEUE;
use proto::message::{Attempt, FromWorker, Outcome, Submitted, ToWorker};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, oneshot};
use worker::agent::clerk::News;

use super::disk::Disk;
use super::faults::Faults;
use super::hand::{ConnectionNo, Hand};
use super::ledger::{Ledger, Written};
use super::trial::{Deed, ENGINE};

/// How long faults go on.
const FAULTS_MS: i64 = 20_000;
/// How long after the last fault everything must have settled.
pub const SETTLED_WITHIN_MS: i64 = 300_000;
const LEASE_MS: i64 = 3_000;
const HEARTBEAT_MS: i64 = LEASE_MS / 6;
const TICK_MS: i64 = 200;
const FAULT_MS: i64 = 100;
const HOSTS: usize = 3;
/// A run that takes more events than this goes round in circles.
const EVENTS_MAX: u64 = 2_000_000;
/// Any time but zero, which stands for "at once".
const EPOCH_MS: i64 = 1_000_000_000;
/// Two sweeps that ask for the same jobs, so that one's end must not harm the other.
const NAMES: [&str; 2] = ["s", "t"];

/// What a run came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Of everything that happened, in order.
    pub trace: u64,
    pub events: u64,
    pub commits: u64,
    pub abandoned: u64,
    pub failures: u64,
    pub coordinators: u64,
    pub workers: u64,
    pub settled_after_ms: i64,
}

/// Something that happens at a time.
#[derive(Debug)]
enum Happening {
    ToCoordinator(ConnectionNo, FromWorker),
    ToHand(ConnectionNo, ToWorker),
    /// The worker finds its connection gone.
    Lost(ConnectionNo),
    /// The coordinator finds a connection gone.
    Detached(ConnectionNo),
    Turn(u64),
    Tick(u64),
    /// The disk has taken a batch at last.
    Synced(u64),
    /// A coordinator that was frozen hears what was said to it meanwhile.
    Hears(u64),
    /// The sink is done with a segment.
    Written(u64, SweepName),
    StartCoordinator,
    StartHand(usize),
    Connect(usize, WorkerId),
    Heartbeat(usize, WorkerId),
    Trial(usize, WorkerId, usize, Attempt),
    Faults,
}

/// One coordinator process.
struct Node {
    number: u64,
    core: Core,
    journal: LogJournal,
    inbox: Vec<Request>,
    ticked: bool,
    turn_planned: bool,
    /// What waits for a slow disk.
    syncing: Option<Syncing>,
    /// Wall-clock minus virtual time.
    offset_ms: i64,
    outboxes: BTreeMap<ConnectionNo, mpsc::Receiver<ToWorker>>,
    sessions: BTreeMap<ConnectionNo, (WorkerId, SessionNo)>,
    attaching: BTreeMap<ConnectionNo, (WorkerId, oneshot::Receiver<Result<SessionNo, ApiError>>)>,
    early: BTreeMap<ConnectionNo, Vec<FromWorker>>,
    submissions: Vec<(Sweep, oneshot::Receiver<Result<Submitted, ApiError>>)>,
    /// Sweeps whose segment the sink is writing.
    writing: BTreeSet<SweepName>,
    /// Nothing happens in it until then.
    frozen_until: i64,
    /// What lies in its sockets unread, and until when: somewhat longer than it is frozen, as its loop may wake first.
    unread: Vec<Happening>,
    hears_at: i64,
}

/// A turn that has been decided, and is to be made durable.
struct Syncing {
    batch: Batch,
    /// Where in the rest of the turn the coordinator dies, if it does.
    dies_at: Option<u32>,
    with_power: bool,
}

/// The wire of one connection.
#[derive(Clone, Copy)]
struct Wire {
    host: usize,
    worker: WorkerId,
    /// When the last message in each direction arrives: streams keep their order.
    up_at: i64,
    down_at: i64,
}

/// A host's network: until when nothing passes, in each direction.
#[derive(Clone, Copy, Default)]
struct Cut {
    up_until: i64,
    down_until: i64,
}

/// The whole of it.
pub struct World {
    rng: ChaCha8Rng,
    pub faults: Faults,
    now: i64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next: u64,
    disk: Disk,
    node: Option<Node>,
    coordinators: u64,
    hands: Vec<Option<Hand>>,
    workers: u64,
    cuts: Vec<Cut>,
    wires: BTreeMap<ConnectionNo, Wire>,
    connections: u64,
    blobs: Arc<Mutex<BTreeSet<Digest>>>,
    /// Blobs that no durable event has named since they were stored: nobody can know that they are not needed.
    unspoken: BTreeSet<Digest>,
    submissions: u32,
    results_full_until: i64,
    journal_full_until: i64,
    disk_is_full: bool,
    /// How long the next sync takes.
    slow_sync_ms: i64,
    ledger: Ledger,
    cancelled: BTreeSet<JobId>,
    poison: BTreeSet<JobId>,
    seeds: u32,
    trace: DefaultHasher,
    log: bool,
}

type Checked = Result<(), String>;

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, log: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let faults = Faults::draw(&mut rng);
        Self::with(faults, rng, log)
    }

    /// The world of a seed in which nothing but `faults` goes wrong.
    pub fn of(faults: Faults, seed: u64) -> Self {
        Self::with(faults, ChaCha8Rng::seed_from_u64(seed), false)
    }

    fn with(faults: Faults, mut rng: ChaCha8Rng, log: bool) -> Self {
        let seeds = rng.random_range(2..12);
        Self {
            rng,
            faults,
            now: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            disk: Disk::default(),
            node: None,
            coordinators: 0,
            hands: (0..HOSTS).map(|_| None).collect(),
            workers: 0,
            cuts: vec![Cut::default(); HOSTS],
            wires: BTreeMap::new(),
            connections: 0,
            blobs: Arc::default(),
            unspoken: BTreeSet::new(),
            submissions: 0,
            results_full_until: 0,
            journal_full_until: 0,
            disk_is_full: false,
            slow_sync_ms: 0,
            ledger: Ledger::default(),
            cancelled: BTreeSet::new(),
            poison: BTreeSet::new(),
            seeds,
            trace: DefaultHasher::new(),
            log,
        }
    }

    /// Lives through it.
    ///
    /// # Errors
    /// The law that was broken, and when.
    pub fn run(mut self) -> Result<Summary, String> {
        self.live().map_err(|problem| format!("at {} ms: {problem}", self.now))
    }

    fn live(&mut self) -> Result<Summary, String> {
        let sweep = self.sweep(NAMES[0]);
        if self.faults.poison > 0.0 && self.faults.attempts <= 3 {
            let share = self.faults.poison;
            for (_, job) in sweep.jobs() {
                if self.rng.random_bool(share) {
                    self.poison.insert(job);
                }
            }
        }
        self.after(0, Happening::StartCoordinator);
        for host in 0..HOSTS {
            self.within(1_000, Happening::StartHand(host));
        }
        self.after(FAULT_MS, Happening::Faults);
        let mut events = 0;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            self.now = at;
            let happening = self.happenings.remove(&number).expect("each is queued once");
            events += 1;
            if self.log {
                println!("{at} {happening:?}");
            }
            (at, format!("{happening:?}")).hash(&mut self.trace);
            self.happen(happening)?;
            if at > FAULTS_MS && self.is_settled() {
                return self.summary(events);
            }
            if at > FAULTS_MS + SETTLED_WITHIN_MS || events > EVENTS_MAX {
                return Err(format!("nothing settles: {}", self.describe()));
            }
        }
        Err("nothing happens any more".to_owned())
    }

    fn is_settled(&self) -> bool {
        let Some(node) = &self.node else { return false };
        if !node.inbox.is_empty() || !node.core.batch.is_empty() || node.syncing.is_some() {
            return false;
        }
        let mut lineages = node.core.machine.lineages().peekable();
        lineages.peek().is_some() && lineages.all(|(_, l)| l.is_settled() && l.is_sealed())
    }

    fn summary(&mut self, events: u64) -> Result<Summary, String> {
        self.ledger.settled(&self.cancelled, self.faults.attempts)?;
        if let Some(&digest) = self.blobs().difference(&self.unspoken).next() {
            let is_needed = self.node.as_ref().is_some_and(|node| node.core.is_needed(digest));
            return Err(format!("blob {digest} stays, and is needed: {is_needed}"));
        }
        let counts: Vec<_> = self.ledger.machine.lineages().map(|(_, l)| l.counts()).collect();
        Ok(Summary {
            trace: self.trace.finish(),
            events,
            commits: counts.iter().map(|counts| counts.committed).sum(),
            abandoned: counts.iter().map(|counts| counts.abandoned).sum(),
            failures: self.ledger.failures,
            coordinators: self.coordinators,
            workers: self.workers,
            settled_after_ms: self.now - FAULTS_MS,
        })
    }

    fn describe(&self) -> String {
        let Some(node) = &self.node else { return "no coordinator".to_owned() };
        let lineages = node.core.machine.lineages().map(|(name, lineage)| {
            let states: Vec<_> = lineage.members().iter().map(|&n| lineage.job(n).state).collect();
            format!("{name}: sealed {}, {states:?}", lineage.is_sealed())
        });
        format!("trouble \"{}\", {:?}", node.core.trouble, lineages.collect::<Vec<_>>())
    }

    // ---- time and chance ----

    fn after(&mut self, ms: i64, happening: Happening) {
        self.at(self.now + ms, happening);
    }

    fn within(&mut self, ms: i64, happening: Happening) {
        let ms = self.rng.random_range(0..=ms);
        self.after(ms, happening);
    }

    fn at(&mut self, at: i64, happening: Happening) {
        let number = self.next;
        self.next += 1;
        self.happenings.insert(number, happening);
        self.queue.push(Reverse((at, number)));
    }

    fn has_faults(&self) -> bool {
        self.now < FAULTS_MS
    }

    /// Whether something of this chance a second happens in one step of the faults.
    fn strikes(&mut self, a_second: f64) -> bool {
        self.rng.random_bool((a_second * FAULT_MS as f64 / 1e3).min(1.0))
    }

    /// Whether something of this chance happens, as long as there are faults.
    fn goes_wrong(&mut self, chance: f64) -> bool {
        self.has_faults() && self.rng.random_bool(chance)
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a sweep keeps: each name something else, and in some worlds something else each time it is handed in.
    fn keep(&self, name: &str) -> &'static str {
        let changes = if self.seeds > 8 { self.submissions } else { 0 };
        let index = self.seeds + changes + u32::from(name == NAMES[1]);
        KeepWeights::WORDS[index as usize % KeepWeights::WORDS.len()]
    }

    fn sweep(&self, name: &str) -> Sweep {
        let text = format!(
            "name = \"{name}\"\n[axes]\nseed = {{ start = 0, count = {} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n\
             [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\nattempts = {}\nkeep_weights = \"{}\"\n",
            self.seeds,
            self.faults.attempts,
            self.keep(name),
        );
        let draft = sweep_file::parse(&text, "sim.toml").expect("the sweep is valid");
        draft.resolve(&BTreeMap::new()).expect("it needs no files")
    }

    // ---- what happens ----

    fn happen(&mut self, happening: Happening) -> Checked {
        let Some(happening) = self.unless_frozen(happening) else { return Ok(()) };
        match happening {
            Happening::ToCoordinator(connection, message) => {
                self.reaches_coordinator(connection, message)
            }
            Happening::ToHand(connection, message) => {
                return self.reaches_hand(connection, message);
            }
            Happening::Lost(connection) => self.lost(connection),
            Happening::Detached(connection) => self.detached(connection),
            Happening::Turn(node) if self.is_node(node) => return self.turn(),
            Happening::Tick(node) if self.is_node(node) => {
                if let Some(node) = &mut self.node {
                    node.ticked = true;
                }
                self.plan_turn();
                self.after(TICK_MS, Happening::Tick(node));
            }
            Happening::Written(node, sweep) if self.is_node(node) => return self.written(&sweep),
            Happening::Hears(node) if self.is_node(node) => return self.hears(),
            Happening::Synced(node) if self.is_node(node) => return self.synced(),
            Happening::Turn(_)
            | Happening::Tick(_)
            | Happening::Synced(_)
            | Happening::Hears(_)
            | Happening::Written(..) => {}
            Happening::StartCoordinator => return self.start_coordinator(),
            Happening::StartHand(host) => self.start_hand(host),
            Happening::Connect(host, worker) => self.connect(host, worker),
            Happening::Heartbeat(host, worker) => self.heartbeat(host, worker),
            Happening::Trial(host, worker, slot, attempt) => {
                self.trial(host, worker, slot, attempt);
            }
            Happening::Faults => self.strike(),
        }
        Ok(())
    }

    fn is_node(&self, number: u64) -> bool {
        self.node.as_ref().is_some_and(|node| node.number == number)
    }
}
