//! What other nodes have said, and what they get.

use holdfast_cluster::link::{Incoming, Peer, Unsent};
use holdfast_codec::Qos;

use super::super::word::Opaque;
use super::*;

const NODE: NodeId = NodeId::new(2);
const OTHER: NodeId = NodeId::new(3);

fn word(reset: bool, add: &[&str], remove: &[&str], version: u64) -> word::Interest {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    word::Interest { reset, add: texts(add), remove: texts(remove), version }
}

/// Hears the answers, while there is room.
struct Ears {
    room: bool,
    heard: Vec<(NodeId, u64)>,
}

impl Net for Ears {
    fn send(&mut self, to: NodeId, _: Lane, frame: &Frame) -> Result<(), Unsent> {
        if !self.room {
            return Err(Unsent::Full);
        }
        let Frame::App(bytes) = frame else { panic!("{frame:?}") };
        match word::decode(bytes.clone()) {
            Ok(Opaque::Word(Kind::InterestSeen(seen))) => self.heard.push((to, seen.version)),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn take(&mut self, _: &mut Vec<Incoming>) {}

    fn set_peers(&mut self, _: Vec<Peer>) {}
}

fn answers(abroad: &mut Abroad) -> Vec<(NodeId, u64)> {
    let mut ears = Ears { room: true, heard: Vec::new() };
    abroad.answer(&mut ears);
    ears.heard
}

pub(in super::super) fn records(topics: &[&str]) -> word::Live {
    let mut bytes = Vec::new();
    for topic in topics {
        Record { qos: Qos::AtMostOnce, ..Record::sample(topic, b"x") }.encode(&mut bytes);
    }
    let count = u32::try_from(topics.len()).expect("few");
    word::Live {
        partition: 4,
        term: 7,
        count,
        records: bytes.into(),
        to_leader: true,
        stamp: 0,
        terms: vec![],
    }
}

#[test]
fn a_node_gets_everything_until_its_whole_interest_is_here() {
    let mut abroad = Abroad::default();
    assert!(!abroad.any());
    abroad.enter(NODE);
    abroad.enter(OTHER);
    assert!(abroad.any());
    assert_eq!(abroad.takers("a/b"), 0b11);
    abroad.told(NODE, word(true, &["a/+"], &[], 0));
    assert_eq!(abroad.takers("x"), 0b11);
    assert_eq!(answers(&mut abroad), []);
    abroad.told(NODE, word(false, &["c"], &[], 7));
    assert_eq!(answers(&mut abroad), [(NODE, 7)]);
    assert_eq!(["x", "c", "a/b"].map(|topic| abroad.takers(topic)), [0b10, 0b11, 0b11]);
    abroad.told(NODE, word(false, &["x"], &["c", "a/+"], 9));
    assert_eq!(["x", "c", "a/b"].map(|topic| abroad.takers(topic)), [0b11, 0b10, 0b10]);
    abroad.told(OTHER, word(true, &[], &[], 1));
    abroad.told(NODE, word(false, &[], &["x"], 10));
    assert!(!abroad.any());
    assert_eq!(abroad.takers("x"), 0);
    abroad.enter(NODE);
    assert_eq!(abroad.takers("x"), 0b01);
    abroad.leave(NODE);
    assert!(!abroad.any());
}

#[test]
fn an_answer_that_finds_no_room_comes_later() {
    let mut abroad = Abroad::default();
    abroad.enter(NODE);
    abroad.told(NODE, word(true, &[], &[], 3));
    abroad.answer(&mut Ears { room: false, heard: Vec::new() });
    assert_eq!(answers(&mut abroad), [(NODE, 3)]);
    assert_eq!(answers(&mut abroad), []);
}

#[test]
fn what_a_doubted_node_said_before_it_was_asked_anew_counts_for_nothing() {
    let mut abroad = Abroad::default();
    abroad.enter(NODE);
    abroad.told(NODE, word(true, &["a"], &[], 2));
    abroad.doubt();
    assert_eq!(answers(&mut abroad), [(NODE, 0)]);
    assert_eq!(abroad.takers("b"), 1);
    abroad.told(NODE, word(false, &["c"], &[], 3));
    assert_eq!(answers(&mut abroad), []);
    assert_eq!(abroad.takers("b"), 1);
    abroad.told(NODE, word(true, &["a", "c"], &[], 3));
    assert_eq!(answers(&mut abroad), [(NODE, 3)]);
    assert_eq!(["b", "c"].map(|topic| abroad.takers(topic)), [0, 1]);
}

#[test]
fn each_node_gets_the_records_that_it_wants_in_order() {
    let mut abroad = Abroad::default();
    abroad.enter(NODE);
    abroad.enter(OTHER);
    abroad.told(NODE, word(true, &["a", "b"], &[], 1));
    abroad.told(OTHER, word(true, &["+"], &[], 1));
    let topics = |live: &word::Live| -> Vec<String> {
        let mut rest = &live.records[..];
        let mut topics = Vec::new();
        while let Some((record, more)) = Record::decode(rest) {
            topics.push(record.topic.to_owned());
            rest = more;
        }
        assert_eq!(topics.len(), live.count as usize);
        assert!((live.partition, live.term, live.to_leader) == (4, 7, false));
        topics
    };
    let mut shares = |names: &[&str]| -> Vec<(NodeId, Vec<String>)> {
        let shares = abroad.shares(&records(names));
        shares.iter().map(|(node, live)| (*node, topics(live))).collect()
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = ["a", "b", "c", "a", "d"];
    assert_eq!(shares(&all), [(NODE, owned(&["a", "b", "a"])), (OTHER, owned(&all))]);
    assert_eq!(shares(&["c", "a"]), [(NODE, owned(&["a"])), (OTHER, owned(&["c", "a"]))]);
    assert_eq!(shares(&["b", "a"]), [(NODE, owned(&["b", "a"])), (OTHER, owned(&["b", "a"]))]);
    assert_eq!(shares(&["c/d"]), []);
}

#[test]
fn damaged_records_go_no_further() {
    let mut abroad = Abroad::default();
    abroad.enter(NODE);
    let mut live = records(&["a", "b"]);
    live.records.truncate(live.records.len() - 1);
    let shares = abroad.shares(&live);
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0].1.count, 1);
    assert_eq!(shares[0].1.records, records(&["a"]).records);
}
