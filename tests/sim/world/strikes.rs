//! What goes wrong in the world, and how it is mended.

use super::*;

impl World {
    pub(super) fn strike(&mut self) {
        if !self.has_faults() {
            self.heal();
            return;
        }
        let faults = self.faults.clone();
        if self.strikes(faults.coordinator_killed) {
            self.end_coordinator(false);
        }
        if self.strikes(faults.coordinator_frozen) {
            let ms = self.rng.random_range(0..3 * LEASE_MS);
            self.freeze(ms);
        }
        if self.strikes(faults.power_cut) {
            self.end_coordinator(true);
        }
        if self.strikes(faults.sync_fails) {
            self.disk.fail_next_sync();
        }
        if self.strikes(faults.sync_slow) {
            self.slow_sync_ms = self.rng.random_range(0..LEASE_MS);
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

    pub(super) fn strike_host(&mut self, host: usize, faults: &Faults) {
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
    pub(super) fn heal(&mut self) {
        self.disk_is_full = false;
        self.disk.free();
        self.slow_sync_ms = 0;
        self.results_full_until = 0;
        self.journal_full_until = 0;
        self.cuts.fill(Cut::default());
        for hand in self.hands.iter_mut().flatten() {
            hand.frozen_until = hand.frozen_until.min(self.now);
        }
    }
}
