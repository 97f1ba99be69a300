//! MQTT packets as bytes, written by hand for 3.1, 3.1.1 and 5.0.

pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGRESP: u8 = 0xd0;
pub(crate) const DISCONNECT: u8 = 0xe0;
pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

/// A fixed header and what follows it.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

pub(crate) fn length(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value % 128).expect("a remainder");
        value /= 128;
        out.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut out = short(u16::try_from(text.len()).expect("a short text")).to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

pub(crate) fn short(number: u16) -> [u8; 2] {
    number.to_be_bytes()
}

/// A CONNECT.
#[derive(Clone, Copy)]
pub(crate) struct Connect<'a> {
    pub(crate) id: &'a str,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    /// Of 5.0, without their length.
    pub(crate) properties: &'a [u8],
}

/// Session Expiry Interval of an hour.
const AN_HOUR: [u8; 5] = [0x11, 0, 0, 0x0e, 0x10];

impl<'a> Connect<'a> {
    pub(crate) fn clean(id: &'a str) -> Self {
        Self { id, clean: true, keep_alive: 600, properties: &[] }
    }

    pub(crate) fn durable(id: &'a str) -> Self {
        Self { id, clean: false, keep_alive: 600, properties: &AN_HOUR }
    }

    pub(crate) fn bytes(&self, version: u8) -> Vec<u8> {
        let mut body = string(if version == 3 { "MQIsdp" } else { "MQTT" });
        body.extend([version, u8::from(self.clean) << 1]);
        body.extend(short(self.keep_alive));
        if version == 5 {
            length(&mut body, self.properties.len());
            body.extend(self.properties);
        }
        body.extend(string(self.id));
        packet(0x10, &body)
    }
}

/// A PUBLISH, as sent or as received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    /// 0 at QoS 0.
    pub(crate) id: u16,
    /// Of 5.0, without their length.
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn new(topic: &str, qos: u8, payload: &[u8]) -> Self {
        Self { qos, topic: topic.to_owned(), payload: payload.to_vec(), ..Self::default() }
    }

    pub(crate) fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub(crate) fn properties(mut self, properties: &[u8]) -> Self {
        self.properties = properties.to_vec();
        self
    }

    pub(crate) fn bytes(&self, version: u8) -> Vec<u8> {
        let mut body = string(&self.topic);
        if self.qos > 0 {
            body.extend(short(self.id));
        }
        if version == 5 {
            length(&mut body, self.properties.len());
            body.extend(&self.properties);
        }
        body.extend(&self.payload);
        packet(PUBLISH | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }

    fn parse(version: u8, first: u8, body: &[u8]) -> Self {
        let qos = first >> 1 & 3;
        let topic_end = 2 + usize::from(number(body, 0));
        let topic = String::from_utf8(body[2..topic_end].to_vec()).expect("a topic");
        let mut at = topic_end;
        let mut id = 0;
        if qos > 0 {
            id = number(body, at);
            at += 2;
        }
        let mut properties = Vec::new();
        if version == 5 {
            let (len, taken) = read_length(&body[at..]).expect("a length");
            at += taken;
            properties = body[at..at + len].to_vec();
            at += len;
        }
        let (dup, retain) = (first & 8 != 0, first & 1 != 0);
        Self { dup, qos, retain, topic, id, properties, payload: body[at..].to_vec() }
    }
}

/// An acknowledgement of any kind, with the Reason Code 0 left out.
pub(crate) fn ack(kind: u8, id: u16) -> Vec<u8> {
    packet(kind, &short(id))
}

pub(crate) fn subscribe(version: u8, id: u16, filter: &str, options: u8) -> Vec<u8> {
    let mut body = short(id).to_vec();
    if version == 5 {
        body.push(0);
    }
    body.extend(string(filter));
    body.push(options);
    packet(0x82, &body)
}

/// A packet from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    /// Kind and the flags that belong to it; a PUBLISH without its flags.
    pub(crate) fn kind(&self) -> u8 {
        if self.first & 0xf0 == PUBLISH { PUBLISH } else { self.first }
    }

    /// Packet Identifier of an acknowledgement.
    pub(crate) fn id(&self) -> u16 {
        number(&self.body, 0)
    }

    /// Reason Code of an acknowledgement; 0 when left out.
    pub(crate) fn reason(&self) -> u8 {
        let at = if self.first == DISCONNECT { 0 } else { 2 };
        self.body.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn message(&self, version: u8) -> Message {
        assert_eq!(self.kind(), PUBLISH, "{self:?}");
        Message::parse(version, self.first, &self.body)
    }
}

/// Takes one packet off the front; how many bytes it had.
pub(crate) fn take(bytes: &[u8]) -> Option<(Packet, usize)> {
    let (len, taken) = read_length(bytes.get(1..)?)?;
    let end = 1 + taken + len;
    let body = bytes.get(1 + taken..end)?.to_vec();
    Some((Packet { first: bytes[0], body }, end))
}

/// A length, and how many bytes it had.
pub(crate) fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
