//! How much a peer may say at once.

/// Bounds on what one packet may hold; what is beyond them is a violation before it costs memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Whole packet, fixed header included. Unit: bytes.
    pub packet_bytes_max: u32,
    /// User Properties in one property block.
    pub user_properties_max: u16,
    /// Topic Filters in one SUBSCRIBE or UNSUBSCRIBE, reason codes in their acknowledgements.
    pub filters_max: u16,
    /// A Topic Name or Topic Filter. Unit: bytes of UTF-8.
    pub topic_bytes_max: u16,
    /// Levels of a Topic Name or Topic Filter: its slashes and one.
    pub topic_levels_max: u16,
    /// The Client Identifier. Unit: bytes of UTF-8.
    pub client_id_bytes_max: u16,
}

impl Limits {
    /// As wide as the protocol itself allows.
    pub const WIDEST: Self = Self {
        packet_bytes_max: 268_435_460,
        user_properties_max: u16::MAX,
        filters_max: u16::MAX,
        topic_bytes_max: u16::MAX,
        topic_levels_max: u16::MAX,
        client_id_bytes_max: u16::MAX,
    };
}

impl Default for Limits {
    /// One mebibyte a packet; the rest generous for people and stingy for attackers.
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            user_properties_max: 128,
            filters_max: 1_024,
            topic_bytes_max: 4_096,
            topic_levels_max: 128,
            client_id_bytes_max: 1_024,
        }
    }
}
