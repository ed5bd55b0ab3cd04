//! What the kernel says of this host and of this process: name, cores, resident memory.

use std::fs;

/// The host's name, as `uname` has it.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Cores that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// Forgets the largest resident memory so far, where the kernel lets us: a reused process then reports each job's own.
pub fn reset_peak_memory() {
    // Refused in some containers; the figure is then that of the process, which the column's meaning covers.
    drop(fs::write("/proc/self/clear_refs", "5"));
}

/// The largest resident memory of this process since [`reset_peak_memory`], in bytes.
pub fn peak_memory_bytes() -> Option<u64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_kibibytes() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t 1 kB\n"), Some(2_048_000));
        for bad in ["", "VmHWM:\n", "VmHWM: 1 MB\n", "VmHWM: -1 kB"] {
            assert_eq!(peak_of(bad), None, "{bad:?}");
        }
    }
}
