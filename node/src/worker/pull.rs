//! Sessions that lag: they read the log from where they stand, as far as there is room.

use std::sync::Arc;

use holdfast_codec::{PacketId, Qos, ReasonCode, SubscribeOptions};

use super::deliver::{Offer, Origin, Spot, alias_for};
use super::matching::Target;
use super::send::Form;
use super::share::TAG_ASSIGNED;
use super::subscribe::TAG_RESUME;
use super::{Close, Conn, Worker, mark_dirty};
use crate::config::Fault;
use crate::mail::{After, ConnectionKey, From, Read, ReadAnswer, Request, RetainedPage, RetainedScan};
use crate::metrics::Dropped;
use crate::record::{Record, Records, records};
use crate::session::{Lag, Source, Step, Subscription};
use crate::state::session::{Attached, position};
use crate::topic::matches_filter;

/// Messages that one session is given in one turn, so that the others have theirs.
const TURN_MAX: usize = 512;
/// Tag of reads for messages that are sent again.
const TAG_RESEND: u64 = 1;

/// How far a session came in a partition.
enum Pulled {
    /// Up to the tail.
    Caught,
    /// As far as there was room.
    Full,
    /// As far as its share of the turn.
    Spent,
    /// What comes next is not in memory.
    Missing,
}

impl Worker {
    /// The session in this place may have room again.
    pub(super) fn pull_later(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if conn.pulling {
            return;
        }
        let Some(session) = conn.session() else { return };
        let outbound = &session.outbound;
        if outbound.lags.is_empty()
            && outbound.owed.is_empty()
            && outbound.assigned.is_empty()
            && outbound.resend.is_empty()
        {
            return;
        }
        conn.pulling = true;
        self.pulls.push_back(slot);
    }

    /// End of turn: every session in the list reads on. Those that have more to read stay in it.
    pub(super) fn pull_all(&mut self) {
        for _ in 0..self.pulls.len() {
            let slot = self.pulls.pop_front().expect("counted");
            if let Some(conn) = self.conns.get_mut(slot as usize) {
                conn.pulling = false;
                self.pull(slot);
            }
        }
    }

    /// There is more to read without waiting for anything.
    pub fn has_more(&self) -> bool {
        !self.pulls.is_empty() || self.shares.more()
    }

    fn pull(&mut self, slot: u32) {
        if !self.send_resends(slot) || !self.send_assigned(slot) {
            return;
        }
        let mut budget = TURN_MAX;
        let mut at = 0;
        while let Some(lag) = self.lag_at(slot, at) {
            if lag.reading {
                at += 1;
                continue;
            }
            let (pulled, next) = self.pull_partition(slot, lag, &mut budget);
            let session = self.conns[slot as usize].session().expect("it lags");
            session.outbound.lags[at].next = next;
            match pulled {
                Pulled::Caught => {
                    session.outbound.lags.swap_remove(at);
                    self.touch(slot);
                }
                Pulled::Missing => {
                    session.outbound.lags[at].reading = true;
                    self.read(slot, lag.partition, next);
                    at += 1;
                }
                Pulled::Full => return self.touch(slot),
                Pulled::Spent => {
                    self.touch(slot);
                    return self.pull_later(slot);
                }
            }
        }
        self.pull_owed(slot);
    }

    fn lag_at(&mut self, slot: u32, at: usize) -> Option<Lag> {
        let session = self.conns.get_mut(slot as usize)?.session()?;
        session.outbound.lags.get(at).copied()
    }

    fn pull_partition(&mut self, slot: u32, lag: Lag, budget: &mut usize) -> (Pulled, u64) {
        let mut next = lag.next;
        while next < self.tails.next(lag.partition) {
            let Some(entry) = self.tails.entry(lag.partition, next).map(Arc::clone) else {
                return (Pulled::Missing, next);
            };
            let spot = Spot { partition: lag.partition, offset: next, entry: &entry };
            let (offer, reached) = self.pull_entry(slot, spot, budget);
            next = reached;
            match offer {
                Offer::Full => return (Pulled::Full, next),
                Offer::Taken if *budget == 0 => return (Pulled::Spent, next),
                Offer::Taken => {}
            }
        }
        (Pulled::Caught, next)
    }

    /// Offers the records of one entry from `from` on; how far it came.
    fn pull_entry(&mut self, slot: u32, from: Spot<'_>, budget: &mut usize) -> (Offer, u64) {
        let Spot { partition, offset: from, entry } = from;
        let base = entry.base.get();
        let mut walk: Records<'_> = records(&entry.payload);
        walk.skip_records(from.saturating_sub(base));
        for (offset, record) in (from.max(base)..).zip(walk) {
            let Some(target) = self.target_of(slot, &record, partition, offset) else { continue };
            let Some(expiry) = self.expiry_left(&record, entry.stamp.get()) else {
                self.counters.dropped(Dropped::Expired);
                continue;
            };
            self.frames.clear();
            let spot = Spot { partition, offset, entry };
            if self.offer(&target, &record, expiry, Origin::Log(spot)) == Offer::Full {
                return (Offer::Full, offset);
            }
            *budget -= 1;
            if *budget == 0 {
                return (Offer::Taken, offset + 1);
            }
        }
        (Offer::Taken, entry.end().get())
    }

    /// What one session wants of a message, by its own filters and starts.
    fn target_of(&mut self, slot: u32, record: &Record<'_>, partition: u16, offset: u64) -> Option<Target> {
        let fault = self.settings.fault;
        let session = self.conns.get_mut(slot as usize)?.session()?;
        let mut target: Option<Target> = None;
        for subscription in session.plain_subscriptions() {
            let start = subscription.starts.get(usize::from(partition)).copied().unwrap_or(0);
            let any = Fault::IgnoreFilter.is_in(fault);
            if offset < start || !any && !matches_filter(subscription.plain(), record.topic) {
                continue;
            }
            match &mut target {
                Some(target) => target.and(subscription),
                None => target = Some(Target::of(slot, subscription)),
            }
        }
        target
    }

    fn read(&mut self, slot: u32, partition: u16, from: u64) {
        let worker = self.place.worker;
        let conn = &mut self.conns[slot as usize];
        let key = conn.key(slot);
        let session = conn.session().expect("it lags");
        let filters: Vec<String> =
            session.plain_subscriptions().map(|subscription| subscription.plain().to_owned()).collect();
        self.out.reads.push(Read {
            worker,
            connection: Some(key),
            tag: 0,
            partition: crate::route::Partition::new(partition),
            from,
            filters: filters.into(),
            offsets: Vec::new(),
        });
    }

    /// Entries came from the log.
    pub(super) fn read_answer(&mut self, answer: ReadAnswer) {
        let Some(key) = answer.connection else { return self.share_read(answer) };
        if self.conn(key).and_then(Conn::session).is_none() {
            return;
        }
        match answer.tag {
            TAG_RESEND => return self.resend_read(key, &answer),
            TAG_ASSIGNED => return self.assigned_read(key, &answer),
            _ => {}
        }
        let partition = answer.partition.get();
        let session = self.open(key);
        let durable = session.durable();
        let Some(lag) = session.outbound.lag(partition) else { return };
        lag.reading = false;
        let mut next = lag.next;
        if answer.truncated > next {
            self.counters.lost_to_retention(answer.truncated - next);
            if !durable {
                // A hard limit of retention wins: a gap is never silent.
                return self.close(key, Close::Ours(ReasonCode::QuotaExceeded));
            }
            tracing::warn!(missed = answer.truncated - next, %answer.partition, "a session lost messages to retention");
            next = answer.truncated;
        }
        // The reader may have seen more than has reached this worker: that comes as live entries.
        let tail = self.tails.next(partition);
        let mut budget = usize::MAX;
        let mut full = false;
        for entry in &answer.entries {
            if entry.end().get() <= next || entry.base.get() >= tail {
                continue;
            }
            let spot = Spot { partition, offset: next, entry };
            let (offer, reached) = self.pull_entry(key.slot, spot, &mut budget);
            next = reached;
            if offer == Offer::Full {
                full = true;
                break;
            }
        }
        if !full {
            next = next.max(answer.through.min(tail));
        }
        if let Some(lag) = self.open(key).outbound.lag(partition) {
            lag.next = next;
        }
        self.touch(key.slot);
        if !full {
            self.pull_later(key.slot);
        }
    }

    /// A durable session has attached: its unfinished messages are sent again, then it reads on.
    pub(super) fn resume(&mut self, key: ConnectionKey, attached: &Attached) {
        let record = &attached.record;
        let partitions = usize::from(self.place.route.partitions());
        let limits = self.settings.limits;
        let worker = self.place.worker;
        let subscriptions: Vec<Subscription> = record
            .subscriptions
            .iter()
            .filter_map(|subscription| {
                let filter = holdfast_codec::TopicFilter::parse(&subscription.filter, &limits)?;
                let options = u8::try_from(subscription.options).ok()?;
                let options = SubscribeOptions::from_u8(options).ok()?;
                let id = (subscription.id > 0).then_some(subscription.id);
                let starts: Vec<u64> = (0..partitions)
                    .map(|at| {
                        position(&subscription.starts, u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0)
                    })
                    .collect();
                let subscription = super::subscribe::subscription(&filter, options, id);
                Some(Subscription { starts: starts.into(), ..subscription })
            })
            .collect();
        subscriptions.iter().for_each(|subscription| self.want_plain(subscription));
        let session = self.open(key);
        let owes = !session.outbound.owed.is_empty() || session.outbound.in_flight() > 0;
        if subscriptions.is_empty() && !owes {
            return;
        }
        session.outbound.commit.unread = true;
        session.resuming = Some(Box::new((subscriptions, record.window.next.clone())));
        let from = From { worker, connection: key, tag: TAG_RESUME };
        self.tell_wants();
        self.out.requests.push(Request::Barrier(from, crate::route::Cover::All));
    }

    /// The partitions' positions are known: put the filters in place and go on from the record.
    pub(super) fn resumed(&mut self, key: ConnectionKey, starts: &Arc<[u64]>) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let Some(resuming) = session.resuming.take() else { return };
        let (subscriptions, positions) = *resuming;
        let mut next: Vec<Option<u64>> = vec![None; starts.len()];
        for subscription in subscriptions {
            if subscription.shared() {
                let filter = Arc::clone(&subscription.filter);
                self.put(key, subscription);
                self.join_again(key, &filter, starts);
                continue;
            }
            let covers = self.place.route.covers(subscription.plain());
            for (partition, next) in self.place.route.all_partitions().zip(&mut next) {
                if covers.contains(partition) {
                    let start = subscription.starts[partition.index()];
                    let from = position(&positions, u32::from(partition.get())).unwrap_or(0).max(start);
                    *next = Some(next.map_or(from, |next| next.min(from)));
                }
            }
            self.put(key, subscription);
        }
        for (partition, next) in (0u16..).zip(next) {
            let forget = Fault::ForgetCursor.is_in(self.settings.fault);
            if let Some(next) = next.filter(|next| !forget && *next < self.tails.next(partition)) {
                self.lag(key.slot, partition, next);
            }
        }
        let session = self.open(key);
        session.outbound.commit.unread = false;
        self.ask_resends(key);
        self.touch(key.slot);
        self.pull_later(key.slot);
    }

    /// PUBRELs are sent at once; PUBLISHes that wait to be sent again are read first.
    fn ask_resends(&mut self, key: ConnectionKey) {
        let worker = self.place.worker;
        let outbound = &mut self.open(key).outbound;
        let released: Vec<u16> = outbound
            .flights()
            .filter(|flight| flight.step == Step::Released)
            .map(|flight| flight.packet_id)
            .collect();
        let mut wanted: std::collections::BTreeMap<u16, Vec<u64>> = std::collections::BTreeMap::new();
        for flight in outbound.flights().filter(|flight| flight.step == Step::Published) {
            wanted.entry(flight.partition).or_default().push(flight.offset);
        }
        for packet_id in released {
            let packet_id = PacketId::new(packet_id).expect("a flight has one");
            self.pubrel_out(key, packet_id, ReasonCode::Success);
        }
        for (partition, mut offsets) in wanted {
            offsets.sort_unstable();
            self.out.reads.push(Read {
                worker,
                connection: Some(key),
                tag: TAG_RESEND,
                partition: crate::route::Partition::new(partition),
                from: 0,
                filters: Arc::from([]),
                offsets,
            });
        }
    }

    fn resend_read(&mut self, key: ConnectionKey, answer: &ReadAnswer) {
        let worker = self.place.worker;
        let outbound = &mut self.open(key).outbound;
        let mut missing = Vec::new();
        let mut retained = Vec::new();
        for flight in outbound.flights_mut() {
            if flight.partition != answer.partition.get() || flight.step != Step::Published {
                continue;
            }
            let found = answer
                .entries
                .iter()
                .find(|entry| entry.base.get() <= flight.offset && flight.offset < entry.end().get());
            match found {
                Some(entry) => flight.source = Some(Source::Entry(Arc::clone(entry))),
                None => match &flight.retained {
                    // Its entry is cut, but it may still be the topic's retained message.
                    Some(topic) => retained.push((flight.packet_id, topic.to_string(), flight.offset)),
                    None => missing.push(flight.packet_id),
                },
            }
        }
        let partitions = usize::from(self.place.route.partitions());
        for (packet_id, filter, offset) in retained {
            let from = From { worker, connection: key, tag: u64::from(packet_id) };
            let scan =
                RetainedScan { from, filter, below: vec![offset + 1; partitions], after: After::default() };
            self.out.requests.push(Request::Retained(Box::new(scan)));
        }
        for packet_id in missing {
            // Truncated by a hard limit.
            self.counters.lost_to_retention(1);
            self.finished(key, packet_id);
        }
        self.pull_later(key.slot);
        if self.conn(key).is_some_and(|conn| !conn.pulling) {
            self.send_resends(key.slot);
        }
    }

    /// What is left of a retained message that is to be sent again.
    pub(super) fn resend_retained(&mut self, page: &RetainedPage) {
        let key = page.connection;
        let packet_id = u16::try_from(page.tag).expect("a packet identifier");
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let Some(flight) = session.outbound.by_id(packet_id) else { return };
        let offset = flight.offset;
        match page.hits.iter().find(|hit| hit.offset == offset) {
            Some(hit) => flight.source = Some(Source::Retained(hit.clone())),
            // Replaced since: the newer one comes as a message of its own.
            None => self.finished(key, packet_id),
        }
        self.pull_later(key.slot);
    }

    /// Sends again what is read, in order. `false`: not all of it yet.
    fn send_resends(&mut self, slot: u32) -> bool {
        loop {
            let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) else {
                return false;
            };
            let outbound = &session.outbound;
            let Some(number) = outbound.resend.front().copied() else { return true };
            if outbound.in_flight() - outbound.resend.len() >= usize::from(outbound.window) {
                // The client may take fewer at a time than it did before [MQTT-3.3.4-9].
                return false;
            }
            match session.outbound.get(number) {
                Some(flight) if flight.source.is_none() => return false,
                Some(flight) => {
                    let packet_id = flight.packet_id;
                    session.outbound.resend.pop_front();
                    let key = self.conns[slot as usize].key(slot);
                    self.send_flight(key, packet_id, true);
                }
                None => drop(session.outbound.resend.pop_front()),
            }
        }
    }

    /// Sends the PUBLISH of a flight that waited: for its commit, or to be sent again with DUP [MQTT-3.3.1-1].
    pub(super) fn send_flight(&mut self, key: ConnectionKey, packet_id: u16, dup: bool) {
        let Some(flight) = self.open(key).outbound.by_id(packet_id) else { return };
        let Some(source) = flight.source.take() else { return };
        flight.step = Step::Published;
        let (offset, partition) = (flight.offset, flight.partition);
        let (exactly_once, retained) = (flight.exactly_once, flight.retained.is_some());
        let options = SubscribeOptions::from_u8(flight.options).ok();
        let (bytes, stamp) = match &source {
            Source::Entry(entry) => {
                let mut walk = records(&entry.payload);
                walk.skip_records(offset - entry.base.get());
                (walk, entry.stamp.get())
            }
            Source::Retained(hit) => (Records::bare(&hit.record), hit.stamp),
        };
        let Some(record) = bytes.into_iter().next() else { return };
        let Some(expiry) = self.expiry_left(&record, stamp) else {
            self.counters.dropped(Dropped::Expired);
            return self.finished(key, packet_id);
        };
        let target = self.target_of(key.slot, &record, partition, u64::MAX);
        let ids = target.as_ref().map_or_else(Default::default, |target| target.ids.clone());
        let as_published = match options {
            Some(options) if options.retain_as_published => true,
            _ => dup && target.is_some_and(|target| target.retain_as_published),
        };
        self.frames.clear();
        let (conns, frames) = (&mut self.conns, &mut self.frames);
        let conn = &mut conns[key.slot as usize];
        let super::Phase::Open(session) = &mut conn.phase else { return };
        let form = Form {
            version: session.version,
            qos: if exactly_once { Qos::ExactlyOnce } else { Qos::AtLeastOnce },
            retain: retained || (as_published && record.retain),
            dup,
            expiry,
            ids: &ids,
            alias: alias_for(session, record.topic),
            packet_id: PacketId::new(packet_id),
            packet_max: session.packet_max,
        };
        let before = conn.out.len();
        if frames.send(&mut conn.out, &record, form) {
            self.counters.message_out(form.qos, conn.out.len() - before);
            mark_dirty(conns, &mut self.dirty, key.slot);
        } else {
            self.counters.dropped(Dropped::PacketTooLarge);
            self.finished(key, packet_id);
        }
    }
}
