//! Limits and timings of connections and sessions, as finished values.

use holdfast_codec::Limits;

use crate::config::Fault;

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a packet may hold.
    pub limits: Limits,
    /// Bytes of the CONNECT packet at most, so that a stranger costs little.
    pub connect_bytes_max: u32,
    /// Milliseconds from accept to a whole CONNECT.
    pub connect_timeout_ms: u64,
    /// Receive Maximum that we announce: QoS 1 and 2 publishes a client may have outstanding.
    pub receive_maximum: u16,
    /// Topic Alias Maximum that we announce.
    pub topic_alias_maximum: u16,
    /// Topic aliases that we set at most per connection.
    pub topic_alias_out_max: u16,
    /// Largest Keep Alive, seconds; 0: any.
    pub keep_alive_max: u16,
    /// Largest Session Expiry Interval, seconds.
    pub session_expiry_max: u32,
    /// Messages of QoS 1 and 2 in flight to a client at most.
    pub inflight_max: u16,
    /// Bytes that wait for a socket before QoS 0 messages to it are dropped and others wait in the log.
    pub out_bytes_max: usize,
    /// Clients of the node that have said CONNECT, at most.
    pub connections_max: usize,
    /// Whether retained messages are kept.
    pub retained_available: bool,
    /// Subscriptions of a session at most.
    pub subscriptions_max: usize,
    /// Bytes of a worker's publishes that may be unsettled before its connections are no longer read.
    pub outstanding_bytes_max: usize,
    /// Messages of a shared subscription that one member may have at a time.
    pub share_window: u32,
    /// A fault put in on purpose.
    pub fault: Option<Fault>,
}

/// Little is refused and little is held. A node's own come from its configuration.
impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            connect_bytes_max: 4_096,
            connect_timeout_ms: 10_000,
            receive_maximum: 100,
            topic_alias_maximum: 0,
            topic_alias_out_max: 0,
            keep_alive_max: 0,
            session_expiry_max: u32::MAX,
            inflight_max: 100,
            out_bytes_max: 1 << 20,
            connections_max: 10,
            retained_available: true,
            subscriptions_max: 10,
            outstanding_bytes_max: 1 << 20,
            share_window: 64,
            fault: None,
        }
    }
}
