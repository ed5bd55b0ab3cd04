//! Tests of the machine as a whole: random histories, submissions, dispatch and sealing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{
    AttemptNo, Epoch, FailureClass, FailureReport, JobId, JournalId, Sweep, SweepName, Table,
    Timestamp, WorkerId, sweep_file,
};
use proptest::prelude::*;

use super::*;

const NAME: SegmentName = SegmentName { journal: JournalId([9; 16]), epoch: Epoch(1) };

fn sweep(name: &str, seeds: u32) -> Sweep {
    edited(name, seeds, "", "")
}

/// The test's sweep with `old` replaced by `new` in its text.
fn edited(name: &str, seeds: u32, old: &str, new: &str) -> Sweep {
    let text = format!(
        "name = \"{name}\"
[axes]
seed = {{ start = 0, count = {seeds} }}
[model]
kind = \"mlp\"
width = 4
depth = 1
[data]
kind = \"sphere\"
samples = 8
dim = 4
[train]
steps = 10
step_size = 0.1
[run]
priority = 0
"
    );
    let text = if old.is_empty() { text } else { text.replace(old, new) };
    let draft = sweep_file::parse(&text, "test.toml").expect("the test's sweep is valid");
    draft.resolve(&BTreeMap::new()).expect("it needs no files")
}

fn submitted(sweep: &Sweep) -> Submitted {
    let revision = HandedIn {
        canonical: sweep.canonical(),
        file_name: "test.toml".into(),
        file_text: String::new(),
        at: Timestamp::ZERO,
    };
    Submitted { revision, jobs: sweep.job_ids().into() }
}

fn terms() -> Terms {
    Terms { revise: false, strict: false, engine_revision: "e1".into() }
}

fn submit(machine: &mut Machine, sweep: &Sweep) -> SubmitReport {
    let decided = machine.decide_submit(sweep, &submitted(sweep), &terms());
    let (events, report) = decided.expect("it is taken in");
    for event in &events {
        machine.apply(event).expect("decide and apply agree");
    }
    report
}

fn offer(worker: u8) -> Offer {
    Offer {
        worker: WorkerId([worker; 16]),
        cores: 1,
        memory_bytes: 1 << 30,
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
        is_idle: true,
    }
}

fn name(text: &str) -> SweepName {
    text.parse().expect("a good name")
}

fn now(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Grants, and commits with no rows; the job.
fn run_one(machine: &mut Machine, worker: u8) -> Option<JobId> {
    run_one_on(machine, worker, "e1")
}

fn run_one_on(machine: &mut Machine, worker: u8, engine: &str) -> Option<JobId> {
    let granted = machine.decide_grant(now(0), &offer(worker))?;
    machine.apply(&granted).expect("decide and apply agree");
    let Event::Job { sweep, job, change: Change::Leased { attempt, .. } } = granted else {
        panic!("a grant is a lease");
    };
    let rows = RowCounts::default();
    let input = Input::Commit { attempt, rows, weights: 0, diverged: false, engine: engine.into() };
    let commit = machine.decide_job(now(1), &sweep, job, input).expect("commits");
    machine.apply(&commit.expect("changes")).expect("decide and apply agree");
    Some(job)
}

#[test]
fn a_sweep_submitted_again_is_a_no_op_and_a_longer_one_adds_only_its_new_jobs() {
    let mut machine = Machine::default();
    let report = submit(&mut machine, &sweep("s", 3));
    assert_eq!((report.kept, report.new), (0, 3));
    while run_one(&mut machine, 1).is_some() {}
    let again = sweep("s", 3);
    let (events, report) =
        machine.decide_submit(&again, &submitted(&again), &terms()).expect("is taken in");
    assert_eq!((events, report.kept, report.new, report.settled), (vec![], 3, 0, 3));
    let report = submit(&mut machine, &sweep("s", 5));
    assert_eq!((report.kept, report.new, report.orphaned), (3, 2, 0));
    assert_eq!(machine.lineage(&name("s")).expect("is there").counts().queued, 2);
    let report = submit(&mut machine, &sweep("s", 2));
    assert_eq!((report.kept, report.new, report.orphaned), (2, 0, 3));
    assert!(run_one(&mut machine, 1).is_none(), "what is not asked for does not run");
}

#[test]
fn a_changed_base_setting_is_refused_by_name_unless_it_is_a_revision() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("s", 2));
    let other = edited("s", 2, "steps = 10", "steps = 20");
    let refused = machine.decide_submit(&other, &submitted(&other), &terms());
    let refusal = refused.expect_err("it would keep nothing").to_string();
    assert!(refusal.contains("train.steps was 10 and is now 20"), "{refusal}");
    let revise = Terms { revise: true, ..terms() };
    let (_, report) =
        machine.decide_submit(&other, &submitted(&other), &revise).expect("is taken in");
    assert_eq!((report.new, report.orphaned), (2, 2));
}

#[test]
fn strict_refuses_to_mix_engines() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("s", 1));
    run_one(&mut machine, 1);
    let again = sweep("s", 2);
    let strict = Terms { strict: true, engine_revision: "e2".into(), ..terms() };
    let refused = machine.decide_submit(&again, &submitted(&again), &strict);
    assert!(matches!(refused, Err(SubmitRefusal::Engines { .. })));
}

#[test]
fn a_sweep_remembers_so_many_engines_and_no_more() {
    let mut machine = Machine::default();
    let engines = super::lineage::ENGINES_MAX as u32 + 5;
    submit(&mut machine, &sweep("s", engines));
    for engine in 0..engines {
        run_one_on(&mut machine, 1, &format!("engine-{engine}"));
    }
    let again = sweep("s", engines);
    let (_, report) =
        machine.decide_submit(&again, &submitted(&again), &terms()).expect("is taken in");
    assert_eq!(report.other_engines.len(), super::lineage::ENGINES_MAX + 1);
    assert!(report.other_engines.iter().any(|engine| engine == super::lineage::OTHER_ENGINES));
    let counted: u64 = machine.lineage(again.name()).expect("is there").engines().values().sum();
    assert_eq!(counted, u64::from(engines), "none is forgotten");
}

#[test]
fn the_sweep_of_higher_priority_goes_first_and_equals_share() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("low", 4));
    submit(&mut machine, &sweep("also-low", 4));
    submit(&mut machine, &edited("urgent", 1, "priority = 0", "priority = 5"));
    let mut order = Vec::new();
    while let Some(event) = machine.decide_grant(now(0), &offer(1)) {
        machine.apply(&event).expect("decide and apply agree");
        let Event::Job { sweep, .. } = event else { panic!("a grant is a lease") };
        order.push(sweep.to_string());
    }
    assert_eq!(order[0], "urgent");
    let first_half = order[1..5].iter().filter(|sweep| *sweep == "low").count();
    assert_eq!(first_half, 2, "{order:?}");
}

#[test]
fn a_job_that_lost_two_workers_runs_last_and_alone() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("s", 3));
    let grant = |machine: &mut Machine, is_idle| {
        let granted = machine.decide_grant(now(0), &Offer { is_idle, ..offer(1) })?;
        machine.apply(&granted).expect("decide and apply agree");
        let Event::Job { job, .. } = granted else { panic!("a grant is a lease") };
        Some(job)
    };
    let lose = |machine: &mut Machine, job| {
        let input = Input::Expire { host: "h".into() };
        let lost = machine.decide_job(now(0), &name("s"), job, input).expect("may run out");
        machine.apply(&lost.expect("changes")).expect("decide and apply agree");
    };
    let poison = grant(&mut machine, false).expect("is the first");
    lose(&mut machine, poison);
    assert_eq!(grant(&mut machine, false), Some(poison), "once is no suspicion");
    lose(&mut machine, poison);
    let others = [grant(&mut machine, true), grant(&mut machine, true)];
    assert!(others.iter().all(|job| job.is_some_and(|job| job != poison)), "the others go first");
    assert_eq!(grant(&mut machine, false), None, "not beside other jobs");
    assert_eq!(grant(&mut machine, true), Some(poison));
    assert_eq!(invariants::check(&machine), Ok(()));
    lose(&mut machine, poison);
    let state = machine.job(&name("s"), poison).expect("is there").state;
    assert_eq!(state, State::Abandoned { class: FailureClass::LeaseLost });
}

#[test]
fn a_settled_sweep_is_sealed_once_and_a_flush_before_the_end_seals_what_is_there() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("s", 3));
    let s = name("s");
    run_one(&mut machine, 1);
    assert_eq!(machine.decide_seal(&s, NAME, false), None, "one row is not worth a file yet");
    let flushed = machine.decide_seal(&s, NAME, true).expect("a flush seals it");
    machine.apply(&flushed).expect("decide and apply agree");
    assert_eq!(machine.decide_seal(&s, NAME, true), None, "one segment at a time");
    run_one(&mut machine, 1);
    run_one(&mut machine, 1);
    let Event::SegmentPlanned { segment, jobs, .. } = flushed else { panic!("a plan") };
    assert_eq!(jobs.len(), 1);
    machine
        .apply(&Event::SegmentSealed { sweep: s.clone(), segment: segment.clone() })
        .expect("seals");
    let last = machine.decide_seal(&s, NAME, false).expect("the end of the sweep seals the rest");
    machine.apply(&last).expect("decide and apply agree");
    let Event::SegmentPlanned { segment: second, jobs, .. } = last else { panic!("a plan") };
    assert_eq!(jobs.len(), 2);
    assert_ne!(segment, second);
    machine.apply(&Event::SegmentSealed { sweep: s.clone(), segment: second }).expect("seals");
    assert!(machine.lineage(&s).expect("is there").is_sealed());
    assert_eq!(machine.decide_seal(&s, NAME, true), None);
}

#[test]
fn ten_thousand_jobs_make_at_most_fifty_segments() {
    let mut machine = Machine::default();
    submit(&mut machine, &sweep("s", 10_000));
    let s = name("s");
    let mut segments = 0;
    let mut sealed = BTreeSet::new();
    while let Some(granted) = machine.decide_grant(now(0), &offer(1)) {
        machine.apply(&granted).expect("decide and apply agree");
        let Event::Job { job, change: Change::Leased { attempt, .. }, .. } = granted else {
            panic!("a grant is a lease");
        };
        for (table, rows) in [(Table::Steps, 21), (Table::Confusion, 21)] {
            let input = Input::Rows { attempt, table, first_row: 0, row_count: rows };
            let event = machine.decide_job(now(1), &s, job, input).expect("rows").expect("changes");
            machine.apply(&event).expect("decide and apply agree");
        }
        let rows = RowCounts { steps: 21, confusion: 21 };
        let input =
            Input::Commit { attempt, rows, weights: 0, diverged: false, engine: "e1".into() };
        let event = machine.decide_job(now(1), &s, job, input).expect("commits").expect("changes");
        machine.apply(&event).expect("decide and apply agree");
        if let Some(plan) = machine.decide_seal(&s, NAME, false) {
            machine.apply(&plan).expect("decide and apply agree");
            let Event::SegmentPlanned { segment, jobs, .. } = plan else { panic!("a plan") };
            assert!(jobs.iter().all(|job| sealed.insert(*job)), "no job is sealed twice");
            machine.apply(&Event::SegmentSealed { sweep: s.clone(), segment }).expect("seals");
            segments += 1;
        }
    }
    assert_eq!(sealed.len(), 10_000);
    assert!(segments <= 50, "{segments} segments");
}

/// What may happen to a fleet, drawn at random.
#[derive(Clone, Debug)]
enum Happening {
    Submit(u32),
    Grant(u8),
    Rows(usize, u64),
    Commit(usize),
    Fail(usize),
    Release(usize),
    Expire(usize),
    Cancel(usize),
    Wait(u64),
    Seal(bool),
    Sealed,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => (1..6u32).prop_map(Happening::Submit),
        6 => (0..3u8).prop_map(Happening::Grant),
        4 => (0..8usize, 0..3u64).prop_map(|(lease, row)| Happening::Rows(lease, row)),
        4 => (0..8usize).prop_map(Happening::Commit),
        2 => (0..8usize).prop_map(Happening::Fail),
        1 => (0..8usize).prop_map(Happening::Release),
        2 => (0..8usize).prop_map(Happening::Expire),
        1 => (0..8usize).prop_map(Happening::Cancel),
        1 => (0..5_000u64).prop_map(Happening::Wait),
        2 => any::<bool>().prop_map(Happening::Seal),
        2 => Just(Happening::Sealed),
    ]
}

/// Every lease that was ever given, as a worker may remember it.
type Leases = Vec<(JobId, AttemptNo)>;

/// The event that a happening leads to, if any. Stale leases are used as often as live ones.
fn decide(machine: &Machine, leases: &Leases, at: Timestamp, happening: &Happening) -> Vec<Event> {
    let s = name("s");
    let lease = |index: usize| leases.get(index % leases.len().max(1)).copied();
    let decide = |index: usize, input: fn(AttemptNo, &Job) -> Input| {
        let (job, attempt) = lease(index)?;
        let input = input(attempt, machine.job(&s, job)?);
        machine.decide_job(at, &s, job, input).ok().flatten()
    };
    let event = match happening {
        Happening::Submit(seeds) => {
            let sweep = sweep("s", *seeds);
            let decided = machine.decide_submit(&sweep, &submitted(&sweep), &terms());
            return decided.map(|(events, _)| events).unwrap_or_default();
        }
        Happening::Grant(worker) => machine.decide_grant(at, &offer(*worker)),
        Happening::Rows(index, first_row) => lease(*index).and_then(|(job, attempt)| {
            let table = Table::Steps;
            let input = Input::Rows { attempt, table, first_row: *first_row, row_count: 2 };
            machine.decide_job(at, &s, job, input).ok().flatten()
        }),
        Happening::Commit(index) => decide(*index, |attempt, job| Input::Commit {
            attempt,
            rows: job.rows,
            weights: job.kept.len() as u64,
            diverged: false,
            engine: "e1".into(),
        }),
        Happening::Fail(index) => decide(*index, |attempt, _| Input::Fail {
            attempt,
            host: "h".into(),
            report: FailureReport::new(FailureClass::Exit, "exit code 1"),
        }),
        Happening::Release(index) => decide(*index, |attempt, _| Input::Release { attempt }),
        Happening::Expire(index) => decide(*index, |_, _| Input::Expire { host: "h".into() }),
        Happening::Cancel(index) => decide(*index, |_, _| Input::Cancel),
        Happening::Wait(_) => None,
        Happening::Seal(flush) => machine.decide_seal(&s, NAME, *flush),
        Happening::Sealed => machine
            .lineage(&s)
            .and_then(Lineage::planned)
            .map(|plan| Event::SegmentSealed { sweep: s.clone(), segment: plan.segment.clone() }),
    };
    event.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Law: after every event the bookkeeping follows from the jobs' states; each job commits at most once and is sealed
    /// at most once, and only after its commit; replaying the events gives the same machine, and so does its snapshot.
    #[test]
    fn the_laws_hold_on_random_histories(happenings in prop::collection::vec(happening(), 1..120)) {
        let mut machine = Machine::default();
        let (mut journal, mut leases, mut at) = (Vec::new(), Leases::new(), now(0));
        let (mut committed, mut sealed) = (BTreeSet::new(), BTreeSet::new());
        for happening in &happenings {
            if let Happening::Wait(millis) = happening {
                at = at + Duration::from_millis(*millis);
            }
            for event in decide(&machine, &leases, at, happening) {
                machine.apply(&event).expect("decide and apply agree");
                match &event {
                    Event::Job { job, change: Change::Leased { attempt, .. }, .. } => {
                        leases.push((*job, *attempt));
                    }
                    Event::Job { job, change: Change::Committed { .. }, .. } => {
                        prop_assert!(committed.insert(*job), "{job} committed twice");
                    }
                    Event::SegmentPlanned { jobs, .. } => {
                        for job in jobs {
                            prop_assert!(committed.contains(job) && sealed.insert(*job));
                        }
                    }
                    _ => {}
                }
                journal.push(event);
                prop_assert_eq!(invariants::check(&machine), Ok(()));
            }
        }
        let mut replayed = Machine::default();
        for event in &journal {
            replayed.apply(event).expect("replays");
        }
        prop_assert_eq!(&replayed, &machine);
        let restored = Machine::restore(machine.snapshot()).expect("restores");
        prop_assert_eq!(invariants::check(&restored), Ok(()));
        prop_assert_eq!(restored, machine);
    }
}
