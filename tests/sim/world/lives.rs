//! The coordinator of the world: its turns, its deaths, and the client that hands sweeps in.

use super::*;

impl World {
    pub(super) fn start_coordinator(&mut self) -> Checked {
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
            has_blob: {
                let blobs = Arc::clone(&self.blobs);
                let lock = move || blobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Box::new(move |digest| lock().contains(&digest))
            },
        };
        let jump = self.faults.clock_jump_max;
        let jump = if jump > 0 { self.rng.random_range(-jump..=jump) } else { 0 };
        let wall = Timestamp::from_millis(EPOCH_MS + self.now + jump);
        let start = wall.max(machine.latest());
        let core = Core::new(machine, settings, start);
        // At once, where a real one waits for who speaks of them: so more is lost on the way.
        self.blobs().retain(|digest| core.is_needed(*digest));
        self.unspoken.clear();
        let offset_ms = start.as_micros() / 1_000 - self.now;
        let number = self.coordinators;
        self.node = Some(Node {
            number,
            core,
            journal,
            inbox: Vec::new(),
            ticked: false,
            turn_planned: false,
            syncing: None,
            offset_ms,
            outboxes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            attaching: BTreeMap::new(),
            early: BTreeMap::new(),
            submissions: Vec::new(),
            writing: BTreeSet::new(),
            frozen_until: 0,
            unread: Vec::new(),
            hears_at: 0,
        });
        self.after(0, Happening::Tick(number));
        self.submit(NAMES[0]);
        Ok(())
    }

    /// The coordinator is gone; `with_power`: and so is what its disk had not synced.
    pub(super) fn end_coordinator(&mut self, with_power: bool) {
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

    /// Nothing happens in the coordinator for `ms`.
    pub(super) fn freeze(&mut self, ms: i64) {
        let wakes = self.rng.random_range(0..100);
        let Some(node) = &mut self.node else { return };
        node.frozen_until = node.frozen_until.max(self.now + ms);
        node.hears_at = node.frozen_until + wakes;
        let (at, number) = (node.hears_at, node.number);
        self.at(at, Happening::Hears(number));
    }

    /// What happens now; nothing where it happens to a coordinator that is frozen: then it happens to it later.
    pub(super) fn unless_frozen(&mut self, happening: Happening) -> Option<Happening> {
        let now = self.now;
        let Some(node) = &mut self.node else { return Some(happening) };
        let of = match happening {
            Happening::ToCoordinator(..) | Happening::Detached(_)
                if now < node.hears_at || !node.unread.is_empty() =>
            {
                node.unread.push(happening);
                return None;
            }
            Happening::Turn(of)
            | Happening::Tick(of)
            | Happening::Synced(of)
            | Happening::Written(of, _) => of,
            _ => return Some(happening),
        };
        let until = node.frozen_until;
        if of != node.number || now >= until {
            return Some(happening);
        }
        self.at(until, happening);
        None
    }

    pub(super) fn hears(&mut self) -> Checked {
        let now = self.now;
        let Some(node) = &mut self.node else { return Ok(()) };
        // Frozen again, before it had come to that.
        if now < node.hears_at {
            return Ok(());
        }
        std::mem::take(&mut node.unread).into_iter().try_for_each(|unread| self.happen(unread))
    }

    pub(super) fn plan_turn(&mut self) {
        let wait = self.rng.random_range(0..3);
        let Some(node) = &mut self.node else { return };
        if !std::mem::replace(&mut node.turn_planned, true) {
            let number = node.number;
            self.after(wait, Happening::Turn(number));
        }
    }

    pub(super) fn ask(&mut self, request: Request) {
        if let Some(node) = &mut self.node {
            node.inbox.push(request);
            self.plan_turn();
        }
    }

    /// One turn of the loop of `coordinator::shell`, which may be the last at any point.
    pub(super) fn turn(&mut self) -> Checked {
        if let Some(node) = self.node.as_ref().filter(|node| node.syncing.is_some()) {
            // Both were put off by a freeze, in whichever order. The loop begins no turn before its disk has taken the last one.
            let number = node.number;
            self.after(1, Happening::Turn(number));
            return Ok(());
        }
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
        }
        let (number, is_empty) = (node.number, batch.is_empty());
        node.syncing = Some(Syncing { batch, dies_at: dies.then_some(point), with_power });
        let slow_ms = if is_empty { 0 } else { std::mem::take(&mut self.slow_sync_ms) };
        if slow_ms == 0 {
            return self.synced();
        }
        // The loop waits for it. Others read the sockets meanwhile, and what they read waits for the loop.
        node.frozen_until = node.frozen_until.max(self.now + slow_ms);
        self.after(slow_ms, Happening::Synced(number));
        Ok(())
    }

    /// The rest of a turn, once its disk has taken it.
    pub(super) fn synced(&mut self) -> Checked {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(Syncing { batch, dies_at, with_power }) = node.syncing.take() else {
            return Err("nothing waits for the disk".to_owned());
        };
        if !batch.is_empty() {
            if !self.append(&batch, with_power)? {
                return Ok(());
            }
            let events = std::mem::take(&mut self.ledger.in_flight);
            for event in &events {
                match event {
                    Event::Job { change: Change::Checkpointed { checkpoint, .. }, .. } => {
                        self.unspoken.remove(&checkpoint.digest);
                    }
                    Event::Job { change: Change::Weights { kept, .. }, .. } => {
                        self.unspoken.remove(&kept.digest);
                    }
                    _ => {}
                }
            }
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
        if dies_at == Some(2) {
            self.end_coordinator(with_power);
            return Ok(());
        }
        self.pay(dies_at == Some(3))?;
        if dies_at.is_some() {
            self.end_coordinator(with_power);
        }
        Ok(())
    }

    /// Stores a batch, in spite of a disk that is full for a while; `false`: the coordinator died of it.
    pub(super) fn append(&mut self, batch: &Batch, with_power: bool) -> Result<bool, String> {
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
    pub(super) fn begin_anew(&mut self, with_power: bool) -> bool {
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
    pub(super) fn pay(&mut self, cut: bool) -> Checked {
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
        let dead = owed.dead_blobs;
        let number = node.number;
        for sweep in &owed.segments {
            if !node.writing.insert(sweep.clone()) {
                return Err(format!("a segment of {sweep} is written twice at once"));
            }
        }
        self.take_replies()?;
        self.empty_outboxes();
        for digest in dead {
            self.blobs().remove(&digest);
            self.unspoken.remove(&digest);
        }
        for sweep in owed.segments {
            self.within(500, Happening::Written(number, sweep));
        }
        Ok(())
    }

    pub(super) fn take_replies(&mut self) -> Checked {
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

    pub(super) fn empty_outboxes(&mut self) {
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

    pub(super) fn reaches_coordinator(&mut self, connection: ConnectionNo, message: FromWorker) {
        let Some(wire) = self.wires.get(&connection).copied() else { return };
        let Some(node) = &mut self.node else {
            self.within(1_000, Happening::Lost(connection));
            return;
        };
        if let FromWorker::Checkpoint(_, checkpoint) = &message
            && !self
                .blobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&checkpoint.digest)
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

    pub(super) fn detached(&mut self, connection: ConnectionNo) {
        let Some(node) = &mut self.node else { return };
        node.outboxes.remove(&connection);
        node.attaching.remove(&connection);
        node.early.remove(&connection);
        if let Some((worker, session)) = node.sessions.remove(&connection) {
            self.ask(Request::Detach { worker, session });
        }
    }

    /// The sink has written, or has failed to write, what is planned.
    pub(super) fn written(&mut self, sweep: &SweepName) -> Checked {
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
            let kept = lineage.job(number).kept.clone();
            let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(lost) = kept.iter().find(|kept| !blobs.contains(&kept.digest)) {
                return Err(format!("weights of {id} at {} are gone before their file", lost.step));
            }
            let rows = [bytes(Table::Steps)?, bytes(Table::Confusion)?];
            jobs.push(Written { id, rows, has_row, kept });
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

    pub(super) fn submit(&mut self, name: &str) {
        self.submissions += 1;
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
}
