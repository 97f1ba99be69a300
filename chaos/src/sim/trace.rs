//! What happens, as it happens, on stderr: by the time of the world, and by whom.

use std::cell::Cell;
use std::fmt;
use std::io;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

thread_local! {
    /// Microseconds, and the node whose turn it is: 0 for the world.
    static NOW: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

/// The time, and the index of the node that acts from here on.
pub(super) fn turn(micros: u64, node: Option<usize>) {
    NOW.set((micros, node.map_or(0, |node| node + 1)));
}

/// From here on everything is written.
pub(super) fn begin() {
    let stderr = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_timer(Turn);
    // Somebody else may listen already.
    let _ = stderr.with_max_level(tracing::Level::TRACE).with_target(false).try_init();
}

struct Turn;

impl FormatTime for Turn {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let (micros, node) = NOW.get();
        write!(out, "{:>6}.{:06} n{node}", micros / 1_000_000, micros % 1_000_000)
    }
}
