//! Packets that a broker sends, borrowed from the bytes that were read.

use std::fmt;

use super::{Ack, Level};

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The answer to CONNECT.
    Connack {
        /// Session Present flag.
        session_present: bool,
        /// Return code or reason code; 0 is success.
        code: u8,
        /// The broker's Receive Maximum; 65,535 where it names none.
        receive_maximum: u16,
    },
    /// A message for us.
    Publish {
        /// DUP flag.
        dup: bool,
        /// QoS, 0 to 2.
        qos: u8,
        /// RETAIN flag.
        retain: bool,
        /// Topic Name.
        topic: &'a [u8],
        /// Packet Identifier, 0 at QoS 0.
        packet_id: u16,
        /// Application Message.
        payload: &'a [u8],
    },
    /// One of the four acknowledgements.
    Ack {
        /// Which of the four.
        kind: Ack,
        /// Packet Identifier.
        packet_id: u16,
        /// Reason code; 0 where none is sent.
        code: u8,
    },
    /// The answer to SUBSCRIBE: one code a filter.
    Suback {
        /// Packet Identifier.
        packet_id: u16,
        /// Granted QoS or refusal (0x80 and above), by filter.
        codes: &'a [u8],
    },
    /// The broker ends the connection (5.0).
    Disconnect {
        /// Reason code.
        code: u8,
    },
    /// A packet that no workload looks at (PINGRESP, UNSUBACK).
    Other,
}

/// Bytes that no broker may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker sent bytes that are not MQTT: {}", self.0)
    }
}

impl std::error::Error for Fault {}

/// The packet at the front of `bytes` and how many bytes it takes. `Ok(None)`: not whole yet.
pub fn take(bytes: &[u8], level: Level) -> Result<Option<(Packet<'_>, usize)>, Fault> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let Some((length, at)) = varint(bytes, 1)? else { return Ok(None) };
    let end = at + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let packet = packet(first, &bytes[at..end], level)?;
    Ok(Some((packet, end)))
}

fn packet(first: u8, body: &[u8], level: Level) -> Result<Packet<'_>, Fault> {
    match first >> 4 {
        2 => connack(body, level),
        3 => publish(first & 0x0F, body, level),
        4 => acknowledgement(Ack::Puback, body),
        5 => acknowledgement(Ack::Pubrec, body),
        6 if first & 0x0F != 2 => Err(Fault("PUBREL flags")),
        6 => acknowledgement(Ack::Pubrel, body),
        7 => acknowledgement(Ack::Pubcomp, body),
        9 => suback(body, level),
        11 | 13 => Ok(Packet::Other),
        14 => Ok(Packet::Disconnect { code: body.first().copied().unwrap_or(0) }),
        _ => Err(Fault("packet type")),
    }
}

fn connack(body: &[u8], level: Level) -> Result<Packet<'_>, Fault> {
    let (&flags, &code) =
        body.first().zip(body.get(1)).ok_or(Fault("CONNACK is shorter than its variable header"))?;
    if flags > 1 {
        return Err(Fault("CONNACK flags"));
    }
    let mut receive_maximum = u16::MAX;
    if level == Level::V5 && code == 0 {
        receive_maximum = connack_receive_maximum(body)?;
    }
    Ok(Packet::Connack { session_present: flags == 1, code, receive_maximum })
}

fn connack_receive_maximum(body: &[u8]) -> Result<u16, Fault> {
    let (length, mut at) = varint(body, 2)?.ok_or(Fault("CONNACK has no property length"))?;
    let end = at + length;
    if end != body.len() {
        return Err(Fault("CONNACK property length"));
    }
    let mut receive_maximum = u16::MAX;
    while at < end {
        let id = body[at];
        at += 1;
        at += match id {
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 | 0x22 => 2,
            0x21 => {
                receive_maximum = number(body, at)?;
                2
            }
            0x11 | 0x27 => 4,
            0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => 2 + usize::from(number(body, at)?),
            0x26 => {
                let key = 2 + usize::from(number(body, at)?);
                key + 2 + usize::from(number(body, at + key)?)
            }
            _ => return Err(Fault("CONNACK property")),
        };
    }
    if at == end { Ok(receive_maximum) } else { Err(Fault("CONNACK properties are cut")) }
}

fn publish(flags: u8, body: &[u8], level: Level) -> Result<Packet<'_>, Fault> {
    let qos = flags >> 1 & 3;
    if qos == 3 {
        return Err(Fault("QoS 3"));
    }
    let mut at = 2 + usize::from(number(body, 0)?);
    let topic = body.get(2..at).ok_or(Fault("PUBLISH topic is cut"))?;
    let mut packet_id = 0;
    if qos > 0 {
        packet_id = number(body, at)?;
        at += 2;
        if packet_id == 0 {
            return Err(Fault("packet identifier 0"));
        }
    }
    if level == Level::V5 {
        let (length, after) = varint(body, at)?.ok_or(Fault("PUBLISH has no property length"))?;
        at = after + length;
    }
    let payload = body.get(at..).ok_or(Fault("PUBLISH properties are cut"))?;
    Ok(Packet::Publish { dup: flags & 8 != 0, qos, retain: flags & 1 != 0, topic, packet_id, payload })
}

fn acknowledgement(kind: Ack, body: &[u8]) -> Result<Packet<'_>, Fault> {
    let packet_id = number(body, 0)?;
    Ok(Packet::Ack { kind, packet_id, code: body.get(2).copied().unwrap_or(0) })
}

fn suback(body: &[u8], level: Level) -> Result<Packet<'_>, Fault> {
    let packet_id = number(body, 0)?;
    let mut at = 2;
    if level == Level::V5 {
        let (length, after) = varint(body, at)?.ok_or(Fault("SUBACK has no property length"))?;
        at = after + length;
    }
    let codes = body.get(at..).ok_or(Fault("SUBACK properties are cut"))?;
    Ok(Packet::Suback { packet_id, codes })
}

fn number(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    match bytes.get(at..at + 2) {
        Some(two) => Ok(u16::from_be_bytes([two[0], two[1]])),
        None => Err(Fault("packet is cut")),
    }
}

/// A variable byte integer at `at`, and where it ends.
fn varint(bytes: &[u8], mut at: usize) -> Result<Option<(usize, usize)>, Fault> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        at += 1;
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, at)));
        }
    }
    Err(Fault("length of five bytes"))
}
