//! Messages on their way: what each publisher may send now, what has arrived, how long it took.

use std::io;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::swarm::{Handler, Swarm};
use crate::wire::{self, Ack, Level, Packet, Publish};

/// One delivery in so many has its latency recorded: enough for percentiles, cheap enough for a driver.
const SAMPLE: u64 = 8;
/// A publisher of QoS 0 that is held back waits until it may send so many: one write, not many.
const BATCH_MIN: u64 = 32;
/// Longest latency that is told apart: a minute, in microseconds.
const LATENCY_MAX: u64 = 60_000_000;

/// What is published together and delivered together.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Deliveries for each message.
    pub(super) fan: u64,
    /// Messages on their way at a time.
    pub(super) window: u64,
    pub(super) sent: u64,
    pub(super) delivered: u64,
    /// Deliveries that will never come.
    pub(super) lost: u64,
}

impl Lane {
    pub(super) fn new(fan: u64, window: u64) -> Lane {
        Lane { fan, window: window.max(1), sent: 0, delivered: 0, lost: 0 }
    }

    /// Deliveries that are still to come.
    pub(super) fn owed(&self) -> u64 {
        (self.sent * self.fan).saturating_sub(self.delivered + self.lost)
    }

    fn allows(&self) -> u64 {
        match self.fan {
            0 => u64::MAX,
            fan => self.window.saturating_sub(self.owed().div_ceil(fan)),
        }
    }
}

/// A PUBLISH whose timestamp and packet identifier are yet to be written in.
struct Template {
    bytes: Vec<u8>,
    packet_id_at: usize,
    payload_at: usize,
}

/// A publisher's part of the flow.
pub(super) struct Source {
    lane: usize,
    templates: Vec<Template>,
    /// Every so many messages the first template, the others in turn in between; 0: all in turn.
    first_every: u64,
    inflight_max: u64,
    unacked: u64,
    packet_id: u16,
    turn: u64,
    /// Messages that it has yet to send.
    left: u64,
}

/// What a publisher sends.
pub(super) struct Sending<'a> {
    pub(super) topics: &'a [String],
    pub(super) first_every: u64,
    pub(super) payload: usize,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) inflight_max: u64,
    pub(super) count: u64,
}

impl Source {
    pub(super) fn new(lane: usize, level: Level, sending: &Sending<'_>) -> Source {
        let payload = vec![b'.'; sending.payload];
        let template = |topic: &String| {
            let mut bytes = Vec::new();
            let Sending { qos, retain, .. } = *sending;
            let publish = Publish { topic, payload: &payload, qos, dup: false, retain, packet_id: 1 };
            let (packet_id_at, payload_at) = wire::publish(&mut bytes, level, &publish);
            Template { bytes, packet_id_at, payload_at }
        };
        Source {
            lane,
            templates: sending.topics.iter().map(template).collect(),
            first_every: sending.first_every,
            inflight_max: sending.inflight_max,
            unacked: 0,
            packet_id: 0,
            turn: 0,
            left: sending.count,
        }
    }

    fn template(&mut self) -> &Template {
        let turn = self.turn;
        self.turn += 1;
        let count = self.templates.len() as u64;
        let at = match self.first_every {
            0 => turn % count,
            every if turn.is_multiple_of(every) => 0,
            _ => 1 + turn % (count - 1),
        };
        &self.templates[at as usize]
    }

    fn append(&mut self, qos: u8, now: u64, out: &mut Vec<u8>) {
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        let packet_id = self.packet_id.to_be_bytes();
        let template = self.template();
        let start = out.len();
        out.extend_from_slice(&template.bytes);
        let at = start + template.payload_at;
        // Only a message that removes a retained one has no payload, and so no timestamp.
        if let Some(stamp) = out.get_mut(at..at + 8) {
            stamp.copy_from_slice(&now.to_be_bytes());
        }
        if qos > 0 {
            let at = start + template.packet_id_at;
            out[at..at + 2].copy_from_slice(&packet_id);
        }
    }
}

/// What a connection is for.
pub(super) enum Role {
    /// It publishes.
    Source(Source),
    /// It subscribes, to what this lane carries.
    Sink(usize),
}

/// All publishers and subscribers of a swarm, by the numbers of their connections.
pub(super) struct Flow {
    pub(super) lanes: Vec<Lane>,
    pub(super) roles: Vec<Role>,
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) delivered: u64,
    /// From a timestamp in the payload, in microseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) fault: Option<String>,
    /// Messages that the rate lets through now; none where there is no rate.
    pub(super) tokens: Option<u64>,
    qos: u8,
    start: Instant,
    now: u64,
}

impl Flow {
    pub(super) fn new(qos: u8, lanes: Vec<Lane>) -> Flow {
        Flow {
            lanes,
            roles: Vec::new(),
            sent: 0,
            acked: 0,
            delivered: 0,
            latency: Histogram::new_with_max(LATENCY_MAX, 3).expect("the bounds of the histogram are sound"),
            fault: None,
            tokens: None,
            qos,
            start: Instant::now(),
            now: 0,
        }
    }

    /// Lets every publisher send what it may. True: some could send more at once.
    pub(super) fn pump(&mut self, swarm: &mut Swarm) -> io::Result<bool> {
        let mut more = false;
        for connection in 0..self.roles.len() {
            let Role::Source(source) = &mut self.roles[connection] else { continue };
            let lane = &mut self.lanes[source.lane];
            let mut allowed = lane.allows().min(source.left);
            if self.qos == 0 {
                let enough = BATCH_MIN.min(lane.window / 4).min(source.left);
                allowed = if allowed < enough { 0 } else { allowed };
            } else {
                allowed = allowed.min(source.inflight_max - source.unacked);
            }
            allowed = allowed.min(self.tokens.unwrap_or(u64::MAX));
            if allowed == 0 {
                continue;
            }
            let now = self.start.elapsed().as_nanos() as u64;
            let mut count = 0;
            while count < allowed {
                let Some(out) = swarm.room(connection) else { break };
                source.append(self.qos, now, out);
                count += 1;
            }
            source.left -= count;
            source.unacked += if self.qos > 0 { count } else { 0 };
            lane.sent += count;
            self.sent += count;
            self.tokens = self.tokens.map(|tokens| tokens - count);
            more |= swarm.flush(connection)? && count < allowed;
        }
        Ok(more)
    }

    /// Messages that count as published: the acknowledged ones, and at QoS 0 the sent ones.
    pub(super) fn published(&self) -> u64 {
        if self.qos == 0 { self.sent } else { self.acked }
    }

    /// Deliveries that are still to come.
    pub(super) fn owed(&self) -> u64 {
        self.lanes.iter().map(Lane::owed).sum()
    }

    fn on_delivery(&mut self, lane: usize, payload: &[u8]) {
        self.lanes[lane].delivered += 1;
        self.delivered += 1;
        if self.delivered.is_multiple_of(SAMPLE)
            && let Some(stamp) = payload.first_chunk::<8>()
        {
            let micros = self.now.saturating_sub(u64::from_be_bytes(*stamp)) / 1000;
            self.latency.saturating_record(micros);
        }
    }

    fn on_ack(&mut self, connection: usize, code: u8) {
        let Role::Source(source) = &mut self.roles[connection] else { return };
        source.unacked = source.unacked.saturating_sub(1);
        if code < 0x80 {
            self.acked += 1;
        } else {
            self.fault = Some(format!("a publish was refused with reason code {code:#x}"));
        }
    }
}

impl Handler for Flow {
    fn woke(&mut self) {
        self.now = self.start.elapsed().as_nanos() as u64;
    }

    fn packet(&mut self, connection: usize, packet: Packet<'_>, out: &mut Vec<u8>) {
        match packet {
            Packet::Publish { qos, packet_id, payload, .. } => {
                if let Role::Sink(lane) = self.roles[connection] {
                    self.on_delivery(lane, payload);
                }
                match qos {
                    0 => {}
                    1 => wire::ack(out, Ack::Puback, packet_id),
                    _ => wire::ack(out, Ack::Pubrec, packet_id),
                }
            }
            Packet::Ack { kind: Ack::Puback | Ack::Pubcomp, code, .. } => self.on_ack(connection, code),
            Packet::Ack { kind: Ack::Pubrec, code, .. } if code >= 0x80 => self.on_ack(connection, code),
            Packet::Ack { kind: Ack::Pubrec, packet_id, .. } => wire::ack(out, Ack::Pubrel, packet_id),
            Packet::Ack { kind: Ack::Pubrel, packet_id, .. } => wire::ack(out, Ack::Pubcomp, packet_id),
            Packet::Disconnect { code } => {
                self.fault = Some(format!("the broker ended connection {connection} with {code:#x}"));
            }
            Packet::Connack { code, .. } if code != 0 => {
                self.fault = Some(format!("the broker refused connection {connection} with {code:#x}"));
            }
            Packet::Connack { .. } | Packet::Suback { .. } | Packet::Other => {}
        }
    }

    fn closed(&mut self, connection: usize) {
        if self.fault.is_none() {
            self.fault = Some(format!("the broker closed connection {connection}"));
        }
    }
}
