//! Records there and back, cut short and damaged.

use domain::{AttemptNo, Digest, FailureClass, FailureReport, Timestamp, WorkerId};
use proto::message::{Checkpoint, Kept};

use super::super::SpooledRows;
use super::*;
use crate::machine::{
    Change, Failed, FailureRecord, HandedIn, JobSnapshot, LineageSnapshot, Origin, Plan, RowCounts,
    State, Submitted,
};

fn events() -> Vec<Event> {
    let sweep: SweepName = "a-sweep".parse().expect("a good name");
    let (job, worker) = (JobId([3; 16]), WorkerId([4; 16]));
    let attempt = AttemptNo(2);
    let checkpoint = Checkpoint {
        digest: Digest([5; 32]),
        step: 9,
        steps_rows: 2,
        confusion_rows: 1,
        engine_revision: "e1".into(),
        instruction_set: "avx2".into(),
    };
    let mut report = FailureReport::new(FailureClass::Signal, "killed by signal 9");
    report.signal = Some(9);
    let failed = Failed {
        attempt,
        worker,
        host: "h".into(),
        at: Timestamp::from_micros(12),
        report,
        again: Some(Timestamp::from_micros(13)),
    };
    let changes = [
        Change::Leased { attempt, worker, resume: true },
        Change::Rows { attempt, table: Table::Steps, next_row: 7 },
        Change::Checkpointed { attempt, checkpoint },
        Change::Committed { attempt, diverged: true, engine: "e1".into() },
        Change::Failed(failed),
        Change::Released { attempt },
        Change::Cancelled,
        Change::Requeued,
        Change::Weights { attempt, kept: Kept { step: 12, digest: Digest([7; 32]) } },
    ];
    let mut events: Vec<_> = changes
        .into_iter()
        .map(|change| Event::Job { sweep: sweep.clone(), job, change })
        .collect();
    let revision = HandedIn {
        canonical: "{}".into(),
        file_name: "s.toml".into(),
        file_text: "name = \"é\"".into(),
        at: Timestamp::from_micros(1),
    };
    events.push(Event::Submitted(Submitted { revision, jobs: [job, JobId([4; 16])].into() }));
    let segment = "s".to_owned();
    events.push(Event::SegmentPlanned {
        sweep: sweep.clone(),
        segment: segment.clone(),
        jobs: vec![job],
        failures: 1,
    });
    events.push(Event::SegmentSealed { sweep: sweep.clone(), segment });
    events.push(Event::Paused { sweep, paused: true });
    events
}

fn batch() -> Batch {
    let (sweep, job): (SweepName, _) = ("a-sweep".parse().expect("a good name"), JobId([3; 16]));
    let rows = |first_row, cells: &[u8]| SpoolChange::Put {
        sweep: sweep.clone(),
        job,
        table: Table::Steps,
        rows: SpooledRows { first_row, row_count: 2, cells: cells.to_vec() },
    };
    let spool = vec![
        rows(0, b"first"),
        SpoolChange::Truncate { sweep: sweep.clone(), job, table: Table::Jobs, from_row: 3 },
        rows(2, b"second"),
        SpoolChange::Drop { sweep: "other".parse().expect("a good name"), job },
    ];
    Batch { events: events(), spool }
}

fn snapshot() -> Snapshot {
    let failed = events().into_iter().find_map(|event| match event {
        Event::Job { change: Change::Failed(failed), .. } => Some(failed),
        _ => None,
    });
    let failures = vec![FailureRecord { job: 3, failed: failed.expect("is among them") }];
    let states = [
        State::Queued { not_before: Timestamp::from_micros(5) },
        State::Leased { worker: WorkerId([8; 16]) },
        State::Committed { diverged: true },
        State::Abandoned { class: FailureClass::Timeout },
        State::Cancelled,
    ];
    let job = |(number, state): (u32, _)| JobSnapshot {
        number,
        state,
        last: AttemptNo(2),
        failures: 1,
        losses: 2,
        rows: RowCounts { steps: 300, confusion: 4 },
        checkpoint: None,
        earlier: None,
        kept: (0..u64::from(number % 3))
            .map(|step| Kept { step, digest: Digest([number as u8; 32]) })
            .collect(),
    };
    let revision = HandedIn {
        canonical: "{}".into(),
        file_name: "s".into(),
        file_text: "t".into(),
        at: Timestamp::from_micros(1),
    };
    let plan = Plan { segment: "x".into(), jobs: vec![2], failures: failures.clone(), rows: 9 };
    let lineage = LineageSnapshot {
        sweep: "a-sweep".parse().expect("a good name"),
        revisions: vec![revision],
        ids: vec![(JobId([6; 16]), Origin { revision: 0, index: 700 })],
        members: vec![0],
        jobs: (0..).zip(states).map(job).collect(),
        unsealed: vec![2],
        sealed_rows: 77,
        failures,
        last_words: vec![(3, "why".into())],
        plan: Some(plan),
        segments: 4,
        engines: [("e1".to_owned(), 5)].into(),
        failed_attempts: 6,
        paused: true,
    };
    Snapshot { lineages: vec![lineage] }
}

#[test]
fn batches_and_snapshots_read_back_and_their_rows_lie_where_they_are_said_to_lie() {
    let (batch, snapshot) = (batch(), snapshot());
    let (bytes, placed) = encode(&batch, Some(&snapshot), 1_000);
    let record = decode(&bytes, 1_000).expect("reads");
    assert_eq!((record.snapshot, record.events), (Some(snapshot), batch.events));
    assert_eq!(record.spool, placed);
    let rows = placed.iter().filter_map(|change| match change {
        Spooled::Put { place, .. } => {
            let from = (place.offset - 1_000) as usize;
            Some(&bytes[from..from + place.bytes as usize])
        }
        _ => None,
    });
    assert_eq!(rows.collect::<Vec<_>>(), [&b"first"[..], b"second"]);
}

/// A snapshot without kept weights is written as before there were any, so that older programs read it too; those with some
/// they refuse.
#[test]
fn a_snapshot_without_weights_is_an_option_as_it_was() {
    let whole = snapshot();
    let mut bare = whole.clone();
    bare.lineages[0].jobs.iter_mut().for_each(|job| job.kept.clear());
    let start = |snapshot: Option<&Snapshot>| {
        postcard::to_allocvec(&StoredStart::of(snapshot)).expect("serialises")
    };
    let stored = postcard::to_allocvec(&snapshot::StoredSnapshot::of(&bare)).expect("serialises");
    assert_eq!(start(Some(&bare)), [&[1], &*stored].concat());
    assert_eq!(start(None), [0]);
    let with_weights = start(Some(&whole));
    assert_eq!(with_weights[..=stored.len()], [&[2], &*stored].concat());
    let read: Result<Option<snapshot::StoredSnapshot>, _> = postcard::from_bytes(&with_weights);
    assert!(read.is_err(), "an older program would take it for one without");
}

#[test]
fn no_truncation_and_no_flipped_byte_makes_it_panic_or_ask_for_more_memory_than_there_is() {
    let (bytes, _) = encode(&batch(), Some(&snapshot()), 0);
    for length in 0..bytes.len() {
        // What is cut may still be whole in its head; then its rows are short.
        assert!(decode(&bytes[..length], 0).is_err(), "cut at {length}");
    }
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            drop(decode(&damaged, 0));
        }
    }
}
