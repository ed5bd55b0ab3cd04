//! When committed rows become a segment: rarely enough that 10,000 jobs make few files, and at the end always.

use std::fmt;

use domain::table::JOURNAL_DIGITS;
use domain::{Epoch, JournalId, SweepName};

use super::{Event, Machine};

/// Fewest rows worth a file of their own before the end of a sweep. With the rule of an eighth, a sweep of n rows
/// makes at most `ln(n / SEGMENT_ROWS_MIN) / ln(9/8) + 2` files a table: 35 for 400,000 rows.
pub const SEGMENT_ROWS_MIN: u64 = 8_192;

/// What makes a segment's name its own: the journal that recorded it, the epoch, and a number in the lineage.
#[derive(Clone, Copy, Debug)]
pub struct SegmentName {
    pub journal: JournalId,
    pub epoch: Epoch,
}

impl SegmentName {
    /// The name of the lineage's segment `number`: unique among all coordinators that write to one folder.
    fn of(self, number: u64) -> String {
        let mut journal = self.journal.to_string();
        journal.truncate(JOURNAL_DIGITS);
        format!("{journal}-{:04}-{number:06}", self.epoch.0)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of(0))
    }
}

impl Machine {
    /// The segment that is due for `sweep`: when its unsealed rows are an eighth of all, when it has settled, or, with
    /// `flush`, whenever anything waits. One segment of a sweep is written at a time.
    pub fn decide_seal(&self, sweep: &SweepName, name: SegmentName, flush: bool) -> Option<Event> {
        let lineage = self.lineage(sweep)?;
        let (unsealed, rows) = lineage.unsealed();
        let failures = lineage.unsealed_failures();
        if lineage.planned().is_some() || (unsealed.is_empty() && failures == 0) {
            return None;
        }
        let enough = rows >= SEGMENT_ROWS_MIN.max(lineage.sealed_rows() / 8);
        if !(enough || flush || lineage.is_settled()) {
            return None;
        }
        let mut jobs: Vec<_> = unsealed.iter().map(|&number| lineage.job(number).id).collect();
        jobs.sort_unstable();
        let segment = name.of(lineage.segment_count());
        Some(Event::SegmentPlanned { sweep: sweep.clone(), segment, jobs, failures })
    }
}
