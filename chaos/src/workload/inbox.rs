//! What a subscriber does with what comes, whoever moves its bytes: it acknowledges, writes down what reaches its
//! application, and holds QoS 2 packet identifiers until they are released, from one connection of a session to the
//! next.

use std::collections::BTreeMap;

use super::payload;
use crate::history::{Message, SubscriberFacts, What};
use crate::wire::{self, Ack, Level, Packet};

pub(crate) struct Inbox {
    pub(crate) index: u16,
    pub(crate) facts: SubscriberFacts,
    level: Level,
    held: BTreeMap<u16, Message>,
}

impl Inbox {
    pub(crate) fn new(index: u16, facts: SubscriberFacts, level: Level) -> Inbox {
        Inbox { index, facts, level, held: BTreeMap::new() }
    }

    /// A connection without its session begins anew.
    pub(crate) fn on_connected(&mut self, session_present: bool) {
        if !session_present {
            self.held.clear();
        }
    }

    pub(crate) fn subscribe(&self, out: &mut Vec<u8>) {
        let full = |filter: &String| match &self.facts.group {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter.clone(),
        };
        let filters: Vec<String> = self.facts.filters.iter().map(full).collect();
        let filters: Vec<(&str, u8)> =
            filters.iter().map(|filter| (filter.as_str(), self.facts.qos)).collect();
        wire::subscribe(out, self.level, 1, &filters);
    }

    /// Takes in a PUBLISH or a PUBREL; any other packet is somebody else's.
    pub(crate) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, record: &mut dyn FnMut(What)) {
        match *packet {
            Packet::Publish { qos, retain, topic, packet_id, payload, .. } => {
                match payload::decode(payload, topic) {
                    Ok(message) => self.on_message((qos, packet_id), retain, message, record),
                    Err(fault) => {
                        let fault = format!("{}: {fault}", String::from_utf8_lossy(topic));
                        record(What::Broken { subscriber: self.index, fault });
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
        record: &mut dyn FnMut(What),
    ) {
        let subscriber = self.index;
        if qos == 2 {
            match self.held.insert(packet_id, message) {
                Some(held) if held == message => return,
                Some(held) => record(What::Reused { subscriber, packet_id, held, came: message }),
                None => {}
            }
        }
        record(What::Delivered { subscriber, message, retained });
    }
}
