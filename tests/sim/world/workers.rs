//! The workers of the world and the wires to them.

use super::*;

impl World {
    pub(super) fn delay(&mut self) -> i64 {
        let most = if self.has_faults() { self.faults.delay_max } else { 1 };
        self.rng.random_range(0..=most)
    }

    pub(super) fn send_up(&mut self, connection: ConnectionNo, message: FromWorker) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        let cut = self.cuts[wire.host].up_until;
        wire.up_at = wire.up_at.max(self.now + delay).max(cut);
        let at = wire.up_at;
        self.at(at, Happening::ToCoordinator(connection, message));
    }

    pub(super) fn send_down(&mut self, connection: ConnectionNo, message: ToWorker) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        let cut = self.cuts[wire.host].down_until;
        wire.down_at = wire.down_at.max(self.now + delay).max(cut);
        let at = wire.down_at;
        self.at(at, Happening::ToHand(connection, message));
    }

    // ---- the workers ----

    pub(super) fn hand(&mut self, host: usize, worker: WorkerId) -> Option<&mut Hand> {
        self.hands[host].as_mut().filter(|hand| hand.id == worker)
    }

    pub(super) fn start_hand(&mut self, host: usize) {
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
    pub(super) fn end_hand(&mut self, host: usize) {
        let Some(hand) = self.hands[host].take() else { return };
        if let Some(connection) = hand.connection {
            self.close(connection);
        }
        self.within(3_000, Happening::StartHand(host));
    }

    /// A connection ends at the worker's side; the coordinator hears of it now or later.
    pub(super) fn close(&mut self, connection: ConnectionNo) {
        if self.wires.remove(&connection).is_some() {
            let late = if self.has_faults() && self.rng.random_bool(0.3) { 6_000 } else { 50 };
            self.within(late, Happening::Detached(connection));
        }
    }

    pub(super) fn connect(&mut self, host: usize, worker: WorkerId) {
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

    pub(super) fn lost(&mut self, connection: ConnectionNo) {
        let Some(Wire { host, worker, .. }) = self.wires.get(&connection).copied() else { return };
        self.close(connection);
        if let Some(hand) = self.hand(host, worker).filter(|h| h.connection == Some(connection)) {
            hand.connection = None;
            hand.welcome = false;
            hand.clerk.lost();
            self.within(1_000, Happening::Connect(host, worker));
        }
    }

    pub(super) fn heartbeat(&mut self, host: usize, worker: WorkerId) {
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
    pub(super) fn speak(&mut self, host: usize, worker: WorkerId) {
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

    pub(super) fn reaches_hand(&mut self, connection: ConnectionNo, message: ToWorker) -> Checked {
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

    pub(super) fn started(
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
                && !self.blobs().contains(&checkpoint.digest)
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

    pub(super) fn trial(&mut self, host: usize, worker: WorkerId, slot: usize, attempt: Attempt) {
        let now = self.now;
        let fails = self.goes_wrong(self.faults.trial_fails);
        let (flush, checkpoints) = (self.rng.random_bool(0.6), self.rng.random_bool(0.8));
        let is_poison = self.poison.contains(&attempt.job);
        let answers = self.node.as_ref().is_some_and(|node| self.now >= node.hears_at);
        let store_reached = answers && self.now >= self.cuts[host].up_until;
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
                    self.blobs().insert(checkpoint.digest);
                    self.unspoken.insert(checkpoint.digest);
                    None
                }
                Some(Deed::Weights(kept)) if connected && store_reached => {
                    trial.stored(kept);
                    hand.clerk.weights(&attempt, kept);
                    self.blobs().insert(kept.digest);
                    self.unspoken.insert(kept.digest);
                    None
                }
                // Without them it can give no checkpoint either.
                Some(Deed::Weights(_)) => trial.hand_back.then_some(Some(Outcome::Released)),
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
                if let Some(outcome) = outcome {
                    hand.clerk.finish(&attempt, outcome);
                }
                let orders = hand.clerk.vacate(slot, Duration::from_millis(took));
                for (slot, grant) in hand.carry_out(orders) {
                    self.within(200, Happening::Trial(host, worker, slot, grant.attempt));
                }
            }
            None => self.within(200, Happening::Trial(host, worker, slot, attempt)),
        }
        self.speak(host, worker);
    }
}
