//! One client's part of the history, and the few counters that all clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::history::{Event, What};

/// What the storm and its clients tell each other while it lasts.
pub(crate) struct Signals {
    /// When the storm began.
    pub(crate) start: Instant,
    /// Publishers may publish something new.
    pub(crate) publish: AtomicBool,
    /// Clients may go away by themselves.
    pub(crate) wander: AtomicBool,
    /// Clients with a will go for good.
    pub(crate) retire: AtomicBool,
    /// Everybody goes home.
    pub(crate) stop: AtomicBool,
    /// Counts how often all clients were told to drop their connections.
    pub(crate) scatter: AtomicU64,
    /// Subscribers with a SUBACK, and the others with a CONNACK.
    pub(crate) settled: AtomicU64,
    /// Messages that publishers still wait for.
    pub(crate) in_flight: AtomicU64,
    /// Messages sent so far.
    pub(crate) sent: AtomicU64,
    /// Acknowledgements so far.
    pub(crate) acked: AtomicU64,
    /// Deliveries so far.
    pub(crate) delivered: AtomicU64,
    connections: AtomicU64,
}

impl Signals {
    pub(crate) fn new() -> Arc<Signals> {
        Arc::new(Signals {
            start: Instant::now(),
            publish: AtomicBool::new(false),
            wander: AtomicBool::new(false),
            retire: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            scatter: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        })
    }

    pub(crate) fn on(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }

    /// A number that no other connection has.
    pub(super) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}

/// When a client last got something done, for whoever waits for it.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// Since the start of the storm.
    pub(crate) fn last(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Whose connection it is, which one, and to which node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stand {
    pub(crate) client: u16,
    pub(crate) connection: u64,
    pub(crate) node: u16,
}

/// Writes events with their time.
pub(crate) struct Recorder {
    pub(crate) signals: Arc<Signals>,
    pub(crate) events: Vec<Event>,
    pub(crate) pulse: Arc<Pulse>,
    pub(super) stand: Stand,
}

impl Recorder {
    pub(crate) fn new(signals: &Arc<Signals>) -> Recorder {
        let (events, pulse, stand) = (Vec::new(), Arc::default(), Stand::default());
        Recorder { signals: Arc::clone(signals), events, pulse, stand }
    }

    /// Since the start of the storm.
    pub(crate) fn now(&self) -> Duration {
        self.signals.start.elapsed()
    }

    pub(crate) fn record(&mut self, what: What) {
        let at = self.now();
        let counter = match &what {
            What::Delivered { .. } => Some(&self.signals.delivered),
            What::Acked(_) => Some(&self.signals.acked),
            What::Sent(_) => Some(&self.signals.sent),
            _ => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(what, What::Delivered { .. } | What::Acked(_)) {
            self.pulse.0.store(at.as_micros() as u64, Ordering::SeqCst);
        }
        self.events.push(Event { at, what });
    }

    /// The broker has answered what was asked of it at `began`, on this connection.
    pub(crate) fn served(&mut self, began: Duration) {
        let Stand { client, connection, node } = self.stand;
        self.record(What::Served { client, connection, node, began });
    }

    /// A message is in flight from now on.
    pub(crate) fn took_off(&mut self) {
        self.signals.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    /// A message in flight has come to its end, whichever.
    pub(crate) fn landed(&mut self) {
        self.signals.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn settled(&mut self) {
        self.signals.settled.fetch_add(1, Ordering::SeqCst);
    }
}
