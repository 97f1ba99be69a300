//! How far a group's state has come, and the ledger at that point.
//!
//! | key | value |
//! | --- | --- |
//! | `5 group` | version u8 = 1, index u64, term u64, next offset u64, log start u64, stamp u64, nodes u32, then per node: |
//! | | node u64, has closed u8, closed boot u64, boots u32, then per boot: boot u64, last sequence u64 |
//!
//! Written in one batch with the state derived up to that index.

use super::cursor::Cursor;
use super::{APPLIED, RecordError, group_key};
use crate::id::{BootEpoch, GroupId, Index, NodeId, Offset, Sequence, Stamp, Term};
use crate::ledger::{Boots, Ledger};

/// An applied index with the ledger that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) ledger: Ledger,
}

/// The range of these records of all groups.
pub(crate) const ALL: ([u8; 1], [u8; 1]) = ([APPLIED], [APPLIED + 1]);

/// The key of a group's applied index.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(APPLIED, group)
}

/// The value; `ledger` is borrowed, because this is written for every applied batch.
pub(crate) fn encode(index: Index, term: Term, ledger: &Ledger) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(VERSION);
    let fixed = [index.get(), term.get(), ledger.next.get(), ledger.start.get(), ledger.stamp.get()];
    for field in fixed {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&count(ledger.nodes.len()).to_le_bytes());
    for (node, boots) in &ledger.nodes {
        out.extend_from_slice(&node.get().to_le_bytes());
        out.push(u8::from(boots.closed.is_some()));
        out.extend_from_slice(&boots.closed.map_or(0, BootEpoch::get).to_le_bytes());
        out.extend_from_slice(&count(boots.last.len()).to_le_bytes());
        for (boot, sequence) in &boots.last {
            out.extend_from_slice(&boot.get().to_le_bytes());
            out.extend_from_slice(&sequence.get().to_le_bytes());
        }
    }
    out
}

impl Applied {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor::new(RECORD, VERSION, value)?;
        let (index, term) = (Index::new(cursor.u64()?), Term::new(cursor.u64()?));
        let mut ledger = Ledger {
            next: Offset::new(cursor.u64()?),
            start: Offset::new(cursor.u64()?),
            stamp: Stamp::new(cursor.u64()?),
            ..Ledger::default()
        };
        for _ in 0..cursor.u32()? {
            let node = NodeId::new(cursor.u64()?);
            let has_closed = cursor.byte()? != 0;
            let closed = Some(BootEpoch::new(cursor.u64()?)).filter(|_| has_closed);
            let mut boots = Boots { closed, ..Boots::default() };
            for _ in 0..cursor.u32()? {
                boots.last.insert(BootEpoch::new(cursor.u64()?), Sequence::new(cursor.u64()?));
            }
            ledger.nodes.insert(node, boots);
        }
        cursor.end()?;
        Ok(Self { index, term, ledger })
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a ledger holds a few boots of each node")
}

const RECORD: &str = "applied";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applied_index_comes_back_with_its_ledger() {
        let mut ledger = Ledger { next: Offset::new(9), start: Offset::new(4), ..Ledger::default() };
        let last = [(BootEpoch::new(3), Sequence::new(7))].into();
        ledger.nodes.insert(NodeId::new(1), Boots { closed: Some(BootEpoch::new(2)), last });
        ledger.nodes.insert(NodeId::new(2), Boots::default());
        let value = encode(Index::new(20), Term::new(2), &ledger);
        let applied = Applied { index: Index::new(20), term: Term::new(2), ledger };
        assert_eq!(Applied::decode(&value), Ok(applied));
        for cut in 0..value.len() {
            assert!(Applied::decode(&value[..cut]).is_err(), "cut at {cut}");
        }
    }
}
