//! The names of things: nodes, replicas, groups, terms, indices, offsets, boots, sequences, stamps.
//!
//! Each is its own type, so that an index is never taken for an offset. None of them can be added to
//! another, and "none" is `Option`, never 0. `Display` is short and greppable: `g7 t3 i120`.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($int);

        impl $name {
            /// The id with this number.
            pub const fn new(number: $int) -> Self {
                Self(number)
            }

            /// The number of this id.
            pub const fn get(self) -> $int {
                self.0
            }

            /// The id that follows. Panics at the end of the range, which no counter reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("a counter of this size is not used up"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A node: one process with one data directory.
    NodeId(u64), "n"
);
id!(
    /// One replica of one group. Never used again once removed; 0 is not a replica.
    ReplicaId(u64), "r"
);
id!(
    /// A Raft group.
    GroupId(u32), "g"
);
id!(
    /// A Raft term.
    Term(u64), "t"
);
id!(
    /// A position in a group's Raft log. Not an offset: commands and empty entries have an index too.
    Index(u64), "i"
);
id!(
    /// The position of a record in a group: dense, starts at 0, survives changes of leader.
    Offset(u64), "o"
);
id!(
    /// One life of a node, granted once. A later boot has a higher number.
    BootEpoch(u64), "b"
);
id!(
    /// The number of a proposal within one boot of its proposer: 1, 2, 3 without gaps.
    Sequence(u64), "s"
);
id!(
    /// Group time in milliseconds since the Unix epoch, as the leader stamped it; never falls in a group.
    Stamp(u64), "ms"
);

impl Offset {
    /// The offset `count` records further on.
    #[must_use]
    pub const fn after(self, count: u32) -> Self {
        Self(self.0.checked_add(count as u64).expect("an offset of 64 bits is not used up"))
    }
}

impl Index {
    /// The index before this one, or index 0.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Who proposed an entry, and as what: the key under which a repeated proposal counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proposer {
    /// The node.
    pub node: NodeId,
    /// Its boot.
    pub boot: BootEpoch,
    /// The proposal's number within that boot.
    pub sequence: Sequence,
}

impl fmt::Display for Proposer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.node, self.boot, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_short() {
        let text = format!("{} {} {}", GroupId::new(7), Term::new(3), Index::new(120));
        assert_eq!(text, "g7 t3 i120");
    }

    #[test]
    fn an_offset_moves_by_a_count() {
        assert_eq!(Offset::new(5).after(3), Offset::new(8));
        assert_eq!(Index::new(0).before(), Index::new(0));
    }
}
