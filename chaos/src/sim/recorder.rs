//! Writes the history: each event later than the one before.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Time;
use crate::history::{Event, History, What};

pub(super) struct Recorder {
    time: Arc<Time>,
    pub(super) history: History,
    pub(super) delivered: u64,
}

impl Recorder {
    pub(super) fn new(time: Arc<Time>, history: History) -> Recorder {
        Recorder { time, history, delivered: 0 }
    }

    /// Microseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        self.time.micros()
    }

    pub(super) fn record(&mut self, what: What) -> Duration {
        self.delivered += u64::from(matches!(what, What::Delivered { .. }));
        let last = self.history.events.last().map_or(Duration::ZERO, |event| event.at);
        let at = Duration::from_micros(self.time.micros()).max(last + Duration::from_nanos(1));
        tracing::debug!("{what:?}");
        self.history.events.push(Event { at, what });
        at
    }
}
