//! A model client: what it is, whether it is here, and what it does with the bytes that reach it.

use std::time::Duration;

use super::publisher::Publisher;
use super::recorder::Recorder;
use super::subscriber::Subscriber;
use crate::history::{Message, What};
use crate::wire::{self, Connect, Level, Packet, Will};
use crate::workload::payload;

/// Sessions outlive any simulation, whatever the wall clock does.
const EXPIRY: u32 = 600_000;
/// Seconds of Keep Alive of those that ask for one, and microseconds between two of their PINGREQs.
const KEEP_ALIVE: u16 = 2;
const PING_MICROS: u64 = 900_000;
/// The filter that readers of retained messages ask for.
const READER_FILTER: &str = "kept/#";

pub(super) enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
    /// Reads retained messages; when it asked.
    Reader {
        asked: Duration,
        last: bool,
    },
    /// It has only its will.
    Mortal,
}

/// A will, anew for each connection.
pub(super) struct Testament {
    pub(super) publisher: u16,
    pub(super) topic: u16,
    pub(super) name: String,
    /// Seconds.
    pub(super) delay: u32,
    /// Of the current connection.
    pub(super) seq: u64,
}

pub(super) struct Client {
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) clean: bool,
    pub(super) role: Role,
    pub(super) testament: Option<Testament>,
    pub(super) receive_maximum: u16,
    pub(super) pings: bool,
    /// The only node that it connects to.
    pub(super) home: Option<usize>,
    /// It does not wait for answers for ever.
    pub(super) hasty: bool,
    /// The node that it does not go to next.
    pub(super) shuns: Option<usize>,
    /// Its connection.
    pub(super) link: Option<u64>,
    /// CONNACK has come.
    pub(super) online: bool,
    /// It has said DISCONNECT on this connection.
    goodbye: bool,
    /// When it comes back, microseconds.
    pub(super) back_at: u64,
    /// It never comes back.
    pub(super) retired: bool,
    ping_at: u64,
    /// When it said CONNECT on this connection.
    asked: Duration,
    read: Vec<u8>,
}

impl Client {
    pub(super) fn new(name: String, level: Level, clean: bool, role: Role) -> Client {
        Client {
            name,
            level,
            clean,
            role,
            testament: None,
            receive_maximum: 0,
            pings: false,
            home: None,
            hasty: false,
            shuns: None,
            link: None,
            online: false,
            goodbye: false,
            back_at: 0,
            retired: false,
            ping_at: 0,
            asked: Duration::ZERO,
            read: Vec::new(),
        }
    }

    /// The CONNECT of a new connection.
    pub(super) fn connect(&mut self, link: u64, recorder: &mut Recorder) -> Vec<u8> {
        self.link = Some(link);
        (self.online, self.goodbye) = (false, false);
        self.asked = recorder.at();
        self.read.clear();
        let connect = Connect {
            level: self.level,
            client_id: &self.name,
            clean: self.clean,
            keep_alive: if self.pings { KEEP_ALIVE } else { 0 },
            expiry: if self.clean { 0 } else { EXPIRY },
            receive_maximum: self.receive_maximum,
        };
        let mut out = Vec::new();
        match &mut self.testament {
            None => wire::connect(&mut out, &connect),
            Some(testament) => {
                testament.seq += 1;
                let message = testament.message();
                recorder.record(What::Sent(message));
                let payload = payload::encode(message, &testament.name);
                let will = Will { topic: &testament.name, payload: &payload, delay: testament.delay };
                wire::connect_with(&mut out, &connect, Some(&will));
            }
        }
        out
    }

    /// The connection is no more, on this side.
    pub(super) fn disconnected(&mut self, recorder: &mut Recorder) {
        if let Some(testament) = &self.testament
            && self.online
            && !self.goodbye
            && (testament.delay == 0 || self.retired)
        {
            recorder.record(What::WillDue(testament.message()));
        }
        self.link = None;
        self.online = false;
        self.read.clear();
    }

    /// Says DISCONNECT.
    pub(super) fn leave(&mut self, out: &mut Vec<u8>) {
        self.goodbye = true;
        wire::disconnect(out);
    }

    /// Takes in bytes; `Err` is a broken promise. `Ok(false)`: the broker ended the connection.
    pub(super) fn input(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<bool, String> {
        let mut read = std::mem::take(&mut self.read);
        read.extend_from_slice(bytes);
        let mut used = 0;
        let mut open = true;
        loop {
            match wire::take(&read[used..], self.level) {
                Err(fault) => return Err(format!("{}: {fault}", self.name)),
                Ok(None) => break,
                Ok(Some((packet, taken))) => {
                    open &= self.on_packet(&packet, out, recorder);
                    used += taken;
                }
            }
        }
        read.drain(..used);
        self.read = read;
        Ok(open)
    }

    fn on_packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, recorder: &mut Recorder) -> bool {
        match *packet {
            Packet::Connack { code: 0, session_present, .. } => {
                self.online = true;
                recorder.served(self.asked);
                if !self.clean {
                    recorder.record(What::Connected { client: self.name.clone(), session_present });
                }
                match &mut self.role {
                    Role::Publisher(role) => role.on_connected(session_present, out, recorder),
                    Role::Subscriber(role) => role.on_connected(session_present, out, recorder),
                    Role::Reader { asked, .. } => {
                        wire::subscribe(out, self.level, 1, &[(READER_FILTER, 1)]);
                        *asked = recorder.record(What::Weather("a reader asks"));
                    }
                    Role::Mortal => {}
                }
            }
            Packet::Connack { .. } | Packet::Disconnect { .. } => return false,
            _ => match &mut self.role {
                Role::Publisher(role) => role.on_packet(packet, out, recorder),
                Role::Subscriber(role) => role.on_packet(packet, out, recorder),
                Role::Reader { asked, last } => read(packet, (*asked, *last), out, recorder),
                Role::Mortal => {}
            },
        }
        true
    }

    /// PINGREQ, when it is time.
    pub(super) fn ping(&mut self, now: u64, out: &mut Vec<u8>) {
        if self.restless(now) {
            self.ping_at = now + PING_MICROS;
            wire::ping(out);
        }
    }

    /// A PINGREQ is due.
    pub(super) fn restless(&self, now: u64) -> bool {
        self.pings && self.online && !self.goodbye && now >= self.ping_at
    }

    /// Since when it waits for an answer, while it waits for one.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        self.link?;
        match &self.role {
            Role::Publisher(role) if self.online => role.waits_since(),
            _ => Some(self.asked).filter(|_| !self.online),
        }
    }

    /// Nothing is under way from it.
    pub(super) fn calm(&self) -> bool {
        self.retired
            || match &self.role {
                Role::Publisher(role) => self.online && role.landed(),
                Role::Subscriber(role) => self.online && role.settled,
                Role::Reader { .. } | Role::Mortal => self.online,
            }
    }
}

impl Testament {
    fn message(&self) -> Message {
        Message { publisher: self.publisher, topic: self.topic, seq: self.seq }
    }
}

fn read(packet: &Packet<'_>, (asked, last): (Duration, bool), out: &mut Vec<u8>, recorder: &mut Recorder) {
    let Packet::Publish { qos, retain, topic, packet_id, payload, .. } = *packet else { return };
    if qos == 1 {
        wire::ack(out, wire::Ack::Puback, packet_id);
    }
    if !retain {
        return;
    }
    match payload::decode(payload, topic) {
        Ok(message) => {
            recorder.record(What::RetainedSeen { message, asked });
            if last {
                recorder.record(What::RetainedRead(message));
            }
        }
        Err(_) => {
            recorder.record(What::Weather("a retained message is broken"));
        }
    }
}
