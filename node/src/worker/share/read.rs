//! The dispatcher's reading: what its members have room for, from the tail, the log and what is free again.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_log::Entry;

use super::{Bound, Place, Share};
use crate::mail::{Read, ReadAnswer};
use crate::record::records;
use crate::route::Partition;
use crate::topic::matches_filter;
use crate::worker::Worker;
use crate::worker::deliver::Spot;

/// Free messages that are looked for at once.
const FREE_MAX: usize = 256;

impl Worker {
    pub(super) fn share_pull(&mut self, at: usize) {
        if !self.shares.at(at).open {
            return;
        }
        self.give_free(at);
        let mut index = 0;
        loop {
            let share = self.shares.at(at);
            let Some(lag) = share.lags.get(index).copied() else { return };
            let tail = self.tails.next(lag.partition);
            if lag.reading {
                index += 1;
            } else if lag.next >= tail {
                share.lags.swap_remove(index);
                share.dirty = true;
            } else if let Some(entry) = self.tails.entry(lag.partition, lag.next).map(Arc::clone) {
                let (next, full) = self.share_entry(at, lag.partition, &entry, lag.next);
                self.shares.at(at).lags[index].next = next;
                if full {
                    return;
                }
            } else {
                share.lags[index].reading = true;
                let filters: Arc<[String]> = Arc::from([share.filter().to_owned()]);
                self.share_ask(at, lag.partition, (lag.next, filters), Vec::new());
                index += 1;
            }
        }
    }

    fn share_entry(&mut self, at: usize, partition: u16, entry: &Arc<Entry>, from: u64) -> (u64, bool) {
        let base = entry.base.get();
        let mut walk = records(&entry.payload);
        walk.skip_records(from.saturating_sub(base));
        for (offset, record) in (from.max(base)..).zip(walk) {
            let spot = Spot { partition, offset, entry };
            let share = self.shares.at(at);
            if !matches_filter(share.filter(), record.topic)
                || share.passes(spot)
                || self.expiry_left(&record, entry.stamp.get()).is_none()
            {
                continue;
            }
            if !self.give(at, &record, spot, None) {
                return (offset, true);
            }
        }
        (entry.end().get(), false)
    }

    /// Gives what is free from memory, and asks for what is not there.
    fn give_free(&mut self, at: usize) {
        let share = self.shares.at(at);
        let wanted = share.free.iter().filter(|(_, to)| share.takes(to.as_ref()));
        let wanted = wanted.map(|(place, to)| (*place, to.clone()));
        let wanted: Vec<(Place, Option<Bound>)> = wanted.take(FREE_MAX).collect();
        let mut missing: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        for (place, to) in wanted {
            match self.tails.entry(place.0, place.1).map(Arc::clone) {
                Some(entry) => self.give_one(at, place, to.as_ref(), &entry),
                None if place.1 < self.tails.next(place.0) => {
                    missing.entry(place.0).or_default().push(place.1)
                }
                // It has not arrived here yet.
                None => {}
            }
        }
        for (partition, offsets) in missing {
            if !self.shares.at(at).asking.contains(&partition) {
                self.shares.at(at).asking.push(partition);
                self.share_ask(at, partition, (0, Arc::from([])), offsets);
            }
        }
    }

    fn give_one(&mut self, at: usize, place: Place, to: Option<&Bound>, entry: &Arc<Entry>) {
        let mut walk = records(&entry.payload);
        walk.skip_records(place.1 - entry.base.get());
        let Some(record) = walk.next() else { return };
        let spot = Spot { partition: place.0, offset: place.1, entry };
        if self.give(at, &record, spot, to) {
            self.shares.at(at).free.remove(&place);
        }
    }

    fn share_ask(&mut self, at: usize, partition: u16, from: (u64, Arc<[String]>), offsets: Vec<u64>) {
        let number = self.shares.at(at).number;
        self.out.reads.push(Read {
            worker: self.place.worker,
            connection: None,
            tag: number * 2 + u64::from(!offsets.is_empty()),
            partition: Partition::new(partition),
            from: from.0,
            filters: from.1,
            offsets,
        });
    }

    /// Entries came from the log for a shared subscription.
    pub(in crate::worker) fn share_read(&mut self, answer: ReadAnswer) {
        let of = |share: &Share| share.number == answer.tag / 2;
        let Some(at) = self.shares.shares.iter().position(|share| share.as_ref().is_some_and(of)) else {
            return;
        };
        let partition = answer.partition.get();
        if answer.tag % 2 == 1 {
            return self.share_read_free(at, &answer);
        }
        let share = self.shares.at(at);
        let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) else { return };
        lag.reading = false;
        let mut next = lag.next;
        if answer.truncated > next {
            self.counters.lost_to_retention(answer.truncated - next);
            next = answer.truncated;
            share.early.retain(|place| place.0 != partition || place.1 >= next);
        }
        // What has not reached this worker yet comes as live entries.
        let tail = self.tails.next(partition);
        let mut stopped = false;
        for entry in &answer.entries {
            if entry.end().get() <= next || entry.base.get() >= tail {
                continue;
            }
            (next, stopped) = self.share_entry(at, partition, entry, next);
            if stopped {
                break;
            }
        }
        if !stopped {
            next = next.max(answer.through.min(tail));
        }
        let share = self.shares.at(at);
        if let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) {
            lag.next = next;
        }
        share.dirty = true;
        if !stopped {
            self.shares.pull_later(at);
        }
    }

    fn share_read_free(&mut self, at: usize, answer: &ReadAnswer) {
        let partition = answer.partition.get();
        let share = self.shares.at(at);
        share.asking.retain(|asked| *asked != partition);
        let lost: Vec<Place> = share
            .free
            .range((partition, 0)..(partition, answer.truncated))
            .map(|(place, _)| *place)
            .collect();
        for place in lost {
            share.free.remove(&place);
            self.counters.lost_to_retention(1);
        }
        for entry in &answer.entries {
            let share = self.shares.at(at);
            let within = (partition, entry.base.get())..(partition, entry.end().get());
            let places: Vec<_> = share.free.range(within).map(|(place, to)| (*place, to.clone())).collect();
            for (place, bound) in places {
                self.give_one(at, place, bound.as_ref(), entry);
            }
        }
    }
}

impl Share {
    /// Is somebody here who may take a message?
    fn takes(&self, to: Option<&Bound>) -> bool {
        self.open
            && match to {
                Some(to) => self.members.iter().any(|member| member.is == *to),
                None => self.members.iter().any(|member| member.holds < member.capacity),
            }
    }
}
