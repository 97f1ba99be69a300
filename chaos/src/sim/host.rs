//! A machine: the clock and the disk that outlive the process of a node, and the process.

use std::sync::Arc;

use holdfast_node::config::Fault;
use holdfast_node::log::{Offset, ReadError};

use super::clock::{SimClock, Time};
use super::disk::SimDisk;
use super::net::Ether;
use super::node::{Ground, Node};
use super::plan::Build;

/// Bytes of entries read at once to see that they are what they were.
const ENTRY_BYTES: u64 = 1 << 20;

pub(super) struct Host {
    pub(super) ground: Ground,
    build: Build,
    pub(super) node: Option<Node>,
    /// When the node comes back, microseconds.
    pub(super) start_at: u64,
    /// Its disk has no room.
    pub(super) full: bool,
    /// Until then it stands still.
    pub(super) frozen_until: u64,
    /// Offsets up to which the log has been read, by partition.
    read_up_to: Vec<u64>,
}

/// An entry of a log: partition, offset of its first record, checksum.
pub(super) type Sum = (u16, u64, u32);

impl Host {
    pub(super) fn new(build: Build, time: &Arc<Time>, ether: Option<(Arc<Ether>, usize)>) -> Host {
        let clock = Arc::new(SimClock::new(Arc::clone(time)));
        let lies = Fault::NeverSync.is_in(build.fault);
        let disk = Arc::new(SimDisk::new(ether.is_none().then(|| Arc::clone(time)), lies));
        let read_up_to = vec![0; usize::from(build.identity.partitions)];
        let ground = Ground { time: Arc::clone(time), clock, disk, ether };
        Host { ground, build, node: None, start_at: 0, full: false, frozen_until: 0, read_up_to }
    }

    /// From the disk to a node.
    pub(super) fn open(&mut self, seed: u64) -> Result<(), String> {
        if let Some((ether, node)) = &self.ground.ether {
            self.ground.clock.bear();
            ether.started(*node, self.ground.time.micros());
        }
        self.node = Some(Node::open(&self.build, &self.ground, seed)?);
        self.read_up_to.fill(0);
        Ok(())
    }

    /// The process is gone.
    pub(super) fn close(&mut self, goodbye: bool) {
        self.node = None;
        self.frozen_until = 0;
        self.ground.disk.pay();
        if let Some((ether, node)) = &self.ground.ether {
            ether.ended(*node, self.ground.time.micros(), goodbye);
        }
    }

    pub(super) fn lease_micros(&self) -> u64 {
        self.build.lease.as_micros() as u64
    }

    pub(super) fn frozen(&self) -> bool {
        self.ground.time.micros() < self.frozen_until
    }

    /// The node runs and does not stand still.
    pub(super) fn runs(&self) -> bool {
        self.node.is_some() && !self.frozen()
    }

    /// It serves now.
    pub(super) fn serves(&self) -> bool {
        self.node.as_ref().is_some_and(Node::serves)
    }

    /// Clients can connect.
    pub(super) fn welcomes(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.open)
    }

    /// What is new in the log; all of it after a start.
    pub(super) fn read_log(&mut self) -> Result<Vec<Sum>, String> {
        let mut sums = Vec::new();
        let Some(node) = &self.node else { return Ok(sums) };
        for partition in node.route.all_partitions() {
            let Some((first, end)) = node.reader.bounds(partition.group()) else { continue };
            let up_to = &mut self.read_up_to[partition.index()];
            *up_to = (*up_to).max(first.get());
            while *up_to < end.get() {
                let read = node.reader.read(partition.group(), Offset::new(*up_to), ENTRY_BYTES);
                let entries = match read {
                    Ok(entries) => entries,
                    // Named and not served, which is all that is asked where something has rotted.
                    Err(ReadError::Damaged { .. } | ReadError::NotHeld { .. })
                        if self.ground.disk.is_rotten() =>
                    {
                        break;
                    }
                    Err(error) => return Err(format!("{partition} at {up_to}: {error}")),
                };
                let Some(last) = entries.last() else { break };
                *up_to = last.end().get();
                let sum = |entry: &Arc<holdfast_node::log::Entry>| crc32fast::hash(&entry.payload);
                sums.extend(entries.iter().map(|entry| (partition.get(), entry.base.get(), sum(entry))));
            }
        }
        Ok(sums)
    }
}
