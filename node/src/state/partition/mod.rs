//! A partition's derived state: retained messages by topic, the tokens that make a message count once, and the
//! fences that keep out owners who lost their session.
//!
//! Pure: entry in, [`Changes`] out. Every replica derives the same from the same log.

mod admission;
mod scan;
mod token;
mod fence;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{EntryFlags, Fence, Fences, Record, records};
use crate::state::changes::Changes;
pub use admission::{Admission, Admitted};
use fence::Boots;
pub use scan::Bounds;
pub use token::Tokens;

const RETAINED: u8 = b'r';
const TOKENS: u8 = b'k';
const FENCE: u8 = b'f';
const CLOSED: u8 = b'b';

/// State of one partition.
#[derive(Debug, Default)]
pub struct Messages {
    retained: BTreeMap<Box<str>, Retained>,
    /// (group time ms, topic) at which a retained message expires.
    deadlines: BTreeSet<(u64, Box<str>)>,
    tokens: Tokens,
    boots: Boots,
    retained_bytes: u64,
}

/// The retained message of a topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Retained {
    /// Offset it was published at.
    pub offset: u64,
    /// Group time, ms.
    pub stamp: u64,
    /// The record, see [`Record`]; a copy, since its entry may be truncated.
    pub record: Box<[u8]>,
}

impl Retained {
    /// The message.
    pub fn record(&self) -> Record<'_> {
        Record::decode(&self.record).expect("encoded by apply").0
    }

    fn expires_at(&self) -> Option<u64> {
        self.record().expiry.map(|seconds| self.stamp.saturating_add(u64::from(seconds) * 1_000))
    }
}

/// Commands of a partition's log, besides records.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Which. `None` is a command of a future version: the replica stops.
    #[prost(oneof = "CommandKind", tags = "1, 2, 3")]
    pub kind: Option<CommandKind>,
}

/// The kinds of command.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum CommandKind {
    /// Remove retained messages whose expiry the entry's stamp has passed.
    #[prost(message, tag = "1")]
    Purge(Purge),
    /// A proposal of which nothing was left: it is settled all the same.
    #[prost(message, tag = "2")]
    Settle(Settle),
    /// Remove the tokens of ended sessions, and put up fences.
    #[prost(message, tag = "3")]
    Forget(Forget),
}

/// Remove expired retained messages.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Purge {}

/// Takes the place of an entry of which admission left nothing. Changes nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Settle {
    /// As in [`crate::record::fenced_ordinals`].
    #[prost(uint32, repeated, tag = "1")]
    pub fenced: Vec<u32>,
}

/// Sessions whose tokens are to go.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Forget {
    /// The sessions.
    #[prost(message, repeated, tag = "1")]
    pub sessions: Vec<Ended>,
}

/// A session that has ended; or one that was taken over, of which only the fences are meant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// Its incarnation; 0: no session is of it.
    #[prost(uint64, tag = "1")]
    pub incarnation: u64,
    /// Its publisher, as in its records.
    #[prost(uint64, tag = "2")]
    pub publisher: u64,
    /// The lowest owner epoch that none of its owners had, as in records.
    #[prost(uint32, tag = "3")]
    pub epoch: u32,
    /// Boots of its owners that are perhaps not closed here yet: until they are, lower epochs are refused.
    #[prost(message, repeated, tag = "4")]
    pub fences: Vec<Boot>,
}

/// A boot of a node.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Boot {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Its boot epoch.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
}

impl From<Fence> for Boot {
    fn from(Fence { node, boot }: Fence) -> Self {
        Self { node, boot }
    }
}

impl Messages {
    /// Applies the records of an entry that starts at offset `base`.
    pub fn apply(&mut self, base: u64, stamp: u64, payload: &[u8], changes: &mut Changes) {
        let flags = payload.first().map(|byte| EntryFlags::from_byte(*byte)).unwrap_or_default();
        if !flags.stateful() {
            return;
        }
        for (offset, record) in (base..).zip(records(payload)) {
            if let Some(token) = record.token {
                self.tokens.apply(token, changes);
            }
            self.boots.put_up(record.publisher, record.epoch, record.fences.iter(), changes);
            if record.retain {
                self.retain(offset, stamp, &record, changes);
            }
        }
    }

    /// Applies a command.
    pub fn command(&mut self, stamp: u64, command: CommandKind, changes: &mut Changes) {
        match command {
            CommandKind::Purge(_) => {
                while let Some((at, topic)) = self.deadlines.first().filter(|(at, _)| *at <= stamp).cloned() {
                    self.deadlines.remove(&(at, topic.clone()));
                    self.remove(&topic, changes);
                }
            }
            CommandKind::Settle(_) => {}
            CommandKind::Forget(Forget { sessions }) => {
                for ended in sessions {
                    self.tokens.forget(ended.incarnation, changes);
                    let boots = ended.fences.iter();
                    let fences = boots.map(|boot| Fence { node: boot.node, boot: boot.boot });
                    self.boots.put_up(ended.publisher, ended.epoch, fences, changes);
                }
            }
        }
    }

    /// Everything from the boots of `node` up to `boot` is over: what kept their owners out is no longer needed.
    pub fn close_boot(&mut self, node: u64, boot: u64, changes: &mut Changes) {
        self.boots.close(node, boot, changes);
    }

    /// Takes in one stored row. `false`: it cannot be read.
    #[must_use]
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key.split_first() {
            Some((&RETAINED, topic)) => self.load_retained(topic, value).is_some(),
            Some((&TOKENS, incarnation)) => self.tokens.load(incarnation, value).is_some(),
            Some((&FENCE, place)) => self.boots.load_fence(place, value).is_some(),
            Some((&CLOSED, node)) => self.boots.load_closed(node, value).is_some(),
            _ => false,
        }
    }

    fn load_retained(&mut self, topic: &[u8], value: &[u8]) -> Option<()> {
        let topic = std::str::from_utf8(topic).ok()?;
        let (offset, value) = value.split_first_chunk::<8>()?;
        let (stamp, record) = value.split_first_chunk::<8>()?;
        let (decoded, rest) = Record::decode(record)?;
        if decoded.topic != topic || !rest.is_empty() {
            return None;
        }
        let retained = Retained {
            offset: u64::from_le_bytes(*offset),
            stamp: u64::from_le_bytes(*stamp),
            record: record.into(),
        };
        self.insert(topic, retained);
        Some(())
    }

    /// Has a message with this token been applied, or been settled?
    pub fn repeats(&self, token: crate::record::Token) -> bool {
        self.tokens.repeats(token)
    }

    /// Has this publisher been taken over by a later owner, whose fence still stands?
    pub fn fenced(&self, publisher: u64, epoch: u32) -> bool {
        self.boots.fenced(publisher, epoch)
    }

    /// Is an owner of this publisher that lost it kept out, whatever its node goes on to say?
    pub fn shuts_out(&self, publisher: u64, boot: Fence, epoch: u32) -> bool {
        self.boots.shuts_out(publisher, boot, epoch)
    }

    /// Is this boot closed here?
    pub fn is_closed(&self, boot: Fence) -> bool {
        self.boots.is_closed(boot)
    }

    /// Does any fence stand?
    pub fn has_fences(&self) -> bool {
        self.boots.has_fences()
    }

    /// Is some retained message expired at `now` (group time, ms)?
    pub fn due(&self, now: u64) -> bool {
        self.deadlines.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Number of retained messages.
    pub fn retained_len(&self) -> usize {
        self.retained.len()
    }

    /// Bytes of retained records.
    pub fn retained_bytes(&self) -> u64 {
        self.retained_bytes
    }

    /// The retained message of `topic`.
    pub fn retained(&self, topic: &str) -> Option<&Retained> {
        self.retained.get(topic)
    }

    /// A PUBLISH with RETAIN replaces the topic's retained message; an empty payload removes it [MQTT-3.3.1-6].
    fn retain(&mut self, offset: u64, stamp: u64, record: &Record<'_>, changes: &mut Changes) {
        if record.payload.is_empty() {
            self.remove(record.topic, changes);
            return;
        }
        let mut bytes = Vec::new();
        Record { token: None, fences: Fences::default(), ..*record }.encode(&mut bytes);
        let mut row = Vec::with_capacity(16 + bytes.len());
        row.extend_from_slice(&offset.to_le_bytes());
        row.extend_from_slice(&stamp.to_le_bytes());
        row.extend_from_slice(&bytes);
        changes.put_bytes(retained_key(record.topic), row);
        self.take(record.topic);
        self.insert(record.topic, Retained { offset, stamp, record: bytes.into() });
    }

    fn insert(&mut self, topic: &str, retained: Retained) {
        if let Some(at) = retained.expires_at() {
            self.deadlines.insert((at, topic.into()));
        }
        self.retained_bytes += retained.record.len() as u64;
        self.retained.insert(topic.into(), retained);
    }

    fn remove(&mut self, topic: &str, changes: &mut Changes) {
        if self.take(topic) {
            changes.delete(retained_key(topic));
        }
    }

    fn take(&mut self, topic: &str) -> bool {
        let Some(old) = self.retained.remove(topic) else { return false };
        self.retained_bytes -= old.record.len() as u64;
        if let Some(at) = old.expires_at() {
            self.deadlines.remove(&(at, topic.into()));
        }
        true
    }
}

fn retained_key(topic: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + topic.len());
    key.push(RETAINED);
    key.extend_from_slice(topic.as_bytes());
    key
}
