//! Answering a subscription's walk over retained messages, a bounded page at a time.

use bytes::Bytes;

use super::Hub;
use crate::mail::{After, Event, RetainedHit, RetainedPage, RetainedScan};
use crate::route::Partition;
use crate::state::partition::Bounds;

/// Retained messages in one page: a page of the largest messages still fits a worker's output buffer.
const HITS_MAX: usize = 64;
/// Topics looked at for one page, so that a wide walk never holds up the hub for more than about a millisecond.
const LOOKED_MAX: usize = 2_048;

impl Hub {
    pub(super) fn scan_retained(&mut self, scan: &RetainedScan) {
        let page = self.retained_page(scan);
        self.post(scan.from.worker).events.push(Event::Retained(Box::new(page)));
    }

    fn retained_page(&self, scan: &RetainedScan) -> RetainedPage {
        let (connection, tag) = (scan.from.connection, scan.from.tag);
        let covers = self.route.covers(&scan.filter);
        let mut hits = Vec::new();
        let mut from = scan.after.topic.as_str();
        for number in scan.after.partition..self.route.partitions() {
            let partition = Partition::new(number);
            if !covers.contains(partition) {
                from = "";
                continue;
            }
            let bounds = Bounds {
                hits_max: HITS_MAX - hits.len(),
                looked_max: LOOKED_MAX,
                below: scan.below.get(partition.index()).copied().unwrap_or(u64::MAX),
                now: self.now(),
            };
            let page = self.machines.partitions[partition.index()].scan(&scan.filter, from, bounds);
            hits.extend(page.hits.iter().map(|hit| RetainedHit {
                partition,
                offset: hit.retained.offset,
                stamp: hit.retained.stamp,
                record: Bytes::copy_from_slice(&hit.retained.record),
            }));
            if let Some(topic) = page.next {
                let next = Some(After { partition: number, topic });
                return RetainedPage { connection, tag, hits, next };
            }
            from = "";
        }
        RetainedPage { connection, tag, hits, next: None }
    }
}
