//! The limits of the log, each with its unit, default, range and price.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How one node's log engine behaves. The same on every node of a cluster, except the memory limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Length of one tick. Unit: time, default 50 ms, 1 ms or more. A shorter tick fails over sooner
    /// and costs about 0.3 microseconds per group and tick on a leader.
    pub tick: Duration,
    /// Ticks between two heartbeats of a leader. Default 2, 1 or more.
    pub heartbeat_ticks: u32,
    /// Ticks without a leader before an election: each replica draws one number of this range per
    /// term. Default 10..=20. Must start above `heartbeat_ticks`, and stay well above the longest
    /// stall of a disk, or a slow sync costs a leader its office.
    pub election_ticks: RangeInclusive<u32>,
    /// Bytes of entries in one append to a follower; a larger entry goes alone. Default 1 MiB.
    pub message_bytes_max: u64,
    /// Appends to one follower that are under way. Default 64. Memory: this times
    /// `message_bytes_max` per lagging follower at worst.
    pub inflight_messages_max: u32,
    /// Bytes that one group has proposed and not committed; beyond it proposals are refused with
    /// `Refusal::Full`. Default 32 MiB, at least `message_bytes_max`.
    pub uncommitted_bytes_max: u64,
    /// Bytes of committed entries that one group hands out per turn. Default 4 MiB. Bounds how long
    /// one busy group keeps the others waiting.
    pub committed_bytes_max: u64,
    /// Bytes of recent entries kept in memory for all groups together. Default 64 MiB. Readers of
    /// the tail pay no disk read; each group keeps at least its last entry.
    pub tail_cache_bytes: u64,
    /// Bytes of a group's log between two marks. Default 256 KiB. Retention cuts at marks, and a
    /// cold read searches between two of them; a mark costs 40 bytes of memory.
    pub mark_bytes: u64,
    /// Bytes of derived state written since the last flush at which `Engine::wants_flush` turns
    /// true. Default 64 MiB. Bounds what a restart replays.
    pub state_flush_bytes: u64,
    /// Entries behind the flushed applied index that a group without history keeps. Default 1024.
    /// A follower that lags by less needs no snapshot.
    pub keep_entries: u64,
    /// Bytes of its log that a group without history keeps for a voter that is away, entries of
    /// `keep_entries` apart. Default 64 MiB. A voter that lags by more needs a snapshot.
    pub keep_bytes: u64,
    /// Bytes of one chunk of a snapshot or a history. Default 1 MiB, 1 or more. A larger row or entry
    /// goes alone. Memory: four of them per transfer at worst.
    pub chunk_bytes: u64,
    /// Bytes of snapshots and histories that leave this node per tick, and as many that it reads or puts in
    /// place. Default 4 MiB, which is 80 MiB a second; 1 or more. Less lets replicas that catch up take
    /// longer and disturb the others less. One chunk may go over it, and the next ticks pay for that.
    pub bulk_bytes_per_tick: u64,
    /// Bytes of old entries that a node under load reads from disk per tick for followers that catch up, or half as
    /// much again as it has written in the tick before, if that is more. Default 512 KiB, which is 10 MiB a second; 1
    /// or more. Without load it is `bulk_bytes_per_tick`.
    pub catch_up_bytes_per_tick: u64,
    /// Raft is broken on purpose, to see a checker fail. Default none; looked at only where debug assertions are on.
    pub sabotage: Option<Sabotage>,
}

/// A rule of Raft that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A replica gives its vote to every candidate of a term.
    VoteTwice,
    /// A replica votes for candidates that lack what it has.
    VoteBlindly,
    /// A replica does not look whether an append fits to what it has.
    AppendBlindly,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(50),
            heartbeat_ticks: 2,
            election_ticks: 10..=20,
            message_bytes_max: MIB,
            inflight_messages_max: 64,
            uncommitted_bytes_max: 32 * MIB,
            committed_bytes_max: 4 * MIB,
            tail_cache_bytes: 64 * MIB,
            mark_bytes: 256 * 1024,
            state_flush_bytes: 64 * MIB,
            keep_entries: 1024,
            keep_bytes: 64 * MIB,
            chunk_bytes: MIB,
            bulk_bytes_per_tick: 4 * MIB,
            catch_up_bytes_per_tick: MIB / 2,
            sabotage: None,
        }
    }
}

impl Config {
    /// Refuses settings that Raft cannot work with, naming the first one.
    pub fn check(&self) -> Result<(), &'static str> {
        let first = *self.election_ticks.start();
        match () {
            () if self.tick < Duration::from_millis(1) => Err("tick must be 1 ms or more"),
            () if self.heartbeat_ticks == 0 => Err("heartbeat_ticks must be 1 or more"),
            () if first <= self.heartbeat_ticks => Err("election_ticks must start above heartbeat_ticks"),
            () if self.election_ticks.is_empty() => Err("election_ticks must not be empty"),
            () if self.inflight_messages_max == 0 => Err("inflight_messages_max must be 1 or more"),
            () if self.uncommitted_bytes_max < self.message_bytes_max => {
                Err("uncommitted_bytes_max must be message_bytes_max or more")
            }
            () if self.chunk_bytes == 0 => Err("chunk_bytes must be 1 or more"),
            () if self.bulk_bytes_per_tick == 0 => Err("bulk_bytes_per_tick must be 1 or more"),
            () if self.catch_up_bytes_per_tick == 0 => Err("catch_up_bytes_per_tick must be 1 or more"),
            () if self.mark_bytes == 0 => Err("mark_bytes must be 1 or more"),
            () => Ok(()),
        }
    }
}

const MIB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn an_election_must_outlast_a_heartbeat() {
        let config = Config { heartbeat_ticks: 10, ..Config::default() };
        assert!(config.check().is_err());
    }
}
