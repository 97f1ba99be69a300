//! What a subscriber hands to its application, and what it takes for a repetition.

use super::*;
use crate::history::Message;
use crate::wire::Ack;
use crate::workload::payload;
use crate::workload::recorder::Signals;

struct Bench {
    subscriber: Subscriber,
    recorder: Recorder,
}

impl Bench {
    fn new() -> Bench {
        let facts = SubscriberFacts {
            name: "s".into(),
            filters: vec!["t".into()],
            qos: 2,
            group: None,
            clean: false,
        };
        Bench { subscriber: Subscriber::new(0, facts, Level::V4), recorder: Recorder::new(&Signals::new()) }
    }

    fn publish(&mut self, packet_id: u16, seq: u64) -> Vec<u8> {
        let message = Message { publisher: 0, topic: 0, seq };
        let payload = payload::encode(message, "t");
        let packet =
            Packet::Publish { dup: true, qos: 2, retain: false, topic: b"t", packet_id, payload: &payload };
        self.packet(&packet)
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.subscriber.on_packet(packet, &mut out, &mut self.recorder);
        out
    }

    fn release(&mut self, packet_id: u16) -> Vec<u8> {
        self.packet(&Packet::Ack { kind: Ack::Pubrel, packet_id, code: 0 })
    }

    fn delivered(&self) -> Vec<u64> {
        let events = self.recorder.events.iter();
        events
            .filter_map(|event| match &event.what {
                What::Delivered { message, .. } => Some(message.seq),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_repeated_publish_is_delivered_once_until_it_is_released() {
    let mut bench = Bench::new();
    assert_eq!(bench.publish(7, 1), [0x50, 2, 0, 7]);
    bench.subscriber.on_connected(true, &mut Vec::new(), &bench.recorder);
    assert_eq!(bench.publish(7, 1), [0x50, 2, 0, 7]);
    assert_eq!(bench.delivered(), [1]);
    assert_eq!(bench.release(7), [0x70, 2, 0, 7]);
    bench.publish(7, 1);
    assert_eq!(bench.delivered(), [1, 1]);
}

#[test]
fn another_message_under_a_held_identifier_is_recorded_as_reuse() {
    let mut bench = Bench::new();
    bench.publish(7, 1);
    bench.publish(7, 2);
    let reused =
        bench.recorder.events.iter().any(|event| matches!(event.what, What::Reused { packet_id: 7, .. }));
    assert!(reused);
}

#[test]
fn a_lost_session_takes_its_identifiers_with_it() {
    let mut bench = Bench::new();
    bench.publish(7, 1);
    let mut out = Vec::new();
    bench.subscriber.on_connected(false, &mut out, &bench.recorder);
    assert_eq!(out[0], 0x82, "it subscribes again");
    bench.publish(7, 1);
    assert_eq!(bench.delivered(), [1, 1]);
}

#[test]
fn wrong_bytes_are_recorded_and_still_acknowledged() {
    let mut bench = Bench::new();
    let packet = Packet::Publish {
        dup: false,
        qos: 1,
        retain: false,
        topic: b"t",
        packet_id: 3,
        payload: b"nonsense",
    };
    assert_eq!(bench.packet(&packet), [0x40, 2, 0, 3]);
    assert!(matches!(bench.recorder.events[0].what, What::Broken { .. }));
}
