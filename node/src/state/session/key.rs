//! Keys of a session group's derived state.
//!
//! | key | value |
//! |---|---|
//! | `s` client id | `Core` |
//! | `w` client id | `Window` |
//! | `f` client id, 0, filter | `Subscription` |
//! | `o` number, big endian | outbox `Entry` |
//! | `t` node, worker, big endian | `Tail` |
//! | `h` share | members and window |
//! | `u` client id | `Past`: earlier owners that are not settled, and what waits for them |
//! | `c` node, big endian | highest closed boot |
//! | `n` | counter, big endian |

/// Core of a session.
pub(super) fn core(client_id: &str) -> Vec<u8> {
    tagged(b's', client_id.as_bytes())
}

/// Window of a session.
pub(super) fn window(client_id: &str) -> Vec<u8> {
    tagged(b'w', client_id.as_bytes())
}

/// A subscription. A client id holds no U+0000 [MQTT-1.5.4-2], so the separator is unambiguous.
pub(super) fn subscription(client_id: &str, filter: &str) -> Vec<u8> {
    let mut key = tagged(b'f', client_id.as_bytes());
    key.push(0);
    key.extend_from_slice(filter.as_bytes());
    key
}

/// An outbox entry.
pub(super) fn outbox(number: u64) -> Vec<u8> {
    tagged(b'o', &number.to_be_bytes())
}

/// A tail vector.
pub(super) fn tail(node: u64, worker: u32) -> Vec<u8> {
    let mut key = tagged(b't', &node.to_be_bytes());
    key.extend_from_slice(&worker.to_be_bytes());
    key
}

/// A shared subscription.
pub(super) fn share(name: &str) -> Vec<u8> {
    tagged(b'h', name.as_bytes())
}

/// Earlier owners of a client id.
pub(super) fn past(client_id: &str) -> Vec<u8> {
    tagged(b'u', client_id.as_bytes())
}

/// The closed boots of a node.
pub(super) fn closed(node: u64) -> Vec<u8> {
    tagged(b'c', &node.to_be_bytes())
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(tag);
    key.extend_from_slice(rest);
    key
}
