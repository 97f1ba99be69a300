//! A publisher that keeps what is not acknowledged and sends it again when it comes back.
//!
//! ```text
//! QoS 1:  Publish --PUBACK--> gone
//! QoS 2:  Publish --PUBREC--> Release --PUBCOMP--> gone
//! ```
//! With Session Present, Publish goes out again with DUP and the same packet identifier and Release as PUBREL;
//! without it, Publish goes out as new and Release is forgotten.
//! One that is hasty begins anew with each connection, and says nothing again.

use std::collections::VecDeque;
use std::time::Duration;

use super::recorder::Recorder;
use crate::history::{Message, What};
use crate::wire::{self, Ack, Level, Packet, Publish};
use crate::workload::payload;

/// What a hasty one has to say when it is here again, messages: each of its topics has some.
const BACKLOG: usize = 5;
/// Messages in flight at most.
const IN_FLIGHT_MAX: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Publish,
    Release,
}

struct Flight {
    packet_id: u16,
    message: Message,
    step: Step,
    /// When it was sent last.
    sent: Duration,
}

pub(super) struct Publisher {
    index: u16,
    qos: u8,
    retain: bool,
    hasty: bool,
    level: Level,
    topics: Vec<(u16, String)>,
    sent: u64,
    next_packet_id: u16,
    flights: VecDeque<Flight>,
}

impl Publisher {
    pub(super) fn new(
        index: u16,
        (qos, retain): (u8, bool),
        level: Level,
        topics: Vec<(u16, String)>,
    ) -> Self {
        let (hasty, flights) = (false, VecDeque::new());
        Publisher { index, qos, retain, hasty, level, topics, sent: 0, next_packet_id: 1, flights }
    }

    /// From now on it is hasty.
    pub(super) fn hasten(&mut self) {
        self.hasty = true;
    }

    /// When it sent what is not answered yet.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        self.flights.front().map(|flight| flight.sent)
    }

    /// What is in flight, for people.
    pub(super) fn flights(&self) -> String {
        let of =
            |flight: &Flight| format!("{}/{} {:?}", flight.message.topic, flight.message.seq, flight.step);
        self.flights.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    /// Nothing is in flight.
    pub(super) fn landed(&self) -> bool {
        self.flights.is_empty()
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &mut Recorder) {
        if self.hasty {
            self.flights.clear();
            return (0..BACKLOG).for_each(|_| self.publish(out, recorder));
        }
        if !session_present {
            self.flights.retain(|flight| flight.step == Step::Publish);
        }
        self.flights.iter_mut().for_each(|flight| flight.sent = recorder.at());
        for flight in &self.flights {
            match flight.step {
                Step::Publish => self.encode(flight, session_present, out),
                Step::Release => wire::ack(out, Ack::Pubrel, flight.packet_id),
            }
        }
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        let Packet::Ack { kind, packet_id, code } = *packet else { return };
        let flight = self.flights.iter().position(|flight| flight.packet_id == packet_id);
        let refused = code >= 0x80;
        match (kind, flight) {
            (Ack::Puback, Some(at)) if self.qos == 1 => {
                if !refused {
                    recorder.record(What::Acked(self.flights[at].message));
                    recorder.served(self.flights[at].sent);
                }
                self.flights.remove(at);
            }
            (Ack::Pubrec, Some(at)) if refused => {
                self.flights.remove(at);
            }
            (Ack::Pubrec, Some(at)) => {
                if self.flights[at].step == Step::Publish {
                    recorder.record(What::Acked(self.flights[at].message));
                    recorder.served(self.flights[at].sent);
                    self.flights[at].step = Step::Release;
                }
                wire::ack(out, Ack::Pubrel, packet_id);
            }
            (Ack::Pubrec, None) if !refused => wire::ack(out, Ack::Pubrel, packet_id),
            (Ack::Pubcomp, Some(at)) if self.flights[at].step == Step::Release => {
                self.flights.remove(at);
            }
            _ => {}
        }
    }

    /// Publishes one message, unless too many are in flight.
    pub(super) fn publish(&mut self, out: &mut Vec<u8>, recorder: &mut Recorder) {
        if self.flights.len() >= IN_FLIGHT_MAX {
            return;
        }
        let topics = self.topics.len() as u64;
        let (topic, _) = self.topics[(self.sent % topics) as usize];
        let message = Message { publisher: self.index, topic, seq: self.sent / topics + 1 };
        self.sent += 1;
        recorder.record(What::Sent(message));
        let packet_id = if self.qos > 0 { self.free_packet_id() } else { 0 };
        let flight = Flight { packet_id, message, step: Step::Publish, sent: recorder.at() };
        self.encode(&flight, false, out);
        if self.qos > 0 {
            self.flights.push_back(flight);
        }
    }

    fn free_packet_id(&mut self) -> u16 {
        loop {
            let id = self.next_packet_id;
            // A short round, so that identifiers are used again.
            self.next_packet_id = id % (2 * IN_FLIGHT_MAX as u16) + 1;
            if self.flights.iter().all(|flight| flight.packet_id != id) {
                return id;
            }
        }
    }

    fn encode(&self, flight: &Flight, dup: bool, out: &mut Vec<u8>) {
        let own = self.topics.iter().find(|(topic, _)| *topic == flight.message.topic);
        let (_, name) = own.expect("a flight goes to one of the publisher's topics");
        let payload = payload::encode(flight.message, name);
        let (retain, packet_id) = (self.retain, flight.packet_id);
        let publish = Publish { topic: name, payload: &payload, qos: self.qos, dup, retain, packet_id };
        wire::publish(out, self.level, &publish);
    }
}
