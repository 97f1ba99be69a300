//! One node with its groups, driven by hand.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_log::*;

pub(crate) const GROUP: GroupId = GroupId::new(7);

/// Small limits, so that marks, cuts and evictions happen in small tests.
pub(crate) fn config() -> Config {
    Config { mark_bytes: 2_000, tail_cache_bytes: 8_000, keep_entries: 10, ..Config::default() }
}

pub(crate) fn spec(id: GroupId, history: bool) -> GroupSpec {
    let replica = ReplicaId::new(1);
    GroupSpec { id, history, replica, voters: vec![(replica, NodeId::new(1))] }
}

/// A driver as a node would be, with a state of one number per group: how many records it applied.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) effects: Effects,
    pub(crate) now: Duration,
    pub(crate) boot: BootEpoch,
    pub(crate) next: BTreeMap<GroupId, u64>,
    /// Everything that was committed and applied since the start, replays included.
    pub(crate) applied: Vec<Committed>,
    pub(crate) counts: BTreeMap<GroupId, u64>,
}

impl Node {
    pub(crate) fn open(store: Arc<dyn Store>, specs: &[GroupSpec], boot: u64) -> Result<Self, LogError> {
        Self::open_with(store, specs, boot, config())
    }

    pub(crate) fn open_with(
        store: Arc<dyn Store>,
        specs: &[GroupSpec],
        boot: u64,
        config: Config,
    ) -> Result<Self, LogError> {
        let mut opening = Opening::new(store, config, 1, specs.to_vec())?;
        let mut applied = Vec::new();
        let mut counts = BTreeMap::new();
        for spec in specs {
            let mut count = 0;
            opening.state(spec.id, &mut |key, value| {
                assert_eq!(key, b"count");
                count = u64::from_le_bytes(value.try_into().unwrap());
            })?;
            while let Some(batch) = opening.replay(spec.id, 1_000)? {
                count += batch.iter().map(|entry| u64::from(entry.count)).sum::<u64>();
                if let Some(last) = batch.last() {
                    opening.persist(spec.id, last.index, state(count))?;
                }
                applied.extend(batch);
            }
            counts.insert(spec.id, count);
        }
        let engine = opening.start(Duration::ZERO)?;
        let (effects, next) = (Effects::default(), BTreeMap::new());
        let now = Duration::ZERO;
        let mut node = Self { engine, effects, now, boot: BootEpoch::new(boot), next, applied, counts };
        node.settle()?;
        Ok(node)
    }

    /// Turns until nothing is left to do.
    pub(crate) fn settle(&mut self) -> Result<(), LogError> {
        while self.engine.is_busy() {
            self.turn()?;
        }
        Ok(())
    }

    pub(crate) fn turn(&mut self) -> Result<(), LogError> {
        self.engine.collect(&mut self.effects)?;
        self.engine.commit(&mut self.effects)?;
        let mut last = BTreeMap::new();
        for entry in self.effects.committed.drain(..) {
            *self.counts.entry(entry.group).or_default() += u64::from(entry.count);
            last.insert(entry.group, entry.index);
            self.applied.push(entry);
        }
        for (group, index) in last {
            self.engine.persist(group, index, state(self.counts[&group]))?;
        }
        self.effects.roles.clear();
        Ok(())
    }

    pub(crate) fn proposal(&mut self, group: GroupId, body: Body) -> Proposal {
        let seq = self.next.entry(group).or_default();
        *seq += 1;
        let (node, boot, seq) = (NodeId::new(1), self.boot, Sequence::new(*seq));
        Proposal { group, node, boot, seq, body, stamp: Stamp::new(1_000 + seq.get()) }
    }

    pub(crate) fn propose(&mut self, group: GroupId, body: Body) {
        let proposal = self.proposal(group, body);
        self.engine.propose(proposal).unwrap();
    }

    /// Appends `count` records of `size` bytes and waits for them.
    pub(crate) fn append(&mut self, group: GroupId, count: u32, size: usize) {
        self.propose(group, records(count, size));
        self.settle().unwrap();
    }

    pub(crate) fn status(&self) -> GroupStatus {
        self.engine.status(GROUP).unwrap()
    }
}

pub(crate) fn records(count: u32, size: usize) -> Body {
    Body::Records { count, bytes: Bytes::from(vec![b'x'; size]) }
}

fn state(count: u64) -> StateBatch {
    StateBatch { puts: vec![(b"count".to_vec(), count.to_le_bytes().to_vec())], deletes: Vec::new() }
}

/// Reads a whole group from its start, in small steps, and checks that offsets are dense.
pub(crate) fn read_all(reader: &Reader, group: GroupId) -> Vec<Arc<Entry>> {
    let (mut at, next) = reader.bounds(group).unwrap();
    let mut found: Vec<Arc<Entry>> = Vec::new();
    while at < next {
        let entries = reader.read(group, at, 700).unwrap();
        assert!(!entries.is_empty(), "{at} of {next} is there");
        assert!(entries[0].base <= at && at < entries[0].end());
        for entry in entries {
            assert!(found.last().is_none_or(|last| last.end() == entry.base), "{at}: dense");
            at = entry.end();
            found.push(entry);
        }
    }
    found
}
