//! What a publisher sends again after its connection was cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;

struct Bench {
    publisher: Publisher,
    recorder: Recorder,
    signals: Arc<Signals>,
}

impl Bench {
    /// A publisher of this QoS with two messages in flight, packet identifiers 1 and 2.
    fn new(qos: u8) -> (Bench, Vec<u8>) {
        let signals = Signals::new();
        signals.publish.store(true, Ordering::SeqCst);
        let facts = PublisherFacts { name: "p".into(), qos, retain: false, will: false };
        let publisher = Publisher::new(0, facts, Level::V4, vec![(0, "t".into())]).with_rate(1000);
        let mut bench = Bench { publisher, recorder: Recorder::new(&signals), signals };
        let mut out = Vec::new();
        let start = Instant::now();
        bench.publisher.on_connected(false, &mut out, &mut bench.recorder);
        bench.publisher.pump(start, &mut out, &mut bench.recorder);
        bench.publisher.pump(start + Duration::from_millis(2), &mut out, &mut bench.recorder);
        (bench, out)
    }

    fn reconnect(&mut self, session_present: bool) -> Vec<String> {
        let mut out = Vec::new();
        self.publisher.on_connected(session_present, &mut out, &mut self.recorder);
        sent(&out)
    }

    fn ack(&mut self, kind: Ack, packet_id: u16, code: u8) -> Vec<String> {
        let mut out = Vec::new();
        self.publisher.on_packet(&Packet::Ack { kind, packet_id, code }, &mut out, &mut self.recorder);
        sent(&out)
    }

    fn acked(&self) -> usize {
        self.recorder.events.iter().filter(|event| matches!(event.what, What::Acked(_))).count()
    }
}

/// Packets in words: PUBLISH as its packet identifier and DUP, the others by name.
fn sent(mut bytes: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while let Some((packet, used)) = wire::take(bytes, Level::V4).unwrap() {
        words.push(match packet {
            Packet::Publish { packet_id, dup, .. } => format!("publish {packet_id} dup={dup}"),
            Packet::Ack { kind, packet_id, .. } => format!("{kind:?} {packet_id}"),
            other => format!("{other:?}"),
        });
        bytes = &bytes[used..];
    }
    words
}

#[test]
fn what_is_not_acknowledged_goes_out_again_with_dup_and_its_identifier() {
    let (mut bench, out) = Bench::new(1);
    assert_eq!(sent(&out), ["publish 1 dup=false", "publish 2 dup=false"]);
    bench.ack(Ack::Puback, 1, 0);
    assert_eq!(bench.reconnect(true), ["publish 2 dup=true"]);
    assert_eq!(bench.acked(), 1);
    bench.ack(Ack::Puback, 2, 0);
    assert_eq!(bench.signals.in_flight.load(Ordering::SeqCst), 0);
}

#[test]
fn qos_2_goes_on_from_the_step_that_it_reached() {
    let (mut bench, _) = Bench::new(2);
    assert_eq!(bench.ack(Ack::Pubrec, 1, 0), ["Pubrel 1"]);
    assert_eq!(bench.reconnect(true), ["Pubrel 1", "publish 2 dup=true"]);
    bench.ack(Ack::Pubcomp, 1, 0);
    assert_eq!(bench.reconnect(true), ["publish 2 dup=true"]);
    assert_eq!(bench.acked(), 1);
}

#[test]
fn without_a_session_messages_are_new_and_released_ones_are_done() {
    let (mut bench, _) = Bench::new(2);
    bench.ack(Ack::Pubrec, 1, 0);
    assert_eq!(bench.reconnect(false), ["publish 2 dup=false"]);
    assert_eq!(bench.signals.in_flight.load(Ordering::SeqCst), 1);
}

#[test]
fn a_refusal_is_no_acknowledgement() {
    let (mut bench, _) = Bench::new(1);
    bench.ack(Ack::Puback, 1, 0x97);
    assert_eq!(bench.acked(), 0);
    assert_eq!(bench.signals.in_flight.load(Ordering::SeqCst), 1);
}
