//! Two ends of a lane: what one is told is what the other wants.

use holdfast_cluster::link::{Incoming, Peer, Unsent};

use super::super::abroad::Abroad;
use super::super::abroad::tests::records;
use super::super::word::Opaque;
use super::*;

const HERE: NodeId = NodeId::new(1);
const THERE: NodeId = NodeId::new(2);

/// A lane with room for so many words.
struct Narrow {
    room: usize,
    words: Vec<word::Interest>,
    seen: Vec<u64>,
}

impl Net for Narrow {
    fn send(&mut self, _: NodeId, _: Lane, frame: &Frame) -> Result<(), Unsent> {
        self.room = self.room.checked_sub(1).ok_or(Unsent::Full)?;
        let Frame::App(bytes) = frame else { panic!("{frame:?}") };
        match word::decode(bytes.clone()) {
            Ok(Opaque::Word(Kind::Interest(word))) => self.words.push(word),
            Ok(Opaque::Word(Kind::InterestSeen(seen))) => self.seen.push(seen.version),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn take(&mut self, _: &mut Vec<Incoming>) {}

    fn set_peers(&mut self, _: Vec<Peer>) {}
}

struct Ends {
    interest: Interest,
    abroad: Abroad,
}

impl Ends {
    fn new() -> Self {
        let mut ends = Self { interest: Interest::new(), abroad: Abroad::default() };
        ends.connect();
        ends
    }

    fn connect(&mut self) {
        self.interest.tell_all(THERE);
        self.abroad.enter(HERE);
    }

    fn want(&mut self, filter: &str, wanted: bool) {
        self.interest.change(vec![Want { filter: filter.into(), wanted }]);
    }

    /// Says so many words at the most; was that all?
    fn say(&mut self, room: usize) -> bool {
        let mut net = Narrow { room, words: Vec::new(), seen: Vec::new() };
        let more = self.interest.tell(&mut net);
        for word in std::mem::take(&mut net.words) {
            self.abroad.told(HERE, word);
        }
        net.room = 1;
        self.abroad.answer(&mut net);
        net.seen.into_iter().for_each(|version| self.interest.seen(THERE, version));
        !more
    }

    /// How many nodes get messages of this topic.
    fn takers(&mut self, topic: &str) -> usize {
        self.abroad.shares(&records(&[topic])).len()
    }

    fn known(&self) -> bool {
        self.interest.unaware(self.interest.version()).next().is_none()
    }
}

#[test]
fn a_change_is_known_when_the_other_end_has_taken_it_up_and_not_before() {
    let mut ends = Ends::new();
    assert!(!ends.known());
    assert!(ends.say(9) && ends.known());
    assert_eq!(ends.takers("a"), 0);
    ends.want("a", true);
    assert!(!ends.known());
    assert!(!ends.say(0) && !ends.known());
    assert!(ends.say(9) && ends.known());
    assert_eq!(ends.takers("a"), 1);
    // A second worker wants it, and then only one.
    ends.want("a", true);
    ends.want("a", false);
    assert!(ends.known() && ends.say(0));
    ends.want("a", false);
    assert!(ends.say(9) && ends.known());
    assert_eq!(ends.takers("a"), 0);
}

#[test]
fn what_comes_and_goes_before_it_is_said_ends_as_it_is() {
    let mut ends = Ends::new();
    ends.say(9);
    for wanted in [true, false, true, false, true] {
        ends.want("a", wanted);
        ends.want("b", !wanted);
    }
    while !ends.say(1) {}
    assert!(ends.known());
    assert_eq!((ends.takers("a"), ends.takers("b")), (1, 0));
}

#[test]
fn a_large_set_comes_in_pieces_and_counts_only_as_a_whole() {
    let mut ends = Ends::new();
    for number in 0..9_000 {
        ends.want(&format!("site/{number}/a/name/of/some/length/{number}"), true);
    }
    ends.interest.forget(THERE);
    ends.abroad.leave(HERE);
    ends.connect();
    let mut pieces = 0;
    while !ends.say(1) {
        assert_eq!(ends.takers("nobody"), 1, "the set is not whole");
        pieces += 1;
        // Meanwhile the set changes.
        ends.want(&format!("late/{pieces}"), true);
    }
    assert!(pieces > 2 && ends.known());
    for topic in ["site/0/a/name/of/some/length/0", "site/8999/a/name/of/some/length/8999", "late/2"] {
        assert_eq!(ends.takers(topic), 1);
    }
    assert_eq!(ends.takers("nobody"), 0);
}

#[test]
fn who_asks_anew_is_told_the_whole_set() {
    let mut ends = Ends::new();
    ends.want("a", true);
    ends.say(9);
    ends.abroad.doubt();
    ends.want("b", true);
    ends.say(9);
    assert!(!ends.known(), "what it said was passed over, and it is asked anew");
    assert!(ends.say(9) && ends.known());
    assert_eq!(["a", "b", "c"].map(|topic| ends.takers(topic)), [1, 1, 0]);
}
