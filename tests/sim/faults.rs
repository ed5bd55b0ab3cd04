//! What goes wrong in one simulated run: drawn from its seed, so that seeds differ in kind and not only in detail.
//!
//! No message is repeated or overtaken by itself: one HTTP/2 stream keeps the order and repeats nothing. What comes twice is
//! what a worker says again on its next connection, where the acknowledgement was lost with the one before.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Chances a second of virtual time, and chances an occasion.
#[derive(Clone, Debug)]
pub struct Faults {
    // A second.
    pub coordinator_killed: f64,
    pub coordinator_frozen: f64,
    pub power_cut: f64,
    pub worker_killed: f64,
    pub worker_frozen: f64,
    pub connection_cut: f64,
    pub partition: f64,
    pub sync_fails: f64,
    /// The next sync takes up to a lease.
    pub sync_slow: f64,
    pub results_full: f64,
    pub journal_full: f64,
    pub drained: f64,
    pub resubmitted: f64,
    pub cancelled: f64,
    // An occasion.
    pub trial_fails: f64,
    /// A turn of the coordinator is its last, at any point of it.
    pub dies_in_turn: f64,
    /// Jobs whose trial kills its worker.
    pub poison: f64,
    /// The longest delay of a message, in ms.
    pub delay_max: i64,
    /// How far the wall clock may be set between two coordinators, in ms.
    pub clock_jump_max: i64,
    /// `attempts` of the sweep.
    pub attempts: u32,
}

impl Faults {
    /// The coordinator is frozen now and then, and nothing else goes wrong.
    pub fn freezes() -> Self {
        Self { coordinator_frozen: 0.2, ..Self::next_to_none() }
    }

    /// Its disk is slow now and then, and nothing else goes wrong.
    pub fn slow_syncs() -> Self {
        Self { sync_slow: 0.5, ..Self::next_to_none() }
    }

    /// A sweep is handed in again now and then, and nothing goes wrong.
    fn next_to_none() -> Self {
        Self {
            coordinator_killed: 0.0,
            coordinator_frozen: 0.0,
            power_cut: 0.0,
            worker_killed: 0.0,
            worker_frozen: 0.0,
            connection_cut: 0.0,
            partition: 0.0,
            sync_fails: 0.0,
            sync_slow: 0.0,
            results_full: 0.0,
            journal_full: 0.0,
            drained: 0.0,
            resubmitted: 0.2,
            cancelled: 0.0,
            trial_fails: 0.0,
            dies_in_turn: 0.0,
            poison: 0.0,
            delay_max: 20,
            clock_jump_max: 0,
            attempts: 1,
        }
    }

    /// The faults of a seed.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        // Most kinds are off in most runs, so that those that are on are seen alone and in company.
        let mut chance = |most: f64| {
            let is_on = rng.random_bool(0.4);
            if is_on { rng.random_range(0.0..most) } else { 0.0 }
        };
        let mut faults = Self {
            coordinator_killed: chance(0.1),
            coordinator_frozen: chance(0.1),
            power_cut: chance(0.1),
            worker_killed: chance(0.2),
            worker_frozen: chance(0.2),
            connection_cut: chance(1.0),
            partition: chance(0.1),
            sync_fails: chance(0.05),
            sync_slow: chance(0.3),
            results_full: chance(0.1),
            journal_full: chance(0.05),
            drained: chance(0.1),
            resubmitted: chance(0.2),
            cancelled: chance(0.05),
            trial_fails: chance(0.05),
            dies_in_turn: chance(0.01),
            poison: chance(0.2),
            delay_max: 1,
            clock_jump_max: 0,
            attempts: 100,
        };
        faults.delay_max = [1, 20, 300, 4_000][rng.random_range(0..4)];
        faults.clock_jump_max = [0, 0, 7_200_000][rng.random_range(0..3)];
        faults.attempts = [1, 3, 100][rng.random_range(0..3)];
        faults
    }
}
