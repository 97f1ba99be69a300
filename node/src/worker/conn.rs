//! One connection: its bytes in and out, and its session once it has one.

use std::net::SocketAddr;
use std::task::Waker;

use holdfast_codec::Version;

use super::live::Since;
use crate::mail::ConnectionKey;
use crate::session::Session;

/// SUBSCRIBEs and UNSUBSCRIBEs of one connection that may wait for their answers; then it is not read further.
const ASKING_MAX: u16 = 32;

/// How far a connection has come.
#[derive(Debug)]
pub enum Phase {
    /// CONNECT has not arrived whole.
    Greeting,
    /// CONNECT is being committed; what the client sends meanwhile stays unread.
    Attaching(Box<Hello>),
    /// It owns a session.
    Open(Box<Session>),
    /// Nothing more is read; what is to be written is written, then it closes.
    Closing,
}

/// What is kept of a CONNECT until it is answered.
#[derive(Debug)]
pub struct Hello {
    /// Version.
    pub version: Version,
    /// Keep Alive, seconds.
    pub keep_alive: u16,
    /// The client id was assigned by us.
    pub assigned: bool,
    /// Receive Maximum of the client.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the client, bytes.
    pub packet_max: u32,
    /// Topic Alias Maximum of the client.
    pub topic_alias_maximum: u16,
    /// Keep Alive that we impose, if not the client's.
    pub server_keep_alive: Option<u16>,
    /// Session Expiry Interval that we impose, if not the client's.
    pub server_expiry: Option<u32>,
    /// Request Response Information.
    pub response_information: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// See [`ConnectionKey`].
    pub generation: u32,
    /// How far it has come.
    pub phase: Phase,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Bytes that wait for the socket. Empty costs nothing.
    pub out: Vec<u8>,
    /// Nothing is read while more than this waits for the socket. Messages stop at half of it, so only a client
    /// that asks and does not read the answers comes so far.
    pub out_max: usize,
    /// How many of `out` are written.
    pub written: usize,
    /// Bytes of a packet that has not arrived whole.
    pub partial: Vec<u8>,
    /// Whole packets may wait in `partial`: the connection was deaf when they came.
    pub stalled: bool,
    /// In the worker's list of connections whose output buffer is given back by the clock.
    pub buffered: bool,
    /// In the worker's list of connections to write out.
    pub dirty: bool,
    /// In the worker's list of sessions to read the log for.
    pub pulling: bool,
    /// The socket takes no more; the driver waits until it does.
    pub blocked: bool,
    /// Wakes the task that reads the socket.
    pub waker: Option<Waker>,
    /// Second (monotonic) of the last packet.
    pub heard_at: u32,
    /// Seconds without a packet after which it closes: one and a half times Keep Alive [MQTT-3.1.2-22]; 0: never.
    pub silence_max: u32,
    /// From its CONNECT on QoS 0 is for its session.
    pub since: Since,
}

impl Conn {
    pub(super) fn new(generation: u32, peer: SocketAddr, heard_at: u32, out_max: usize) -> Self {
        Self {
            generation,
            phase: Phase::Greeting,
            peer,
            out: Vec::new(),
            out_max,
            written: 0,
            partial: Vec::new(),
            stalled: false,
            buffered: false,
            dirty: false,
            pulling: false,
            blocked: false,
            waker: None,
            heard_at,
            silence_max: 0,
            since: Since::default(),
        }
    }

    /// Its key, given its place.
    pub(super) fn key(&self, slot: u32) -> ConnectionKey {
        ConnectionKey { slot, generation: self.generation }
    }

    /// Its session, once it has one.
    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Open(session) => Some(session),
            _ => None,
        }
    }

    /// Bytes that wait for the socket.
    pub fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Nothing more is to be read.
    pub fn closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    /// Bytes are not to be read now: an answer must come first, or be taken.
    pub fn deaf(&self) -> bool {
        let waits = match &self.phase {
            Phase::Attaching(_) | Phase::Closing => true,
            Phase::Open(session) => session.asking >= ASKING_MAX,
            Phase::Greeting => false,
        };
        // Messages stop at `out_max`: beyond twice that it is answers that pile up.
        waits || self.unwritten() > 2 * self.out_max
    }
}
