//! What a leader appends and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{GROUP, Node, records, spec};
use holdfast_log::*;

fn node() -> Node {
    Node::open(Arc::new(MemoryStore::new()), &[spec(GROUP, true)], 1).unwrap()
}

#[test]
fn a_repeat_is_told_whether_the_original_is_committed() {
    let mut node = node();
    let first = node.proposal(GROUP, records(1, 10));
    node.engine.propose(first.clone()).unwrap();
    assert_eq!(node.engine.propose(first.clone()), Err(Refusal::Repeat { committed: false }));
    node.settle().unwrap();
    assert_eq!(node.engine.propose(first), Err(Refusal::Repeat { committed: true }));
    assert_eq!(node.applied.len(), 1);
}

#[test]
fn a_gap_is_refused_also_behind_pending_proposals() {
    let mut node = node();
    let first = node.proposal(GROUP, records(1, 10));
    let second = node.proposal(GROUP, records(1, 10));
    let third = node.proposal(GROUP, records(1, 10));
    assert_eq!(node.engine.propose(second.clone()), Err(Refusal::Gap { expected: Sequence::new(1) }));
    node.engine.propose(first).unwrap();
    assert_eq!(node.engine.propose(third.clone()), Err(Refusal::Gap { expected: Sequence::new(2) }));
    node.engine.propose(second).unwrap();
    node.engine.propose(third).unwrap();
    node.settle().unwrap();
    assert_eq!(node.status().next_offset, Offset::new(3));
}

#[test]
fn a_closed_boot_is_refused_from_the_moment_of_its_proposal() {
    let mut node = node();
    node.append(GROUP, 1, 10);
    let old = node.proposal(GROUP, records(1, 10));
    node.boot = BootEpoch::new(2);
    node.next.clear();
    node.propose(GROUP, Body::CloseBoot { node: NodeId::new(1), boot: BootEpoch::new(1) });
    assert_eq!(node.engine.propose(old.clone()), Err(Refusal::Closed));
    assert_eq!(node.engine.closed(GROUP, NodeId::new(1)), None, "it is not applied yet");
    node.settle().unwrap();
    assert_eq!(node.engine.closed(GROUP, NodeId::new(1)), Some(BootEpoch::new(1)));
    assert_eq!(node.engine.closed(GROUP, NodeId::new(2)), None);
    assert_eq!(node.engine.propose(old), Err(Refusal::Closed));
    node.append(GROUP, 1, 10);
    assert_eq!(node.applied.last().unwrap().proposer.boot, BootEpoch::new(2));
}

#[test]
fn an_unknown_group_and_an_empty_batch_are_refused() {
    let mut node = node();
    let unknown = node.proposal(GroupId::new(99), records(1, 10));
    assert_eq!(node.engine.propose(unknown), Err(Refusal::Unknown(GroupId::new(99))));
    let empty = node.proposal(GROUP, records(0, 10));
    assert_eq!(node.engine.propose(empty), Err(Refusal::Range));
}

#[test]
fn a_log_start_stays_inside_of_the_log() {
    let mut node = node();
    node.append(GROUP, 5, 10);
    let beyond = node.proposal(GROUP, Body::LogStart(Offset::new(6)));
    assert_eq!(node.engine.propose(beyond), Err(Refusal::Range));
    node.next.insert(GROUP, 1);
    node.propose(GROUP, Body::LogStart(Offset::new(4)));
    node.settle().unwrap();
    let below = node.proposal(GROUP, Body::LogStart(Offset::new(3)));
    assert_eq!(node.engine.propose(below), Err(Refusal::Range));
    assert_eq!(node.engine.reader().bounds(GROUP), Some((Offset::new(4), Offset::new(5))));
    let read = node.engine.reader().read(GROUP, Offset::new(3), 100);
    assert_eq!(read, Err(ReadError::Truncated { first: Offset::new(4) }));
}

#[test]
fn too_much_under_way_is_refused_until_it_is_committed() {
    let config = Config { uncommitted_bytes_max: 4_000, message_bytes_max: 4_000, ..common::config() };
    let mut node = Node::open_with(Arc::new(MemoryStore::new()), &[spec(GROUP, true)], 1, config).unwrap();
    node.propose(GROUP, records(1, 3_000));
    let second = node.proposal(GROUP, records(1, 3_000));
    assert_eq!(node.engine.propose(second.clone()), Err(Refusal::Full));
    node.settle().unwrap();
    node.engine.propose(second).unwrap();
    node.settle().unwrap();
    assert_eq!(node.status().next_offset, Offset::new(2));
}

#[test]
fn nobody_is_admitted_before_the_leader_is_ready() {
    let voters = vec![(ReplicaId::new(1), NodeId::new(1)), (ReplicaId::new(2), NodeId::new(2))];
    let spec = GroupSpec { id: GROUP, history: true, replica: ReplicaId::new(1), voters };
    let mut node = Node::open(Arc::new(MemoryStore::new()), &[spec], 1).unwrap();
    let proposal = node.proposal(GROUP, records(1, 10));
    assert_eq!(node.engine.propose(proposal), Err(Refusal::NotLeader { leader: None }));
    assert!(!node.status().role.leads);
}

#[test]
fn stamps_never_fall() {
    let mut node = node();
    for stamp in [50, 40, 60] {
        let proposal = Proposal { stamp: Stamp::new(stamp), ..node.proposal(GROUP, records(1, 10)) };
        node.engine.propose(proposal).unwrap();
    }
    node.settle().unwrap();
    let stamps: Vec<_> = node.applied.iter().map(|entry| entry.stamp.get()).collect();
    assert_eq!(stamps, [50, 50, 60]);
}

#[test]
fn an_entry_comes_back_as_it_was_proposed() {
    let mut node = node();
    node.propose(GROUP, Body::Records { count: 3, bytes: Bytes::from_static(b"three") });
    node.propose(GROUP, Body::Command(Bytes::from_static(b"order")));
    node.propose(GROUP, Body::CloseBoot { node: NodeId::new(4), boot: BootEpoch::new(5) });
    node.settle().unwrap();
    let [records, command, close] = &node.applied[..] else { panic!("three entries") };
    assert_eq!((records.kind, records.base, records.count), (Kind::Records, Offset::new(0), 3));
    assert_eq!(records.payload, "three");
    assert_eq!((command.kind, command.base, command.count), (Kind::Command, Offset::new(3), 0));
    assert_eq!(command.payload, "order");
    assert_eq!(close.kind, Kind::CloseBoot { node: NodeId::new(4), boot: BootEpoch::new(5) });
    assert!(records.index < command.index && command.index < close.index);
}
