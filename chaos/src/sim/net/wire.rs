//! One direction between two nodes: lanes of frames under way.

use std::collections::VecDeque;

use bytes::Bytes;
use holdfast_node::cluster::link::{SLOTS, Unsent};

use crate::seed::Seed;

/// A frame that is lost is sent again after a while, and its lane waits for it: microseconds, at most.
const RESENT_MICROS: u64 = 300_000;

pub(super) struct Wire {
    lanes: [LaneOf; SLOTS],
    /// Until then nothing gets through.
    pub(super) cut_until: u64,
    /// Least delay, and how much it varies, microseconds.
    delay: (u64, u64),
    pub(super) slow: Slow,
    /// The connection, as the receiving end has it; 0: none.
    pub(super) live: u64,
    /// Before, nothing arrives: the receiving end does not know of the connection yet.
    pub(super) known_at: u64,
    /// When the receiving end last heard anything.
    pub(super) heard: u64,
    /// When the receiving end learns that the other end is gone.
    pub(super) close_at: Option<u64>,
    /// When the two may be connected again.
    pub(super) dial_at: u64,
}

/// A time in which everything takes long.
#[derive(Clone, Copy, Default)]
pub(super) struct Slow {
    pub(super) until: u64,
    /// Least delay, and how much it varies, microseconds.
    pub(super) least: u64,
    pub(super) more: u64,
    /// Frames in a thousand that are lost once; Raft's are lost for good.
    pub(super) loss: u64,
    /// Raft's frames in a thousand that come twice, or out of order: Raft has to bear what any net does.
    pub(super) twice: u64,
    pub(super) astray: u64,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sim) struct Fate {
    pub(in crate::sim) sent: u64,
    pub(in crate::sim) late: u64,
    pub(in crate::sim) lost: u64,
    pub(in crate::sim) twice: u64,
    pub(in crate::sim) astray: u64,
}

/// A frame as the net sees it.
pub(super) struct Parcel {
    pub(super) slot: usize,
    pub(super) bytes: Bytes,
    pub(super) of_raft: bool,
}

#[derive(Default)]
struct LaneOf {
    frames: VecDeque<(u64, Bytes)>,
    bytes: usize,
    last: u64,
}

impl LaneOf {
    /// Behind everything that arrives no later.
    fn insert(&mut self, at: u64, bytes: Bytes) {
        self.bytes += bytes.len();
        let place = self.frames.partition_point(|(other, _)| *other <= at);
        self.frames.insert(place, (at, bytes));
    }
}

impl Wire {
    pub(super) fn new(delay: (u64, u64)) -> Wire {
        Wire {
            lanes: Default::default(),
            cut_until: 0,
            delay,
            slow: Slow::default(),
            live: 0,
            known_at: 0,
            heard: 0,
            close_at: None,
            dial_at: 0,
        }
    }

    /// A new connection, of which the receiving end learns at `known`.
    pub(super) fn open(&mut self, life: u64, now: u64, known: u64) {
        self.forget();
        (self.live, self.heard, self.known_at, self.close_at) = (life, now, known, None);
    }

    /// Nothing is under way any more.
    pub(super) fn forget(&mut self) {
        self.lanes = Default::default();
        self.close_at = None;
    }

    /// The sender is gone: what it had not handed to the net is lost.
    pub(super) fn cut_short(&mut self, seed: &mut Seed) {
        for lane in &mut self.lanes {
            lane.frames.truncate(seed.below(lane.frames.len() as u64 + 1) as usize);
            lane.bytes = lane.frames.iter().map(|(_, bytes)| bytes.len()).sum();
        }
    }

    pub(super) fn send(
        &mut self,
        Parcel { slot, bytes, of_raft }: Parcel,
        (now, bytes_max, lost): (u64, usize, bool),
        seed: &mut Seed,
        fate: &mut Fate,
    ) -> Result<(), Unsent> {
        let slow = Some(self.slow).filter(|slow| now < slow.until);
        let (least, more) = slow.map_or(self.delay, |slow| (slow.least, slow.more));
        let mut delay = least + seed.below(more + 1);
        let mut roll = |odds: u64| odds > 0 && seed.below(1_000) < odds;
        let (astray, twice, dropped) =
            slow.map_or((false, false, false), |slow| (roll(slow.astray), roll(slow.twice), roll(slow.loss)));
        let lane = &mut self.lanes[slot];
        if !lane.frames.is_empty() && lane.bytes + bytes.len() > bytes_max {
            return Err(Unsent::Full);
        }
        fate.sent += 1;
        fate.late += u64::from(slow.is_some());
        fate.lost += u64::from(dropped);
        if lost || of_raft && dropped {
            return Ok(());
        }
        if dropped || of_raft && astray {
            delay += seed.below(RESENT_MICROS);
        }
        let at = (now + delay).max(self.known_at);
        if of_raft && astray {
            fate.astray += 1;
            lane.insert(at, bytes.clone());
        } else {
            lane.last = at.max(lane.last);
            lane.insert(lane.last, bytes.clone());
        }
        if of_raft && twice {
            fate.twice += 1;
            lane.insert(at + seed.below(RESENT_MICROS), bytes);
        }
        Ok(())
    }

    /// The first frame that has arrived by now.
    pub(super) fn arrived(&mut self, now: u64) -> Option<(u64, Bytes)> {
        let first = |lane: &LaneOf| lane.frames.front().map(|(at, _)| *at);
        self.next_arrival().filter(|at| *at <= now)?;
        let at = self.first()?;
        let lane = self.lanes.iter_mut().find(|lane| first(lane) == Some(at))?;
        let (at, bytes) = lane.frames.pop_front()?;
        lane.bytes -= bytes.len();
        Some((at, bytes))
    }

    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.first().map(|at| at.max(self.cut_until))
    }

    fn first(&self) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.frames.front().map(|(at, _)| *at)).min()
    }

    pub(super) fn is_cut(&self, now: u64) -> bool {
        now < self.cut_until
    }

    /// When the last of what is under way arrives.
    pub(super) fn last_arrival(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.last).max().unwrap_or(0)
    }
}
