//! A connection between a client and a worker: bytes under way in both directions.

use holdfast_node::mail::ConnectionKey;

/// Bytes that wait in a socket on their way to the client.
const DOWN_BYTES_MAX: usize = 4_096;

/// A connection.
pub(super) struct Link {
    /// Index of the client.
    pub(super) client: usize,
    /// Client identifier that it says.
    pub(super) client_id: String,
    /// Index of the node.
    pub(super) host: usize,
    pub(super) worker: usize,
    /// The worker's name for it, while the worker knows it.
    pub(super) key: Option<ConnectionKey>,
    /// To the worker.
    pub(super) up: Vec<u8>,
    /// To the client.
    pub(super) down: Vec<u8>,
    /// The worker has taken it in, at some time.
    pub(super) accepted: bool,
    /// The client listens no more.
    pub(super) abandoned: bool,
    /// The worker will read an end after `up`.
    pub(super) ended: bool,
    /// The worker served it when it was last looked at.
    pub(super) open: bool,
}

impl Link {
    pub(super) fn new(client: usize, client_id: &str, (host, worker): (usize, usize)) -> Link {
        let client_id = client_id.to_owned();
        let (up, down) = (Vec::new(), Vec::new());
        Link {
            client,
            client_id,
            host,
            worker,
            key: None,
            up,
            down,
            accepted: false,
            abandoned: false,
            ended: false,
            open: false,
        }
    }

    /// Bytes that the socket takes now. Nobody reads an abandoned one, so it fills up.
    pub(super) fn room(&self) -> usize {
        DOWN_BYTES_MAX.saturating_sub(self.down.len())
    }

    /// The worker has let go of it, and what it wrote has been read.
    pub(super) fn over(&self) -> bool {
        self.accepted && self.key.is_none() && self.down.is_empty()
    }
}
