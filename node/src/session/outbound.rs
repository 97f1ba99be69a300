//! To the client: messages of QoS 1 and 2 that are not finished, and where in each partition the session stands.
//!
//! A session that keeps up stores no positions: it is where its worker's tail is. Only a partition in which it
//! lags has a [`Lag`]; the messages from there on are read again when there is room, so a slow client costs no
//! memory.
//!
//! ```text
//! QoS 1:  (committed) -> Published -> PUBACK, gone
//! QoS 2:  Committing -> Published -> PUBREC -> Releasing -> Released -> PUBCOMP, gone
//! ```
//! A durable session passes through Committing and Releasing, each left when the session group has it; others
//! skip them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use holdfast_codec::PacketId;
use holdfast_log::Entry;

use crate::mail::{After, Assign, RetainedHit};
use crate::state::session::record::{self, Owed, Position, Stage, Window};

/// Packet Identifiers reserved with one commit: a crash makes at most so many unusable.
const BLOCK: u64 = 4_096;

/// Unfinished messages and positions.
#[derive(Debug, Default)]
pub struct Outbound {
    flights: VecDeque<Option<Flight>>,
    /// Number of the first in `flights`.
    base: u64,
    by_id: HashMap<u16, u64, foldhash::fast::RandomState>,
    /// Messages in flight at most: the client's Receive Maximum, or our own bound.
    pub window: u16,
    /// Counts identifiers given out; the identifier is the count modulo 65535, plus 1.
    counter: u64,
    /// `counter` stays below this, which is committed. Sessions that end with their connection have no bound.
    pub reserved: u64,
    /// Partitions in which the session is behind its worker's tail.
    pub lags: Vec<Lag>,
    /// Flights of a resumed session whose messages are still to be read and sent again, by number; unfinished ones.
    pub resend: VecDeque<u64>,
    /// Retained messages still owed to new subscriptions.
    pub owed: VecDeque<OwedJob>,
    /// Messages of shared subscriptions that wait for room.
    pub assigned: VecDeque<Box<Assign>>,
    /// What is committed of all this.
    pub commit: Commit,
}

/// Commits of cursor and window.
#[derive(Debug, Default)]
pub struct Commit {
    /// Number of the last commit that was asked for.
    pub sent: u64,
    /// Number of the last commit that is done.
    pub done: u64,
    /// Something changed since.
    pub dirty: bool,
    /// A commit must leave at the end of this turn.
    pub urgent: bool,
    /// The session is in its worker's list of what to commit.
    pub listed: bool,
    /// The last commit asked for says that it follows the tail.
    pub live: bool,
    /// A resumed session whose filters are not in place yet: its positions are those of its record.
    pub unread: bool,
    /// Number of the commit that reserves Packet Identifiers, and how far.
    pub reserving: Option<(u64, u64)>,
}

/// How far a flight has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// QoS 2: PUBLISH waits for this commit.
    Committing(u64),
    /// PUBLISH was sent.
    Published,
    /// QoS 2: PUBREC came; PUBREL waits for this commit.
    Releasing(u64),
    /// PUBREL was sent.
    Released,
    /// PUBCOMP came; the dispatcher of the shared subscription must record it first.
    Settling,
}

/// A message of QoS 1 or 2 that is not finished.
#[derive(Debug)]
pub struct Flight {
    /// Packet Identifier.
    pub packet_id: u16,
    /// Partition.
    pub partition: u16,
    /// QoS 2.
    pub exactly_once: bool,
    /// Offset.
    pub offset: u64,
    /// How far it has come.
    pub step: Step,
    /// The message itself while its PUBLISH waits for a commit.
    pub source: Option<Source>,
    /// Topic, when it is a retained message.
    pub retained: Option<Box<str>>,
    /// The shared subscription that assigned it.
    pub share: Option<Arc<str>>,
    /// Place of the subscription, for its identifier and options, when one alone decides.
    pub options: u8,
}

/// Where a message that waits for its commit is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An entry of the log; the flight's offset says which record.
    Entry(Arc<Entry>),
    /// A retained message.
    Retained(RetainedHit),
}

/// A partition in which the session is behind.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    /// Partition.
    pub partition: u16,
    /// Next offset to look at.
    pub next: u64,
    /// The reader has been asked.
    pub reading: bool,
}

/// Retained messages owed to one subscription.
#[derive(Debug)]
pub struct OwedJob {
    /// The subscription's filter.
    pub filter: Arc<str>,
    /// What is below these offsets, one for each partition.
    pub below: Vec<u64>,
    /// Hits that wait for room.
    pub hits: VecDeque<RetainedHit>,
    /// Where to go on; `None`: the last page is here.
    pub next: Option<After>,
    /// The hub has been asked.
    pub asking: bool,
}

impl Outbound {
    /// For a session that ends with its connection.
    pub fn clean(window: u16) -> Self {
        Self { window, reserved: u64::MAX, ..Self::default() }
    }

    /// For a durable session as its record says; `reserved` was raised by the attach that is answered with it.
    pub fn resume(window: u16, record: &Window) -> Self {
        let mut outbound = Self {
            window,
            counter: record.reserved.saturating_sub(BLOCK),
            reserved: record.reserved,
            ..Self::default()
        };
        outbound.commit.live = record.live;
        for flight in &record.flights {
            let number = outbound.push(Flight {
                packet_id: u16::try_from(flight.packet_id).expect("a packet identifier"),
                partition: u16::try_from(flight.partition).expect("a partition number"),
                exactly_once: flight.qos == 2,
                offset: flight.offset,
                step: if flight.stage() == Stage::Released { Step::Released } else { Step::Published },
                source: None,
                retained: flight.retained.as_deref().map(Into::into),
                share: flight.share.as_deref().map(Into::into),
                options: 0,
            });
            if flight.stage() == Stage::Published {
                outbound.resend.push_back(number);
            }
        }
        for owed in &record.owed {
            outbound.owed.push_back(OwedJob::from_record(owed));
        }
        outbound
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.by_id.len()
    }

    /// May another message be sent?
    pub fn open(&self) -> bool {
        self.by_id.len() < usize::from(self.window) && self.resend.is_empty() && self.next_reserved()
    }

    /// Is the next free identifier reserved? Those in flight are skipped, at most all of them.
    fn next_reserved(&self) -> bool {
        self.counter + (self.by_id.len() as u64) < self.reserved || self.next_free().0 < self.reserved
    }

    /// The next count whose identifier is free, and that identifier. One is, below the largest window.
    fn next_free(&self) -> (u64, u16) {
        let mut counter = self.counter;
        loop {
            let id = u16::try_from(counter % 65_535).expect("below 65535") + 1;
            if !self.by_id.contains_key(&id) {
                return (counter, id);
            }
            counter += 1;
        }
    }

    /// Half of the reserved identifiers are used: time to reserve more.
    pub fn wants_reserve(&self) -> bool {
        let asked = self.commit.reserving.map_or(self.reserved, |(_, reserved)| reserved);
        self.reserved != u64::MAX && self.counter + BLOCK / 2 > asked
    }

    /// A free Packet Identifier. Only called when [`Outbound::open`].
    pub fn take_id(&mut self) -> PacketId {
        let (counter, id) = self.next_free();
        self.counter = counter + 1;
        PacketId::new(id).expect("1 or more")
    }

    /// Takes a message into flight; its number.
    pub fn push(&mut self, flight: Flight) -> u64 {
        let number = self.base + self.flights.len() as u64;
        self.by_id.insert(flight.packet_id, number);
        self.flights.push_back(Some(flight));
        number
    }

    /// The flight with this Packet Identifier.
    pub fn by_id(&mut self, packet_id: u16) -> Option<&mut Flight> {
        let number = *self.by_id.get(&packet_id)?;
        self.get(number)
    }

    /// The flight with this number.
    pub fn get(&mut self, number: u64) -> Option<&mut Flight> {
        let at = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.flights.get_mut(at)?.as_mut()
    }

    /// Finishes a flight.
    pub fn finish(&mut self, packet_id: u16) -> Option<Flight> {
        let number = self.by_id.remove(&packet_id)?;
        // Its turn to be sent again may not have come yet.
        if let Ok(place) = self.resend.binary_search(&number) {
            self.resend.remove(place);
        }
        let at = usize::try_from(number - self.base).expect("a queue fits memory");
        let flight = self.flights[at].take();
        while let Some(None) = self.flights.front() {
            self.flights.pop_front();
            self.base += 1;
        }
        if self.flights.is_empty() && self.flights.capacity() > 256 {
            self.flights = VecDeque::new();
            self.by_id = HashMap::default();
        }
        flight
    }

    /// Unfinished flights in the order they were sent.
    pub fn flights(&self) -> impl DoubleEndedIterator<Item = &Flight> {
        self.flights.iter().flatten()
    }

    /// As [`Outbound::flights`], to change them.
    pub fn flights_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.flights.iter_mut().flatten()
    }

    /// The lag in a partition.
    pub fn lag(&mut self, partition: u16) -> Option<&mut Lag> {
        self.lags.iter_mut().find(|lag| lag.partition == partition)
    }

    /// Is it behind in this partition?
    pub fn lagging(&self, partition: u16) -> bool {
        self.lags.iter().any(|lag| lag.partition == partition)
    }

    /// Nothing to say beyond "it is where the tail is".
    pub fn caught_up(&self) -> bool {
        self.by_id.is_empty() && self.lags.is_empty() && self.owed.is_empty()
    }

    /// Cursor and window for the session group. `tail` gives a partition's next offset; `read` are the
    /// partitions that the session reads. `own`: with positions even when it is caught up.
    pub fn record(&self, read: impl Iterator<Item = u16>, tail: impl Fn(u16) -> u64, own: bool) -> Window {
        let reserved = self.reserved.max(self.counter + BLOCK);
        if !own && self.caught_up() {
            return Window { live: true, reserved, ..Window::default() };
        }
        let next = read.map(|partition| {
            let lag = self.lags.iter().find(|lag| lag.partition == partition);
            let next = lag.map_or_else(|| tail(partition), |lag| lag.next);
            Position { partition: u32::from(partition), next }
        });
        Window {
            live: false,
            next: next.collect(),
            flights: self.flights().map(Flight::record).collect(),
            owed: self.owed.iter().map(OwedJob::record).collect(),
            reserved,
        }
    }
}

impl Flight {
    fn record(&self) -> record::Flight {
        let stage = match self.step {
            Step::Committing(_) | Step::Published => Stage::Published,
            Step::Releasing(_) | Step::Released | Step::Settling => Stage::Released,
        };
        record::Flight {
            packet_id: u32::from(self.packet_id),
            partition: u32::from(self.partition),
            offset: self.offset,
            qos: if self.exactly_once { 2 } else { 1 },
            stage: stage.into(),
            retained: self.retained.as_deref().map(str::to_owned),
            share: self.share.as_deref().map(str::to_owned),
        }
    }
}

impl OwedJob {
    /// From the start, for a new subscription.
    pub fn new(filter: Arc<str>, below: Vec<u64>) -> Self {
        Self { filter, below, hits: VecDeque::new(), next: Some(After::default()), asking: false }
    }

    fn from_record(owed: &Owed) -> Self {
        let below = owed.below.iter().map(|position| position.next).collect();
        let next = Some(After::from_text(&owed.after));
        Self { filter: owed.filter.as_str().into(), below, hits: VecDeque::new(), next, asking: false }
    }

    /// All handed over.
    pub fn done(&self) -> bool {
        self.next.is_none() && self.hits.is_empty()
    }

    /// As the session's record keeps it: what is not handed over yet is walked again from the first hit that
    /// waits.
    pub fn record(&self) -> Owed {
        let after = match (self.hits.front(), &self.next) {
            (Some(hit), _) => After { partition: hit.partition.get(), topic: topic_of(hit) },
            (None, Some(next)) => next.clone(),
            (None, None) => After { partition: u16::MAX, topic: String::new() },
        };
        let below = (0..).zip(&self.below).map(|(partition, next)| Position { partition, next: *next });
        Owed { filter: self.filter.to_string(), below: below.collect(), after: after.to_text() }
    }
}

fn topic_of(hit: &RetainedHit) -> String {
    crate::record::Record::decode(&hit.record).map_or_else(String::new, |(record, _)| record.topic.to_owned())
}
