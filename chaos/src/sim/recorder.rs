//! Writes the history: each event later than the one before.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Time;
use crate::history::{Event, History, What};

pub(super) struct Recorder {
    time: Arc<Time>,
    pub(super) history: History,
    pub(super) delivered: u64,
    /// Whose bytes are looked at.
    pub(super) stand: Stand,
}

/// A client, and the connection that it uses.
#[derive(Clone, Copy, Default)]
pub(super) struct Stand {
    /// Index of the client.
    pub(super) client: u16,
    pub(super) connection: u64,
    pub(super) node: u16,
}

impl Recorder {
    pub(super) fn new(time: Arc<Time>, history: History) -> Recorder {
        Recorder { time, history, delivered: 0, stand: Stand::default() }
    }

    /// Microseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        self.time.micros()
    }

    /// The time as histories have it.
    pub(super) fn at(&self) -> Duration {
        Duration::from_micros(self.now())
    }

    /// The client that is looked at has the answer to what it asked at `began`.
    pub(super) fn served(&mut self, began: Duration) {
        let Stand { client, connection, node } = self.stand;
        self.record(What::Served { client, connection, node, began });
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
