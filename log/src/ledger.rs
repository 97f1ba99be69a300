//! The log's own state of one group: what may come next.
//!
//! It depends on the entries of the log alone, so all replicas agree on it. The leader asks it before
//! it appends, and every replica asks it again before it applies.

use std::collections::BTreeMap;

use crate::envelope::{Header, Kind};
use crate::fault::Violation;
use crate::id::{BootEpoch, NodeId, Offset, Sequence, Stamp};

/// What may come next in one group. Invariant: `start <= next`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The offset of the next record.
    pub(crate) next: Offset,
    /// The first offset that is kept.
    pub(crate) start: Offset,
    /// The last stamp.
    pub(crate) stamp: Stamp,
    /// What is known of each proposing node.
    pub(crate) nodes: BTreeMap<NodeId, Boots>,
}

/// The boots of one proposing node. Invariant: every boot in `last` is above `closed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boots {
    /// Everything from boots up to this one is refused.
    pub(crate) closed: Option<BootEpoch>,
    /// The last sequence of each boot.
    pub(crate) last: BTreeMap<BootEpoch, Sequence>,
}

impl Ledger {
    /// Whether an entry with this header may come next.
    pub(crate) fn check(&self, header: &Header) -> Result<(), Violation> {
        let proposer = header.proposer;
        if let Some(boot) = self.closed(proposer.node).filter(|closed| proposer.boot <= *closed) {
            return Err(Violation::Closed { node: proposer.node, boot });
        }
        let (got, expected) = (proposer.sequence, self.expected(proposer.node, proposer.boot));
        match got.cmp(&expected) {
            std::cmp::Ordering::Less => return Err(Violation::Repeat { got, expected }),
            std::cmp::Ordering::Greater => return Err(Violation::Gap { got, expected }),
            std::cmp::Ordering::Equal => {}
        }
        if header.base != self.next {
            return Err(Violation::Base { got: header.base, expected: self.next });
        }
        if header.stamp < self.stamp {
            return Err(Violation::Stamp { got: header.stamp, last: self.stamp });
        }
        match header.kind {
            Kind::LogStart { offset } if offset < self.start || offset > self.next => {
                Err(Violation::LogStart { got: offset, first: self.start, next: self.next })
            }
            _ => Ok(()),
        }
    }

    /// Takes an entry that has been checked.
    pub(crate) fn apply(&mut self, header: &Header) {
        debug_assert_eq!(self.check(header), Ok(()));
        let proposer = header.proposer;
        self.next = self.next.after(header.count);
        self.stamp = header.stamp;
        self.nodes.entry(proposer.node).or_default().last.insert(proposer.boot, proposer.sequence);
        match header.kind {
            Kind::Records | Kind::Command => {}
            Kind::LogStart { offset } => self.start = offset,
            Kind::CloseBoot { node, boot } => {
                let boots = self.nodes.entry(node).or_default();
                boots.closed = boots.closed.max(Some(boot));
                boots.last.retain(|last, _| Some(*last) > boots.closed);
            }
        }
        assert!(self.start <= self.next, "the log start was checked against the next offset");
    }

    /// The sequence that this boot's next proposal must have.
    pub(crate) fn expected(&self, node: NodeId, boot: BootEpoch) -> Sequence {
        let last = self.nodes.get(&node).and_then(|boots| boots.last.get(&boot));
        last.copied().unwrap_or_default().next()
    }

    /// Everything from this node's boots up to this one is refused.
    pub(crate) fn closed(&self, node: NodeId) -> Option<BootEpoch> {
        self.nodes.get(&node)?.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, Index, Proposer, Term};

    fn header(boot: u64, sequence: u64, kind: Kind, base: u64) -> Header {
        Header {
            kind,
            group: GroupId::new(1),
            term: Term::new(1),
            index: Index::new(6),
            proposer: Proposer {
                node: NodeId::new(1),
                boot: BootEpoch::new(boot),
                sequence: Sequence::new(sequence),
            },
            base: Offset::new(base),
            count: if kind == Kind::Records { 2 } else { 0 },
            stamp: Stamp::new(10),
        }
    }

    #[test]
    fn each_violation_has_its_name() {
        let mut ledger = Ledger::default();
        ledger.apply(&header(1, 1, Kind::Records, 0));
        assert_eq!(ledger.next, Offset::new(2));
        assert!(matches!(ledger.check(&header(1, 1, Kind::Records, 2)), Err(Violation::Repeat { .. })));
        assert!(matches!(ledger.check(&header(1, 3, Kind::Records, 2)), Err(Violation::Gap { .. })));
        assert!(matches!(ledger.check(&header(2, 2, Kind::Records, 2)), Err(Violation::Gap { .. })));
        assert!(matches!(ledger.check(&header(1, 2, Kind::Records, 3)), Err(Violation::Base { .. })));
        let late = Header { stamp: Stamp::new(9), ..header(1, 2, Kind::Records, 2) };
        assert!(matches!(ledger.check(&late), Err(Violation::Stamp { .. })));
        let start = Kind::LogStart { offset: Offset::new(3) };
        assert!(matches!(ledger.check(&header(1, 2, start, 2)), Err(Violation::LogStart { .. })));
    }

    #[test]
    fn a_closed_boot_is_refused_and_a_later_one_is_not() {
        let mut ledger = Ledger::default();
        ledger.apply(&header(1, 1, Kind::Command, 0));
        let close = Kind::CloseBoot { node: NodeId::new(1), boot: BootEpoch::new(2) };
        ledger.apply(&header(3, 1, close, 0));
        assert!(matches!(ledger.check(&header(1, 2, Kind::Command, 0)), Err(Violation::Closed { .. })));
        assert!(matches!(ledger.check(&header(2, 1, Kind::Command, 0)), Err(Violation::Closed { .. })));
        assert_eq!(ledger.check(&header(3, 2, Kind::Command, 0)), Ok(()));
        assert_eq!(ledger.nodes[&NodeId::new(1)].last.len(), 1);
    }

    #[test]
    fn an_earlier_close_does_not_open_a_later_one() {
        let mut ledger = Ledger::default();
        let close = |boot| Kind::CloseBoot { node: NodeId::new(9), boot: BootEpoch::new(boot) };
        ledger.apply(&header(1, 1, close(5), 0));
        ledger.apply(&header(1, 2, close(4), 0));
        assert_eq!(ledger.nodes[&NodeId::new(9)].closed, Some(BootEpoch::new(5)));
    }
}
