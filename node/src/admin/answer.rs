//! What the admin API answers: plain values whose JSON is the outer contract.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

/// `/api/v1/cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Chosen at founding.
    pub cluster_id: String,
    /// The node that answers.
    pub node_id: u64,
    /// What all nodes know, and the cluster does. Nodes of the first version do not say it.
    #[serde(default)]
    pub feature_level: u32,
    /// `always`, or the name of the cheaper setting in force.
    pub fsync: String,
    /// Voters of each group that were asked for at the founding; at most one a node.
    #[serde(default)]
    pub replicas: u32,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All partitions.
    pub partitions: Vec<Partition>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// Its address on the cluster link.
    pub address: String,
    /// How it is.
    pub state: NodeState,
    /// Its version.
    pub version: String,
    /// The highest feature level that it knows; 0 before its first start.
    #[serde(default)]
    pub feature_level: u32,
    /// Groups that it keeps a replica of: partitions, session groups and the meta group.
    #[serde(default)]
    pub replicas: usize,
    /// Groups in which it votes.
    #[serde(default)]
    pub votes: usize,
    /// Groups that it leads.
    #[serde(default)]
    pub leads: usize,
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It holds its lease.
    Alive,
    /// Its lease has ended.
    Dead,
    /// It was taken in and has not served yet.
    Joining,
    /// It hands its work over before it leaves.
    Draining,
    /// It belongs to the cluster no more, and its replicas are about to go.
    Removed,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number, from 0.
    pub id: u32,
    /// The node that leads, if one does.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// Its copies.
    pub replicas: Vec<Replica>,
    /// The first message that is kept.
    pub first_offset: u64,
    /// The number of the next message.
    pub next_offset: u64,
    /// The committed index of its log.
    pub committed: u64,
}

/// One copy of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The node that keeps it.
    pub node: u64,
    /// What it is.
    pub state: ReplicaState,
    /// The last index that is known to be on its disk; only the partition's leader knows it of the others.
    pub r#match: Option<u64>,
}

/// What a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It leads.
    Leader,
    /// It votes and follows.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows without a vote.
    Learner,
}

/// Something that keeps a node from serving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A short name, such as `partition_without_leader`.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Its client id.
    pub client_id: String,
    /// Whether it has a connection.
    pub state: SessionState,
    /// The node that serves it, while it is connected.
    pub node: Option<u64>,
    /// `3.1`, `3.1.1` or `5.0`, as it said last.
    pub protocol: String,
    /// The address of its socket.
    pub address: Option<String>,
    /// Since when it has been in this state.
    pub since: Time,
    /// Keep Alive in seconds.
    pub keep_alive_seconds: u32,
    /// How long the session outlives its connection, in seconds; `null` for ever.
    pub session_expiry_seconds: Option<u32>,
    /// Its subscriptions.
    pub subscriptions: u64,
    /// QoS 1 and 2 messages on their way to it.
    pub inflight: u64,
    /// QoS 1 and 2 messages that wait for it.
    pub backlog: u64,
}

/// Whether a session has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It has one.
    Connected,
    /// It waits for one.
    Disconnected,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Whose it is.
    pub client_id: String,
    /// The Topic Filter, without share.
    pub filter: String,
    /// The Share Name of a shared subscription.
    pub share: Option<String>,
    /// The highest QoS.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: u8,
    /// The Subscription Identifier.
    pub subscription_id: Option<u32>,
    /// How far it is behind; only for one session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<Vec<Lag>>,
}

/// How far a session is behind in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The partition.
    pub partition: u32,
    /// Messages of the partition after the session's cursor, whether they match or not.
    pub messages: u64,
}

/// One retained message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// Its topic.
    pub topic: String,
    /// Its QoS.
    pub qos: u8,
    /// When it was published.
    pub published: Time,
    /// When it expires, if it does.
    pub expires: Option<Time>,
    /// Its payload.
    pub payload: Payload,
}

/// A payload; base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::with_capacity(self.0.len().div_ceil(3) * 4);
        for chunk in self.0.chunks(3) {
            let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for digit in 0..4 {
                let pad = digit > chunk.len();
                text.push(if pad {
                    '='
                } else {
                    char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])
                });
            }
        }
        serializer.serialize_str(&text)
    }
}

/// Milliseconds since 1970; RFC 3339 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March on, so that the odd day of a leap year is the last one.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

impl Subscription {
    /// From a filter as the client wrote it, `$share/name/` included, and its options byte. `None`: they are none.
    pub fn of(client_id: &str, filter: &str, options: u8, subscription_id: Option<u32>) -> Option<Self> {
        let options = holdfast_codec::SubscribeOptions::from_u8(options).ok()?;
        let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        let (share, plain) = match shared {
            Some((share, plain)) => (Some(share.to_owned()), plain),
            None => (None, filter),
        };
        Some(Self {
            client_id: client_id.to_owned(),
            filter: plain.to_owned(),
            share,
            qos: options.qos.get(),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: options.to_u8() >> 4,
            subscription_id,
            lag: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let text = |seconds: u64| serde_json::to_string(&Time(seconds * 1000 + 7)).expect("json");
        assert_eq!(text(0), "\"1970-01-01T00:00:00.007Z\"");
        assert_eq!(text(951_782_400), "\"2000-02-29T00:00:00.007Z\"");
        assert_eq!(text(1_735_689_599), "\"2024-12-31T23:59:59.007Z\"");
        assert_eq!(text(4_107_542_400), "\"2100-03-01T00:00:00.007Z\"");
    }

    #[test]
    fn payloads_are_base64() {
        let text =
            |bytes: &'static [u8]| serde_json::to_string(&Payload(Bytes::from_static(bytes))).expect("json");
        assert_eq!(text(b""), "\"\"");
        assert_eq!(text(b"f"), "\"Zg==\"");
        assert_eq!(text(b"fo"), "\"Zm8=\"");
        assert_eq!(text(b"foo"), "\"Zm9v\"");
        assert_eq!(text(b"foob\xff\xfe"), "\"Zm9vYv/+\"");
    }
}
