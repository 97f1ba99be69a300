//! Time as the scheduler says: it moves when it is told to, and the wall clock of a node may jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_node::clock::Clock;

/// Milliseconds since 1970 at which every simulation begins.
pub(super) const EPOCH_MS: u64 = 1_700_000_000_000;

/// The time of the world, in which everything happens.
#[derive(Default)]
pub(super) struct Time(AtomicU64);

impl Time {
    /// Microseconds since the beginning.
    pub(super) fn micros(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Time goes on.
    pub(super) fn advance(&self, micros: u64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The clock of one node.
pub(super) struct SimClock {
    time: Arc<Time>,
    /// When the process started, by the time of the world.
    born: AtomicU64,
    /// Where the wall clock stands when no time has passed, milliseconds.
    wall_base: AtomicU64,
    /// The latest `wall_base` so far.
    latest_base: AtomicU64,
}

impl SimClock {
    pub(super) fn new(time: Arc<Time>) -> SimClock {
        SimClock {
            time,
            born: AtomicU64::new(0),
            wall_base: AtomicU64::new(EPOCH_MS),
            latest_base: AtomicU64::new(EPOCH_MS),
        }
    }

    /// A process begins to count.
    pub(super) fn bear(&self) {
        self.born.store(self.time.micros(), Ordering::Relaxed);
    }

    /// The wall clock jumps to `ms` before or after where it would be without any jump.
    pub(super) fn jump(&self, ms: i64) {
        let base = EPOCH_MS.saturating_add_signed(ms);
        self.wall_base.store(base, Ordering::Relaxed);
        self.latest_base.fetch_max(base, Ordering::Relaxed);
    }

    /// The wall clock is where it would be had it never jumped back: no deadline waits for it any more.
    pub(super) fn heal(&self) {
        self.wall_base.store(self.latest_base.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.time.micros() - self.born.load(Ordering::Relaxed))
    }

    fn wall(&self) -> u64 {
        self.wall_base.load(Ordering::Relaxed) + self.time.micros() / 1_000
    }
}
