//! Tests of one job's life: tables of cases, and every short history.

use domain::Digest;

use super::*;

const POLICY: RetryPolicy =
    RetryPolicy { failures_max: 2, losses_max: 3, backoff: Duration::from_millis(5) };
const WORKER: WorkerId = WorkerId([7; 16]);
const FIRST: AttemptNo = AttemptNo(1);
const SECOND: AttemptNo = AttemptNo(2);
const NO_ROWS: RowCounts = RowCounts { steps: 0, confusion: 0 };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn grant() -> Input {
    Input::Grant { worker: WORKER, resume: true }
}

fn rows(attempt: AttemptNo, first_row: u64, row_count: u64) -> Input {
    Input::Rows { attempt, table: Table::Steps, first_row, row_count }
}

fn commit(attempt: AttemptNo, rows: RowCounts) -> Input {
    commit_with(attempt, rows, 0)
}

fn commit_with(attempt: AttemptNo, rows: RowCounts, weights: u64) -> Input {
    Input::Commit { attempt, rows, weights, diverged: false, engine: "e1".into() }
}

fn kept(step: u64) -> Kept {
    Kept { step, digest: Digest([100 + step as u8; 32]) }
}

fn weights(attempt: AttemptNo, step: u64) -> Input {
    Input::Weights { attempt, kept: kept(step) }
}

fn fail(attempt: AttemptNo) -> Input {
    let report = FailureReport::new(FailureClass::Exit, "exit code 3");
    Input::Fail { attempt, host: "h".into(), report }
}

fn expire() -> Input {
    Input::Expire { host: "h".into() }
}

fn checkpoint(attempt: AttemptNo, steps_rows: u64) -> Input {
    let checkpoint = Checkpoint {
        digest: Digest([steps_rows as u8; 32]),
        step: steps_rows,
        steps_rows,
        confusion_rows: 0,
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
    };
    Input::Checkpoint { attempt, checkpoint }
}

fn new_job() -> Job {
    Job::new(JobId([1; 16]), Origin { revision: 0, index: 0 }, at(0))
}

/// Decides each input in turn and applies what it decides; an input may be refused.
#[track_caller]
fn job_after(history: &[(i64, Input)]) -> Job {
    let mut job = new_job();
    for (millis, input) in history {
        if let Ok(Some(change)) = job.decide(at(*millis), &POLICY, input.clone()) {
            job.apply(&change).expect("decide and apply agree");
        }
    }
    job
}

#[test]
fn a_worker_that_outlives_its_lease_cannot_add_rows_or_commit() {
    let job = job_after(&[(0, grant()), (10, expire()), (15, grant())]);
    let late = [rows(FIRST, 0, 1), commit(FIRST, NO_ROWS), checkpoint(FIRST, 0), fail(FIRST)];
    for late in late.into_iter().chain([weights(FIRST, 1)]) {
        let answer = job.decide(at(16), &POLICY, late);
        assert_eq!(answer, Err(Refusal::Fenced { attempt: FIRST }));
    }
}

#[test]
fn a_request_whose_reply_was_lost_may_be_sent_again() {
    let job = job_after(&[(0, grant()), (1, rows(FIRST, 0, 2))]);
    assert_eq!(job.decide(at(2), &POLICY, rows(FIRST, 0, 2)), Ok(None));
    let two = RowCounts { steps: 2, confusion: 0 };
    let job = job_after(&[(0, grant()), (1, rows(FIRST, 0, 2)), (2, commit(FIRST, two))]);
    assert_eq!(job.decide(at(3), &POLICY, commit(FIRST, two)), Ok(None));
    let job = job_after(&[(0, grant()), (1, fail(FIRST))]);
    assert_eq!(job.decide(at(2), &POLICY, fail(FIRST)), Ok(None));
}

#[test]
fn a_checkpoint_may_be_told_of_after_rows_from_behind_it_and_again_after_a_later_one() {
    let history = [(0, grant()), (1, rows(FIRST, 0, 3)), (2, checkpoint(FIRST, 2))];
    let job = job_after(&history);
    assert_eq!(job.checkpoint.as_ref().map(|checkpoint| checkpoint.step), Some(2));
    // The next attempt goes on from there.
    let mut resumed = job_after(&[&history[..], &[(10, expire())]].concat());
    let change = resumed.decide(at(15), &POLICY, grant()).expect("is granted").expect("is new");
    resumed.apply(&change).expect("decide and apply agree");
    assert_eq!(resumed.rows.steps, 2);
    // What was told on a lost connection comes again, in order.
    let job = job_after(&[&history[..], &[(3, checkpoint(FIRST, 3))]].concat());
    for known in [2, 3] {
        assert_eq!(job.decide(at(4), &POLICY, checkpoint(FIRST, known)), Ok(None), "{known}");
    }
    let early = job.decide(at(4), &POLICY, checkpoint(FIRST, 4));
    assert_eq!(early, Err(Refusal::Incomplete { announced: 4, stored: 3 }));
}

#[test]
fn rows_come_in_turn_and_a_result_without_all_its_rows_is_refused() {
    let job = job_after(&[(0, grant()), (1, rows(FIRST, 0, 2))]);
    let gap = job.decide(at(2), &POLICY, rows(FIRST, 3, 1));
    assert_eq!(gap, Err(Refusal::OutOfTurn { expected: 2, found: 3 }));
    let overlap = job.decide(at(2), &POLICY, rows(FIRST, 1, 2));
    assert_eq!(overlap, Err(Refusal::OutOfTurn { expected: 2, found: 1 }));
    let three = RowCounts { steps: 3, confusion: 0 };
    let early = job.decide(at(2), &POLICY, commit(FIRST, three));
    assert_eq!(early, Err(Refusal::Incomplete { announced: 3, stored: 2 }));
    let jobs = Input::Rows { attempt: FIRST, table: Table::Jobs, first_row: 0, row_count: 1 };
    let wrong = job.decide(at(2), &POLICY, jobs);
    assert_eq!(wrong, Err(Refusal::WrongTable { table: "jobs" }));
}

#[test]
fn weights_come_after_their_rows_and_in_turn_and_a_result_without_all_of_them_is_refused() {
    let history =
        [(0, grant()), (1, rows(FIRST, 0, 2)), (2, weights(FIRST, 4)), (3, weights(FIRST, 9))];
    let job = job_after(&history);
    assert_eq!(job.kept, [kept(4), kept(9)]);
    let decide = |input| job.decide(at(4), &POLICY, input);
    assert_eq!(decide(weights(FIRST, 9)), Ok(None), "told again");
    assert_eq!(decide(weights(FIRST, 4)), Ok(None), "told again");
    let other = Input::Weights { attempt: FIRST, kept: Kept { step: 9, ..kept(1) } };
    assert_eq!(decide(other), Err(Refusal::WeightsOutOfTurn { step: 9 }), "other bytes");
    assert_eq!(decide(weights(FIRST, 5)), Err(Refusal::WeightsOutOfTurn { step: 5 }), "too late");
    assert_eq!(
        decide(weights(FIRST, 10)),
        Err(Refusal::WeightsOutOfTurn { step: 10 }),
        "more than rows"
    );
    let two = RowCounts { steps: 2, confusion: 0 };
    let refused = Refusal::WeightsMissing { announced: 3, stored: 2 };
    assert_eq!(decide(commit_with(FIRST, two, 3)), Err(refused));
    let change = decide(commit_with(FIRST, two, 2)).expect("is whole").expect("changes");
    let mut done = job.clone();
    done.apply(&change).expect("decide and apply agree");
    assert_eq!(done.decide(at(5), &POLICY, weights(FIRST, 9)), Ok(None), "told once more");
    assert_eq!(done.blobs().count(), 2);
    done.seal();
    assert_eq!(done.blobs().count(), 0);
}

#[test]
fn an_attempt_goes_on_only_where_its_like_have_kept_what_it_would_have() {
    let measured = [
        (0, grant()),
        (1, rows(FIRST, 0, 2)),
        (1, weights(FIRST, 1)),
        (1, weights(FIRST, 2)),
        (2, checkpoint(FIRST, 2)),
        (3, rows(FIRST, 2, 1)),
        (3, weights(FIRST, 3)),
    ];
    let mut job = job_after(&measured);
    assert!(job.has_kept_as(KeepWeights::Measured));
    assert!(!job.has_kept_as(KeepWeights::Final) && !job.has_kept_as(KeepWeights::None));
    for (millis, input) in [(10, expire()), (11, grant())] {
        let change = job.decide(at(millis), &POLICY, input).expect("may").expect("changes");
        job.apply(&change).expect("decide and apply agree");
    }
    assert_eq!(job.kept, [kept(1), kept(2)], "those after the checkpoint come again");

    let none = job_after(&[(0, grant()), (1, rows(FIRST, 0, 2)), (2, checkpoint(FIRST, 2))]);
    assert!(none.has_kept_as(KeepWeights::Final) && none.has_kept_as(KeepWeights::None));
    assert!(!none.has_kept_as(KeepWeights::Measured));
    let over = [Input::Cancel, Input::Grant { worker: WORKER, resume: false }];
    for input in over {
        let mut job = job.clone();
        if input != Input::Cancel {
            job = job_after(&[measured.as_slice(), &[(10, expire())]].concat());
        }
        let change = job.decide(at(12), &POLICY, input).expect("may").expect("changes");
        job.apply(&change).expect("decide and apply agree");
        assert_eq!((job.kept.len(), job.blobs().count()), (0, 0));
    }
}

#[test]
fn the_next_attempt_goes_on_from_the_checkpoint_or_starts_over() {
    let history = [
        (0, grant()),
        (1, rows(FIRST, 0, 2)),
        (2, checkpoint(FIRST, 2)),
        (3, rows(FIRST, 2, 4)),
        (10, expire()),
    ];
    let queued = job_after(&history);
    assert_eq!(queued.rows.steps, 6);
    for (resume, expected) in [(true, 2), (false, 0)] {
        let mut job = queued.clone();
        let grant = Input::Grant { worker: WORKER, resume };
        let change = job.decide(at(11), &POLICY, grant).expect("may be granted").expect("changes");
        job.apply(&change).expect("decide and apply agree");
        assert_eq!((job.rows.steps, job.checkpoint.is_some()), (expected, resume));
    }
}

/// Its rows are gone, and a checkpoint that counts them with them.
#[test]
fn a_job_that_was_given_up_and_is_asked_for_again_begins_from_nothing() {
    let history = [
        (0, grant()),
        (1, rows(FIRST, 0, 2)),
        (2, checkpoint(FIRST, 2)),
        (10, fail(FIRST)),
        (15, grant()),
        (20, fail(SECOND)),
        (21, Input::Resubmit),
        (22, grant()),
    ];
    let job = job_after(&history);
    assert_eq!((job.rows.steps, job.checkpoint, job.last), (0, None, AttemptNo(3)));
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_followed_by_the_one_before() {
    let history = [
        (0, grant()),
        (1, rows(FIRST, 0, 2)),
        (2, checkpoint(FIRST, 2)),
        (3, rows(FIRST, 2, 4)),
        (4, checkpoint(FIRST, 6)),
        (4, checkpoint(FIRST, 6)),
        (10, expire()),
        (11, grant()),
    ];
    let mut job = job_after(&history);
    assert_eq!((job.rows.steps, job.blobs().count()), (6, 2));
    let report = FailureReport::new(FailureClass::Input, "the checkpoint is damaged");
    let input = Input::Fail { attempt: SECOND, host: "h".into(), report };
    for (millis, input) in [(12, input), (20, grant())] {
        let change = job.decide(at(millis), &POLICY, input).expect("may").expect("changes");
        job.apply(&change).expect("decide and apply agree");
    }
    assert_eq!((job.rows.steps, job.checkpoint.map(|c| c.step)), (2, Some(2)));
}

/// It is no fault of the job's, and there are two to drop at most: then the failure counts.
#[test]
fn a_checkpoint_that_cannot_be_read_costs_no_attempt() {
    let policy = RetryPolicy::of_attempts(1);
    let mut job = job_after(&[
        (0, grant()),
        (1, rows(FIRST, 0, 2)),
        (2, checkpoint(FIRST, 1)),
        (3, checkpoint(FIRST, 2)),
        (4, expire()),
    ]);
    let mut seen = Vec::new();
    for attempt in 2..=4 {
        let attempt = AttemptNo(attempt);
        let report = FailureReport::new(FailureClass::Input, "the checkpoint is damaged");
        for input in [grant(), Input::Fail { attempt, host: "h".into(), report }] {
            let change = job.decide(at(9), &policy, input).expect("may").expect("changes");
            job.apply(&change).expect("decide and apply agree");
        }
        seen.push((job.failures, job.checkpoint.as_ref().map(|c| c.step), job.state.is_settled()));
    }
    assert_eq!(seen, [(0, Some(1), false), (0, None, false), (1, None, true)]);
}

#[test]
fn a_job_that_gets_on_between_lost_leases_is_no_suspect() {
    let mut history = Vec::new();
    for (attempt, rows_before) in (1..=6).zip(0..) {
        let attempt = AttemptNo(attempt);
        history.extend([(0, grant()), (0, rows(attempt, rows_before, 1))]);
        history.extend([(0, checkpoint(attempt, rows_before + 1)), (0, expire())]);
    }
    let job = job_after(&history);
    assert_eq!((job.losses, job.last, job.is_suspect()), (1, AttemptNo(6), false));
}

#[test]
fn failures_wait_longer_each_time_and_then_the_job_is_abandoned() {
    let once = job_after(&[(0, grant()), (10, fail(FIRST))]);
    assert_eq!(once.state, State::Queued { not_before: at(15) });
    assert_eq!(once.decide(at(14), &POLICY, grant()), Err(Refusal::TooEarly { until: at(15) }));
    let twice = job_after(&[(0, grant()), (10, fail(FIRST)), (15, grant()), (20, fail(SECOND))]);
    assert_eq!(twice.state, State::Abandoned { class: FailureClass::Exit });
    assert_eq!(RetryPolicy::of_attempts(3).wait_after(60), RetryPolicy::BACKOFF_MAX);
}

#[test]
fn lost_leases_and_handing_back_do_not_use_up_attempts() {
    let history = [(0, grant()), (1, expire()), (2, grant()), (3, expire()), (4, grant())];
    let job = job_after(&history);
    assert_eq!((job.failures, job.losses, job.last), (0, 2, AttemptNo(3)));
    let mut history = Vec::new();
    for millis in 0..20 {
        history.push((millis, grant()));
        history.push((millis, Input::Release { attempt: AttemptNo(millis as u32 + 1) }));
    }
    let job = job_after(&history);
    assert_eq!((job.failures, job.losses, job.last), (0, 0, AttemptNo(20)));
    assert!(!job.state.is_settled());
}

#[test]
fn a_job_that_loses_too_many_leases_is_abandoned_until_it_is_asked_for_again() {
    let mut history = Vec::new();
    for millis in 0..3 {
        history.extend([(millis, grant()), (millis, expire())]);
    }
    let job = job_after(&history);
    assert_eq!(job.state, State::Abandoned { class: FailureClass::LeaseLost });
    history.push((9, Input::Resubmit));
    let again = job_after(&history);
    assert_eq!((again.losses, again.state.is_settled()), (0, false));
    assert_eq!(again.last, AttemptNo(3), "attempt numbers are never used twice");
}

/// Every history of up to `DEPTH` accepted inputs, drawn from a small alphabet of inputs and waits, obeys the laws:
/// replay rebuilds the job, at most one commit, nothing after a commit, attempts rise by one, budgets hold.
#[test]
fn the_laws_hold_on_every_short_history() {
    const DEPTH: u32 = 6;
    explore(&new_job(), &mut Vec::new(), 0, DEPTH);

    fn laws(job: &Job, journal: &[Change]) {
        let mut replayed = new_job();
        journal.iter().for_each(|change| replayed.apply(change).expect("replays"));
        assert_eq!(&replayed, job, "after {journal:?}");
        let commits = journal.iter().filter(|c| matches!(c, Change::Committed { .. })).count();
        assert!(commits <= 1, "{journal:?}");
        if commits == 1 {
            assert!(matches!(journal.last(), Some(Change::Committed { .. })), "{journal:?}");
        }
        let attempts = journal.iter().filter_map(|change| match change {
            Change::Leased { attempt, .. } => Some(attempt.0),
            _ => None,
        });
        assert!(attempts.zip(1..).all(|(attempt, nth)| attempt == nth), "{journal:?}");
        assert!(job.failures <= POLICY.failures_max && job.losses <= POLICY.losses_max);
    }

    fn explore(job: &Job, journal: &mut Vec<Change>, millis: i64, depth: u32) {
        laws(job, journal);
        if depth == 0 {
            return;
        }
        let mut inputs = vec![grant(), expire(), Input::Cancel, Input::Resubmit];
        for attempt in [FIRST, SECOND] {
            let one = RowCounts { steps: 1, confusion: 0 };
            inputs.extend([rows(attempt, 0, 1), checkpoint(attempt, 1), commit(attempt, NO_ROWS)]);
            inputs.extend([commit(attempt, one), fail(attempt), Input::Release { attempt }]);
        }
        for wait in [0, 5] {
            let now = millis + wait;
            for input in &inputs {
                if let Ok(Some(change)) = job.decide(at(now), &POLICY, input.clone()) {
                    let mut next = job.clone();
                    next.apply(&change).expect("decide and apply agree");
                    journal.push(change);
                    explore(&next, journal, now, depth - 1);
                    journal.pop();
                }
            }
        }
    }
}

#[test]
fn a_change_out_of_order_leaves_the_job_as_it_was() {
    let mut job = job_after(&[(0, grant())]);
    let before = job.clone();
    let change = Change::Committed { attempt: SECOND, diverged: false, engine: "e1".into() };
    assert!(job.apply(&change).is_err());
    assert_eq!(job, before);
}

#[test]
fn a_job_that_is_refused_is_given_up_at_once_and_says_why() {
    let mut job = Job::new(JobId([1; 16]), Origin { revision: 0, index: 0 }, Timestamp::ZERO);
    let policy = RetryPolicy::of_attempts(5);
    let grant = Input::Grant { worker: WorkerId([1; 16]), resume: false };
    let leased = job.decide(Timestamp::ZERO, &policy, grant).expect("queued").expect("a change");
    job.apply(&leased).expect("it was decided");
    let report = FailureReport::new(FailureClass::Refused, "it needs 9 bytes, 8 are granted");
    let fail = Input::Fail { attempt: AttemptNo(1), host: "h".into(), report: report.clone() };
    let failed = job.decide(Timestamp::ZERO, &policy, fail).expect("leased").expect("a change");
    let Change::Failed(failure) = &failed else { panic!("{failed:?}") };
    assert_eq!((failure.again, &failure.report), (None, &report));
    job.apply(&failed).expect("it was decided");
    assert_eq!(job.state, State::Abandoned { class: FailureClass::Refused });
    // A person may still have it tried again: with a newer gradsweep it may be taken.
    assert_eq!(job.decide(Timestamp::ZERO, &policy, Input::Resubmit), Ok(Some(Change::Requeued)));
}

#[test]
fn what_a_committed_attempt_told_may_come_again_and_nothing_more() {
    let mut job = Job::new(JobId([1; 16]), Origin { revision: 0, index: 0 }, Timestamp::ZERO);
    let stored = RowCounts { steps: 2, confusion: 0 };
    for input in [grant(), rows(FIRST, 0, 2), commit(FIRST, stored)] {
        let change = job.decide(at(0), &POLICY, input).expect("accepted").expect("a change");
        job.apply(&change).expect("it was decided");
    }
    for again in [rows(FIRST, 0, 2), rows(FIRST, 0, 1), commit(FIRST, stored)] {
        assert_eq!(job.decide(at(0), &POLICY, again.clone()), Ok(None), "{again:?}");
    }
    for other in [rows(FIRST, 0, 3), rows(FIRST, 2, 1), rows(SECOND, 0, 2)] {
        assert_eq!(job.decide(at(0), &POLICY, other.clone()), Err(Refusal::Settled), "{other:?}");
    }
}
