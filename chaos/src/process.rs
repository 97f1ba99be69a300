//! What a process costs, read from /proc: CPU seconds, resident memory, bytes written to disk.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Linux counts CPU time for user space in hundredths of a second on every architecture it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What some processes have used since they started, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Resident set, in bytes.
    pub rss_bytes: u64,
    /// Bytes that were sent to the block device, as the kernel counts them.
    pub written_bytes: u64,
}

/// The summed usage of these processes.
pub fn usage(pids: &[u32]) -> io::Result<Usage> {
    let mut total = Usage::default();
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)? as f64 / TICKS_PER_SECOND;
        // The sum over threads is exact but forgets those that have ended; ticks are coarse but whole.
        total.cpu_seconds += ticks.max(thread_seconds(*pid));
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        total.rss_bytes += field(&status, "VmRSS:").unwrap_or(0) * 1024;
        // Another user's process hides this file; the other figures are still worth having.
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        total.written_bytes += field(&io, "write_bytes:").unwrap_or(0);
    }
    Ok(total)
}

/// Raises the limit of open files to the highest that this user may have, and returns it.
pub fn raise_open_files() -> u64 {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        return 0;
    }
    hard
}

fn thread_seconds(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanos = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e9
}

/// Fields 14 and 15 of `stat`; the name in field 2 may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn fields_of_io_are_found_by_whole_name() {
        assert_eq!(field("cancelled_write_bytes: 1\nwrite_bytes: 4096\n", "write_bytes:"), Some(4096));
    }

    #[test]
    fn this_process_has_memory_and_another_that_does_not_exist_is_an_error() {
        assert!(usage(&[std::process::id()]).unwrap().rss_bytes > 0);
        assert!(usage(&[u32::MAX]).is_err());
    }
}
