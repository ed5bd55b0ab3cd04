//! What must hold of a machine after every event. Checked by the tests, never in production.

use domain::SweepName;

use super::{Machine, RetryPolicy, State};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("sweep {sweep}: queue or counts do not follow from the states of the jobs")]
    Bookkeeping { sweep: SweepName },
    #[error("sweep {sweep}: a job was tried more often than its budgets allow")]
    Budget { sweep: SweepName },
    #[error("sweep {sweep}: a job waits to be sealed that is not committed, or waits twice")]
    Unsealed { sweep: SweepName },
}

/// The first law that does not hold.
pub fn check(machine: &Machine) -> Result<(), Violation> {
    for (sweep, lineage) in machine.lineages() {
        if lineage.derived() != lineage.kept() {
            return Err(Violation::Bookkeeping { sweep: sweep.clone() });
        }
        let revisions = lineage.revisions().iter();
        let policies = revisions.map(|r| RetryPolicy::of_attempts(r.sweep.run().attempts));
        let (failures, losses) = policies
            .fold((0, 0), |(f, l), policy| (f.max(policy.failures_max), l.max(policy.losses_max)));
        let within = |job: &super::Job| job.failures <= failures && job.losses <= losses;
        if !lineage.all_jobs().iter().all(within) {
            return Err(Violation::Budget { sweep: sweep.clone() });
        }
        let planned = lineage.planned().into_iter().flat_map(|plan| plan.jobs.iter());
        let mut waiting: Vec<_> = lineage.unsealed().0.iter().chain(planned).collect();
        let committed =
            |number: &&u32| matches!(lineage.job(**number).state, State::Committed { .. });
        let all_committed = waiting.iter().all(committed);
        let before = waiting.len();
        waiting.sort_unstable();
        waiting.dedup();
        if !all_committed || waiting.len() != before {
            return Err(Violation::Unsealed { sweep: sweep.clone() });
        }
    }
    Ok(())
}
