//! Tests of the journal on real files. What power cuts and full disks do to it, the simulation tries.

use domain::{SweepName, Table};

use super::*;
use crate::machine::Event;

const JOB: JobId = JobId([1; 16]);
const FRESH: JournalId = JournalId([9; 16]);

fn sweep() -> SweepName {
    "a-sweep".parse().expect("a good name")
}

fn put(table: Table, first_row: u64, row_count: u32) -> SpoolChange {
    let rows = SpooledRows { first_row, row_count, cells: vec![first_row as u8; 3] };
    SpoolChange::Put { sweep: sweep(), job: JOB, table, rows }
}

fn sealed(segment: &str) -> Event {
    Event::SegmentSealed { sweep: sweep(), segment: segment.to_owned() }
}

fn events(events: &[Event]) -> Batch {
    Batch { events: events.to_vec(), spool: Vec::new() }
}

fn spool(change: SpoolChange) -> Batch {
    Batch { events: Vec::new(), spool: vec![change] }
}

fn first_rows(journal: &LogJournal, table: Table) -> Vec<u64> {
    let rows = journal.rows(&sweep(), JOB, table).expect("reads");
    rows.iter().map(|rows| rows.first_row).collect()
}

fn open(folder: &Path) -> Result<(LogJournal, Vec<Event>), JournalError> {
    LogJournal::open(folder, FRESH).map(|(journal, replay)| (journal, replay.events))
}

#[tokio::test]
async fn what_was_appended_is_there_after_reopening_under_a_new_epoch() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (journal, told) = open(folder.path()).expect("opens");
    assert_eq!((journal.id(), journal.epoch(), told.len()), (FRESH, Epoch(1), 0));
    let batch = Batch {
        events: vec![sealed("a"), sealed("b")],
        spool: vec![put(Table::Steps, 0, 4), put(Table::Steps, 4, 2), put(Table::Jobs, 0, 1)],
    };
    journal.append(Arc::new(batch)).await.expect("stores");
    assert!(matches!(open(folder.path()), Err(JournalError::InUse { .. })));
    drop(journal);

    let (journal, told) = open(folder.path()).expect("opens again");
    assert_eq!((journal.id(), journal.epoch()), (FRESH, Epoch(2)));
    assert_eq!(told, [sealed("a"), sealed("b")]);
    assert_eq!(first_rows(&journal, Table::Steps), [0, 4]);
    let from = SpoolChange::Truncate { sweep: sweep(), job: JOB, table: Table::Steps, from_row: 4 };
    journal.append_now(&spool(from)).expect("stores");
    assert_eq!(first_rows(&journal, Table::Steps), [0]);
    journal.append_now(&spool(SpoolChange::Drop { sweep: sweep(), job: JOB })).expect("stores");
    assert_eq!(first_rows(&journal, Table::Steps), [] as [u64; 0]);
    assert_eq!(first_rows(&journal, Table::Jobs), [] as [u64; 0]);
}

#[test]
fn a_journal_that_begins_anew_keeps_its_state_and_its_rows_and_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (journal, _) = open(folder.path()).expect("opens");
    for round in 0..5 {
        journal.append_now(&events(&[sealed("before")])).expect("stores");
        journal.append_now(&spool(put(Table::Steps, round, 1))).expect("stores");
        journal.begin_anew_now(&Snapshot::default()).expect("begins anew");
        journal.append_now(&events(&[sealed("after")])).expect("stores");
        assert_eq!(first_rows(&journal, Table::Steps), (0..=round).collect::<Vec<_>>());
    }
    drop(journal);
    let (journal, told) = open(folder.path()).expect("opens again");
    assert_eq!(told, [sealed("after")]);
    assert_eq!(first_rows(&journal, Table::Steps), [0, 1, 2, 3, 4]);
    let lengths = ["log.0", "log.1"]
        .map(|name| fs::metadata(folder.path().join(name)).expect("is there").len());
    assert!(lengths.contains(&0), "the log before is gone: {lengths:?}");
}

#[test]
fn an_older_epoch_is_fenced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (journal, _) = open(folder.path()).expect("opens");
    // As on a file system that does not keep locks: another takes the journal over.
    let other = FileStorage::open(&folder.path().join("log.0")).expect("opens");
    let header = Header { generation: 1, epoch: 2, id: FRESH };
    other.write(header.place(), &header.bytes()).expect("writes");
    let fenced = journal.append_now(&events(&[sealed("a")]));
    assert!(matches!(fenced, Err(JournalError::Fenced { ours: Epoch(1), current: Epoch(2) })));
    drop(journal);
    assert_eq!(open(folder.path()).expect("opens").1, []);
}

/// A journal of three batches; where each ends.
fn three_batches(folder: &Path) -> Vec<u64> {
    let (journal, _) = open(folder).expect("opens");
    let mut ends = Vec::new();
    for segment in ["first", "second", "third"] {
        journal.append_now(&events(&[sealed(segment)])).expect("stores");
        ends.push(lock(&journal.log).end);
    }
    ends
}

#[test]
fn every_flipped_byte_of_what_was_acknowledged_is_named_and_none_of_it_is_lost_in_silence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ends = three_batches(folder.path());
    let path = folder.path().join("log.0");
    let whole = fs::read(&path).expect("reads");
    let mark = fs::read(folder.path().join("log.mark")).expect("reads");
    for at in RECORDS_AT..ends[2] {
        let mut damaged = whole.clone();
        damaged[at as usize] ^= 1;
        fs::write(&path, &damaged).expect("writes");
        let error = open(folder.path()).err().expect("is refused").to_string();
        assert!(error.contains("damaged") && error.contains("byte"), "byte {at}: {error}");
        assert_eq!(fs::read(&path).expect("reads"), damaged, "it is left as it is");
    }
    // The headers: one of the two may be lost, and the other tells.
    for at in [0, 4_100] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).expect("writes");
        fs::write(folder.path().join("log.mark"), &mark).expect("writes");
        match open(folder.path()) {
            Ok((_, told)) => assert_eq!(told.len(), 3),
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        }
    }
}

#[test]
fn every_truncation_of_what_was_acknowledged_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ends = three_batches(folder.path());
    let path = folder.path().join("log.0");
    let whole = fs::read(&path).expect("reads");
    for length in (0..ends[2]).step_by(7) {
        fs::write(&path, &whole[..length as usize]).expect("writes");
        let error = open(folder.path()).err().expect("is refused").to_string();
        assert!(error.contains("damaged"), "cut at {length}: {error}");
    }
}

#[test]
fn a_batch_that_was_not_acknowledged_is_passed_over_and_what_follows_takes_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ends = three_batches(folder.path());
    let path = folder.path().join("log.0");
    let storage = FileStorage::open(&path).expect("opens");
    // Torn, and longer than what comes after it: its rest must not pass for a record.
    storage.write(ends[2], &500_u64.to_le_bytes()).expect("writes");
    storage.write(ends[2] + 8, &[7; 508]).expect("writes");
    let (journal, told) = open(folder.path()).expect("opens");
    assert_eq!(told.len(), 3);
    journal.append_now(&events(&[sealed("fourth")])).expect("stores");
    drop(journal);
    let (_, told) = open(folder.path()).expect("opens");
    assert_eq!(told.last(), Some(&sealed("fourth")));
    assert_eq!(told.len(), 4);
}

#[test]
fn a_record_that_lay_there_before_cannot_pass_for_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ends = three_batches(folder.path());
    let storage = FileStorage::open(&folder.path().join("log.0")).expect("opens");
    // A whole record of this very log, but not the one that follows.
    let mut record = vec![0; (ends[1] - ends[0]) as usize];
    storage.read(ends[0], &mut record).expect("reads");
    storage.write(ends[2], &record).expect("writes");
    assert_eq!(open(folder.path()).expect("opens").1.len(), 3);
}

#[test]
fn files_that_are_no_journal_are_refused_and_left_alone() {
    for text in [&b"?"[..], &b"this is something that somebody wants to keep".repeat(999)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.0");
        fs::write(&path, text).expect("writes");
        assert!(matches!(open(folder.path()), Err(JournalError::Damaged { .. })));
        assert_eq!(fs::read(&path).expect("reads"), text);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("journal.redb"), b"redb").expect("writes");
    let refused = open(folder.path());
    assert!(matches!(refused, Err(JournalError::Format { found: 1, .. })));
}
