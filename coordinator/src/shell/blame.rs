//! Hosts on which every job fails while jobs succeed elsewhere: they are drained, lest they use up the attempts of one job
//! after the other. Where no job succeeds anywhere, it is the jobs, and nobody is blamed.

use std::collections::{BTreeMap, BTreeSet};

use super::leases::JobKey;

/// Different jobs that fail on a host one after the other before it is blamed.
pub const FAILED_MAX: usize = 4;

/// Hosts with failures that are remembered.
const HOSTS_MAX: usize = 4_096;

/// What there is to say against each host. Forgotten at a restart.
#[derive(Debug, Default)]
pub struct Blame {
    hosts: BTreeMap<String, Record>,
    /// Jobs that committed, wherever.
    commits: u64,
}

/// A host since its last commit.
#[derive(Debug)]
struct Record {
    failed: BTreeSet<JobKey>,
    /// Commits of all hosts before the first of the failures.
    commits_before: u64,
    is_blamed: bool,
}

impl Blame {
    /// A job committed on `host`: nothing is wrong with it.
    pub fn committed(&mut self, host: &str) {
        self.commits += 1;
        self.hosts.remove(host);
    }

    /// A job failed on `host`. Whether the host is to have no more: its last [`FAILED_MAX`] jobs failed, and others
    /// committed elsewhere meanwhile; or it was blamed before, and fails still.
    pub fn failed(&mut self, host: &str, job: JobKey) -> bool {
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(host) {
            self.hosts.pop_first();
        }
        let new =
            || Record { failed: BTreeSet::new(), commits_before: self.commits, is_blamed: false };
        let record = self.hosts.entry(host.to_owned()).or_insert_with(new);
        if record.failed.len() < FAILED_MAX {
            record.failed.insert(job);
        }
        let all_fail = record.failed.len() >= FAILED_MAX;
        record.is_blamed |= all_fail && self.commits > record.commits_before;
        record.is_blamed
    }
}

#[cfg(test)]
mod tests {
    use domain::JobId;

    use super::*;

    fn job(number: u8) -> JobKey {
        ("s".parse().expect("a good name"), JobId([number; 16]))
    }

    #[test]
    fn a_host_is_blamed_when_its_jobs_fail_and_others_do_not() {
        let mut blame = Blame::default();
        blame.committed("good");
        assert!((0..9).all(|number| !blame.failed("bad", job(number))), "it may be the jobs");
        blame.committed("good");
        assert!(blame.failed("bad", job(9)));
        assert!(blame.failed("bad", job(10)), "one more is enough when it comes back");
        blame.committed("bad");
        assert!(!blame.failed("bad", job(11)), "a commit speaks for it");
    }

    #[test]
    fn one_job_that_fails_again_and_again_says_nothing_about_the_host() {
        let mut blame = Blame::default();
        assert!(!blame.failed("host", job(1)));
        blame.committed("other");
        assert!((0..20).all(|_| !blame.failed("host", job(1))));
    }
}
