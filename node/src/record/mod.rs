//! The bytes of one Application Message in a partition's entry, and between the workers of a node.
//!
//! A record, little endian:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | length of what follows |
//! | 1 | flags: QoS in bits 0..=1, then retain, expiry, token, properties, fences |
//! | 2 | slot of the topic name |
//! | 8 | publisher: hash of its client id |
//! | 4 | owner epoch of the publisher, low half |
//! | 4 | message expiry interval in seconds, if flagged |
//! | 24 | token: incarnation, token, lowest open token, if flagged |
//! | 2 + 16 n | fences: node and boot of each, if flagged |
//! | 2 + n | topic name |
//! | 4 + n | properties to forward, as on the wire, if flagged |
//! | rest | payload |

mod entry;
mod fence;

#[cfg(test)]
mod tests;

use holdfast_codec::Qos;

pub use entry::{EntryFlags, Records, assemble, fenced_ordinals, records};
pub use fence::{Fence, Fences, epoch_below, low_epoch};

const RETAIN: u8 = 0b0000_0100;
const EXPIRY: u8 = 0b0000_1000;
const TOKEN: u8 = 0b0001_0000;
const PROPERTIES: u8 = 0b0010_0000;
const FENCES: u8 = 0b0100_0000;

/// What makes a QoS 2 publish or a will count once in its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// The session (or outbox) that numbered it. Never used again by another.
    pub incarnation: u64,
    /// Rises by one with each new message of the incarnation.
    pub token: u64,
    /// Everything below is settled: the partition forgets those tokens and refuses them.
    pub lowest_open: u64,
}

impl Token {
    /// What makes it the same message, whatever else was settled meanwhile.
    pub fn identity(self) -> (u64, u64) {
        (self.incarnation, self.token)
    }

    /// Was it numbered by the outbox of a session group? Such a message has no owner whose epoch could be too low.
    pub fn of_outbox(self) -> bool {
        self.incarnation.trailing_zeros() >= 48
    }
}

/// One Application Message as the log keeps it. Borrowed from an entry, or built for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// QoS it was published with.
    pub qos: Qos,
    /// RETAIN flag it was published with.
    pub retain: bool,
    /// Hash slot of the topic name.
    pub slot: u16,
    /// Hash of the publisher's client id: No Local, and fencing.
    pub publisher: u64,
    /// The publisher's owner epoch (low 32 bits).
    pub epoch: u32,
    /// Message Expiry Interval, seconds from the entry's stamp. MQTT 5.0, 3.3.2.3.3.
    pub expiry: Option<u32>,
    /// Present for what must count once.
    pub token: Option<Token>,
    /// From this record on, lower owner epochs of its publisher are refused in its partition.
    pub fences: Fences<'a>,
    /// Topic Name.
    pub topic: &'a str,
    /// Properties to forward unaltered, as on the wire, in order.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// What the entry that holds it must be flagged with.
    pub fn entry_flags(&self) -> EntryFlags {
        let stateful = self.retain || self.token.is_some() || !self.fences.is_empty();
        if stateful { EntryFlags::STATEFUL } else { EntryFlags::default() }
    }

    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(64 + self.topic.len() + self.properties.len() + self.payload.len());
        let flags = (self.qos as u8)
            | if self.retain { RETAIN } else { 0 }
            | if self.expiry.is_some() { EXPIRY } else { 0 }
            | if self.token.is_some() { TOKEN } else { 0 }
            | if self.properties.is_empty() { 0 } else { PROPERTIES }
            | if self.fences.is_empty() { 0 } else { FENCES };
        let mut head = [0u8; 19];
        head[4] = flags;
        head[5..7].copy_from_slice(&self.slot.to_le_bytes());
        head[7..15].copy_from_slice(&self.publisher.to_le_bytes());
        head[15..19].copy_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&head);
        if let Some(expiry) = self.expiry {
            out.extend_from_slice(&expiry.to_le_bytes());
        }
        if let Some(token) = self.token {
            out.extend_from_slice(&token.incarnation.to_le_bytes());
            out.extend_from_slice(&token.token.to_le_bytes());
            out.extend_from_slice(&token.lowest_open.to_le_bytes());
        }
        self.fences.encode(out);
        let topic_len = u16::try_from(self.topic.len()).expect("a topic name is at most 65535 bytes");
        out.extend_from_slice(&topic_len.to_le_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if !self.properties.is_empty() {
            let len = u32::try_from(self.properties.len()).expect("properties fit a packet");
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(self.properties);
        }
        out.extend_from_slice(self.payload);
        let len = u32::try_from(out.len() - start - 4).expect("a record fits a packet");
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Takes one record off the front of `bytes`; the rest comes back with it. `None`: damaged.
    pub fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (len, bytes) = take_u32(bytes)?;
        if bytes.len() < len as usize {
            return None;
        }
        let (body, rest) = bytes.split_at(len as usize);
        Some((Self::decode_body(body)?, rest))
    }

    fn decode_body(body: &'a [u8]) -> Option<Self> {
        let (head, mut body) = body.split_first_chunk::<15>()?;
        let flags = head[0];
        let expiry = if flags & EXPIRY != 0 {
            let (expiry, rest) = take_u32(body)?;
            body = rest;
            Some(expiry)
        } else {
            None
        };
        let token = if flags & TOKEN != 0 {
            let (raw, rest) = body.split_first_chunk::<24>()?;
            body = rest;
            Some(Token { incarnation: word(raw, 0), token: word(raw, 8), lowest_open: word(raw, 16) })
        } else {
            None
        };
        let fences = if flags & FENCES != 0 {
            let (fences, rest) = Fences::decode(body)?;
            body = rest;
            fences
        } else {
            Fences::default()
        };
        let (topic_len, body) = take_u16(body)?;
        let topic_len = usize::from(topic_len);
        let topic = std::str::from_utf8(body.get(..topic_len)?).ok()?;
        let mut body = body.get(topic_len..)?;
        let properties = if flags & PROPERTIES != 0 {
            let (len, rest) = take_u32(body)?;
            body = rest.get(len as usize..)?;
            rest.get(..len as usize)?
        } else {
            &[]
        };
        Some(Self {
            qos: Qos::from_u8(flags & 0b11)?,
            retain: flags & RETAIN != 0,
            slot: u16::from_le_bytes([head[1], head[2]]),
            publisher: word(head, 3),
            epoch: u32::from_le_bytes([head[11], head[12], head[13], head[14]]),
            expiry,
            token,
            fences,
            topic,
            properties,
            payload: body,
        })
    }
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (raw, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_le_bytes(*raw), rest))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (raw, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*raw), rest))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
