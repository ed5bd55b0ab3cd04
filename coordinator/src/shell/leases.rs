//! Until when each lease holds. Not journalled: after a restart every open lease gets one full term, and likewise after a time
//! in which nobody could be heard.

use std::collections::{BTreeSet, HashMap};

use domain::{JobId, SweepName, Timestamp};

/// A job of a sweep.
pub type JobKey = (SweepName, JobId);

/// Deadlines of the open leases.
#[derive(Debug, Default)]
pub struct Leases {
    deadlines: BTreeSet<(Timestamp, JobKey)>,
    by_job: HashMap<JobKey, Timestamp>,
}

impl Leases {
    /// The lease of `job` holds until `deadline`, whatever it was before.
    pub fn set(&mut self, job: JobKey, deadline: Timestamp) {
        self.end(&job);
        self.by_job.insert(job.clone(), deadline);
        self.deadlines.insert((deadline, job));
    }

    /// Until when the lease of a job holds.
    pub fn until(&self, job: &JobKey) -> Option<Timestamp> {
        self.by_job.get(job).copied()
    }

    /// Every lease holds until `deadline`.
    pub fn set_all(&mut self, deadline: Timestamp) {
        self.by_job.values_mut().for_each(|until| *until = deadline);
        self.deadlines = self.by_job.keys().map(|job| (deadline, job.clone())).collect();
    }

    /// There is no lease of `job` any more.
    pub fn end(&mut self, job: &JobKey) {
        if let Some(deadline) = self.by_job.remove(job) {
            self.deadlines.remove(&(deadline, job.clone()));
        }
    }

    /// Jobs whose lease has run out by `now`.
    pub fn expired(&self, now: Timestamp) -> Vec<JobKey> {
        let due = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        due.map(|(_, job)| job.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_lease_runs_out_at_its_last_deadline() {
        let job = ("s".parse().expect("a good name"), JobId([1; 16]));
        let mut leases = Leases::default();
        leases.set(job.clone(), Timestamp::from_millis(10));
        leases.set(job.clone(), Timestamp::from_millis(20));
        assert_eq!(leases.expired(Timestamp::from_millis(19)), []);
        assert_eq!(leases.expired(Timestamp::from_millis(20)), std::slice::from_ref(&job));
        leases.set_all(Timestamp::from_millis(25));
        assert_eq!(leases.expired(Timestamp::from_millis(24)), []);
        assert_eq!(leases.expired(Timestamp::from_millis(25)), std::slice::from_ref(&job));
        leases.end(&job);
        assert_eq!(leases.expired(Timestamp::from_millis(99)), []);
    }
}
