//! Quality of Service levels.

/// How surely an Application Message arrives. MQTT 5.0, 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Qos {
    /// Sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged by PUBACK, may arrive twice.
    AtLeastOnce = 1,
    /// Acknowledged by PUBREC, PUBREL and PUBCOMP, arrives once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The level that `bits` names; `None` above 2.
    pub fn from_u8(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The level as it stands on the wire.
    pub fn get(self) -> u8 {
        self as u8
    }
}
