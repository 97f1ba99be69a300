//! A subscriber: it records what reaches its application, and holds QoS 2 packet identifiers until they are
//! released, also from one connection to the next of a session.

use std::collections::HashMap;
use std::time::Duration;

use super::payload;
use super::recorder::Recorder;
use crate::history::{Message, SubscriberFacts, What};
use crate::wire::{self, Ack, Level, Packet};

/// Pause before a refused subscription is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct Subscriber {
    index: u16,
    facts: SubscriberFacts,
    level: Level,
    held: HashMap<u16, Message>,
    settled: bool,
    /// When its SUBSCRIBE was sent, or is to be sent.
    asked: Duration,
    refused: bool,
}

impl Subscriber {
    pub(super) fn new(index: u16, facts: SubscriberFacts, level: Level) -> Subscriber {
        Subscriber {
            index,
            facts,
            level,
            held: HashMap::new(),
            settled: false,
            asked: Duration::ZERO,
            refused: false,
        }
    }

    /// Whether everything that its filters match comes to it, and nobody else takes a part.
    pub(super) fn sees_everything(&self) -> bool {
        self.facts.group.is_none() && !self.facts.clean
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &Recorder) {
        self.refused = false;
        if !session_present {
            self.held.clear();
        }
        // A broker may die between a SUBSCRIBE and its SUBACK, so a session alone proves nothing.
        if !session_present || !self.settled {
            self.subscribe(out, recorder);
        }
    }

    fn subscribe(&mut self, out: &mut Vec<u8>, recorder: &Recorder) {
        let filters: Vec<String> = self.facts.filters.iter().map(|filter| self.full(filter)).collect();
        let filters: Vec<(&str, u8)> =
            filters.iter().map(|filter| (filter.as_str(), self.facts.qos)).collect();
        wire::subscribe(out, self.level, 1, &filters);
        self.asked = recorder.now();
    }

    /// Asks again for what was refused, after a while.
    pub(super) fn pump(&mut self, out: &mut Vec<u8>, recorder: &Recorder) {
        if self.refused && recorder.now() > self.asked + AGAIN {
            self.refused = false;
            self.subscribe(out, recorder);
        }
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        match *packet {
            Packet::Suback { codes, .. } if codes.iter().all(|code| *code < 0x80) => {
                recorder.served(self.asked);
                recorder.record(What::Subscribed { subscriber: self.index });
                if !self.settled {
                    self.settled = true;
                    recorder.settled();
                }
            }
            Packet::Suback { .. } => self.refused = true,
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
                Some(held) => to.record(What::Reused { subscriber, packet_id, held, came: message }),
                None => {}
            }
        }
        to.record(What::Delivered { subscriber, message, retained });
    }

    fn full(&self, filter: &str) -> String {
        match &self.facts.group {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
