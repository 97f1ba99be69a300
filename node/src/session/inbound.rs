//! From the client: publishes that are not acknowledged yet.
//!
//! Acknowledgements leave in the order in which the publishes came [MQTT-4.6.0-2], although partitions commit
//! them in any order. A QoS 2 message of a durable session waits for its intent to be committed, and whatever the
//! client publishes after it waits behind it.
//!
//! ```text
//! QoS 2:   PUBLISH -> Intending -> Stored -> (PUBREC) -> PUBREL -> (PUBCOMP), forgotten
//! ```

use std::collections::{HashMap, VecDeque};

use holdfast_codec::ReasonCode;

use crate::record::{EntryFlags, Token};
use crate::route::Partition;
use crate::state::session::record::{Core, Intent};

/// Publishes that are not acknowledged.
#[derive(Debug, Default)]
pub struct Inbound {
    queue: VecDeque<Queued>,
    /// Number of the first in `queue`.
    base: u64,
    /// QoS 2 messages between PUBLISH and PUBREL, by Packet Identifier.
    exactly_once: HashMap<u16, Once, foldhash::fast::RandomState>,
    /// Publishes that wait behind an intent.
    pub held: VecDeque<Held>,
    /// How many of `held` are covered by the commit that is under way.
    pub committing: Option<usize>,
    /// QoS 2 messages that were refused, which is not committed yet: what the client published after them waits.
    pub refusals: Vec<u32>,
    /// QoS 0 publishes that went through the log because they are retained, and are not settled.
    pub logged_qos0: u32,
    /// QoS 2 messages that an earlier connection of the session had refused: Packet Identifier and hash.
    refused: Vec<(u16, u64)>,
    next_token: u64,
}

#[derive(Debug)]
struct Queued {
    packet_id: u16,
    ack: Ack,
    done: Option<ReasonCode>,
}

#[derive(Clone, Copy, Debug)]
struct Once {
    hash: u64,
    token: u64,
    stored: bool,
    /// Proposed, or waiting to be: its PUBREC will come.
    under_way: bool,
    /// Messages under way that had this Packet Identifier before this one: their results are not its own.
    superseded: u32,
    /// The PUBREL is being committed.
    releasing: bool,
}

impl Once {
    fn new(hash: u64, token: u64) -> Self {
        Self { hash, token, stored: false, under_way: false, superseded: 0, releasing: false }
    }
}

/// With what a publish is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// QoS 0 through the log: not at all.
    None,
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
}

/// A publish that waits behind an intent.
#[derive(Debug)]
pub struct Held {
    /// Where it goes; `None`: it is routed live.
    pub partition: Option<Partition>,
    /// The record.
    pub record: Vec<u8>,
    /// Flags of the record.
    pub flags: EntryFlags,
    /// Once it is settled, its partition has the session's fences.
    pub fences: bool,
    /// How the client gets to know.
    pub ack: Ack,
    /// Packet Identifier, 0 at QoS 0.
    pub packet_id: u16,
    /// What must be committed first.
    pub intent: Option<Intent>,
}

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// New, or to be proposed again, with this token.
    Propose(u64),
    /// A repeat of one that is stored: PUBREC at once.
    Stored,
    /// A repeat of one that is under way: its PUBREC will come.
    UnderWay,
    /// A repeat of one that was refused, which the client has not heard: it is refused again. What the client had
    /// published after it may be stored already, and it must not come behind that.
    Refused,
}

/// A settled publish that the client is now told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// How.
    pub ack: Ack,
    /// Packet Identifier.
    pub packet_id: u16,
    /// Result.
    pub reason: ReasonCode,
}

impl Inbound {
    /// Goes on from what a resumed session has committed. `hears`: the client can be told of refusals.
    pub fn resume(core: &Core, hears: bool) -> Self {
        let mut inbound = Self { next_token: core.next_token.max(1), ..Self::default() };
        let short = |packet_id| u16::try_from(packet_id).expect("a packet identifier");
        if hears {
            inbound.refused = core.refused.iter().map(|old| (short(old.packet_id), old.hash)).collect();
        }
        for intent in &core.intents {
            let packet_id = short(intent.packet_id);
            // Whether its record was appended is unknown, so a repeat proposes the same token again.
            inbound.exactly_once.insert(packet_id, Once::new(intent.hash, intent.token));
        }
        inbound
    }

    /// Publishes that the client has outstanding, as Receive Maximum counts them. MQTT 5.0, 4.9.
    pub fn outstanding(&self) -> usize {
        let queued = self.queue.iter().filter(|queued| queued.ack == Ack::PubAck).count();
        queued + self.exactly_once.len()
    }

    /// What comes now waits behind an intent or a refusal.
    pub fn waits(&self) -> bool {
        !self.held.is_empty() || self.committing.is_some() || !self.refusals.is_empty()
    }

    /// Publishes that were proposed, or are about to be, and whose result is not known.
    pub fn unsettled(&self) -> usize {
        self.queue.iter().filter(|queued| queued.done.is_none()).count()
    }

    /// Is it certain that fewer than `maximum` are outstanding? Cheaper than counting.
    pub fn below(&self, maximum: usize) -> bool {
        self.queue.len() + self.exactly_once.len() < maximum
    }

    /// Is this the identifier of a QoS 2 message that is counted already? Its repeat is no further one.
    pub fn counted(&self, packet_id: u16) -> bool {
        self.exactly_once.contains_key(&packet_id)
    }

    /// A QoS 2 PUBLISH arrived. `hash` is over topic and payload.
    pub fn arrives(&mut self, packet_id: u16, hash: u64, dup: bool) -> Arrival {
        if let Some(at) = self.refused.iter().position(|(of, _)| *of == packet_id) {
            let (_, of) = self.refused.swap_remove(at);
            // Without DUP it is a new message under the identifier, which was free [MQTT-4.3.3-9].
            if dup && of == hash {
                return Arrival::Refused;
            }
        }
        match self.exactly_once.get_mut(&packet_id) {
            Some(once) if once.hash == hash && once.stored => Arrival::Stored,
            Some(once) if once.hash == hash && once.under_way => Arrival::UnderWay,
            Some(once) if once.hash == hash => {
                once.under_way = true;
                Arrival::Propose(once.token)
            }
            old => {
                let superseded = old.map_or(0, |old| old.superseded + u32::from(old.under_way));
                let token = self.next_token;
                self.next_token += 1;
                let once = Once { under_way: true, superseded, ..Once::new(hash, token) };
                self.exactly_once.insert(packet_id, once);
                Arrival::Propose(token)
            }
        }
    }

    /// The token a record carries to its partition.
    pub fn token(&self, incarnation: u64, token: u64) -> Token {
        let lowest_open = self.exactly_once.values().map(|once| once.token).min().unwrap_or(token);
        Token { incarnation, token, lowest_open }
    }

    /// Puts a publish into the order of acknowledgements; its number there.
    pub fn push(&mut self, packet_id: u16, ack: Ack) -> u64 {
        self.queue.push_back(Queued { packet_id, ack, done: None });
        self.base + self.queue.len() as u64 - 1
    }

    /// A publish is settled. A refused QoS 2 message gives its Packet Identifier back: its intent is to be deleted.
    pub fn settle(&mut self, number: u64, reason: ReasonCode) -> Option<u16> {
        let at = usize::try_from(number - self.base).expect("a queue fits memory");
        let queued = &mut self.queue[at];
        queued.done = Some(reason);
        match queued.ack {
            Ack::PubRec => {
                let packet_id = queued.packet_id;
                return self.settle_once(packet_id, reason);
            }
            Ack::None => self.logged_qos0 -= 1,
            Ack::PubAck => {}
        }
        None
    }

    fn settle_once(&mut self, packet_id: u16, reason: ReasonCode) -> Option<u16> {
        let once = self.exactly_once.get_mut(&packet_id)?;
        if once.superseded > 0 {
            once.superseded -= 1;
        } else if reason.is_error() {
            self.exactly_once.remove(&packet_id);
            return Some(packet_id);
        } else {
            once.stored = true;
            once.under_way = false;
        }
        None
    }

    /// The next acknowledgement that may leave.
    pub fn poll(&mut self) -> Option<Pending> {
        loop {
            let reason = self.queue.front()?.done?;
            let queued = self.queue.pop_front().expect("just seen");
            self.base += 1;
            if queued.ack != Ack::None {
                return Some(Pending { ack: queued.ack, packet_id: queued.packet_id, reason });
            }
        }
    }

    /// A PUBREL arrived. `true`: the identifier is known and not already being released.
    pub fn release(&mut self, packet_id: u16) -> bool {
        match self.exactly_once.get_mut(&packet_id) {
            Some(once) if !once.releasing => {
                once.releasing = true;
                true
            }
            _ => false,
        }
    }

    /// Is a PUBREL of this identifier being committed?
    pub fn releasing(&self, packet_id: u16) -> bool {
        self.exactly_once.get(&packet_id).is_some_and(|once| once.releasing)
    }

    /// The PUBREL is committed, or needs no commit: forget the identifier.
    pub fn released(&mut self, packet_id: u16) {
        self.exactly_once.remove(&packet_id);
    }
}
