//! The few MQTT bytes that this crate needs, for 3.1.1 and 5.0, written by hand.
//!
//! Not a codec: it trusts nothing that it reads, but it sends only what the workloads say. It shares no
//! line with the broker's codec.

pub use decode::{Fault, Packet, take};
pub use encode::{Connect, Publish, Will, ack, connect, connect_with, disconnect, ping, publish, subscribe};

mod decode;
mod encode;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Level {
    /// The level with this protocol level byte.
    pub fn from_byte(byte: u8) -> Option<Level> {
        match byte {
            4 => Some(Level::V4),
            5 => Some(Level::V5),
            _ => None,
        }
    }
}

/// The four acknowledgements, which look alike on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Answers a QoS 1 PUBLISH.
    Puback,
    /// Answers a QoS 2 PUBLISH.
    Pubrec,
    /// Answers a PUBREC.
    Pubrel,
    /// Answers a PUBREL.
    Pubcomp,
}

#[cfg(test)]
mod tests;
