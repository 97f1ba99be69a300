//! A subscriber of a storm: it subscribes until it is granted, and then takes what comes.

use std::time::Duration;

use super::inbox::Inbox;
use super::recorder::Recorder;
use crate::history::{SubscriberFacts, What};
use crate::wire::{Level, Packet};

/// Pause before a refused subscription is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct Subscriber {
    inbox: Inbox,
    settled: bool,
    /// When its SUBSCRIBE was sent, or is to be sent.
    asked: Duration,
    refused: bool,
}

impl Subscriber {
    pub(super) fn new(index: u16, facts: SubscriberFacts, level: Level) -> Subscriber {
        let inbox = Inbox::new(index, facts, level);
        Subscriber { inbox, settled: false, asked: Duration::ZERO, refused: false }
    }

    /// Whether everything that its filters match comes to it, and nobody else takes a part.
    pub(super) fn sees_everything(&self) -> bool {
        self.inbox.facts.group.is_none() && !self.inbox.facts.clean
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &Recorder) {
        self.refused = false;
        self.inbox.on_connected(session_present);
        // A broker may die between a SUBSCRIBE and its SUBACK, so a session alone proves nothing.
        if !session_present || !self.settled {
            self.subscribe(out, recorder);
        }
    }

    fn subscribe(&mut self, out: &mut Vec<u8>, recorder: &Recorder) {
        self.inbox.subscribe(out);
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
                recorder.record(What::Subscribed { subscriber: self.inbox.index });
                if !self.settled {
                    self.settled = true;
                    recorder.settled();
                }
            }
            Packet::Suback { .. } => self.refused = true,
            _ => self.inbox.on_packet(packet, out, &mut |what| recorder.record(what)),
        }
    }
}

#[cfg(test)]
mod tests;
