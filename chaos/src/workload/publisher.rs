//! A publisher: at QoS 1 and 2 it keeps what is not acknowledged and sends it again on reconnect.
//!
//! ```text
//! QoS 1:  Publish --PUBACK--> gone
//! QoS 2:  Publish --PUBREC--> Release --PUBCOMP--> gone
//! ```
//! After a reconnect with Session Present, Publish goes out again with DUP and the same packet identifier and
//! Release goes out as PUBREL, in the order in which they were begun. Without it, Publish goes out as new.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::payload;
use super::recorder::{Recorder, Signals};
use crate::history::{Message, PublisherFacts, What};
use crate::wire::{self, Ack, Level, Packet, Publish};

/// Messages that a publisher has in flight, at most: below any broker's default Receive Maximum.
const IN_FLIGHT_MAX: usize = 16;

/// Messages that a publisher catches up with after an outage, at most: a storm is no flood.
const BEHIND_MAX: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Publish,
    Release,
}

struct Flight {
    packet_id: u16,
    message: Message,
    step: Step,
    /// When it was sent on this connection.
    at: Duration,
}

pub(crate) struct Publisher {
    facts: PublisherFacts,
    level: Level,
    index: u16,
    topics: Vec<(u16, String)>,
    rate: u32,
    sent: u64,
    next_packet_id: u16,
    flights: VecDeque<Flight>,
    /// What was due while there was no connection, and is not made up for.
    missed: u64,
    began: Option<Instant>,
    settled: bool,
}

impl Publisher {
    pub(super) fn new(
        index: u16,
        facts: PublisherFacts,
        level: Level,
        topics: Vec<(u16, String)>,
    ) -> Publisher {
        Publisher {
            facts,
            level,
            index,
            topics,
            rate: 0,
            sent: 0,
            next_packet_id: 1,
            flights: VecDeque::new(),
            missed: 0,
            began: None,
            settled: false,
        }
    }

    pub(super) fn with_rate(self, rate: u32) -> Publisher {
        Publisher { rate, ..self }
    }

    /// Whether the broker answers what it publishes.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.facts.qos > 0
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &mut Recorder) {
        if !session_present {
            let before = self.flights.len();
            self.flights.retain(|flight| flight.step == Step::Publish);
            (self.flights.len()..before).for_each(|_| recorder.landed());
        }
        let now = recorder.now();
        self.flights.iter_mut().for_each(|flight| flight.at = now);
        for flight in &self.flights {
            match flight.step {
                Step::Publish => self.encode(flight, session_present, out),
                Step::Release => wire::ack(out, Ack::Pubrel, flight.packet_id),
            }
        }
        if !self.settled {
            self.settled = true;
            recorder.settled();
        }
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        let Packet::Ack { kind, packet_id, code } = *packet else { return };
        let flight = self.flights.iter().position(|flight| flight.packet_id == packet_id);
        let refused = code >= 0x80;
        match (kind, flight) {
            (Ack::Puback, Some(at)) if self.facts.qos == 1 => {
                if !refused {
                    self.acked(at, recorder);
                }
                self.land(at, recorder);
            }
            (Ack::Pubrec, Some(at)) if refused => self.land(at, recorder),
            (Ack::Pubrec, Some(at)) => {
                if self.flights[at].step == Step::Publish {
                    self.acked(at, recorder);
                    self.flights[at].step = Step::Release;
                }
                wire::ack(out, Ack::Pubrel, packet_id);
            }
            (Ack::Pubrec, None) => wire::ack(out, Ack::Pubrel, packet_id),
            (Ack::Pubcomp, Some(at)) if self.flights[at].step == Step::Release => self.land(at, recorder),
            _ => {}
        }
    }

    pub(super) fn pump(&mut self, now: Instant, out: &mut Vec<u8>, recorder: &mut Recorder) {
        if !Signals::on(&recorder.signals.publish) {
            return;
        }
        let began = *self.began.get_or_insert(now);
        let mut due =
            ((now - began).as_millis() as u64 * u64::from(self.rate) / 1000).saturating_sub(self.missed);
        let behind = due.saturating_sub(self.sent + BEHIND_MAX);
        self.missed += behind;
        due -= behind;
        while self.sent < due && self.flights.len() < IN_FLIGHT_MAX {
            let (topic, _) = self.topics[self.sent as usize % self.topics.len()];
            let seq = self.sent / self.topics.len() as u64 + 1;
            let message = Message { publisher: self.index, topic, seq };
            let packet_id = if self.is_acknowledged() { self.free_packet_id() } else { 0 };
            let flight = Flight { packet_id, message, step: Step::Publish, at: recorder.now() };
            self.sent += 1;
            recorder.record(What::Sent(message));
            self.encode(&flight, false, out);
            if self.is_acknowledged() {
                recorder.took_off();
                self.flights.push_back(flight);
            }
        }
    }

    fn acked(&self, at: usize, recorder: &mut Recorder) {
        recorder.served(self.flights[at].at);
        recorder.record(What::Acked(self.flights[at].message));
    }

    fn land(&mut self, at: usize, recorder: &mut Recorder) {
        self.flights.remove(at);
        recorder.landed();
    }

    fn free_packet_id(&mut self) -> u16 {
        loop {
            let id = self.next_packet_id;
            self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
            if self.flights.iter().all(|flight| flight.packet_id != id) {
                return id;
            }
        }
    }

    fn encode(&self, flight: &Flight, dup: bool, out: &mut Vec<u8>) {
        let (_, name) = self
            .topics
            .iter()
            .find(|(topic, _)| *topic == flight.message.topic)
            .expect("a flight goes to one of the publisher's topics");
        let payload = payload::encode(flight.message, name);
        let publish = Publish {
            topic: name,
            payload: &payload,
            qos: self.facts.qos,
            dup,
            retain: self.facts.retain,
            packet_id: flight.packet_id,
        };
        wire::publish(out, self.level, &publish);
    }
}

#[cfg(test)]
mod tests;
