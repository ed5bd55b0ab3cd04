//! One simulated cluster: a virtual clock, a network, a disk, a coordinator, worker processes and a client.
//!
//! The coordinator is the real core over the real journal; the workers' decisions are the real clerk's. What is pretended
//! is what they stand on: time, disk, wires, trials. Everything follows from the seed.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::journal::{Batch, Journal, LogJournal};
use coordinator::machine::{Machine, Terms};
use coordinator::shell::{Core, Request, SessionNo, Settings};
use coordinator::sink::{PutError, SinkError};
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
use super::ledger::Ledger;
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
    /// Wall-clock minus virtual time.
    offset_ms: i64,
    outboxes: BTreeMap<ConnectionNo, mpsc::Receiver<ToWorker>>,
    sessions: BTreeMap<ConnectionNo, (WorkerId, SessionNo)>,
    attaching: BTreeMap<ConnectionNo, (WorkerId, oneshot::Receiver<Result<SessionNo, ApiError>>)>,
    early: BTreeMap<ConnectionNo, Vec<FromWorker>>,
    submissions: Vec<(Sweep, oneshot::Receiver<Result<Submitted, ApiError>>)>,
    /// Sweeps whose segment the sink is writing.
    writing: BTreeSet<SweepName>,
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
    blobs: BTreeSet<Digest>,
    results_full_until: i64,
    journal_full_until: i64,
    disk_is_full: bool,
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
            blobs: BTreeSet::new(),
            results_full_until: 0,
            journal_full_until: 0,
            disk_is_full: false,
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
        if !node.inbox.is_empty() || !node.core.batch.is_empty() {
            return false;
        }
        let mut lineages = node.core.machine.lineages().peekable();
        lineages.peek().is_some() && lineages.all(|(_, l)| l.is_settled() && l.is_sealed())
    }

    fn summary(&mut self, events: u64) -> Result<Summary, String> {
        self.ledger.settled(&self.cancelled, self.faults.attempts)?;
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

    fn sweep(&self, name: &str) -> Sweep {
        let text = format!(
            "name = \"{name}\"\n[axes]\nseed = {{ start = 0, count = {} }}\n[model]\nkind = \"mlp\"\nwidth = 4\ndepth = 1\n\
             [data]\nkind = \"sphere\"\nsamples = 8\ndim = 4\n[train]\nsteps = 10\nstep_size = 0.1\n[run]\nattempts = {}\n",
            self.seeds, self.faults.attempts,
        );
        let draft = sweep_file::parse(&text, "sim.toml").expect("the sweep is valid");
        draft.resolve(&BTreeMap::new()).expect("it needs no files")
    }

    // ---- what happens ----

    fn happen(&mut self, happening: Happening) -> Checked {
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
            Happening::Turn(_) | Happening::Tick(_) | Happening::Written(..) => {}
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

    // ---- the coordinator ----

    fn start_coordinator(&mut self) -> Checked {
        if self.node.is_some() {
            return Ok(());
        }
        self.disk.switch_on();
        self.coordinators += 1;
        let fresh = JournalId([9; 16]);
        let opened = LogJournal::open_on(self.disk.files(), Path::new("journal"), fresh);
        let (journal, replay) = match opened {
            Ok(opened) => opened,
            // A full disk may have no room for the opening either.
            Err(error) if error.is_full() => {
                self.disk.kill();
                self.after(1_000, Happening::StartCoordinator);
                return Ok(());
            }
            Err(error) => return Err(format!("the journal does not open: {error:?}")),
        };
        let machine = Machine::replay(replay.snapshot, &replay.events)
            .map_err(|(event, problem)| format!("event {event} does not follow: {problem}"))?;
        self.ledger.reopened(&machine)?;
        let settings = Settings {
            lease: Duration::from_millis(LEASE_MS as u64),
            journal: journal.id(),
            epoch: journal.epoch(),
            results: String::new(),
        };
        let jump = self.faults.clock_jump_max;
        let jump = if jump > 0 { self.rng.random_range(-jump..=jump) } else { 0 };
        let wall = Timestamp::from_millis(EPOCH_MS + self.now + jump);
        let start = wall.max(machine.latest());
        let core = Core::new(machine, settings, start);
        let needed = core.needed_blobs();
        self.blobs.retain(|digest| needed.contains(digest));
        let offset_ms = start.as_micros() / 1_000 - self.now;
        let number = self.coordinators;
        self.node = Some(Node {
            number,
            core,
            journal,
            inbox: Vec::new(),
            ticked: false,
            turn_planned: false,
            offset_ms,
            outboxes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            attaching: BTreeMap::new(),
            early: BTreeMap::new(),
            submissions: Vec::new(),
            writing: BTreeSet::new(),
        });
        self.after(0, Happening::Tick(number));
        self.submit(NAMES[0]);
        Ok(())
    }

    /// The coordinator is gone; `with_power`: and so is what its disk had not synced.
    fn end_coordinator(&mut self, with_power: bool) {
        let Some(node) = self.node.take() else { return };
        if with_power {
            self.disk.lose_power(&mut self.rng);
        } else {
            self.disk.kill();
        }
        let connections: Vec<_> = node.outboxes.keys().copied().collect();
        drop(node);
        for connection in connections {
            self.within(2_000, Happening::Lost(connection));
        }
        self.within(5_000, Happening::StartCoordinator);
    }

    fn plan_turn(&mut self) {
        let wait = self.rng.random_range(0..3);
        let Some(node) = &mut self.node else { return };
        if !std::mem::replace(&mut node.turn_planned, true) {
            let number = node.number;
            self.after(wait, Happening::Turn(number));
        }
    }

    fn ask(&mut self, request: Request) {
        if let Some(node) = &mut self.node {
            node.inbox.push(request);
            self.plan_turn();
        }
    }

    /// One turn of the loop of `coordinator::shell`, which may be the last at any point.
    fn turn(&mut self) -> Checked {
        let dies = self.goes_wrong(self.faults.dies_in_turn);
        let point = self.rng.random_range(0..4);
        let operations = self.rng.random_range(0..30);
        let with_power = self.rng.random_bool(0.5);
        let Some(node) = &mut self.node else { return Ok(()) };
        node.turn_planned = false;
        let now = Timestamp::from_millis(self.now + node.offset_ms);
        let ticked = std::mem::take(&mut node.ticked);
        node.core.turn(std::mem::take(&mut node.inbox).into_iter(), ticked, now);
        let batch = std::mem::take(&mut node.core.batch);
        if dies && point == 0 {
            self.end_coordinator(with_power);
            return Ok(());
        }
        if !batch.is_empty() {
            if dies && point == 1 {
                self.disk.cut_power_after(operations);
            }
            self.ledger.in_flight = batch.events.clone();
            if !self.append(&batch, with_power)? {
                return Ok(());
            }
            let events = std::mem::take(&mut self.ledger.in_flight);
            self.ledger.durable(events)?;
            if !self.begin_anew(with_power) {
                return Ok(());
            }
        }
        if let Some(node) = &self.node
            && node.core.machine != self.ledger.machine
        {
            return Err("the core's machine is another than its events make".to_owned());
        }
        if dies && point == 2 {
            self.end_coordinator(with_power);
            return Ok(());
        }
        self.pay(dies && point == 3)?;
        if dies {
            self.end_coordinator(with_power);
        }
        Ok(())
    }

    /// Stores a batch, in spite of a disk that is full for a while; `false`: the coordinator died of it.
    fn append(&mut self, batch: &Batch, with_power: bool) -> Result<bool, String> {
        for _ in 0..2 {
            let Some(node) = &mut self.node else { return Ok(false) };
            match node.journal.append_now(batch) {
                Ok(()) => return Ok(true),
                Err(error) if error.is_full() => {
                    if !self.disk_is_full {
                        return Err("a disk that is not full is said to be".to_owned());
                    }
                    // The loop waits until there is room, or is killed while it waits.
                    if self.goes_wrong(0.3) {
                        break;
                    }
                    self.disk_is_full = false;
                    self.disk.free();
                }
                Err(_) => break,
            }
        }
        self.end_coordinator(with_power);
        Ok(false)
    }

    /// Now and then the journal begins anew, far more often than it needs to; `false`: the coordinator died of it.
    fn begin_anew(&mut self, with_power: bool) -> bool {
        if !self.rng.random_bool(0.05) {
            return true;
        }
        if self.goes_wrong(self.faults.dies_in_turn * 10.0) {
            let operations = self.rng.random_range(0..12);
            self.disk.cut_power_after(operations);
        }
        let Some(node) = &mut self.node else { return false };
        match node.journal.begin_anew_now(&node.core.machine.snapshot()) {
            Ok(()) => true,
            Err(error) if error.is_full() => true,
            Err(_) => {
                self.end_coordinator(with_power);
                false
            }
        }
    }

    /// Everything that waited for the sync; `cut`: only the beginning of it.
    fn pay(&mut self, cut: bool) -> Checked {
        let Some(node) = &mut self.node else { return Ok(()) };
        let mut owed = std::mem::take(&mut node.core.owed);
        if cut {
            let left = self.rng.random_range(0..=owed.to_workers.len());
            owed.to_workers.truncate(left);
            owed.replies.clear();
            owed.dead_blobs.clear();
            owed.segments.clear();
        }
        for (worker, message) in owed.to_workers {
            self.ledger.promise(worker, &message)?;
            node.core.roster.send(worker, message);
        }
        for reply in owed.replies {
            reply();
        }
        for digest in owed.dead_blobs {
            self.blobs.remove(&digest);
        }
        let number = node.number;
        for sweep in &owed.segments {
            if !node.writing.insert(sweep.clone()) {
                return Err(format!("a segment of {sweep} is written twice at once"));
            }
        }
        self.take_replies()?;
        self.empty_outboxes();
        for sweep in owed.segments {
            self.within(500, Happening::Written(number, sweep));
        }
        Ok(())
    }

    fn take_replies(&mut self) -> Checked {
        let Some(node) = &mut self.node else { return Ok(()) };
        let mut talked = false;
        for (connection, (worker, mut reply)) in std::mem::take(&mut node.attaching) {
            match reply.try_recv() {
                Ok(Ok(session)) => {
                    node.sessions.insert(connection, (worker, session));
                    for message in node.early.remove(&connection).unwrap_or_default() {
                        node.inbox.push(Request::FromWorker { worker, session, message });
                        talked = true;
                    }
                }
                Ok(Err(error)) => return Err(format!("a hello is refused: {error:?}")),
                Err(_) => {
                    node.attaching.insert(connection, (worker, reply));
                }
            }
        }
        for (sweep, mut reply) in std::mem::take(&mut node.submissions) {
            match reply.try_recv() {
                Ok(Ok(_)) => {
                    let durable = self.ledger.machine.lineage(sweep.name());
                    if durable.is_none_or(|l| l.revisions().iter().all(|r| r.id != sweep.id())) {
                        return Err("a sweep is acknowledged that is not durable".to_owned());
                    }
                }
                Ok(Err(error)) => return Err(format!("the sweep is refused: {error:?}")),
                Err(_) => node.submissions.push((sweep, reply)),
            }
        }
        if talked {
            self.plan_turn();
        }
        Ok(())
    }

    fn empty_outboxes(&mut self) {
        let Some(node) = &mut self.node else { return };
        let mut leaving = Vec::new();
        let mut closed = Vec::new();
        for (connection, outbox) in &mut node.outboxes {
            loop {
                match outbox.try_recv() {
                    Ok(message) => leaving.push((*connection, message)),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => {
                        closed.push(*connection);
                        break;
                    }
                }
            }
        }
        for connection in &closed {
            node.outboxes.remove(connection);
        }
        for connection in closed {
            self.within(100, Happening::Lost(connection));
        }
        for (connection, message) in leaving {
            self.send_down(connection, message);
        }
    }

    fn reaches_coordinator(&mut self, connection: ConnectionNo, message: FromWorker) {
        let Some(wire) = self.wires.get(&connection).copied() else { return };
        let Some(node) = &mut self.node else {
            self.within(1_000, Happening::Lost(connection));
            return;
        };
        if let FromWorker::Checkpoint(_, checkpoint) = &message
            && !self.blobs.contains(&checkpoint.digest)
        {
            // As the API does.
            return;
        }
        if let FromWorker::Hello(hello) = message {
            let (outbox, receiver) = mpsc::channel(SESSION_QUEUE);
            let (reply, answer) = oneshot::channel();
            node.outboxes.insert(connection, receiver);
            node.attaching.insert(connection, (wire.worker, answer));
            self.ask(Request::Attach { hello, outbox, reply });
        } else if let Some(&(worker, session)) = node.sessions.get(&connection) {
            self.ask(Request::FromWorker { worker, session, message });
        } else if node.attaching.contains_key(&connection) {
            node.early.entry(connection).or_default().push(message);
        } else {
            // A connection to a coordinator that is no more.
            self.within(1_000, Happening::Lost(connection));
        }
    }

    fn detached(&mut self, connection: ConnectionNo) {
        let Some(node) = &mut self.node else { return };
        node.outboxes.remove(&connection);
        node.attaching.remove(&connection);
        node.early.remove(&connection);
        if let Some((worker, session)) = node.sessions.remove(&connection) {
            self.ask(Request::Detach { worker, session });
        }
    }

    /// The sink has written, or has failed to write, what is planned.
    fn written(&mut self, sweep: &SweepName) -> Checked {
        let is_full = self.now < self.results_full_until;
        let Some(node) = &mut self.node else { return Ok(()) };
        node.writing.remove(sweep);
        let Some(lineage) = node.core.machine.lineage(sweep) else { return Ok(()) };
        let Some(plan) = lineage.planned() else { return Ok(()) };
        let segment = plan.segment.clone();
        if is_full {
            let source = io::ErrorKind::StorageFull.into();
            let error = SinkError::Put(PutError { path: PathBuf::from(&segment), source });
            self.ask(Request::Sealed { sweep: sweep.clone(), segment, result: Err(error) });
            return Ok(());
        }
        let mut jobs = Vec::new();
        for &number in &plan.jobs {
            let id = lineage.job(number).id;
            let read = |table| {
                let rows = node.journal.rows(sweep, id, table);
                rows.map_err(|error| format!("rows of {id}: {error:?}"))
            };
            let bytes = |table| -> Result<Vec<u8>, String> {
                Ok(read(table)?.into_iter().flat_map(|rows| rows.cells).collect())
            };
            let has_row = read(Table::Jobs)?.len() == 1;
            jobs.push((id, [bytes(Table::Steps)?, bytes(Table::Confusion)?], has_row));
        }
        let failures = plan.failures.len() as u64;
        self.ledger.visible(sweep, &segment, &jobs, failures)?;
        // The files are there, and the coordinator may die before it knows.
        if self.goes_wrong(self.faults.dies_in_turn) {
            self.end_coordinator(false);
            return Ok(());
        }
        self.ask(Request::Sealed { sweep: sweep.clone(), segment, result: Ok(()) });
        Ok(())
    }

    // ---- the client ----

    fn submit(&mut self, name: &str) {
        let sweep = self.sweep(name);
        let terms = Terms { revise: false, strict: false, engine_revision: ENGINE.to_owned() };
        let (reply, answer) = oneshot::channel();
        if let Some(node) = &mut self.node {
            node.submissions.push((sweep.clone(), answer));
        }
        self.ask(Request::Submit {
            jobs: sweep.job_ids().into(),
            sweep: Box::new(sweep),
            file_name: "sim.toml".to_owned(),
            file_text: String::new(),
            terms,
            reply,
        });
    }

    // ---- the network ----

    fn delay(&mut self) -> i64 {
        let most = if self.has_faults() { self.faults.delay_max } else { 1 };
        self.rng.random_range(0..=most)
    }

    fn send_up(&mut self, connection: ConnectionNo, message: FromWorker) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        let cut = self.cuts[wire.host].up_until;
        wire.up_at = wire.up_at.max(self.now + delay).max(cut);
        let at = wire.up_at;
        self.at(at, Happening::ToCoordinator(connection, message));
    }

    fn send_down(&mut self, connection: ConnectionNo, message: ToWorker) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        let cut = self.cuts[wire.host].down_until;
        wire.down_at = wire.down_at.max(self.now + delay).max(cut);
        let at = wire.down_at;
        self.at(at, Happening::ToHand(connection, message));
    }

    // ---- the workers ----

    fn hand(&mut self, host: usize, worker: WorkerId) -> Option<&mut Hand> {
        self.hands[host].as_mut().filter(|hand| hand.id == worker)
    }

    fn start_hand(&mut self, host: usize) {
        if self.hands[host].is_some() {
            return;
        }
        self.workers += 1;
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let id = WorkerId(id);
        let slots = self.rng.random_range(1..=3);
        self.hands[host] = Some(Hand::new(id, slots));
        self.after(0, Happening::Connect(host, id));
        self.after(HEARTBEAT_MS, Happening::Heartbeat(host, id));
    }

    /// The process is gone, and its trials with it.
    fn end_hand(&mut self, host: usize) {
        let Some(hand) = self.hands[host].take() else { return };
        if let Some(connection) = hand.connection {
            self.close(connection);
        }
        self.within(3_000, Happening::StartHand(host));
    }

    /// A connection ends at the worker's side; the coordinator hears of it now or later.
    fn close(&mut self, connection: ConnectionNo) {
        if self.wires.remove(&connection).is_some() {
            let late = if self.has_faults() && self.rng.random_bool(0.3) { 6_000 } else { 50 };
            self.within(late, Happening::Detached(connection));
        }
    }

    fn connect(&mut self, host: usize, worker: WorkerId) {
        let connection = self.connections + 1;
        let now = self.now;
        let Some(hand) = self.hand(host, worker).filter(|hand| hand.connection.is_none()) else {
            return;
        };
        hand.connection = Some(connection);
        hand.welcome = false;
        hand.heard_at = now;
        let hello = hand.hello(host);
        self.connections = connection;
        self.wires.insert(connection, Wire { host, worker, up_at: now, down_at: now });
        self.send_up(connection, FromWorker::Hello(hello));
    }

    fn lost(&mut self, connection: ConnectionNo) {
        let Some(Wire { host, worker, .. }) = self.wires.get(&connection).copied() else { return };
        self.close(connection);
        if let Some(hand) = self.hand(host, worker).filter(|h| h.connection == Some(connection)) {
            hand.connection = None;
            hand.welcome = false;
            hand.clerk.lost();
            self.within(1_000, Happening::Connect(host, worker));
        }
    }

    fn heartbeat(&mut self, host: usize, worker: WorkerId) {
        let now = self.now;
        let Some(hand) = self.hand(host, worker) else { return };
        if now < hand.frozen_until {
            let at = hand.frozen_until;
            self.at(at, Happening::Heartbeat(host, worker));
            return;
        }
        match hand.connection {
            Some(connection) if now - hand.heard_at > LEASE_MS / 2 => self.lost(connection),
            _ => hand.clerk.heartbeat(),
        }
        self.speak(host, worker);
        self.after(HEARTBEAT_MS, Happening::Heartbeat(host, worker));
    }

    /// Sends what the clerk has to say, and leaves when there is no more to do.
    fn speak(&mut self, host: usize, worker: WorkerId) {
        let mut messages = Vec::new();
        let Some(hand) = self.hand(host, worker) else { return };
        let Some(connection) = hand.connection.filter(|_| hand.welcome) else { return };
        while let Some(message) = hand.clerk.next_message() {
            messages.push(message);
        }
        let is_done = hand.is_leaving && hand.clerk.is_idle() && hand.clerk.is_empty();
        if is_done {
            messages.push(FromWorker::Goodbye);
        }
        for message in messages {
            self.send_up(connection, message);
        }
        if is_done {
            self.end_hand(host);
        }
    }

    fn reaches_hand(&mut self, connection: ConnectionNo, message: ToWorker) -> Checked {
        let Some(Wire { host, worker, .. }) = self.wires.get(&connection).copied() else {
            return Ok(());
        };
        let now = self.now;
        let Some(hand) = self.hand(host, worker).filter(|h| h.connection == Some(connection))
        else {
            return Ok(());
        };
        if now < hand.frozen_until {
            let at = hand.frozen_until;
            self.at(at, Happening::ToHand(connection, message));
            return Ok(());
        }
        hand.heard_at = now;
        match &message {
            ToWorker::Welcome { .. } => {
                hand.welcome = true;
                hand.clerk.opened();
            }
            ToWorker::Outcome { attempt, refusal: None } if hand.results.contains(attempt) => {
                self.ledger.accepted(attempt)?;
            }
            _ => {}
        }
        let Some(hand) = self.hand(host, worker) else { return Ok(()) };
        let (news, orders) = hand.clerk.hear(message);
        let mut started = hand.carry_out(orders);
        if let News::Drain { .. } = news {
            hand.is_leaving = true;
            let orders = hand.clerk.leave();
            started.extend(hand.carry_out(orders));
        }
        self.started(host, worker, started)?;
        self.speak(host, worker);
        Ok(())
    }

    fn started(
        &mut self,
        host: usize,
        worker: WorkerId,
        started: Vec<(usize, proto::message::Grant)>,
    ) -> Checked {
        for (slot, grant) in started {
            let Attempt { sweep, job, number } = &grant.attempt;
            let job = self.ledger.machine.job(sweep, *job);
            // A grant that comes so late that it is void may lack it.
            let is_live = job.is_some_and(|job| job.is_held_by(worker, *number));
            if let Some(checkpoint) = grant.resume.as_ref().filter(|_| is_live)
                && !self.blobs.contains(&checkpoint.digest)
            {
                let (job, step) = (grant.attempt.job, checkpoint.step);
                return Err(format!(
                    "{job} is to go on from step {step}, whose checkpoint is gone"
                ));
            }
            self.within(200, Happening::Trial(host, worker, slot, grant.attempt));
        }
        Ok(())
    }

    fn trial(&mut self, host: usize, worker: WorkerId, slot: usize, attempt: Attempt) {
        let now = self.now;
        let fails = self.goes_wrong(self.faults.trial_fails);
        let (flush, checkpoints) = (self.rng.random_bool(0.6), self.rng.random_bool(0.8));
        let is_poison = self.poison.contains(&attempt.job);
        let store_reached = self.node.is_some() && self.now >= self.cuts[host].up_until;
        let Some(hand) = self.hand(host, worker) else { return };
        if now < hand.frozen_until {
            let at = hand.frozen_until;
            self.at(at, Happening::Trial(host, worker, slot, attempt));
            return;
        }
        let connected = hand.welcome;
        let Some(trial) = hand.slots[slot].as_mut().filter(|t| t.attempt == attempt) else {
            return;
        };
        let ended = if trial.dropped {
            Some(None)
        } else if is_poison && trial.step() >= 1 {
            self.end_hand(host);
            return;
        } else if fails {
            // What it was to go on from cannot be read.
            let is_damaged = trial.has_just_resumed();
            let class = if is_damaged { FailureClass::Input } else { FailureClass::Exit };
            let report = FailureReport::new(class, "on purpose");
            Some(Some(Outcome::Failure(report)))
        } else {
            match trial.go_on(flush, checkpoints) {
                Some(Deed::End(outcome)) => Some(Some(outcome)),
                Some(Deed::Rows(batch)) => {
                    hand.clerk.rows(batch);
                    None
                }
                Some(Deed::Checkpoint(checkpoint)) if connected && store_reached => {
                    hand.clerk.checkpoint(&attempt, checkpoint.clone());
                    self.blobs.insert(checkpoint.digest);
                    None
                }
                Some(Deed::Checkpoint(_)) | None => None,
            }
        };
        // Short enough that grants are asked for ahead, or long, as chance has it.
        let took = [1, 50, 1_000][self.rng.random_range(0..3)];
        let Some(hand) = self.hand(host, worker) else { return };
        match ended {
            Some(outcome) => {
                hand.slots[slot] = None;
                if let Some(Outcome::Result { .. }) = &outcome {
                    hand.results.insert(attempt.clone());
                }
                let took = Duration::from_millis(took);
                let orders = hand.clerk.ended(slot, &attempt, outcome, took);
                for (slot, grant) in hand.carry_out(orders) {
                    self.within(200, Happening::Trial(host, worker, slot, grant.attempt));
                }
            }
            None => self.within(200, Happening::Trial(host, worker, slot, attempt)),
        }
        self.speak(host, worker);
    }

    // ---- faults ----

    fn strike(&mut self) {
        if !self.has_faults() {
            self.heal();
            return;
        }
        let faults = self.faults.clone();
        if self.strikes(faults.coordinator_killed) {
            self.end_coordinator(false);
        }
        if self.strikes(faults.power_cut) {
            self.end_coordinator(true);
        }
        if self.strikes(faults.sync_fails) {
            self.disk.fail_next_sync();
        }
        if self.strikes(faults.results_full) {
            self.results_full_until = self.now + self.rng.random_range(0..8_000);
        }
        if self.strikes(faults.journal_full) {
            self.journal_full_until = self.now + self.rng.random_range(0..8_000);
            self.disk_is_full = true;
            self.disk.fill();
        }
        if self.now >= self.journal_full_until {
            self.disk_is_full = false;
            self.disk.free();
        }
        for host in 0..HOSTS {
            self.strike_host(host, &faults);
        }
        if self.strikes(faults.resubmitted) {
            if self.rng.random_bool(0.3) {
                self.seeds += 1;
            }
            let name = NAMES[self.rng.random_range(0..NAMES.len())];
            self.submit(name);
        }
        if self.strikes(faults.cancelled) {
            let index = self.rng.random_range(0..self.seeds) as usize;
            let name = NAMES[self.rng.random_range(0..NAMES.len())];
            let sweep = self.sweep(name);
            if let Some((_, job)) = sweep.jobs().nth(index) {
                self.cancelled.insert(job);
                let (reply, _) = oneshot::channel();
                let sweep = sweep.name().clone();
                self.ask(Request::Cancel { sweep, job: Some(job), reply });
            }
        }
        self.after(FAULT_MS, Happening::Faults);
    }

    fn strike_host(&mut self, host: usize, faults: &Faults) {
        if self.strikes(faults.worker_killed) {
            self.end_hand(host);
        }
        if self.strikes(faults.worker_frozen) {
            let until = self.now + self.rng.random_range(0..3 * LEASE_MS);
            if let Some(hand) = &mut self.hands[host] {
                hand.frozen_until = until;
            }
        }
        if self.strikes(faults.partition) {
            let until = self.now + self.rng.random_range(0..3 * LEASE_MS);
            match self.rng.random_range(0..3) {
                0 => self.cuts[host].up_until = until,
                1 => self.cuts[host].down_until = until,
                _ => self.cuts[host] = Cut { up_until: until, down_until: until },
            }
        }
        let hand = self.hands[host].as_ref().map(|hand| (hand.id, hand.connection));
        let Some((worker, connection)) = hand else { return };
        if self.strikes(faults.connection_cut)
            && let Some(connection) = connection
        {
            self.lost(connection);
        }
        if self.strikes(faults.drained) {
            let (reply, _) = oneshot::channel();
            self.ask(Request::Drain { worker: Some(worker), reply });
        }
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) {
        self.disk_is_full = false;
        self.disk.free();
        self.results_full_until = 0;
        self.journal_full_until = 0;
        self.cuts.fill(Cut::default());
        for hand in self.hands.iter_mut().flatten() {
            hand.frozen_until = hand.frozen_until.min(self.now);
        }
    }
}
