//! A subscriber of a simulation: it subscribes until it is granted, and then takes what comes.

use std::time::Duration;

use super::recorder::Recorder;
use crate::history::{SubscriberFacts, What};
use crate::wire::{Level, Packet};
use crate::workload::inbox::Inbox;

pub(super) struct Subscriber {
    inbox: Inbox,
    /// When it said SUBSCRIBE last.
    asked: Duration,
    pub(super) settled: bool,
}

impl Subscriber {
    pub(super) fn new(index: u16, facts: SubscriberFacts, level: Level) -> Subscriber {
        Subscriber { inbox: Inbox::new(index, facts, level), asked: Duration::ZERO, settled: false }
    }

    pub(super) fn on_connected(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &mut Recorder) {
        self.inbox.on_connected(session_present);
        // A broker may die between a SUBSCRIBE and its SUBACK, so a session alone proves nothing.
        if !session_present || !self.settled {
            self.subscribe(out, recorder);
        }
    }

    fn subscribe(&mut self, out: &mut Vec<u8>, recorder: &mut Recorder) {
        self.asked = recorder.at();
        self.inbox.subscribe(out);
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        match *packet {
            Packet::Suback { codes, .. } if codes.iter().all(|code| *code < 0x80) => {
                recorder.record(What::Subscribed { subscriber: self.inbox.index });
                self.settled = true;
                recorder.served(self.asked);
            }
            // No room on the disk: again, until there is.
            Packet::Suback { .. } => self.subscribe(out, recorder),
            _ => self.inbox.on_packet(packet, out, &mut |what| {
                recorder.record(what);
            }),
        }
    }
}
