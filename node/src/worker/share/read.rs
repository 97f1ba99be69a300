//! The dispatcher's reading: what its members have room for, from the tail, the log and what is free again.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_log::Entry;

use super::Place;
use crate::mail::{Read, ReadAnswer};
use crate::record::records;
use crate::route::Partition;
use crate::topic::matches_filter;
use crate::worker::Worker;
use crate::worker::deliver::Spot;

impl Worker {
    pub(super) fn share_pull(&mut self, at: usize) {
        self.give_free(at);
        let mut index = 0;
        loop {
            let share = self.shares.shares[at].as_mut().expect("the caller has looked");
            let Some(lag) = share.lags.get(index).copied() else { return };
            let tail = self.tails.next(lag.partition);
            if lag.reading {
                index += 1;
            } else if lag.next >= tail {
                share.lags.swap_remove(index);
                share.dirty = true;
            } else if let Some(entry) = self.tails.entry(lag.partition, lag.next).map(Arc::clone) {
                let (next, full) = self.share_entry(at, lag.partition, &entry, lag.next);
                let share = self.shares.shares[at].as_mut().expect("it stays");
                share.lags[index].next = next;
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
            let share = self.shares.shares[at].as_ref().expect("it stays");
            if !matches_filter(share.filter(), record.topic)
                || self.expiry_left(&record, entry.stamp.get()).is_none()
            {
                continue;
            }
            if !self.give(at, &record, Spot { partition, offset, entry }, None) {
                return (offset, true);
            }
        }
        (entry.end().get(), false)
    }

    /// Gives what is free from memory, and asks for what is not there.
    fn give_free(&mut self, at: usize) {
        let share = self.shares.shares[at].as_ref().expect("the caller has looked");
        if share.members.is_empty() {
            return;
        }
        let free: Vec<(Place, Option<Arc<str>>)> =
            share.free.iter().map(|(place, bound)| (*place, bound.clone())).collect();
        let mut missing: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        for (place, bound) in free {
            match self.tails.entry(place.0, place.1).map(Arc::clone) {
                Some(entry) => self.give_one(at, place, bound.as_ref(), &entry),
                None => missing.entry(place.0).or_default().push(place.1),
            }
        }
        for (partition, offsets) in missing {
            self.share_ask(at, partition, (0, Arc::from([])), offsets);
        }
    }

    fn give_one(&mut self, at: usize, place: Place, bound: Option<&Arc<str>>, entry: &Arc<Entry>) {
        let mut walk = records(&entry.payload);
        walk.skip_records(place.1 - entry.base.get());
        let Some(record) = walk.next() else { return };
        let spot = Spot { partition: place.0, offset: place.1, entry };
        if self.give(at, &record, spot, bound) {
            let share = self.shares.shares[at].as_mut().expect("it stays");
            share.free.remove(&place);
        }
    }

    fn share_ask(&mut self, at: usize, partition: u16, from: (u64, Arc<[String]>), offsets: Vec<u64>) {
        self.out.reads.push(Read {
            worker: self.place.worker,
            connection: None,
            tag: at as u64 * 2 + u64::from(!offsets.is_empty()),
            partition: Partition::new(partition),
            from: from.0,
            filters: from.1,
            offsets,
        });
    }

    /// Entries came from the log for a shared subscription.
    pub(in crate::worker) fn share_read(&mut self, answer: ReadAnswer) {
        let at = usize::try_from(answer.tag / 2).expect("a place");
        if !self.shares.shares.get(at).is_some_and(Option::is_some) {
            return;
        }
        let partition = answer.partition.get();
        if answer.tag % 2 == 1 {
            return self.share_read_free(at, &answer);
        }
        let share = self.shares.shares[at].as_mut().expect("just seen");
        let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) else { return };
        lag.reading = false;
        let mut next = lag.next;
        if answer.truncated > next {
            self.counters.lost_to_retention(answer.truncated - next);
            next = answer.truncated;
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
        let share = self.shares.shares[at].as_mut().expect("it stays");
        if let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) {
            lag.next = next;
        }
        share.dirty = true;
        if !stopped {
            self.share_pull_later(at);
        }
    }

    fn share_read_free(&mut self, at: usize, answer: &ReadAnswer) {
        let partition = answer.partition.get();
        let share = self.shares.shares[at].as_mut().expect("the caller has looked");
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
            let share = self.shares.shares[at].as_ref().expect("it stays");
            let within = (partition, entry.base.get())..(partition, entry.end().get());
            let places: Vec<_> = share.free.range(within).map(|(place, to)| (*place, to.clone())).collect();
            for (place, bound) in places {
                self.give_one(at, place, bound.as_ref(), entry);
            }
        }
    }
}
