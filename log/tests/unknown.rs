//! What a later version wrote stops a replica; it is never skipped. Hand-written bytes, so that this
//! crate's own encoder is not its witness.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{GROUP, config};
use holdfast_log::*;

const ME: u8 = 1;
const LEADER: u8 = 2;

struct Follower {
    store: Arc<MemoryStore>,
    engine: Engine,
    effects: Effects,
}

fn specs() -> Vec<GroupSpec> {
    let voters = [ME, LEADER, 9].map(|id| (ReplicaId::new(id.into()), NodeId::new(id.into()))).to_vec();
    let other = GroupSpec { id: GroupId::new(8), voters: voters.clone(), ..common::spec(GROUP, true) };
    vec![GroupSpec { voters, ..common::spec(GROUP, true) }, other]
}

fn follower() -> Follower {
    let store = Arc::new(MemoryStore::new());
    let engine =
        Opening::new(store.clone(), config(), 1, specs()).unwrap().start(std::time::Duration::ZERO).unwrap();
    Follower { store, engine, effects: Effects::default() }
}

impl Follower {
    /// An append of one entry at `index`, with everything up to it committed.
    fn append(&mut self, index: u64, kind: u8, data: &[u8]) {
        let mut frame = vec![2, 3, 0, 0];
        frame.extend(GROUP.get().to_le_bytes());
        // To, from, term, log term, index, commit.
        for field in [u64::from(ME), u64::from(LEADER), 4, if index == 6 { 1 } else { 4 }, index - 1, index] {
            frame.extend(field.to_le_bytes());
        }
        // Commit term, request snapshot, reject hint, priority, shared, node.
        frame.extend([0; 48]);
        frame.extend(0_u32.to_le_bytes());
        frame.extend(1_u32.to_le_bytes());
        frame.push(kind);
        frame.extend(4_u64.to_le_bytes());
        frame.extend(index.to_le_bytes());
        frame.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        frame.extend(data);
        self.engine.step(Message::decode(frame.into()).unwrap());
        while self.engine.is_busy() {
            self.engine.collect(&mut self.effects).unwrap();
            self.engine.commit(&mut self.effects).unwrap();
        }
    }
}

/// An envelope with these first two bytes for this place.
fn envelope((version, kind): (u8, u8), count: u32, index: u64, sequence: u64) -> Vec<u8> {
    let mut bytes = vec![version, kind, 0, 0];
    bytes.extend(count.to_le_bytes());
    bytes.extend(GROUP.get().to_le_bytes());
    bytes.extend([0; 4]);
    // Term, index, node, boot, sequence, base, stamp.
    for field in [4, index, 9, 1, sequence, 0, 50] {
        bytes.extend(u64::to_le_bytes(field));
    }
    bytes.extend(b"payload");
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

#[test]
fn a_known_entry_is_applied_and_acknowledged_after_the_sync() {
    let mut follower = follower();
    let syncs = follower.store.counts().1;
    follower.append(6, 0, &envelope((1, 1), 2, 6, 1));
    assert_eq!(follower.effects.committed.len(), 1);
    assert_eq!(follower.effects.committed[0].payload, "payload");
    assert!(follower.effects.send_now.is_empty(), "a follower says nothing before its sync");
    assert!(follower.effects.send_after.iter().any(|message| message.kind() == "append_response"));
    assert!(follower.store.counts().1 > syncs);
}

#[test]
fn an_unknown_kind_or_version_stops_the_replica() {
    for first in [(1, 9), (2, 1)] {
        let mut follower = follower();
        follower.append(6, 0, &envelope((1, 1), 2, 6, 1));
        follower.effects.clear();
        follower.append(7, 0, &envelope(first, 0, 7, 2));
        let [(group, fault)] = &follower.effects.stopped[..] else { panic!("{first:?}: it stops") };
        assert_eq!(*group, GROUP);
        assert!(matches!(fault, Fault::Entry { index, .. } if index.get() == 7), "{fault:?}");
        assert!(follower.effects.committed.is_empty());
        assert!(follower.engine.status(GROUP).unwrap().stopped);
        assert!(!follower.engine.status(GroupId::new(8)).unwrap().stopped, "the others go on");
        // It takes part in nothing any more, and a restart does not skip the entry either.
        follower.effects.clear();
        follower.append(8, 0, &envelope((1, 1), 1, 8, 2));
        assert!(follower.effects.is_empty());
        follower.engine.flush_state().unwrap();
        follower.store.crash(0);
        let mut opening = Opening::new(follower.store.clone(), config(), 1, specs()).unwrap();
        let outcome = loop {
            match opening.replay(GROUP, 1) {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert!(matches!(outcome, Err(LogError::Replay { group: GROUP, .. })), "{outcome:?}");
    }
}

#[test]
fn an_unknown_change_of_members_stops_the_replica() {
    let mut follower = follower();
    follower.append(6, 2, b"anything");
    assert!(matches!(follower.effects.stopped[..], [(GROUP, Fault::Members { .. })]));
}

#[test]
fn an_entry_that_breaks_the_ledger_stops_the_replica() {
    let mut follower = follower();
    follower.append(6, 0, &envelope((1, 1), 2, 6, 2));
    let [(_, Fault::Ledger { source, .. })] = &follower.effects.stopped[..] else { panic!("it stops") };
    assert!(matches!(source, Violation::Gap { .. }));
}

#[test]
fn an_entry_for_another_place_stops_the_replica() {
    let mut follower = follower();
    follower.append(6, 0, &envelope((1, 1), 2, 60, 1));
    assert!(matches!(follower.effects.stopped[..], [(GROUP, Fault::Entry { .. })]));
}

#[test]
fn a_message_for_another_replica_or_from_one_that_is_gone_is_dropped() {
    let mut follower = follower();
    let mut frame = vec![0; 112];
    frame[..4].copy_from_slice(&[2, 8, 0, 0]);
    frame[4..8].copy_from_slice(&GROUP.get().to_le_bytes());
    for (to, from) in [(9, LEADER), (ME, 7)] {
        frame[8] = to;
        frame[16] = from;
        frame[24] = 200;
        follower.engine.step(Message::decode(Bytes::from(frame.clone())).unwrap());
        assert_eq!(follower.engine.status(GROUP).unwrap().term(), Term::new(1));
    }
}
