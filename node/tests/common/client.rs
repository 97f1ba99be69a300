//! A blocking client that says exactly what it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::wire::{self, Connect, Message, Packet};

/// What came within a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Packet(Packet),
    Closed,
    Silence,
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    version: u8,
    input: Vec<u8>,
    /// Bytes of `input` that were taken.
    taken: usize,
}

impl Client {
    pub(crate) fn open(address: SocketAddr, version: u8) -> Self {
        Self::try_open(address, version).expect("it listens")
    }

    /// Where nobody may listen.
    pub(crate) fn try_open(address: SocketAddr, version: u8) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Some(Self { stream, version, input: Vec::new(), taken: 0 })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// What was sent may not arrive any more.
    pub(crate) fn send_to_closed(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn connect(&mut self, connect: Connect<'_>) -> (bool, u8) {
        self.send(&connect.bytes(self.version));
        let answer = self.expect(wire::CONNACK);
        (answer.body[0] == 1, answer.body[1])
    }

    pub(crate) fn hear(&mut self, patience: Duration) -> Heard {
        let until = Instant::now() + patience;
        loop {
            if let Some((packet, bytes)) = wire::take(&self.input[self.taken..]) {
                self.taken += bytes;
                return Heard::Packet(packet);
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            self.stream.set_read_timeout(Some(left)).expect("more than nothing");
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Heard::Closed,
                Ok(bytes) => self.input.extend_from_slice(&buffer[..bytes]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Heard::Closed,
            }
        }
    }

    /// The next packet; `None`: closed.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        match self.hear(PATIENCE) {
            Heard::Packet(packet) => Some(packet),
            Heard::Closed => None,
            Heard::Silence => panic!("nothing came"),
        }
    }

    pub(crate) fn expect(&mut self, kind: u8) -> Packet {
        let packet = self.next().unwrap_or_else(|| panic!("closed instead of {kind:#x}"));
        assert_eq!(packet.kind(), kind, "{packet:?}");
        packet
    }

    pub(crate) fn expect_any(&mut self) -> Packet {
        self.next().expect("the connection is open")
    }

    pub(crate) fn expect_message(&mut self) -> Message {
        self.expect(wire::PUBLISH).message(self.version)
    }

    /// Closed now, after a DISCONNECT with this Reason Code in 5.0.
    pub(crate) fn expect_closed(&mut self, reason: u8) {
        if self.version == 5 {
            assert_eq!(self.expect(wire::DISCONNECT).reason(), reason);
        }
        assert_eq!(self.next(), None);
    }

    /// Nothing but the answer to a ping is on its way.
    pub(crate) fn expect_silence(&mut self) {
        self.send(&wire::PINGREQ);
        self.expect(wire::PINGRESP);
    }

    /// Subscribes; the Reason Code.
    pub(crate) fn try_subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.send(&wire::subscribe(self.version, 1, filter, options));
        let answer = self.expect(wire::SUBACK);
        *answer.body.last().expect("a reason")
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        assert_eq!(self.try_subscribe(filter, qos), qos);
    }

    pub(crate) fn publish(&mut self, message: &Message) {
        self.send(&message.bytes(self.version));
    }

    /// Publishes at QoS 1; the Reason Code of its PUBACK.
    pub(crate) fn try_store(&mut self, topic: &str, payload: &[u8]) -> u8 {
        self.publish(&Message::new(topic, 1, payload).id(1));
        self.expect(wire::PUBACK).reason()
    }

    pub(crate) fn store(&mut self, topic: &str, payload: &[u8]) {
        let reason = self.try_store(topic, payload);
        // 0x10: nobody subscribes.
        assert!(matches!(reason, 0 | 0x10), "{reason:#x}");
    }

    /// A whole QoS 2 exchange.
    pub(crate) fn store_once(&mut self, topic: &str, id: u16, payload: &[u8]) {
        self.publish(&Message::new(topic, 2, payload).id(id));
        assert_eq!(self.expect(wire::PUBREC).id(), id);
        self.send(&wire::ack(wire::PUBREL, id));
        assert_eq!(self.expect(wire::PUBCOMP).id(), id);
    }

    /// Publishes many at QoS 1, `window` of them unacknowledged at a time.
    pub(crate) fn store_all(&mut self, messages: impl Iterator<Item = Message>, window: usize) {
        let mut open = 0;
        let mut id = 0;
        for message in messages {
            id = id % 60_000 + 1;
            self.publish(&message.id(id));
            open += 1;
            while open >= window {
                assert!(matches!(self.expect(wire::PUBACK).reason(), 0 | 0x10));
                open -= 1;
            }
        }
        for _ in 0..open {
            assert!(matches!(self.expect(wire::PUBACK).reason(), 0 | 0x10));
        }
    }

    /// Receives and acknowledges, up to the message with this payload, which is left out.
    pub(crate) fn drain_to(&mut self, last: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let packet = self.next().expect("the connection is open");
            match packet.kind() {
                wire::PUBLISH => {
                    let message = packet.message(self.version);
                    match message.qos {
                        1 => self.send(&wire::ack(wire::PUBACK, message.id)),
                        2 => self.send(&wire::ack(wire::PUBREC, message.id)),
                        _ => {}
                    }
                    if message.payload == last {
                        return messages;
                    }
                    messages.push(message);
                }
                wire::PUBREL => self.send(&wire::ack(wire::PUBCOMP, packet.id())),
                kind => panic!("{kind:#x}"),
            }
        }
    }
}
