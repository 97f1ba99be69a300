//! Writes the history: each event later than the one before.

use std::sync::Arc;
use std::time::Duration;

use super::clock::SimClock;
use crate::history::{Event, History, What};

pub(super) struct Recorder {
    clock: Arc<SimClock>,
    pub(super) history: History,
    pub(super) delivered: u64,
}

impl Recorder {
    pub(super) fn new(clock: Arc<SimClock>, history: History) -> Recorder {
        Recorder { clock, history, delivered: 0 }
    }

    pub(super) fn record(&mut self, what: What) -> Duration {
        self.delivered += u64::from(matches!(what, What::Delivered { .. }));
        let last = self.history.events.last().map_or(Duration::ZERO, |event| event.at);
        let at = Duration::from_micros(self.clock.micros()).max(last + Duration::from_nanos(1));
        self.history.events.push(Event { at, what });
        at
    }
}
