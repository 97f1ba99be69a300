//! Packet Identifiers, windows and what a session's record says.

use std::collections::HashSet;

use super::*;
use crate::mail::{After, RetainedHit};
use crate::record::Record;
use crate::route::Partition;
use crate::state::session::record::{self, Owed, Stage, Window};

fn flight(packet_id: u16, offset: u64) -> Flight {
    Flight {
        packet_id,
        partition: 0,
        exactly_once: false,
        offset,
        step: Step::Published,
        source: None,
        retained: None,
        share: None,
        options: 0,
    }
}

fn send(outbound: &mut Outbound, offset: u64) -> u16 {
    assert!(outbound.open());
    let id = outbound.take_id().get();
    outbound.push(flight(id, offset));
    id
}

fn recorded(packet_id: u32, offset: u64, stage: Stage) -> record::Flight {
    record::Flight {
        packet_id,
        partition: 1,
        offset,
        qos: 2,
        stage: stage.into(),
        ..record::Flight::default()
    }
}

fn window(reserved: u64) -> Window {
    Window { reserved, ..Window::default() }
}

#[test]
fn mqtt_2_2_1_4_a_packet_identifier_in_use_is_not_given_again_also_after_the_last_one() {
    let mut outbound = Outbound::clean(3);
    let stuck = [send(&mut outbound, 0), send(&mut outbound, 1)];
    assert_eq!(stuck, [1, 2]);
    let mut seen = HashSet::new();
    for offset in 0..65_533 {
        let id = send(&mut outbound, offset);
        assert!(id > 2 && seen.insert(id), "{id}");
        assert!(!outbound.open());
        outbound.finish(id).unwrap();
    }
    assert_eq!(send(&mut outbound, 0), 3, "1 and 2 are in use");
}

proptest! {
    #[test]
    fn no_identifier_is_in_use_twice(
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..300),
        from in prop_oneof![Just(4_096_u64), 65_400..65_700_u64],
    ) {
        let mut outbound = Outbound::resume(40, &window(from));
        let mut used: Vec<u16> = Vec::new();
        for (offset, (finish, pick)) in (0..).zip(steps) {
            if outbound.open() && (!finish || used.is_empty()) {
                let id = send(&mut outbound, offset);
                prop_assert!(!used.contains(&id));
                used.push(id);
            } else {
                let id = used.remove(pick.index(used.len()));
                prop_assert_eq!(outbound.finish(id).map(|flight| flight.packet_id), Some(id));
                prop_assert!(outbound.finish(id).is_none());
            }
            prop_assert_eq!(outbound.in_flight(), used.len());
            let flights: Vec<u16> = outbound.flights().map(|flight| flight.packet_id).collect();
            prop_assert_eq!(&flights, &used, "in the order they were sent");
            for id in &used {
                prop_assert!(outbound.by_id(*id).is_some_and(|flight| flight.packet_id == *id));
            }
        }
    }
}

#[test]
fn mqtt_3_3_4_9_no_more_are_in_flight_than_the_window_lets() {
    let mut outbound = Outbound::clean(2);
    let first = send(&mut outbound, 0);
    send(&mut outbound, 1);
    assert!(!outbound.open());
    outbound.finish(first);
    assert!(outbound.open());
}

#[test]
fn a_durable_session_stops_where_its_reserved_identifiers_end() {
    let mut outbound = Outbound::resume(10, &window(4_096));
    for number in 1..=4_096 {
        assert_eq!(outbound.wants_reserve(), number > 2_049, "{number}");
        let id = send(&mut outbound, 0);
        assert_eq!(id, number);
        outbound.finish(id);
    }
    assert!(!outbound.open(), "all are used, though none is in flight");
    let asked = outbound.record(std::iter::empty(), |_| 0, false).reserved;
    assert_eq!(asked, 8_192);
    outbound.commit.reserving = Some((1, asked));
    assert!(!outbound.wants_reserve() && !outbound.open(), "asked once, and not committed yet");
    outbound.reserved = asked;
    assert!(outbound.open());
}

#[test]
fn identifiers_in_flight_do_not_lead_beyond_what_is_reserved() {
    let flights = (1..=4_096).map(|id| recorded(id, 0, Stage::Released)).collect();
    let window = Window { flights, ..window(65_535 + 4_096) };
    let mut outbound = Outbound::resume(u16::MAX, &window);
    assert!(!outbound.open(), "every reserved identifier is in flight");
    outbound.finish(4_000);
    assert_eq!(send(&mut outbound, 0), 4_000);
    assert!(!outbound.open());
}

#[test]
fn a_resumed_session_starts_beyond_what_its_last_owner_may_have_used() {
    let mut last = Outbound::resume(u16::MAX, &window(4_096));
    let used: HashSet<u16> = (0..4_096).map(|offset| send(&mut last, offset)).collect();
    // Its last commit was long ago; the attach reserves another block.
    let mut next = Outbound::resume(u16::MAX, &window(4_096 + 4_096));
    for offset in 0..4_096 {
        assert!(!used.contains(&send(&mut next, offset)));
    }
}

#[test]
fn mqtt_4_4_0_1_a_resumed_session_sends_again_in_order_what_was_not_received_before_anything_new() {
    let flights = vec![
        recorded(9, 1, Stage::Published),
        recorded(3, 2, Stage::Released),
        record::Flight { qos: 1, ..recorded(5, 3, Stage::Published) },
    ];
    let mut outbound = Outbound::resume(10, &Window { flights, ..window(8_192) });
    assert!(!outbound.open(), "what is new waits");
    let again: Vec<u64> = outbound.resend.iter().copied().collect();
    let ids: Vec<u16> = again.iter().map(|number| outbound.get(*number).unwrap().packet_id).collect();
    assert_eq!(ids, [9, 5]);
    assert_eq!(outbound.by_id(3).unwrap().step, Step::Released, "only its PUBREL is sent again");
    assert!(outbound.by_id(9).unwrap().exactly_once && !outbound.by_id(5).unwrap().exactly_once);
    // Acknowledged before its turn came: gone, and what comes after keeps its number and its place.
    outbound.finish(9);
    assert!(outbound.get(again[0]).is_none());
    assert_eq!(outbound.get(again[1]).unwrap().packet_id, 5);
    assert_eq!(outbound.resend, [again[1]]);
    outbound.finish(5);
    assert!(outbound.open(), "nobody waits any more");
}

#[test]
fn a_session_that_keeps_up_records_no_positions_unless_they_are_its_own() {
    let mut outbound = Outbound::resume(10, &window(4_096));
    let live = outbound.record([0, 1].into_iter(), |_| 7, false);
    assert_eq!(live, Window { live: true, ..window(4_096) });
    let own = outbound.record([0, 1].into_iter(), |partition| 7 + u64::from(partition), true);
    let next = [(0, 7), (1, 8)].map(|(partition, next)| record::Position { partition, next }).to_vec();
    assert_eq!(own, Window { next, ..window(4_096) });
    send(&mut outbound, 3);
    assert!(!outbound.record([0].into_iter(), |_| 7, false).live, "something is in flight");
    outbound.finish(1);
    outbound.lags.push(Lag { partition: 1, next: 4, reading: true });
    let lagging = outbound.record([0, 1].into_iter(), |_| 7, false);
    assert!(outbound.lagging(1) && !outbound.lagging(0) && !outbound.caught_up() && !lagging.live);
    assert_eq!(lagging.next[1].next, 4, "where it lags it stands behind the tail");
    assert_eq!(lagging.next[0].next, 7);
    outbound.lag(1).unwrap().next = 5;
    assert_eq!(outbound.record([1].into_iter(), |_| 7, false).next[0].next, 5);
}

#[test]
fn resuming_from_what_was_recorded_comes_to_the_same_flights() {
    let mut outbound = Outbound::resume(10, &window(4_096));
    let steps = [Step::Published, Step::Committing(1), Step::Releasing(2), Step::Released, Step::Settling]
        .into_iter();
    for (offset, step) in (0..).zip(steps) {
        let id = outbound.take_id().get();
        let share = (offset == 4).then(|| "$share/g/a".into());
        let retained = (offset == 1).then(|| "t".into());
        outbound.push(Flight { step, exactly_once: offset > 0, share, retained, ..flight(id, offset) });
    }
    outbound.finish(1);
    let window = outbound.record(std::iter::empty(), |_| 0, false);
    let stages: Vec<Stage> = window.flights.iter().map(record::Flight::stage).collect();
    assert_eq!(stages, [Stage::Published, Stage::Released, Stage::Released, Stage::Released]);
    let resumed = Outbound::resume(10, &window);
    let again = resumed.record(std::iter::empty(), |_| 0, false);
    assert_eq!(again.flights, window.flights);
    assert_eq!(resumed.resend.len(), 1);
}

fn hit(topic: &str) -> RetainedHit {
    let record = Record { retain: true, publisher: 0, epoch: 0, ..Record::sample(topic, b"x") };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    RetainedHit { partition: Partition::new(2), offset: 0, stamp: 0, record: bytes.into() }
}

#[test]
fn retained_messages_that_are_owed_go_on_from_the_first_that_waits() {
    let after = |partition, topic: &str| After { partition, topic: topic.into() };
    let mut job = OwedJob::new("a/#".into(), vec![5, 6]);
    assert!(!job.done());
    let resumed = |job: &OwedJob| {
        let record = Window { owed: vec![job.record()], ..window(4_096) };
        let mut outbound = Outbound::resume(10, &record);
        assert!(!outbound.caught_up());
        let again = outbound.owed.pop_front().unwrap();
        assert_eq!((&*again.filter, &again.below), ("a/#", &vec![5, 6]));
        again.next
    };
    assert_eq!(resumed(&job), Some(after(0, "")));
    job.hits = [hit("a/1"), hit("a/2")].into();
    job.next = Some(after(2, "a/2\0"));
    assert_eq!(resumed(&job), Some(after(2, "a/1")), "none of the hits is sent yet");
    job.hits.pop_front();
    assert_eq!(resumed(&job), Some(after(2, "a/2")));
    job.hits.clear();
    assert_eq!(resumed(&job), Some(after(2, "a/2\0")));
    job.next = None;
    assert!(job.done());
    assert_eq!(resumed(&job).map(|after| after.partition), Some(u16::MAX), "nothing is walked again");
    let new = Owed { filter: "a".into(), ..Owed::default() };
    let record = Window { owed: vec![new], ..window(4_096) };
    assert_eq!(Outbound::resume(10, &record).owed[0].next, Some(After::default()));
}

#[test]
fn what_is_finished_is_not_sent_again() {
    let flights = (1..=3).map(|id| recorded(id, 0, Stage::Published)).collect();
    let mut outbound = Outbound::resume(10, &Window { flights, ..window(4_096) });
    outbound.finish(2).expect("it is in flight");
    outbound.finish(3).expect("it is in flight");
    assert_eq!((outbound.in_flight(), outbound.resend.len()), (1, 1));
    outbound.finish(1).expect("it is in flight");
    assert!(outbound.resend.is_empty());
}
