//! What is done to the network, the disk and the hosts, and when: decided by a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use turmoil::Sim;

use crate::disk::Disk;
use crate::{COORDINATOR, WORKERS};
use End::{Free, Mend, Release, Start};

/// How often what was done.
pub type Struck = BTreeMap<&'static str, u64>;

/// Nothing is done after this time; a run that is left alone takes some 15 s.
const LAST: Duration = Duration::from_secs(40);

/// Longest that the network is disturbed: twice a lease, and more than it takes to be noticed.
const DISTURBED_MS_MAX: u64 = 12_000;

/// What may be done.
#[derive(Clone, Copy, Debug)]
enum Strike {
    /// The coordinator is killed; the machine lives on.
    KillCoordinator,
    /// The power goes, now or in the middle of what the disk is doing.
    CutPower,
    KillWorker,
    /// The two cannot hear each other, or one of them cannot hear the other.
    Cut,
    CutOneWay,
    /// What one sends to the other is held back, and comes all at once.
    Hold,
    /// Some messages are lost, and with each the connection that it was of.
    Lose,
    Slow,
    FillDisk,
}

const STRIKES: [(Strike, &str); 9] = [
    (Strike::KillCoordinator, "coordinators killed"),
    (Strike::CutPower, "power cuts"),
    (Strike::KillWorker, "workers killed"),
    (Strike::Cut, "partitions"),
    (Strike::CutOneWay, "one-way partitions"),
    (Strike::Hold, "messages held"),
    (Strike::Lose, "losses"),
    (Strike::Slow, "slow links"),
    (Strike::FillDisk, "full disks"),
];

/// What ends a strike.
#[derive(Clone, Copy, Debug)]
enum End {
    Start(&'static str),
    Mend(&'static str),
    Release(&'static str),
    Free,
}

/// The strikes of one run.
pub struct Strikes {
    rng: ChaCha8Rng,
    next_at: Option<Duration>,
    ends: Vec<(Duration, End)>,
    is_told: bool,
    pub struck: Struck,
}

impl Strikes {
    /// Nothing is done.
    pub fn none() -> Self {
        let rng = ChaCha8Rng::seed_from_u64(0);
        Self { rng, next_at: None, ends: Vec::new(), is_told: false, struck: Struck::new() }
    }

    /// What `seed` decides; each strike is printed where `is_told`.
    pub fn of(seed: u64, is_told: bool) -> Self {
        let mut strikes = Self { is_told, rng: ChaCha8Rng::seed_from_u64(seed), ..Self::none() };
        strikes.next_at = Some(strikes.between(500, 3_000));
        strikes
    }

    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(least_ms..most_ms))
    }

    /// Does what is due now.
    pub fn step(&mut self, sim: &mut Sim<'_>, disk: &Disk) {
        let now = sim.elapsed();
        for (at, end) in std::mem::take(&mut self.ends) {
            if at > now {
                self.ends.push((at, end));
                continue;
            }
            self.tell(now, &format!("{end:?}"));
            match end {
                Start(host) => sim.bounce(host),
                Mend(worker) => {
                    sim.repair(COORDINATOR, worker);
                    sim.set_link_fail_rate(COORDINATOR, worker, 0.0);
                    sim.set_link_max_message_latency(
                        COORDINATOR,
                        worker,
                        Duration::from_millis(20),
                    );
                }
                Release(worker) => sim.release(COORDINATOR, worker),
                Free => disk.free(),
            }
        }
        let is_down = |host: &str, ends: &[(Duration, End)]| {
            ends.iter().any(|(_, end)| matches!(end, Start(down) if *down == host))
        };
        if !sim.is_host_running(COORDINATOR) && !is_down(COORDINATOR, &self.ends) {
            // Its disk ended it.
            disk.lose_power(&mut self.rng);
            self.start_again(now, COORDINATOR);
        }
        if self.next_at.is_none_or(|at| at > now) {
            return;
        }
        self.next_at = Some(now + self.between(300, 4_000)).filter(|at| *at < LAST);
        let (strike, name) = STRIKES[self.rng.random_range(0..STRIKES.len())];
        let worker = WORKERS[self.rng.random_range(0..WORKERS.len())];
        let until = now + self.between(200, DISTURBED_MS_MAX);
        self.tell(now, &format!("{name} ({worker}, until {until:?})"));
        *self.struck.entry(name).or_default() += 1;
        match strike {
            Strike::KillCoordinator if !is_down(COORDINATOR, &self.ends) => {
                sim.crash(COORDINATOR);
                disk.kill();
                self.start_again(now, COORDINATOR);
            }
            Strike::CutPower => disk.cut_power_after(self.rng.random_range(0..8)),
            Strike::KillWorker if !is_down(worker, &self.ends) => {
                sim.crash(worker);
                self.start_again(now, worker);
            }
            Strike::KillCoordinator | Strike::KillWorker => {}
            Strike::Cut => {
                sim.partition(COORDINATOR, worker);
                self.ends.push((until, Mend(worker)));
            }
            Strike::CutOneWay => {
                let mut ends = [COORDINATOR, worker];
                if self.rng.random_bool(0.5) {
                    ends.reverse();
                }
                sim.partition_oneway(ends[0], ends[1]);
                self.ends.push((until, Mend(worker)));
            }
            Strike::Hold => {
                sim.hold(COORDINATOR, worker);
                self.ends.push((until, Release(worker)));
            }
            Strike::Lose => {
                let share = self.rng.random_range(0.001..0.05);
                sim.set_link_fail_rate(COORDINATOR, worker, share);
                self.ends.push((until, Mend(worker)));
            }
            Strike::Slow => {
                let latency = self.between(100, 2_000);
                sim.set_link_max_message_latency(COORDINATOR, worker, latency);
                self.ends.push((until, Mend(worker)));
            }
            Strike::FillDisk => {
                disk.fill();
                self.ends.push((until, Free));
            }
        }
    }

    fn start_again(&mut self, now: Duration, host: &'static str) {
        let at = now + self.between(100, 8_000);
        self.ends.push((at, Start(host)));
    }

    fn tell(&self, now: Duration, what: &str) {
        if self.is_told {
            println!("{:>8.3} s {what}", now.as_secs_f64());
        }
    }
}
