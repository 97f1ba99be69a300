//! A clean client that reads what is retained, again and again.

use std::time::Duration;

use super::payload;
use super::recorder::Recorder;
use crate::history::What;
use crate::wire::{self, Ack, Level, Packet};

/// What it asks for.
pub(crate) const FILTER: &str = "kept/#";

/// When it asked last.
#[derive(Default)]
pub(crate) struct Reader {
    asked: Duration,
    settled: bool,
}

impl Reader {
    pub(super) fn on_connected(&mut self, level: Level, out: &mut Vec<u8>, recorder: &Recorder) {
        wire::subscribe(out, level, 1, &[(FILTER, 1)]);
        self.asked = recorder.now();
    }

    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) {
        match *packet {
            Packet::Suback { .. } if !self.settled => {
                self.settled = true;
                recorder.settled();
            }
            Packet::Publish { qos, retain, topic, packet_id, payload, .. } => {
                if qos == 1 {
                    wire::ack(out, Ack::Puback, packet_id);
                }
                if let (true, Ok(message)) = (retain, payload::decode(payload, topic)) {
                    recorder.record(What::RetainedSeen { message, asked: self.asked });
                }
            }
            _ => {}
        }
    }
}
