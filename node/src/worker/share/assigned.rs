//! What is assigned to sessions here: sent as there is room, once the entry that holds it is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_codec::SubscribeOptions;
use holdfast_log::Entry;

use super::{Place, row};
use crate::mail::{Assign, Assigned, ConnectionKey, Read, ReadAnswer};
use crate::metrics::Dropped;
use crate::record::{Record, Records, records};
use crate::route::Partition;
use crate::session::{Flight, Session};
use crate::worker::deliver::{Offer, Origin, Spot};
use crate::worker::matching::Target;
use crate::worker::{Conn, Worker};

/// Tag of reads for messages that are assigned.
pub(in crate::worker) const TAG_ASSIGNED: u64 = 2;

/// What is to be done about an assigned message.
enum Ready {
    /// It can be sent.
    Yes,
    /// The log reader is to be asked for it.
    Read,
    /// It is being read, or has not been applied here yet.
    Later,
}

impl Worker {
    /// A message of a shared subscription for a session here.
    pub(in crate::worker) fn assigned(&mut self, assign: Box<Assign>) {
        let key = assign.connection;
        if assign.term < self.shares.dispatchers[row(assign.group)].term {
            // The dispatcher of now does not know of it.
            return;
        }
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        // Given again since it had not arrived: the end of the first one is recorded, and that of a second is not.
        let given = place(&assign.body);
        if given.is_some_and(|given| holds(session, given)) {
            return;
        }
        session.outbound.assigned.push_back(assign);
        if session.outbound.assigned.len() == 1 {
            self.send_assigned(key.slot);
        } else {
            self.pull_later(key.slot);
        }
    }

    /// Entries have come: what was assigned before it was here may be.
    pub(in crate::worker) fn pull_awaited(&mut self) {
        for slot in std::mem::take(&mut self.shares.awaiting) {
            self.pull_later(slot);
        }
    }

    /// Sends what is assigned, as far as there is room and as it is here; in order within each partition. `false`:
    /// there is no room.
    pub(in crate::worker) fn send_assigned(&mut self, slot: u32) -> bool {
        let mut blocked: Vec<u16> = Vec::new();
        let mut missing: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        let mut at = 0;
        let mut room = true;
        while room {
            let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) else { break };
            let Some(mut assign) = session.outbound.assigned.remove(at) else { break };
            let place = place(&assign.body);
            let ready = match place {
                Some((partition, _)) if blocked.contains(&partition) => Ready::Later,
                Some(place) => self.look_for(place, &mut assign.body),
                None => Ready::Yes,
            };
            let wait = match ready {
                Ready::Yes => {
                    room = self.send_assign(slot, &assign) == Offer::Taken;
                    !room
                }
                Ready::Read | Ready::Later => {
                    let (partition, offset) = place.expect("only the log is waited for");
                    blocked.push(partition);
                    if matches!(ready, Ready::Read) {
                        missing.entry(partition).or_default().push(offset);
                    }
                    true
                }
            };
            if wait && let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) {
                session.outbound.assigned.insert(at, assign);
                at += 1;
            }
        }
        if !blocked.is_empty() && !self.shares.awaiting.contains(&slot) {
            self.shares.awaiting.push(slot);
        }
        for (partition, offsets) in missing {
            self.ask_assigned(slot, partition, offsets);
        }
        room
    }

    /// Finds the entry of an assigned message.
    fn look_for(&mut self, (number, offset): Place, body: &mut Assigned) -> Ready {
        let Assigned::Log { entry, reading, .. } = body else { return Ready::Yes };
        if entry.is_none() {
            *entry = self.tails.entry(number, offset).map(Arc::clone);
        }
        if entry.is_some() {
            Ready::Yes
        } else if *reading || offset >= self.tails.next(number) {
            Ready::Later
        } else {
            *reading = true;
            Ready::Read
        }
    }

    fn ask_assigned(&mut self, slot: u32, partition: u16, offsets: Vec<u64>) {
        let connection = self.conns[slot as usize].key(slot);
        self.out.reads.push(Read {
            worker: self.place.worker,
            connection: Some(connection),
            tag: TAG_ASSIGNED,
            partition: Partition::new(partition),
            from: 0,
            filters: Arc::from([]),
            offsets,
        });
    }

    /// Entries came from the log for what is assigned to a session.
    pub(in crate::worker) fn assigned_read(&mut self, key: ConnectionKey, answer: &ReadAnswer) {
        let partition = answer.partition;
        let session = self.open(key);
        let mut lost = Vec::new();
        session.outbound.assigned.retain_mut(|assign| {
            let Assigned::Log { partition: of, offset, entry, reading } = &mut assign.body else {
                return true;
            };
            if *of != partition || entry.is_some() {
                return true;
            }
            *reading = false;
            let holds = |entry: &&Arc<Entry>| entry.base.get() <= *offset && *offset < entry.end().get();
            *entry = answer.entries.iter().find(holds).map(Arc::clone);
            let gone = entry.is_none() && *offset < answer.truncated;
            if gone {
                lost.push((Arc::clone(&assign.share), (partition.get(), *offset)));
            }
            !gone
        });
        for (share, done) in lost {
            self.counters.lost_to_retention(1);
            self.share_done(key, share, done, false);
        }
        self.pull_later(key.slot);
    }

    fn send_assign(&mut self, slot: u32, assign: &Assign) -> Offer {
        let Ok(options) = SubscribeOptions::from_u8(u8::try_from(assign.options).unwrap_or(0)) else {
            return Offer::Taken;
        };
        let target = Target {
            slot,
            shared: false,
            qos: options.qos,
            no_local: false,
            retain_as_published: options.retain_as_published,
            ids: (assign.id > 0).then_some(assign.id).into_iter().collect(),
            share: Some(Arc::clone(&assign.share)),
        };
        self.frames.clear();
        match &assign.body {
            Assigned::Log { partition, offset, entry: Some(entry), .. } => {
                let mut walk = records(&entry.payload);
                walk.skip_records(offset - entry.base.get());
                let Some(record) = walk.next() else { return Offer::Taken };
                let Some(expiry) = self.expiry_left(&record, entry.stamp.get()) else {
                    return self.expired(slot, &assign.share, (partition.get(), *offset));
                };
                let spot = Spot { partition: partition.get(), offset: *offset, entry };
                self.offer(&target, &record, expiry, Origin::Log(spot))
            }
            Assigned::Log { entry: None, .. } => Offer::Taken,
            Assigned::Live { record, stamp } => {
                let Some(record) = Records::bare(record).next() else { return Offer::Taken };
                let Some(expiry) = self.live_expiry(&record, *stamp) else { return Offer::Taken };
                self.offer(&target, &record, expiry, Origin::Live { stamp: *stamp })
            }
        }
    }

    fn expired(&mut self, slot: u32, share: &Arc<str>, place: Place) -> Offer {
        let key = self.conns[slot as usize].key(slot);
        self.counters.dropped(Dropped::Expired);
        self.share_done(key, Arc::clone(share), place, false);
        Offer::Taken
    }

    fn live_expiry(&mut self, record: &Record<'_>, stamp: u64) -> Option<Option<u32>> {
        let left = self.expiry_left(record, stamp);
        if left.is_none() {
            self.counters.dropped(Dropped::Expired);
        }
        left
    }
}

fn place(body: &Assigned) -> Option<Place> {
    match body {
        Assigned::Log { partition, offset, .. } => Some((partition.get(), *offset)),
        Assigned::Live { .. } => None,
    }
}

/// Has the session this message of a shared subscription, in flight or to be sent?
fn holds(session: &Session, given: Place) -> bool {
    let outbound = &session.outbound;
    let flight_at = |flight: &Flight| flight.share.is_some() && (flight.partition, flight.offset) == given;
    outbound.assigned.iter().any(|assign| place(&assign.body) == Some(given))
        || outbound.flights().any(flight_at)
}
