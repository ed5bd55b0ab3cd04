//! Deterministic simulation: the coordinator's core over its real journal, and the workers' clerks, on a virtual clock,
//! disk and network that do their worst. What must hold is in `ledger`; what goes wrong, in `faults`.
//!
//! ```text
//! cargo test --test sim                                     a few hundred seeds
//! GRADSWEEP_SEEDS=10000 cargo test --release --test sim     the long mode
//! GRADSWEEP_SEED=1234 cargo test --test sim -- --nocapture  one seed, told step by step
//! ```

#[expect(dead_code, reason = "shared with tests/net, which uses the rest")]
mod disk;
mod faults;
mod hand;
mod ledger;
mod trial;
mod world;

use faults::Faults;
use world::{Summary, World};

/// The first seed of a run that names none.
const BASE: u64 = 0;

/// Seeds of the short mode.
const SEEDS: u64 = 300;

/// Seeds that have found something. There are none: a seed means another run as soon as the generator draws one number more,
/// and it has since each was found. What they found has tests of its own: docs/reliability.md names them.
const REGRESSIONS: &[u64] = &[];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn run(seed: u64, log: bool) -> Summary {
    let world = World::new(seed, log);
    let faults = world.faults.clone();
    match world.run() {
        Ok(summary) => summary,
        Err(problem) => panic!(
            "seed {seed}: {problem}\nfaults: {faults:?}\nagain, step by step: GRADSWEEP_SEED={seed} cargo test --test sim -- --nocapture"
        ),
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_twice_whatever_goes_wrong() {
    if let Some(seed) = number("GRADSWEEP_SEED") {
        println!("{:?}", run(seed, true));
        return;
    }
    let (base, count) =
        (number("GRADSWEEP_BASE").unwrap_or(BASE), number("GRADSWEEP_SEEDS").unwrap_or(SEEDS));
    println!("{count} seeds from {base}");
    let mut total = Summary::default();
    let mut slowest = 0;
    for seed in REGRESSIONS.iter().copied().chain(base..base + count) {
        let summary = run(seed, false);
        total.events += summary.events;
        total.commits += summary.commits;
        total.abandoned += summary.abandoned;
        total.failures += summary.failures;
        total.coordinators += summary.coordinators;
        total.workers += summary.workers;
        slowest = slowest.max(summary.settled_after_ms);
    }
    println!(
        "{} events, {} coordinators, {} workers: {} jobs committed once, {} abandoned within their budgets, {} failed \
         attempts on record; settled at most {} s after the last fault",
        total.events,
        total.coordinators,
        total.workers,
        total.commits,
        total.abandoned,
        total.failures,
        slowest / 1_000,
    );
    // A simulation in which nothing goes wrong, or nothing is done, would prove nothing.
    assert!(total.commits > count && total.failures > count / 10);
    assert!(total.coordinators > 2 * count && total.workers > 2 * count);
}

/// What keeps the coordinator from hearing its workers, and does them no harm.
fn takes_no_lease_away(faults: fn() -> Faults) {
    for seed in 0..100 {
        let summary = World::of(faults(), seed).run();
        let summary = summary.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        assert_eq!((summary.failures, summary.abandoned), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_frozen_coordinator_takes_no_lease_away() {
    takes_no_lease_away(Faults::freezes);
}

#[test]
fn a_coordinator_on_a_slow_disk_takes_no_lease_away() {
    takes_no_lease_away(Faults::slow_syncs);
}

#[test]
fn a_seed_run_twice_gives_the_same_trace() {
    for seed in 0..8 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
