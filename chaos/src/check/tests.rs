//! Each checker passes a good history and fails on one with its fault put in.

use std::time::Duration;

use super::*;
use crate::history::{Event, Message, PublisherFacts, SubscriberFacts, What};

const fn message(publisher: u16, topic: u16, seq: u64) -> Message {
    Message { publisher, topic, seq }
}

fn subscriber(name: &str, filter: &str, qos: u8, group: Option<&str>) -> SubscriberFacts {
    let group = group.map(str::to_owned);
    SubscriberFacts { name: name.into(), filters: vec![filter.into()], qos, group, clean: false }
}

fn deliver(subscriber: u16, message: Message) -> What {
    What::Delivered { subscriber, message, retained: false }
}

/// Two publishers (QoS 1 and QoS 2, the second retains), a wildcard subscriber of QoS 2, a group of two.
fn good() -> History {
    let publisher = |name: &str, qos| PublisherFacts {
        name: name.into(),
        qos,
        retain: name == "keeper",
        will: name == "mortal",
    };
    let mut history = History::new(
        vec!["t/a".into(), "keep/a".into(), "will/a".into()],
        vec![publisher("plain", 1), publisher("keeper", 2), publisher("mortal", 2)],
        vec![
            subscriber("all", "#", 2, None),
            subscriber("member-1", "t/+", 1, Some("g")),
            subscriber("member-2", "t/+", 1, Some("g")),
        ],
    );
    let connected =
        |client: &str, session_present| What::Connected { client: client.into(), session_present };
    let mut what = vec![connected("all", false), connected("plain", false)];
    what.extend((0..3).map(|subscriber| What::Subscribed { subscriber }));
    for seq in 1..=2 {
        what.push(What::Sent(message(0, 0, seq)));
        what.push(What::Acked(message(0, 0, seq)));
        what.push(What::Sent(message(1, 1, seq)));
        what.push(What::Acked(message(1, 1, seq)));
        what.push(deliver(0, message(0, 0, seq)));
        what.push(deliver(0, message(1, 1, seq)));
        what.push(deliver(seq as u16, message(0, 0, seq)));
    }
    what.push(What::Killed(1));
    what.push(connected("all", true));
    what.push(deliver(0, message(0, 0, 2)));
    what.push(What::RetainedRead(message(1, 1, 2)));
    for (at, what) in (1..).zip(what) {
        history.events.push(Event { at: Duration::from_millis(at), what });
    }
    history
}

/// The good history, with `change` made to its events.
fn spoiled(change: impl FnOnce(&mut Vec<Event>)) -> Vec<Violation> {
    let mut history = good();
    change(&mut history.events);
    all(&history)
}

fn push(events: &mut Vec<Event>, what: What) {
    let at = events.last().map_or(Duration::ZERO, |event| event.at) + Duration::from_millis(1);
    events.push(Event { at, what });
}

#[track_caller]
fn only(violations: &[Violation], promise: &str) {
    assert!(!violations.is_empty(), "{promise} was broken and nobody saw it");
    assert!(violations.iter().all(|violation| violation.promise == promise), "{violations:?}");
}

#[test]
fn a_good_history_breaks_no_promise() {
    assert_eq!(spoiled(|_| {}), []);
}

#[test]
fn a_lost_acknowledged_message_is_seen() {
    let violations = spoiled(|events| events.retain(|e| e.what != deliver(0, message(0, 0, 2))));
    only(&violations, "acked_is_delivered");
    assert!(violations[0].witness.contains("t/a #2 of plain"), "{}", violations[0]);
}

#[test]
fn a_message_without_acknowledgement_may_be_absent_or_present() {
    let lost = message(0, 0, 3);
    assert_eq!(spoiled(|events| push(events, What::Sent(lost))), []);
    let came = spoiled(|events| {
        push(events, What::Sent(lost));
        push(events, deliver(0, lost));
    });
    assert_eq!(came, []);
}

#[test]
fn a_second_delivery_at_qos_2_is_seen_and_at_qos_1_is_not() {
    only(&spoiled(|events| push(events, deliver(0, message(1, 1, 1)))), "qos2_once");
    assert_eq!(spoiled(|events| push(events, deliver(0, message(0, 0, 1)))), []);
}

#[test]
fn a_reused_packet_identifier_is_seen() {
    let reused = What::Reused { subscriber: 0, packet_id: 9, held: message(1, 1, 1), came: message(1, 1, 2) };
    only(&spoiled(|events| push(events, reused)), "qos2_once");
}

#[test]
fn first_deliveries_in_the_wrong_order_are_seen() {
    let violations = spoiled(|events| {
        let (three, four) = (message(0, 0, 3), message(0, 0, 4));
        push(events, What::Sent(three));
        push(events, What::Sent(four));
        push(events, deliver(0, four));
        push(events, deliver(0, three));
    });
    only(&violations, "order_per_publisher");
}

#[test]
fn an_older_retained_message_or_none_is_seen_and_a_later_unknown_one_is_not() {
    let read = |seq| What::RetainedRead(message(1, 1, seq));
    only(&spoiled(|events| push(events, read(1))), "retained_converges");
    only(&spoiled(|events| events.retain(|e| e.what != read(2))), "retained_converges");
    only(&spoiled(|events| push(events, read(7))), "retained_converges");
    let later = spoiled(|events| {
        push(events, What::Sent(message(1, 1, 3)));
        push(events, read(3));
    });
    assert_eq!(later, []);
}

#[test]
fn a_forgotten_session_and_an_invented_one_are_seen() {
    let come = |client: &str, session_present| What::Connected { client: client.into(), session_present };
    only(&spoiled(|events| push(events, come("all", false))), "session_present_is_honest");
    only(&spoiled(|events| push(events, come("stranger", true))), "session_present_is_honest");
}

#[test]
fn a_message_that_reached_no_member_is_seen() {
    let violations = spoiled(|events| events.retain(|e| e.what != deliver(2, message(0, 0, 2))));
    only(&violations, "shared_loses_none");
}

#[test]
fn broken_bytes_and_messages_out_of_nowhere_are_seen() {
    let broken = What::Broken { subscriber: 0, fault: "checksum".into() };
    only(&spoiled(|events| push(events, broken)), "intact");
    only(&spoiled(|events| push(events, deliver(0, message(0, 0, 99)))), "intact");
}

#[test]
fn a_will_that_is_due_and_lost_or_comes_twice_is_seen() {
    let will = message(2, 2, 3);
    let due = |events: &mut Vec<Event>| {
        push(events, What::Sent(will));
        push(events, What::WillDue(will));
    };
    only(&spoiled(due), "will_once");
    let came = spoiled(|events| {
        due(events);
        push(events, deliver(0, will));
    });
    assert_eq!(came, []);
    let twice = spoiled(|events| {
        due(events);
        push(events, deliver(0, will));
        push(events, deliver(0, will));
    });
    assert!(twice.iter().any(|violation| violation.promise == "will_once"), "{twice:?}");
}

#[test]
fn two_owners_of_one_client_id_are_seen() {
    let opened = |connection| What::Opened { client: "all".into(), connection };
    let closed = What::Closed { client: "all".into(), connection: 1 };
    let two = spoiled(|events| {
        push(events, opened(1));
        push(events, opened(2));
    });
    only(&two, "one_owner");
    let after = spoiled(|events| {
        push(events, opened(1));
        push(events, closed);
        push(events, opened(2));
    });
    assert_eq!(after, []);
}

#[test]
fn an_offset_with_other_bytes_is_seen() {
    let entry = |sum| What::Entry { partition: 0, offset: 7, sum };
    let same = spoiled(|events| {
        push(events, entry(1));
        push(events, entry(1));
    });
    assert_eq!(same, []);
    let other = spoiled(|events| {
        push(events, entry(1));
        push(events, entry(2));
    });
    only(&other, "offsets_never_change");
}

#[test]
fn a_retained_message_that_goes_back_is_seen() {
    let seen =
        |seq, asked| What::RetainedSeen { message: message(1, 1, seq), asked: Duration::from_secs(asked) };
    only(&spoiled(|events| push(events, seen(1, 9))), "retained_never_goes_back");
    assert_eq!(spoiled(|events| push(events, seen(2, 9))), []);
    assert_eq!(spoiled(|events| push(events, seen(1, 0))), []);
}
