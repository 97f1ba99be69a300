//! One client's part of the history, and the few counters that all clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::history::{Event, What};

/// What the storm and its clients tell each other while it lasts.
pub(super) struct Signals {
    /// When the storm began.
    pub(super) start: Instant,
    /// Publishers may publish something new.
    pub(super) publish: AtomicBool,
    /// Clients may go away by themselves.
    pub(super) wander: AtomicBool,
    /// Everybody goes home.
    pub(super) stop: AtomicBool,
    /// Subscribers with a SUBACK, and publishers with a CONNACK.
    pub(super) settled: AtomicU64,
    /// Messages that publishers still wait for.
    pub(super) in_flight: AtomicU64,
    /// Deliveries so far.
    pub(super) delivered: AtomicU64,
}

impl Signals {
    pub(super) fn new() -> Arc<Signals> {
        Arc::new(Signals {
            start: Instant::now(),
            publish: AtomicBool::new(false),
            wander: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            settled: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        })
    }

    pub(super) fn on(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }
}

/// Writes events with their time.
pub(super) struct Recorder {
    pub(super) signals: Arc<Signals>,
    pub(super) events: Vec<Event>,
}

impl Recorder {
    pub(super) fn new(signals: &Arc<Signals>) -> Recorder {
        Recorder { signals: Arc::clone(signals), events: Vec::new() }
    }

    pub(super) fn record(&mut self, what: What) {
        match &what {
            What::Delivered { .. } => {
                self.signals.delivered.fetch_add(1, Ordering::SeqCst);
            }
            What::Sent(_) => {
                self.signals.in_flight.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        self.events.push(Event { at: self.signals.start.elapsed(), what });
    }

    /// A message in flight has come to its end, whichever.
    pub(super) fn landed(&mut self) {
        self.signals.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn settled(&mut self) {
        self.signals.settled.fetch_add(1, Ordering::SeqCst);
    }
}
