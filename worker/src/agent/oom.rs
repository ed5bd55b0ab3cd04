//! Evidence that the kernel killed a process for memory: counters that it raises with each such kill.

use std::fs;

/// The `oom_kill` counters that this process can see, by the file each is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OomKills(Vec<(String, u64)>);

impl OomKills {
    /// The counters as they stand. Files that are not there count for nothing.
    pub fn read() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let read = |path: String| {
            let count = count_of(&fs::read_to_string(&path).ok()?)?;
            Some((path, count))
        };
        Self(files(&groups).into_iter().filter_map(read).collect())
    }

    /// What rose since `before`, in words; `None`: nothing did.
    pub fn evidence_since(&self, before: &Self) -> Option<String> {
        self.0.iter().find_map(|(path, count)| {
            let (_, was) = before.0.iter().find(|(other, _)| other == path)?;
            (count > was).then(|| format!("oom_kill in {path} rose from {was} to {count}"))
        })
    }
}

/// Where the counters of this process's control group may be, the closest first. Inside a container the group's path
/// is often not the one that its mount shows, so the root of the mount is tried too; `/proc/vmstat` counts the host's.
fn files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_end_matches('/');
        if controllers.is_empty() {
            files.push(format!("/sys/fs/cgroup{path}/memory.events"));
            files.push("/sys/fs/cgroup/memory.events".to_owned());
        } else if controllers.split(',').any(|controller| controller == "memory") {
            files.push(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"));
            files.push("/sys/fs/cgroup/memory/memory.oom_control".to_owned());
        }
    }
    files.push("/proc/vmstat".to_owned());
    files.dedup();
    files
}

fn count_of(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let expected = [
            "/sys/fs/cgroup/memory/job/memory.oom_control",
            "/sys/fs/cgroup/memory/memory.oom_control",
            "/sys/fs/cgroup/memory.events",
            "/proc/vmstat",
        ];
        assert_eq!(files("7:cpu:/\n4:memory:/job\n0::/\nnonsense"), expected);
        assert_eq!(files(""), ["/proc/vmstat"]);
    }

    #[test]
    fn only_a_counter_that_rose_is_evidence() {
        let at = |count| OomKills(vec![("memory.events".to_owned(), count)]);
        assert_eq!(at(1).evidence_since(&at(1)), None);
        let evidence = at(2).evidence_since(&at(1));
        assert_eq!(evidence.as_deref(), Some("oom_kill in memory.events rose from 1 to 2"));
        assert_eq!(at(2).evidence_since(&OomKills::default()), None);
        assert_eq!(count_of("oom 3\noom_kill 2\noom_group_kill 1\n"), Some(2));
    }
}
