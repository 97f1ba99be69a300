//! The protocol versions that are spoken here.

/// A protocol version, as the Protocol Version byte of CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1, protocol name `MQIsdp`, level 3.
    V3,
    /// MQTT 3.1.1, protocol name `MQTT`, level 4.
    V4,
    /// MQTT 5.0, protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// The protocol level byte of CONNECT.
    pub fn level(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }

    /// The protocol name of CONNECT.
    pub fn name(self) -> &'static str {
        match self {
            Self::V3 => "MQIsdp",
            Self::V4 | Self::V5 => "MQTT",
        }
    }
}
