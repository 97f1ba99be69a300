//! The bytes of one Application Message in a partition's entry, and between the workers of a node.
//!
//! An entry's payload is one byte of [`EntryFlags`] and then its records. A record, little endian:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | length of what follows |
//! | 1 | flags: QoS in bits 0..=1, then retain, expiry, token, properties, will |
//! | 2 | slot of the topic name |
//! | 8 | publisher: hash of its client id |
//! | 4 | owner epoch of the publisher, low half |
//! | 4 | message expiry interval in seconds, if flagged |
//! | 24 | token: incarnation, token, lowest open token, if flagged |
//! | 2 + n | topic name |
//! | 4 + n | properties to forward, as on the wire, if flagged |
//! | rest | payload |

use holdfast_codec::Qos;

const RETAIN: u8 = 0b0000_0100;
const EXPIRY: u8 = 0b0000_1000;
const TOKEN: u8 = 0b0001_0000;
const PROPERTIES: u8 = 0b0010_0000;

/// First byte of an entry's payload: says what the records need at apply, so that a plain entry is not walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryFlags(u8);

impl EntryFlags {
    /// Some record is retained or carries a token, so apply must walk the records.
    pub const STATEFUL: Self = Self(1);

    /// The byte.
    pub fn get(self) -> u8 {
        self.0
    }

    /// From the byte.
    pub fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// Both.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Must apply walk the records?
    pub fn stateful(self) -> bool {
        self.0 & 1 != 0
    }
}

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
        if self.retain || self.token.is_some() { EntryFlags::STATEFUL } else { EntryFlags::default() }
    }

    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(64 + self.topic.len() + self.properties.len() + self.payload.len());
        let flags = (self.qos as u8)
            | if self.retain { RETAIN } else { 0 }
            | if self.expiry.is_some() { EXPIRY } else { 0 }
            | if self.token.is_some() { TOKEN } else { 0 }
            | if self.properties.is_empty() { 0 } else { PROPERTIES };
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
        let (topic_len, body) = body.split_first_chunk::<2>()?;
        let topic_len = usize::from(u16::from_le_bytes(*topic_len));
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
            topic,
            properties,
            payload: body,
        })
    }
}

/// The records of an entry's payload, in offset order. Stops at damage, which the checksum rules out.
pub fn records(payload: &[u8]) -> Records<'_> {
    Records { rest: payload.get(1..).unwrap_or_default() }
}

/// Iterator over [`records`].
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Over records without the flags byte in front.
    pub fn bare(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Passes over `count` records without reading them.
    pub fn skip_records(&mut self, count: u64) {
        for _ in 0..count {
            let Some((len, rest)) = take_u32(self.rest) else { return };
            self.rest = rest.get(len as usize..).unwrap_or_default();
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (record, rest) = Record::decode(self.rest).expect("a committed record was encoded whole");
        self.rest = rest;
        Some(record)
    }
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (raw, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*raw), rest))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>() -> Record<'a> {
        Record {
            qos: Qos::AtLeastOnce,
            retain: false,
            slot: 17,
            publisher: 0xdead_beef_0102_0304,
            epoch: 7,
            expiry: None,
            token: None,
            topic: "a/b",
            properties: &[],
            payload: b"hello",
        }
    }

    #[test]
    fn decode_of_encode_is_identity() {
        let token = Token { incarnation: 1, token: 9, lowest_open: 4 };
        let all = [
            record(),
            Record { retain: true, expiry: Some(60), ..record() },
            Record {
                qos: Qos::ExactlyOnce,
                token: Some(token),
                properties: &[1, 0],
                payload: b"",
                ..record()
            },
        ];
        let mut bytes = vec![EntryFlags::STATEFUL.get()];
        for one in &all {
            one.encode(&mut bytes);
        }
        assert_eq!(records(&bytes).collect::<Vec<_>>(), all);
        let mut skipped = records(&bytes);
        skipped.skip_records(2);
        assert_eq!(skipped.collect::<Vec<_>>(), all[2..]);
    }

    #[test]
    fn any_cut_is_damage() {
        let mut bytes = Vec::new();
        Record { expiry: Some(1), properties: &[1, 1], ..record() }.encode(&mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn only_retained_and_tokens_need_a_walk_at_apply() {
        assert!(!record().entry_flags().stateful());
        assert!(Record { retain: true, ..record() }.entry_flags().stateful());
    }
}
