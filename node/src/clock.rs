//! The clock port: the only place that asks the machine for the time.
//!
//! Everything below takes the time as an argument, so that the same code runs on virtual time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since 1970; may jump.
    fn wall(&self) -> u64;
}

/// How far two clocks are apart, for people.
pub fn apart(ms: u64) -> String {
    let seconds = ms / 1_000;
    format!("{}h {:02}m {:02}s", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
    /// Milliseconds that the wall clock is ahead of the machine's, for tests.
    off: i64,
}

impl SystemClock {
    /// Starts counting now.
    pub fn new() -> Self {
        Self::off_by(0)
    }

    /// With a wall clock that is ahead by so many milliseconds, or behind.
    pub fn off_by(off: i64) -> Self {
        Self { start: Instant::now(), off }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add_signed(self.off)
    }
}
