//! The account of what this worker holds: its attempts, and every message about them that is not yet acknowledged.
//!
//! Pure: the desk tells it what trials say, what left and what the coordinator acknowledged; it says what is to be sent
//! next, in order, and again from the start on a new connection.
//!
//! ```text
//! take ──▶ held ── rows, weights, checkpoint ──▶ held ── finish ──▶ over ── settled, drop ──▶ (gone)
//! ```

use std::collections::BTreeMap;

use domain::Table;
use proto::message::{Attempt, Checkpoint, FromWorker, Kept, Outcome, Progress, RowBatch};

/// Bytes of messages that may wait for acknowledgement in memory where nothing else is said; those after wait on disk, see
/// `overflow`. 64 MiB is some 30,000 confusion rows: minutes of an absent coordinator for hundreds of slots.
pub const BYTES_MAX: usize = 64 << 20;

/// Messages that may wait for acknowledgement in memory, so that the small ones are bounded too.
pub const MESSAGES_MAX: usize = 16_384;

/// What a worker holds.
#[derive(Debug)]
pub struct Held {
    attempts: BTreeMap<Attempt, Entry>,
    /// Unacknowledged messages in the order in which they are sent.
    messages: BTreeMap<u64, FromWorker>,
    /// The number of the next message.
    next: u64,
    /// Messages from this number on have not been sent on this connection.
    unsent: u64,
    bytes: usize,
    /// Once there are so many bytes, no more is to be told.
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry {
    progress: Progress,
    /// Numbers of its messages, ascending.
    messages: Vec<u64>,
    is_over: bool,
}

impl Held {
    /// Nothing yet; room for `bytes_max` bytes of messages, and the one that goes beyond them.
    pub fn new(bytes_max: usize) -> Self {
        let (attempts, messages) = (BTreeMap::new(), BTreeMap::new());
        Self { attempts, messages, next: 0, unsent: 0, bytes: 0, bytes_max }
    }

    /// Takes an attempt in; `false`: it is here already.
    pub fn take(&mut self, attempt: Attempt) -> bool {
        if self.has(&attempt) {
            return false;
        }
        let progress = Progress {
            attempt: attempt.clone(),
            step: 0,
            steps: 0,
            risk: None,
            min_cos: None,
            rms_cos: None,
        };
        self.attempts.insert(attempt, Entry { progress, messages: Vec::new(), is_over: false });
        true
    }

    /// Whether the attempt is here.
    pub fn has(&self, attempt: &Attempt) -> bool {
        self.attempts.contains_key(attempt)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Whether no more is to be told until something is acknowledged.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max || self.messages.len() >= MESSAGES_MAX
    }

    /// Every attempt here, for a hello.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.keys().cloned().collect()
    }

    /// The attempts that are not over.
    pub fn unfinished(&self) -> Vec<Attempt> {
        let unfinished = self.attempts.iter().filter(|(_, entry)| !entry.is_over);
        unfinished.map(|(attempt, _)| attempt.clone()).collect()
    }

    /// How far every attempt here is, for a heartbeat.
    pub fn progress(&self) -> Vec<Progress> {
        self.attempts.values().map(|entry| entry.progress.clone()).collect()
    }

    /// Notes how far an attempt is. Attempts that are not here are no longer this worker's: nothing happens.
    pub fn advance(&mut self, progress: Progress) {
        if let Some(entry) = self.attempts.get_mut(&progress.attempt) {
            entry.progress = progress;
        }
    }

    /// Keeps rows until they are durable. Not of an attempt that is not here or is over.
    pub fn rows(&mut self, batch: RowBatch) {
        self.push(&batch.attempt.clone(), FromWorker::Rows(batch));
    }

    /// Keeps word of a stored checkpoint until it is known. Not of an attempt that is not here or is over.
    pub fn checkpoint(&mut self, attempt: &Attempt, checkpoint: Checkpoint) {
        self.push(attempt, FromWorker::Checkpoint(attempt.clone(), checkpoint));
    }

    /// Keeps word of stored weights until it is durable. Not of an attempt that is not here or is over.
    pub fn weights(&mut self, attempt: &Attempt, kept: Kept) {
        self.push(attempt, FromWorker::Weights(attempt.clone(), kept));
    }

    /// Keeps the outcome until it is settled; the attempt is over. Nothing if it is not here or over already.
    pub fn finish(&mut self, attempt: &Attempt, outcome: Outcome) {
        self.push(attempt, FromWorker::Outcome(attempt.clone(), outcome));
        if let Some(entry) = self.attempts.get_mut(attempt) {
            entry.is_over = true;
        }
    }

    fn push(&mut self, attempt: &Attempt, message: FromWorker) {
        let Some(entry) = self.attempts.get_mut(attempt).filter(|entry| !entry.is_over) else {
            return;
        };
        self.bytes += size(&message);
        entry.messages.push(self.next);
        self.messages.insert(self.next, message);
        self.next += 1;
    }

    /// Whether a message waits to be sent on this connection.
    pub fn has_unsent(&self) -> bool {
        self.messages.range(self.unsent..).next().is_some()
    }

    /// The next message to send. It stays here until it is acknowledged.
    pub fn next_unsent(&mut self) -> Option<FromWorker> {
        let (&number, message) = self.messages.range(self.unsent..).next()?;
        self.unsent = number + 1;
        Some(message.clone())
    }

    /// A new connection: everything that is not acknowledged is to be sent again, in order.
    pub fn resend(&mut self) {
        self.unsent = 0;
    }

    /// Every row of `table` before `next_row` is durable.
    pub fn rows_are_durable(&mut self, attempt: &Attempt, table: Table, next_row: u64) {
        self.acknowledge(attempt, |message| match message {
            FromWorker::Rows(batch) => {
                batch.table == table && batch.first_row + u64::from(batch.row_count) <= next_row
            }
            _ => false,
        });
    }

    /// The coordinator knows the checkpoint at `step`, and so needs none before.
    pub fn checkpoint_is_known(&mut self, attempt: &Attempt, step: u64) {
        self.acknowledge(attempt, |message| {
            matches!(message, FromWorker::Checkpoint(_, checkpoint) if checkpoint.step <= step)
        });
    }

    /// The coordinator keeps the weights at `step`, and all before.
    pub fn weights_are_durable(&mut self, attempt: &Attempt, step: u64) {
        self.acknowledge(
            attempt,
            |message| matches!(message, FromWorker::Weights(_, kept) if kept.step <= step),
        );
    }

    /// The attempt is no longer this worker's, be it settled or revoked. `false`: it was not before.
    pub fn drop(&mut self, attempt: &Attempt) -> bool {
        self.acknowledge(attempt, |_| true);
        self.attempts.remove(attempt).is_some()
    }

    fn acknowledge(&mut self, attempt: &Attempt, is_done: impl Fn(&FromWorker) -> bool) {
        let Some(entry) = self.attempts.get_mut(attempt) else { return };
        let (messages, bytes) = (&mut self.messages, &mut self.bytes);
        entry.messages.retain(|number| {
            let is_done = messages.get(number).is_none_or(&is_done);
            if let Some(message) = is_done.then(|| messages.remove(number)).flatten() {
                *bytes -= size(&message);
            }
            !is_done
        });
    }
}

/// Bytes that a message keeps, its small parts by a fixed allowance.
fn size(message: &FromWorker) -> usize {
    const SMALL_PARTS: usize = 256;
    SMALL_PARTS
        + match message {
            FromWorker::Rows(batch) => batch.cells.len(),
            FromWorker::Outcome(_, Outcome::Result { cells, .. }) => cells.len(),
            FromWorker::Outcome(_, Outcome::Failure(report)) => {
                report.message.len() + report.log_tail.len()
            }
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use domain::{AttemptNo, Digest, JobId};
    use proptest::prelude::*;

    use super::*;

    fn attempt(job: u8) -> Attempt {
        let sweep = "s".parse().expect("a name");
        Attempt { sweep, job: JobId([job; 16]), number: AttemptNo(1) }
    }

    fn batch(job: u8, first_row: u64, row_count: u32) -> RowBatch {
        let cells = vec![0; 1_000];
        RowBatch { attempt: attempt(job), table: Table::Steps, first_row, row_count, cells }
    }

    fn checkpoint(step: u64) -> Checkpoint {
        Checkpoint {
            digest: Digest([0; 32]),
            step,
            steps_rows: 0,
            confusion_rows: 0,
            engine_revision: "1".into(),
            instruction_set: "x".into(),
        }
    }

    fn drain(held: &mut Held) -> Vec<FromWorker> {
        std::iter::from_fn(|| held.next_unsent()).collect()
    }

    #[test]
    fn messages_leave_once_and_in_order_and_again_after_a_reconnect() {
        let mut held = Held::new(BYTES_MAX);
        assert!(held.take(attempt(1)) && held.take(attempt(2)) && !held.take(attempt(1)));
        held.rows(batch(1, 0, 2));
        held.rows(batch(2, 0, 2));
        assert_eq!(drain(&mut held).len(), 2);
        held.rows(batch(1, 2, 1));
        held.finish(&attempt(1), Outcome::Released);
        let last = drain(&mut held);
        assert_eq!(last[0], FromWorker::Rows(batch(1, 2, 1)));
        assert_eq!(last[1], FromWorker::Outcome(attempt(1), Outcome::Released));
        assert!(!held.has_unsent());
        held.resend();
        assert_eq!(drain(&mut held).len(), 4);
    }

    #[test]
    fn acknowledgements_are_cumulative_and_spare_other_tables_and_attempts() {
        let mut held = Held::new(BYTES_MAX);
        held.take(attempt(1));
        held.take(attempt(2));
        for first in [0, 2, 4] {
            held.rows(batch(1, first, 2));
        }
        held.rows(batch(2, 0, 2));
        held.rows_are_durable(&attempt(1), Table::Confusion, 9);
        assert_eq!(held.messages.len(), 4);
        // Row 4 is durable, its batch is not.
        held.rows_are_durable(&attempt(1), Table::Steps, 5);
        assert_eq!(held.messages.len(), 2);
        held.checkpoint(&attempt(1), checkpoint(10));
        held.checkpoint(&attempt(1), checkpoint(20));
        held.checkpoint_is_known(&attempt(1), 19);
        assert_eq!(held.messages.len(), 3);
    }

    #[test]
    fn an_attempt_stays_until_its_outcome_is_settled_and_takes_its_messages_with_it() {
        let mut held = Held::new(BYTES_MAX);
        held.take(attempt(1));
        held.rows(batch(1, 0, 1));
        held.finish(&attempt(1), Outcome::Released);
        // A trial that says more than its end is not listened to.
        held.rows(batch(1, 1, 1));
        held.finish(&attempt(1), Outcome::Released);
        assert_eq!(held.messages.len(), 2);
        assert_eq!((held.attempts(), held.unfinished()), (vec![attempt(1)], vec![]));
        assert!(held.drop(&attempt(1)) && !held.drop(&attempt(1)));
        assert!(held.is_empty() && held.messages.is_empty() && held.bytes == 0);
        held.rows(batch(1, 2, 1));
        assert!(!held.has_unsent());
    }

    #[test]
    fn trials_wait_when_the_bounds_are_reached_and_go_on_when_rows_are_durable() {
        let mut held = Held::new(BYTES_MAX);
        held.take(attempt(1));
        let big = RowBatch { cells: vec![0; 4 << 20], ..batch(1, 0, 1) };
        let mut first_row = 0;
        while !held.is_full() {
            held.rows(RowBatch { first_row, ..big.clone() });
            first_row += 1;
        }
        assert_eq!(first_row, 16);
        held.rows_are_durable(&attempt(1), Table::Steps, 1);
        assert!(!held.is_full());
    }

    proptest! {
        /// Law: whatever is told, sent, acknowledged and lost, every message is either acknowledged or sent again on
        /// the next connection, in order; and the account of bytes is exact.
        #[test]
        fn nothing_is_lost_and_order_is_kept(inputs in proptest::collection::vec((0..6u8, 0..3u8, 0..12u64), 0..80)) {
            let mut held = Held::new(BYTES_MAX);
            let mut next_row = [0u64; 3];
            for (input, job, number) in inputs {
                match input {
                    0 => { held.take(attempt(job)); }
                    1 if held.has(&attempt(job)) => {
                        held.rows(batch(job, next_row[job as usize], 1));
                        next_row[job as usize] += 1;
                    }
                    2 => { held.next_unsent(); }
                    3 => held.rows_are_durable(&attempt(job), Table::Steps, number),
                    4 => held.resend(),
                    5 => held.finish(&attempt(job), Outcome::Released),
                    _ => {}
                }
            }
            let bytes: usize = held.messages.values().map(size).sum();
            prop_assert_eq!(bytes, held.bytes);
            let kept: Vec<_> = held.messages.values().cloned().collect();
            held.resend();
            prop_assert_eq!(drain(&mut held), kept);
            let numbers: usize = held.attempts.values().map(|entry| entry.messages.len()).sum();
            prop_assert_eq!(numbers, held.messages.len());
        }
    }
}
