//! Packets that a client sends, appended to a buffer.

use super::{Ack, Level};

/// A CONNECT without will or credentials.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Protocol level.
    pub level: Level,
    /// Client identifier.
    pub client_id: &'a str,
    /// Clean Session (3.1.1) or Clean Start (5.0).
    pub clean: bool,
    /// Keep Alive, in seconds.
    pub keep_alive: u16,
    /// Session Expiry Interval, in seconds; sent only by 5.0 and only when not 0.
    pub expiry: u32,
    /// Receive Maximum; sent only by 5.0 and only when not 0.
    pub receive_maximum: u16,
}

/// A PUBLISH.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Application Message.
    pub payload: &'a [u8],
    /// QoS, 0 to 2.
    pub qos: u8,
    /// DUP flag.
    pub dup: bool,
    /// RETAIN flag.
    pub retain: bool,
    /// Packet Identifier; not sent at QoS 0.
    pub packet_id: u16,
}

/// A will that goes with a CONNECT, at QoS 2 and without RETAIN.
#[derive(Clone, Copy, Debug)]
pub struct Will<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Application Message.
    pub payload: &'a [u8],
    /// Will Delay Interval, in seconds; sent only by 5.0.
    pub delay: u32,
}

/// Appends a CONNECT.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    connect_with(out, connect, None);
}

/// Appends a CONNECT that may carry a will.
pub fn connect_with(out: &mut Vec<u8>, connect: &Connect<'_>, will: Option<&Will<'_>>) {
    let mut properties = Vec::new();
    if connect.expiry > 0 {
        properties.push(0x11);
        properties.extend_from_slice(&connect.expiry.to_be_bytes());
    }
    if connect.receive_maximum > 0 {
        properties.push(0x21);
        properties.extend_from_slice(&connect.receive_maximum.to_be_bytes());
    }
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.push(if connect.level == Level::V5 { 5 } else { 4 });
    // Will Flag and a Will QoS of 2.
    let will_flags = if will.is_some() { 0b0001_0100 } else { 0 };
    body.push(u8::from(connect.clean) << 1 | will_flags);
    body.extend_from_slice(&connect.keep_alive.to_be_bytes());
    if connect.level == Level::V5 {
        body.push(properties.len() as u8);
        body.extend_from_slice(&properties);
    }
    text(&mut body, connect.client_id);
    if let Some(will) = will {
        if connect.level == Level::V5 {
            body.extend_from_slice(&[5, 0x18]);
            body.extend_from_slice(&will.delay.to_be_bytes());
        }
        text(&mut body, will.topic);
        body.extend_from_slice(&(will.payload.len() as u16).to_be_bytes());
        body.extend_from_slice(will.payload);
    }
    head(out, 0x10, body.len());
    out.extend_from_slice(&body);
}

/// Appends a PUBLISH and returns where, in `out`, its packet identifier (absent at QoS 0) and its payload
/// start.
pub fn publish(out: &mut Vec<u8>, level: Level, publish: &Publish<'_>) -> (usize, usize) {
    let id = if publish.qos > 0 { 2 } else { 0 };
    let properties = usize::from(level == Level::V5);
    let first = 0x30 | u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain);
    head(out, first, 2 + publish.topic.len() + id + properties + publish.payload.len());
    text(out, publish.topic);
    let packet_id_at = out.len();
    if publish.qos > 0 {
        out.extend_from_slice(&publish.packet_id.to_be_bytes());
    }
    if level == Level::V5 {
        out.push(0);
    }
    let payload_at = out.len();
    out.extend_from_slice(publish.payload);
    (packet_id_at, payload_at)
}

/// Appends an acknowledgement of success, in the short form that both protocols know.
pub fn ack(out: &mut Vec<u8>, kind: Ack, packet_id: u16) {
    let first = match kind {
        Ack::Puback => 0x40,
        Ack::Pubrec => 0x50,
        Ack::Pubrel => 0x62,
        Ack::Pubcomp => 0x70,
    };
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// Appends a SUBSCRIBE to each filter with the same QoS.
pub fn subscribe(out: &mut Vec<u8>, level: Level, packet_id: u16, filters: &[(&str, u8)]) {
    let mut body = packet_id.to_be_bytes().to_vec();
    if level == Level::V5 {
        body.push(0);
    }
    for (filter, qos) in filters {
        text(&mut body, filter);
        body.push(*qos);
    }
    head(out, 0x82, body.len());
    out.extend_from_slice(&body);
}

/// Appends a DISCONNECT without a reason code, which means a normal one.
pub fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// Appends a PINGREQ.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn head(out: &mut Vec<u8>, first: u8, mut length: usize) {
    assert!(length < 1 << 28, "a packet has at most 256 MiB");
    out.push(first);
    loop {
        let seven = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            out.push(seven);
            return;
        }
        out.push(seven | 0x80);
    }
}
