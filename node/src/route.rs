//! Where a name lives: topic name to slot to partition, client id to session group.
//!
//! The hash is part of the disk format: it decides which partition holds a topic, so it never changes.
//! Invariant: every slot is owned by exactly one partition, and two nodes of a cluster agree on the table.

use holdfast_log::GroupId;

/// Number of hash slots. Slots, not partitions, are what a topic hashes to, so that a partition can later
/// be split or moved without rehashing.
pub const SLOTS: u16 = 4096;

/// Group number of the meta group.
pub const META: GroupId = GroupId::new(0);

const SESSION_BASE: u32 = 1;
const PARTITION_BASE: u32 = 1_000;

/// A partition of the topic space, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition(u16);

impl Partition {
    /// The partition with this number, counted from 0.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number, counted from 0.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// As an index into tables of one row per partition.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The Raft group that keeps this partition.
    pub const fn group(self) -> GroupId {
        GroupId::new(PARTITION_BASE + self.0 as u32)
    }

    /// The partition kept by `group`, when it keeps one.
    pub fn of_group(group: GroupId) -> Option<Self> {
        u16::try_from(group.get().checked_sub(PARTITION_BASE)?).ok().map(Self)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// The table of slots and the number of groups. Small and copied freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    partitions: u16,
    session_groups: u16,
}

impl Route {
    /// A table for `partitions` (1..=4096) partitions and `session_groups` (1..=512) session groups.
    pub fn new(partitions: u16, session_groups: u16) -> Self {
        assert!((1..=SLOTS).contains(&partitions), "partitions are 1..=4096");
        assert!((1..=512).contains(&session_groups), "session groups are 1..=512");
        Self { partitions, session_groups }
    }

    /// Number of partitions.
    pub fn partitions(self) -> u16 {
        self.partitions
    }

    /// Number of session groups.
    pub fn session_groups(self) -> u16 {
        self.session_groups
    }

    /// The slot of a topic name, client id or shared-subscription name.
    pub fn slot(name: &str) -> u16 {
        u16::try_from(hash(name.as_bytes()) >> 52).expect("twelve bits fit")
    }

    /// The partition that owns `slot`.
    pub fn partition_of_slot(self, slot: u16) -> Partition {
        Partition(slot % self.partitions)
    }

    /// The partition that keeps the messages of `topic`.
    pub fn partition(self, topic: &str) -> Partition {
        self.partition_of_slot(Self::slot(topic))
    }

    /// The session group of a client id, or of `$share/name/filter` for a shared subscription.
    pub fn session_group(self, name: &str) -> GroupId {
        GroupId::new(SESSION_BASE + u32::from(Self::slot(name) % self.session_groups))
    }

    /// All session groups.
    pub fn all_session_groups(self) -> impl Iterator<Item = GroupId> {
        (0..u32::from(self.session_groups)).map(|n| GroupId::new(SESSION_BASE + n))
    }

    /// All groups: the meta group, the session groups, the partitions.
    pub fn all_groups(self) -> impl Iterator<Item = GroupId> {
        let partitions = self.all_partitions().map(Partition::group);
        std::iter::once(META).chain(self.all_session_groups()).chain(partitions)
    }

    /// All partitions.
    pub fn all_partitions(self) -> impl Iterator<Item = Partition> {
        (0..self.partitions).map(Partition)
    }

    /// The partition with this number, if there is one.
    pub fn numbered(self, number: u32) -> Option<Partition> {
        u16::try_from(number).ok().filter(|number| *number < self.partitions).map(Partition)
    }

    /// The partitions whose messages `filter` can match: one for an exact filter, else all.
    pub fn covers(self, filter: &str) -> Cover {
        if filter.contains(['+', '#']) { Cover::All } else { Cover::One(self.partition(filter)) }
    }
}

/// The partitions a topic filter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// An exact filter reads one.
    One(Partition),
    /// A filter with wildcards reads all.
    All,
}

impl Cover {
    /// Does it read `partition`?
    pub fn contains(self, partition: Partition) -> bool {
        match self {
            Self::One(one) => one == partition,
            Self::All => true,
        }
    }
}

/// The worker, of so many of a node, that dispatches a shared subscription. Hub and members must agree on it.
pub fn dispatcher(share: &str, workers: usize) -> u32 {
    let workers = u64::try_from(workers).expect("a handful");
    u32::try_from(hash(share.as_bytes()) % workers).expect("below the number of workers")
}

/// A stable 64-bit hash, eight bytes a step; its top 12 bits are the slot.
pub fn hash(bytes: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (bytes.len() as u64).wrapping_mul(MIX) ^ 0x5851_f42d_4c95_7f2d;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        state = (state ^ word).wrapping_mul(MIX);
        state ^= state >> 29;
    }
    let mut tail = [0u8; 8];
    let rest = chunks.remainder();
    tail[..rest.len()].copy_from_slice(rest);
    state = (state ^ u64::from_le_bytes(tail)).wrapping_mul(MIX);
    state ^= state >> 32;
    state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
    state ^ (state >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Computed by another implementation of the same definition.
        let golden: [(&str, u64, u16); 7] = [
            ("", 0x463b_45c5_2e76_6c2c, 1123),
            ("a", 0xbbaf_0f30_f6a1_ec2c, 3002),
            ("a/b", 0x7c13_c104_09b8_a250, 1985),
            ("12345678", 0x4f64_cd84_d49d_9a29, 1270),
            ("site/17/temperature", 0xeebf_9a94_e587_20e0, 3819),
            ("caf\u{e9}", 0x9ed6_aa84_51de_8fc8, 2541),
            ("$share/g/a/#", 0x481f_0d12_5be7_7604, 1153),
        ];
        for (name, expected, slot) in golden {
            assert_eq!(hash(name.as_bytes()), expected, "{name:?}");
            assert_eq!(Route::slot(name), slot, "{name:?}");
        }
    }

    #[test]
    fn slots_spread_over_partitions() {
        let route = Route::new(16, 8);
        let mut count = [0u32; 16];
        for n in 0..16_000 {
            count[route.partition(&format!("site/{n}/temperature")).index()] += 1;
        }
        assert!(count.iter().all(|n| (800..1_200).contains(n)), "{count:?}");
    }

    #[test]
    fn groups_and_partitions_are_inverse() {
        let route = Route::new(16, 8);
        for partition in route.all_partitions() {
            assert_eq!(Partition::of_group(partition.group()), Some(partition));
        }
        assert!(route.all_session_groups().all(|group| Partition::of_group(group).is_none()));
        assert_eq!(Partition::of_group(META), None);
    }
}
