//! What this machine has: cores, and memory within the limits set on this process.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Cores that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// Lets this process open as many files and sockets as it may: the usual soft limit of 1,024 is for programs that use `select`.
/// Where that is refused, it goes on with what it has.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if limit != raised
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::info!(%error, "the limit of open files stays as it is");
    }
}

/// Bytes of memory that this process may use: all of the machine's, or the limit of a control group that it is in.
/// `None` where the kernel says neither.
pub fn memory_bytes() -> Option<u64> {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|path| limit_in(&path));
    limits.chain(total).min()
}

fn limit_in(path: &Path) -> Option<u64> {
    limit_of(&fs::read_to_string(path).ok()?)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

/// A limit in bytes; `None` for `max`. Version 1 writes "no limit" as a number near 2^63, which no minimum takes.
fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Where the limits of the control groups in `/proc/self/cgroup` may stand: of each group and every one above it. In a
/// container the file names the group as the host sees it, while its limit stands at the root of the mount.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (mount, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for ancestor in Path::new(group.trim_start_matches('/')).ancestors() {
            files.push(Path::new(mount).join(ancestor).join(name));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn the_total_is_read_in_kibibytes() {
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!(total_of("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24 << 20));
    }

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(limit_of("max\n"), None);
        assert_eq!(limit_of("1073741824\n"), Some(1 << 30));
    }

    #[test]
    fn limits_stand_in_every_group_above_the_process() {
        let files = limit_files("0::/a/b\n");
        let expected = ["a/b/memory.max", "a/memory.max", "memory.max"];
        assert_eq!(files, expected.map(|file| Path::new("/sys/fs/cgroup").join(file)));
        let files = limit_files("5:cpu:/x\n4:memory,io:/\n");
        assert_eq!(files, [Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes")]);
    }

    #[test]
    fn this_machine_has_memory_and_cores() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(cores() >= 1);
    }
}
