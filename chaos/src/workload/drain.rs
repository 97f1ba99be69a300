//! The end of a storm: publishers finish, what is due arrives, and what is retained is read.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::payload;
use super::reader::FILTER;
use super::recorder::{Recorder, Signals};
use crate::client;
use crate::history::What;

/// Publishers have this long to finish what is in flight.
const FINISH_WAIT: Duration = Duration::from_secs(30);
/// Whatever has happened, subscribers are drained after this.
const DRAIN_WAIT: Duration = Duration::from_secs(60);

/// No new messages: waits until nothing is in flight and nothing has come for `quiet`. Says what did not end.
pub(crate) fn drain(signals: &Signals, quiet: Duration) -> Vec<String> {
    let mut failures = Vec::new();
    signals.publish.store(false, Ordering::SeqCst);
    signals.wander.store(false, Ordering::SeqCst);
    signals.retire.store(true, Ordering::SeqCst);
    if !until(FINISH_WAIT, || signals.in_flight.load(Ordering::SeqCst) == 0) {
        let open = signals.in_flight.load(Ordering::SeqCst);
        failures.push(format!("{open} messages were not answered within {FINISH_WAIT:?} of calm"));
    }
    let mut seen = (signals.delivered.load(Ordering::SeqCst), Instant::now());
    let calm = until(DRAIN_WAIT, || {
        let now = signals.delivered.load(Ordering::SeqCst);
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        seen.1.elapsed() > quiet
    });
    if !calm {
        failures.push(format!("messages still arrived {DRAIN_WAIT:?} after the last publish"));
    }
    failures
}

/// A fresh client reads what is retained.
pub(crate) fn read_retained(door: SocketAddr, recorder: &mut Recorder) -> Result<(), String> {
    let found = client::retained(door, FILTER, Duration::from_secs(1))
        .map_err(|error| format!("retained messages could not be read at {door}: {error}"))?;
    for (topic, payload) in found {
        let message = payload::decode(&payload, topic.as_bytes())
            .map_err(|fault| format!("retained message of {topic}: {fault}"))?;
        recorder.record(What::RetainedRead(message));
    }
    Ok(())
}

/// Looks every few milliseconds whether `done` holds, for `patience`.
pub(crate) fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}
