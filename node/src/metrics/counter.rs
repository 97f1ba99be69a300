//! The hot counters of one worker: plain numbers on the way, published in batches.

use metrics::{Counter, Gauge, counter, gauge};

/// The types of packets by the number in their first byte. MQTT 5.0, 2.1.2.
const PACKETS: [&str; 16] = [
    "reserved",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

const QOS: [&str; 3] = ["0", "1", "2"];

/// Why a subscriber did not get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// QoS 0 for a socket that is too slow.
    OutgoingFull,
    /// Its Message Expiry Interval passed.
    Expired,
    /// Larger than the client's Maximum Packet Size.
    PacketTooLarge,
    /// The hard limit of retention won over an absent session.
    RetentionGap,
    /// QoS 0 for a client that is not connected.
    Disconnected,
    /// QoS 0 whose partition had no known leader.
    NoLeader,
    /// QoS 0 that was under way while the leader of its partition changed.
    LeaderMoved,
    /// QoS 0 for which there was no room on the way to another node.
    QueueFull,
    /// QoS 2 of a shared subscription, bound to a session that has ended.
    SessionEnded,
}

impl Dropped {
    const LABELS: [&str; 9] = [
        "outgoing_full",
        "expired",
        "packet_too_large",
        "retention_gap",
        "disconnected",
        "no_leader",
        "leader_moved",
        "queue_full",
        "session_ended",
    ];

    /// Counts messages from where there are no [`Counters`].
    pub fn add(self, messages: u32) {
        counter!("holdfast_messages_dropped_total", "reason" => Self::LABELS[self as usize])
            .increment(u64::from(messages));
    }
}

/// How an attempt to connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// Accepted.
    Accepted,
    /// Bytes that are no good CONNECT.
    Malformed,
    /// A version that is not spoken here.
    Version,
    /// A client id that is not allowed.
    ClientId,
    /// Not allowed in.
    Unauthorized,
    /// Too many connections, or no space left.
    Quota,
    /// The session's group does not answer.
    Unavailable,
    /// No whole CONNECT in time.
    Timeout,
    /// Another reason.
    Other,
}

impl Connect {
    const LABELS: [&str; 9] = [
        "accepted",
        "malformed",
        "version",
        "client_id",
        "unauthorized",
        "quota",
        "unavailable",
        "timeout",
        "other",
    ];
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The client said DISCONNECT.
    Client,
    /// The socket ended without one.
    Network,
    /// One and a half Keep Alives of silence.
    KeepAlive,
    /// Another connection with its client id.
    TakenOver,
    /// It broke the protocol.
    Protocol,
    /// An operator asked for it.
    Admin,
    /// It went beyond a limit.
    Quota,
    /// The node stops.
    Shutdown,
}

impl Closed {
    const LABELS: [&str; 8] =
        ["client", "network", "keep_alive", "taken_over", "protocol", "admin", "quota", "shutdown"];
}

/// What one worker counts between two calls of [`Counters::publish`]: `counters.packets_in[3] += 1`.
///
/// Not shared: each worker has its own, and they add up in the recorder.
pub struct Counters {
    /// Packets taken, by the number of their type.
    pub packets_in: [u64; 16],
    /// Packets sent, by the number of their type.
    pub packets_out: [u64; 16],
    /// Bytes of packets taken, by the number of their type.
    pub bytes_in: [u64; 16],
    /// Bytes of packets sent, by the number of their type.
    pub bytes_out: [u64; 16],
    /// Messages from clients, by QoS.
    pub messages_in: [u64; 3],
    /// Messages to clients, by QoS.
    pub messages_out: [u64; 3],
    /// Connections opened.
    pub opened: u64,
    dropped: [u64; 9],
    connects: [u64; 9],
    closed: [u64; 8],
    handles: Box<Handles>,
}

struct Handles {
    packets_in: [Counter; 16],
    packets_out: [Counter; 16],
    bytes_in: [Counter; 16],
    bytes_out: [Counter; 16],
    messages_in: [Counter; 3],
    messages_out: [Counter; 3],
    dropped: [Counter; 9],
    connects: [Counter; 9],
    closed: [Counter; 8],
    connections: Gauge,
}

impl Counters {
    /// All at zero, with handles to the recorder of this process: make them after it is installed.
    pub fn new() -> Self {
        Self {
            packets_in: [0; 16],
            packets_out: [0; 16],
            bytes_in: [0; 16],
            bytes_out: [0; 16],
            messages_in: [0; 3],
            messages_out: [0; 3],
            opened: 0,
            dropped: [0; 9],
            connects: [0; 9],
            closed: [0; 8],
            handles: Box::new(Handles::new()),
        }
    }

    /// Counts a message that a subscriber did not get.
    #[inline]
    pub fn drop_message(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    /// Counts messages that subscribers did not get.
    pub fn drop_messages(&mut self, reason: Dropped, messages: u64) {
        self.dropped[reason as usize] += messages;
    }

    /// Counts the end of an attempt to connect.
    pub fn connect(&mut self, result: Connect) {
        self.connects[result as usize] += 1;
    }

    /// Counts the end of a connection that was counted in `opened`.
    pub fn close(&mut self, reason: Closed) {
        self.closed[reason as usize] += 1;
    }

    /// Hands everything to the recorder and starts again at zero. Costs some atomic additions: call it once a turn
    /// or less.
    pub fn publish(&mut self) {
        let closed: u64 = self.closed.iter().sum();
        let change = self.opened as f64 - closed as f64;
        if change != 0.0 {
            self.handles.connections.increment(change);
        }
        self.opened = 0;
        let handles = &*self.handles;
        flush(&mut self.packets_in, &handles.packets_in);
        flush(&mut self.packets_out, &handles.packets_out);
        flush(&mut self.bytes_in, &handles.bytes_in);
        flush(&mut self.bytes_out, &handles.bytes_out);
        flush(&mut self.messages_in, &handles.messages_in);
        flush(&mut self.messages_out, &handles.messages_out);
        flush(&mut self.dropped, &handles.dropped);
        flush(&mut self.connects, &handles.connects);
        flush(&mut self.closed, &handles.closed);
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Handles {
    fn new() -> Self {
        let both = |name: &'static str, label: &'static str, value: &'static str, direction: &'static str| counter!(name, label => value, "direction" => direction);
        let packets = |name, direction| PACKETS.map(|packet| both(name, "type", packet, direction));
        let messages = |direction| QOS.map(|qos| both("holdfast_messages_total", "qos", qos, direction));
        Self {
            packets_in: packets("holdfast_packets_total", "in"),
            packets_out: packets("holdfast_packets_total", "out"),
            bytes_in: packets("holdfast_packet_bytes_total", "in"),
            bytes_out: packets("holdfast_packet_bytes_total", "out"),
            messages_in: messages("in"),
            messages_out: messages("out"),
            dropped: Dropped::LABELS
                .map(|reason| counter!("holdfast_messages_dropped_total", "reason" => reason)),
            connects: Connect::LABELS.map(|result| counter!("holdfast_connects_total", "result" => result)),
            closed: Closed::LABELS.map(|reason| counter!("holdfast_disconnects_total", "reason" => reason)),
            connections: gauge!("holdfast_connections"),
        }
    }
}

fn flush(values: &mut [u64], handles: &[Counter]) {
    for (value, handle) in values.iter_mut().zip(handles) {
        if *value > 0 {
            handle.increment(std::mem::take(value));
        }
    }
}
