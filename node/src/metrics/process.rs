//! Figures of the process, read from `/proc` at each scrape. What cannot be read is left out.

use std::fmt::Write;
use std::fs;

use super::table::{self, Sort};

/// The kernel counts CPU time in hundredths of a second for programs (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the series of the process to `text`.
pub(super) fn render(text: &mut String) {
    let figures = [
        ("holdfast_process_cpu_seconds_total", cpu_seconds()),
        ("holdfast_process_resident_bytes", resident_bytes()),
        ("holdfast_process_open_fds", open_fds()),
        ("holdfast_process_max_fds", max_fds()),
    ];
    for (name, value) in figures {
        let Some(value) = value else { continue };
        let metric = table::find(name);
        let sort = if metric.sort == Sort::Counter { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {sort}\n{name} {value}\n\n", metric.help);
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in the second field may hold blanks and brackets; it ends at the last bracket.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_fds() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
