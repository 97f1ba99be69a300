//! Putting packets into a connection's output. A PUBLISH is encoded once for each shape that receivers want it
//! in, and copied; only the Packet Identifier differs.

use std::num::NonZeroU16;

use holdfast_codec::{PacketId, PublishHead, Qos, Version, encode_publish, publish_len};

use crate::record::Record;

/// Shapes of one message, encoded so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    shapes: [Option<Shape>; 12],
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    from: usize,
    to: usize,
    packet_id_at: usize,
}

/// How one receiver wants a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<'a> {
    pub(super) version: Version,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// Seconds that are left of its Message Expiry Interval.
    pub(super) expiry: Option<u32>,
    pub(super) ids: &'a [u32],
    pub(super) alias: Option<(NonZeroU16, bool)>,
    /// Packet Identifier, at QoS 1 and 2.
    pub(super) packet_id: Option<PacketId>,
    /// Largest packet that the receiver takes, bytes.
    pub(super) packet_max: u32,
}

impl Frames {
    /// Forgets the last message.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.shapes = [None; 12];
    }

    /// Appends the message to `out`. `false`: it is larger than the receiver takes and is not sent [MQTT-3.1.2-24].
    pub(super) fn send(&mut self, out: &mut Vec<u8>, record: &Record<'_>, form: Form<'_>) -> bool {
        if !form.ids.is_empty() || form.alias.is_some() || form.dup {
            return direct(out, record, form);
        }
        let at = usize::from(form.qos.get()) * 4
            + usize::from(form.retain) * 2
            + usize::from(form.version == Version::V5);
        let shape = match self.shapes[at] {
            Some(shape) => shape,
            None => {
                let from = self.bytes.len();
                let head = head(record, form);
                let layout = encode_publish(&mut self.bytes, form.version, head, record.payload);
                let packet_id_at = layout.packet_id_at;
                let shape = Shape { from, to: self.bytes.len(), packet_id_at };
                self.shapes[at] = Some(shape);
                shape
            }
        };
        if shape.to - shape.from > form.packet_max as usize {
            return false;
        }
        let start = out.len();
        out.extend_from_slice(&self.bytes[shape.from..shape.to]);
        if let Some(packet_id) = form.packet_id {
            let at = start + shape.packet_id_at;
            out[at..at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
        }
        true
    }
}

fn direct(out: &mut Vec<u8>, record: &Record<'_>, form: Form<'_>) -> bool {
    let mut head = head(record, form);
    if let Some((alias, known)) = form.alias {
        head.alias = Some(alias);
        if known {
            head.topic = "";
        }
    }
    if publish_len(form.version, &head, record.payload.len()) > form.packet_max as usize {
        return false;
    }
    encode_publish(out, form.version, head, record.payload);
    true
}

fn head<'a>(record: &Record<'a>, form: Form<'a>) -> PublishHead<'a> {
    PublishHead {
        dup: form.dup,
        qos: form.qos,
        retain: form.retain,
        packet_id: form.packet_id,
        topic: record.topic,
        alias: None,
        expiry: form.expiry,
        subscription_ids: form.ids,
        forward: record.properties,
    }
}
