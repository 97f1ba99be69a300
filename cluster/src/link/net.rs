//! The face of any net between nodes: what is sent, what comes in. The hub is written against this.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use holdfast_log::NodeId;

use super::frame::Frame;
use super::lane::{Lane, SLOTS};

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub node: NodeId,
    /// `HOST:PORT` where it can be reached. A name is looked up for every connection, so it may move.
    pub address: String,
}

/// What comes from the net.
#[derive(Debug)]
pub enum Incoming {
    /// A frame from a node that is up.
    Frame {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        frame: Frame,
    },
    /// A node is connected. Comes before its frames.
    Up {
        /// The node.
        node: NodeId,
        /// Which life of it.
        incarnation: u64,
    },
    /// A node is not connected any more. What was queued for it or under way may be lost.
    Down {
        /// The node.
        node: NodeId,
    },
    /// A node, which may not be a member, asks.
    Ask {
        /// Where it asks from.
        from_address: SocketAddr,
        /// The question.
        frame: Frame,
        /// Where the answer goes. Dropped unused, the other end learns nothing.
        reply: Reply,
    },
    /// What came of an `ask` of this node.
    Answer {
        /// What `ask` returned.
        token: u64,
        /// The answer, or in a few words why there is none.
        answer: Result<Frame, String>,
    },
}

/// The way back of one answer.
pub struct Reply {
    send: Box<dyn FnOnce(Frame) + Send>,
}

impl Reply {
    /// A reply that hands the answer to `send`.
    pub fn new(send: impl FnOnce(Frame) + Send + 'static) -> Self {
        Self { send: Box::new(send) }
    }

    /// Answers.
    pub fn send(self, frame: Frame) {
        (self.send)(frame);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The lane's queue has no room.
    #[error("the lane is full")]
    Full,
    /// The node is not connected, or is not a peer.
    #[error("the node is not connected")]
    Away,
    /// The frame is larger than `FRAME_BYTES_MAX`.
    #[error("the frame is too large")]
    Large,
}

/// Figures of one peer. Counters start with the peer and never fall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFigures {
    /// The node.
    pub node: NodeId,
    /// Whether it is connected.
    pub up: bool,
    /// Round trip of the live connection.
    pub rtt: Option<Duration>,
    /// Bytes that the live connection may have under way.
    pub window_bytes: u64,
    /// Packets sent to it.
    pub sent_packets: u64,
    /// Packets to it that were lost.
    pub lost_packets: u64,
    /// Times that the way to it was taken to be full.
    pub congestion_events: u64,
    /// Bytes of frames written to it.
    pub sent_bytes: u64,
    /// Bytes of frames read from it.
    pub received_bytes: u64,
    /// Bytes of frames that wait to be written to it, by slot.
    pub queued_bytes: [u64; SLOTS],
    /// Frames to it that were refused or lost in a queue, by slot.
    pub dropped: [u64; SLOTS],
}

/// A net between nodes. Nothing in it blocks.
pub trait Net {
    /// Queues a frame. Frames of one lane (and group) arrive in order, or are lost with the connection.
    ///
    /// # Errors
    /// When it was not queued. A Raft message is then dropped, for Raft says it again.
    fn send(&mut self, to: NodeId, lane: Lane, frame: &Frame) -> Result<(), Unsent>;

    /// Moves everything that came in to the end of `out`.
    fn take(&mut self, out: &mut Vec<Incoming>);

    /// From now on these are the other nodes. Connections to any other are closed.
    fn set_peers(&mut self, peers: Vec<Peer>);

    /// Figures of the ways to the other nodes, where they are measured.
    fn figures(&self) -> Vec<PeerFigures> {
        Vec::new()
    }
}

/// The net of a cluster of one: nobody is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Net for Alone {
    fn send(&mut self, _: NodeId, _: Lane, _: &Frame) -> Result<(), Unsent> {
        Err(Unsent::Away)
    }

    fn take(&mut self, _: &mut Vec<Incoming>) {}

    fn set_peers(&mut self, _: Vec<Peer>) {}
}
