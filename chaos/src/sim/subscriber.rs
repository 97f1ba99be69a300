//! A subscriber: it records what reaches its application, and holds QoS 2 packet identifiers until they are
//! released, from one connection of a session to the next.

use std::collections::BTreeMap;

use super::recorder::Recorder;
use crate::history::{Message, SubscriberFacts, What};
use crate::wire::{self, Ack, Level, Packet};
use crate::workload::payload;

pub(super) struct Subscriber {
    index: u16,
    facts: SubscriberFacts,
    level: Level,
    held: BTreeMap<u16, Message>,
    pub(super) settled: bool,
}

impl Subscriber {
    pub(super) fn new(index: u16, facts: SubscriberFacts, level: Level) -> Subscriber {
        Subscriber { index, facts, level, held: BTreeMap::new(), settled: false }
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>) {
        if !session_present {
            self.held.clear();
        }
        // A broker may die between a SUBSCRIBE and its SUBACK, so a session alone proves nothing.
        if !session_present || !self.settled {
            self.subscribe(out);
        }
    }

    fn subscribe(&self, out: &mut Vec<u8>) {
        let full = |filter: &String| match &self.facts.group {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter.clone(),
        };
        let filters: Vec<String> = self.facts.filters.iter().map(full).collect();
        let filters: Vec<(&str, u8)> =
            filters.iter().map(|filter| (filter.as_str(), self.facts.qos)).collect();
        wire::subscribe(out, self.level, 1, &filters);
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        match *packet {
            Packet::Suback { codes, .. } if codes.iter().all(|code| *code < 0x80) => {
                recorder.record(What::Subscribed { subscriber: self.index });
                self.settled = true;
            }
            // No room on the disk: again, until there is.
            Packet::Suback { .. } => self.subscribe(out),
            Packet::Publish { qos, retain, topic, packet_id, payload, .. } => {
                match payload::decode(payload, topic) {
                    Ok(message) => self.on_message((qos, packet_id), retain, message, recorder),
                    Err(fault) => {
                        let fault = format!("{}: {fault}", String::from_utf8_lossy(topic));
                        recorder.record(What::Broken { subscriber: self.index, fault });
                    }
                }
                match qos {
                    1 => wire::ack(out, Ack::Puback, packet_id),
                    2 => wire::ack(out, Ack::Pubrec, packet_id),
                    _ => {}
                }
            }
            Packet::Ack { kind: Ack::Pubrel, packet_id, .. } => {
                self.held.remove(&packet_id);
                wire::ack(out, Ack::Pubcomp, packet_id);
            }
            _ => {}
        }
    }

    fn on_message(
        &mut self,
        (qos, packet_id): (u8, u16),
        retained: bool,
        message: Message,
        to: &mut Recorder,
    ) {
        let subscriber = self.index;
        if qos == 2 {
            match self.held.insert(packet_id, message) {
                Some(held) if held == message => return,
                Some(held) => {
                    to.record(What::Reused { subscriber, packet_id, held, came: message });
                }
                None => {}
            }
        }
        to.record(What::Delivered { subscriber, message, retained });
    }
}
