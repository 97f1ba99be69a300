//! Messages to the sessions of this worker: matched once, encoded once for each shape, copied to each receiver.

use std::rc::Rc;
use std::sync::Arc;

use holdfast_codec::{PacketId, Qos, SubscribeOptions, Version};
use holdfast_log::Entry;

use super::matching::Target;
use super::send::Form;
use super::{Conn, Worker, mark_dirty};
use crate::metrics::Dropped;
use crate::record::{Record, records};
use crate::route::Partition;
use crate::session::{Flight, Lag, Session, Source, Step};

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// QoS 0, in memory only.
    Live {
        /// Group time at which it was routed, ms.
        stamp: u64,
    },
    /// The log.
    Log(Spot<'a>),
}

/// A message's place in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    pub(super) partition: u16,
    pub(super) offset: u64,
    pub(super) entry: &'a Arc<Entry>,
}

/// What came of offering a message to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Sent, or rightly not sent.
    Taken,
    /// There is no room: the session must come back for it.
    Full,
}

impl Worker {
    /// A committed entry: to every session that keeps up. Sessions that lag read it later.
    pub(super) fn entry(&mut self, partition: Partition, entry: Arc<Entry>) {
        if !self.matching.is_empty() {
            let stamp = entry.stamp.get();
            for (offset, record) in (entry.base.get()..).zip(records(&entry.payload)) {
                let spot = Spot { partition: partition.get(), offset, entry: &entry };
                match self.expiry_left(&record, stamp) {
                    Some(expiry) => self.deliver(&record, expiry, Origin::Log(spot)),
                    None => self.counters.dropped(Dropped::Expired),
                }
            }
        }
        self.tails.push(partition, entry);
        self.pull_awaited();
    }

    /// Seconds that are left of the message's expiry, if it has one; `None`: it has expired [MQTT-3.3.2-5].
    pub(super) fn expiry_left(&self, record: &Record<'_>, stamp: u64) -> Option<Option<u32>> {
        let Some(seconds) = record.expiry else { return Some(None) };
        let passed = self.now.wall.saturating_sub(stamp) / 1_000;
        let left = u64::from(seconds).checked_sub(passed).filter(|left| *left > 0)?;
        Some(u32::try_from(left).ok())
    }

    /// Offers a message to all that it matches.
    pub(super) fn deliver(&mut self, record: &Record<'_>, expiry: Option<u32>, origin: Origin<'_>) {
        let targets: Rc<[Target]> = self.matching.targets(record.topic, &mut self.conns);
        if targets.is_empty() {
            return;
        }
        self.frames.clear();
        for target in targets.iter() {
            if target.shared {
                self.dispatch(target.slot, record, origin);
                continue;
            }
            let Some(conn) = self.conns.get_mut(target.slot as usize) else { continue };
            if let Origin::Live { stamp } = origin
                && conn.since.is_after(stamp, self.now)
            {
                self.counters.dropped(Dropped::Disconnected);
                continue;
            }
            let Some(session) = conn.session() else { continue };
            if let Origin::Log(spot) = origin
                && session.outbound.lagging(spot.partition)
            {
                continue;
            }
            if self.offer(target, record, expiry, origin) == Offer::Full
                && let Origin::Log(spot) = origin
            {
                self.lag(target.slot, spot.partition, spot.offset);
            }
        }
    }

    /// The session leaves the tail of a partition at `offset`.
    pub(super) fn lag(&mut self, slot: u32, partition: u16, offset: u64) {
        let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) else { return };
        session.outbound.lags.push(Lag { partition, next: offset, reading: false });
        self.touch(slot);
    }

    /// Offers a message to one session.
    pub(super) fn offer(
        &mut self,
        target: &Target,
        record: &Record<'_>,
        expiry: Option<u32>,
        origin: Origin<'_>,
    ) -> Offer {
        let conn = &mut self.conns[target.slot as usize];
        let unwritten = conn.unwritten();
        let session = match &mut conn.phase {
            super::Phase::Open(session) => session,
            _ => return Offer::Taken,
        };
        if target.no_local && session.publisher == record.publisher {
            return Offer::Taken;
        }
        let qos = target.qos.min(record.qos);
        if unwritten >= self.settings.out_bytes_max {
            if qos > Qos::AtMostOnce {
                return Offer::Full;
            }
            self.counters.dropped(Dropped::OutgoingFull);
            return Offer::Taken;
        }
        if qos > Qos::AtMostOnce && !session.outbound.open() {
            return Offer::Full;
        }
        let retain = target.retain_as_published && record.retain;
        let packet_id = (qos > Qos::AtMostOnce).then(|| session.outbound.take_id());
        if let (Some(packet_id), Origin::Log(spot)) = (packet_id, origin)
            && self.fly(target, spot, (packet_id, qos), retain)
        {
            return Offer::Taken;
        }
        let (conns, frames) = (&mut self.conns, &mut self.frames);
        let conn = &mut conns[target.slot as usize];
        let super::Phase::Open(session) = &mut conn.phase else { return Offer::Taken };
        let form = Form {
            version: session.version,
            qos,
            retain,
            dup: false,
            expiry,
            ids: &target.ids,
            alias: alias_for(session, record.topic),
            packet_id,
            packet_max: session.packet_max,
        };
        let before = conn.out.len();
        if frames.send(&mut conn.out, record, form) {
            self.counters.message_out(qos, conn.out.len() - before);
            mark_dirty(conns, &mut self.dirty, target.slot);
        } else {
            self.counters.dropped(Dropped::PacketTooLarge);
            if let Some(packet_id) = packet_id {
                let key = self.conns[target.slot as usize].key(target.slot);
                self.finished(key, packet_id.get());
            }
        }
        Offer::Taken
    }

    /// Takes a message of QoS 1 or 2 into flight. `true`: its PUBLISH waits for a commit.
    fn fly(
        &mut self,
        target: &Target,
        spot: Spot<'_>,
        (packet_id, qos): (PacketId, Qos),
        retain: bool,
    ) -> bool {
        let Some(session) = self.conns[target.slot as usize].session() else { return true };
        let exactly_once = qos == Qos::ExactlyOnce;
        let committing = exactly_once && session.durable();
        let next_commit = session.outbound.commit.sent + 1;
        let options = SubscribeOptions { retain_as_published: retain, ..SubscribeOptions::new(qos) };
        session.outbound.push(Flight {
            packet_id: packet_id.get(),
            partition: spot.partition,
            exactly_once,
            offset: spot.offset,
            step: if committing { Step::Committing(next_commit) } else { Step::Published },
            source: committing.then(|| Source::Entry(Arc::clone(spot.entry))),
            retained: None,
            share: target.share.clone(),
            options: options.to_u8(),
        });
        if session.durable() {
            session.outbound.commit.urgent |= committing;
            self.touch(target.slot);
        }
        committing
    }
}

/// The alias to send with `topic` to this session.
pub(super) fn alias_for(session: &mut Session, topic: &str) -> Option<(std::num::NonZeroU16, bool)> {
    if session.version != Version::V5 {
        return None;
    }
    session.aliases_out.as_mut()?.get(topic)
}
