//! Each checker passes a good history and fails on one with its fault put in.

use std::time::Duration;

use super::*;
use crate::history::{Event, Message, PublisherFacts, SubscriberFacts, View, What};

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
fn what_never_came_is_no_loss_where_not_everything_could_come() {
    let mut history = good();
    history.cut_short = true;
    history.events.retain(|e| !matches!(e.what, What::Delivered { .. } | What::RetainedRead(_)));
    assert_eq!(all(&history), []);
    let judged = |name| PROMISES.iter().any(|promise| promise.name == name && promise.is_judged_by(&history));
    assert!(!judged("acked_is_delivered") && judged("qos2_once"));
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
        events.retain(|e| e.what != read(2));
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
    let unknown = |present| {
        spoiled(|events| {
            push(events, What::Unanswered { client: "stranger".into() });
            push(events, come("stranger", present));
        })
    };
    assert_eq!((unknown(true), unknown(false)), (Vec::new(), Vec::new()));
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

/// A history of three nodes and one client, with nothing in it but this.
fn cluster(what: Vec<What>) -> Vec<Violation> {
    let publisher = |name: &str, qos| PublisherFacts { name: name.into(), qos, retain: false, will: false };
    let mut history = History::new(
        vec!["t".into()],
        vec![publisher("live", 0), publisher("exact", 2), publisher("plain", 1)],
        vec![subscriber("guard-1", "t", 2, Some("guard")), subscriber("guard-2", "t", 2, Some("guard"))],
    );
    history.nodes = 3;
    history.clients = vec!["twin".into(), "live".into()];
    history.events = (1..).map(Duration::from_secs).zip(what).map(|(at, what)| Event { at, what }).collect();
    all(&history)
}

/// An answer on a connection to the node of the same number, to what was asked at this second.
fn served(connection: u64, began: u64) -> What {
    let (node, began) = (connection as u16, Duration::from_secs(began));
    What::Served { client: 0, connection, node, began }
}

#[test]
fn an_old_owner_that_is_answered_after_the_new_one_is_seen_from_outside() {
    let handed_over = cluster(vec![served(0, 0), served(0, 1), served(1, 2), served(1, 3)]);
    assert_eq!(handed_over, []);
    // What was asked before the new owner was greeted may be answered after.
    assert_eq!(cluster(vec![served(0, 0), served(1, 1), served(0, 1)]), []);
    let both = cluster(vec![served(0, 0), served(1, 1), served(1, 2), served(0, 3)]);
    let both: Vec<_> = both.into_iter().filter(|violation| violation.promise == "one_owner").collect();
    assert!(!both.is_empty() && both[0].witness.contains("connection 0 of twin to node 1"), "{both:?}");
}

#[test]
fn an_answer_from_a_node_that_is_cut_off_is_seen() {
    let cut = What::Isolated(0b010);
    let before = cluster(vec![served(1, 0), cut.clone(), served(1, 1), What::Rejoined(0b010), served(1, 4)]);
    assert_eq!(before, []);
    assert_eq!(cluster(vec![cut.clone(), served(0, 2)]), [], "the majority goes on");
    only(&cluster(vec![cut, served(1, 2)]), "nothing_from_the_minority");
}

#[test]
fn qos_0_out_of_order_is_seen_only_within_a_connection() {
    let stays = |what: Vec<What>| {
        let mut history = good();
        history.publishers[0].qos = 0;
        history.clients = vec!["plain".into()];
        what.into_iter().for_each(|what| push(&mut history.events, what));
        all(&history)
    };
    let (three, four) = (message(0, 0, 3), message(0, 0, 4));
    let crossed = |between: Vec<What>| {
        let mut what = vec![What::Sent(three)];
        what.extend(between);
        what.extend([What::Sent(four), deliver(0, four), deliver(0, three)]);
        stays(what)
    };
    let connack = What::Served { client: 0, connection: 9, node: 1, began: Duration::ZERO };
    let only_order = |violations: Vec<Violation>| {
        violations.into_iter().filter(|violation| violation.promise == "order_per_publisher").count()
    };
    assert_eq!(only_order(crossed(Vec::new())), 1);
    assert_eq!(only_order(crossed(vec![connack])), 0);
}

#[test]
fn qos_0_that_comes_again_is_seen_also_where_a_session_has_moved() {
    let again = |clean: bool, between: What| {
        let mut history = good();
        history.publishers[0].qos = 0;
        history.subscribers[0].clean = clean;
        history.clients = vec![history.subscribers[0].name.clone()];
        let came = deliver(0, message(0, 0, 9));
        for what in [at(1, 0), came.clone(), between, came] {
            push(&mut history.events, what);
        }
        let twice = |violation: &Violation| {
            violation.promise == "qos0_once" && violation.witness.contains("#9 of plain")
        };
        all(&history).into_iter().filter(twice).count()
    };
    assert_eq!([again(true, at(1, 0)), again(true, at(2, 0))], [1, 1]);
    assert_eq!([again(false, at(2, 0)), again(false, at(2, 1))], [1, 1]);
}

/// An answer on this connection to this node.
fn at(connection: u64, node: u16) -> What {
    What::Served { client: 0, connection, node, began: Duration::ZERO }
}

#[test]
fn a_message_that_two_members_of_an_exact_group_get_is_seen() {
    let to = |subscriber, publisher| deliver(subscriber, message(publisher, 0, 1));
    let sent = |publisher| What::Sent(message(publisher, 0, 1));
    only(&cluster(vec![sent(1), to(0, 1), to(1, 1)]), "shared_once");
    assert_eq!(cluster(vec![sent(2), to(0, 2), to(1, 2)]), [], "at QoS 1 it may");
}

fn view(node: u16, term: u64, leader: Option<u16>) -> View {
    let asked = Duration::from_secs(100);
    View { node, life: 1, partition: 4, asked, term, leader, first: 0, next: 9, committed: 9, last: 9 }
}

#[test]
fn two_leaders_in_a_term_are_seen_and_in_two_terms_are_not() {
    let seen = |one, other| cluster(vec![What::View(one), What::View(other)]);
    only(&seen(view(0, 5, Some(0)), view(1, 5, Some(1))), "election_safety");
    assert_eq!(seen(view(0, 5, Some(0)), view(1, 6, Some(1))), []);
}

#[test]
fn a_leader_that_lacks_what_was_committed_is_seen() {
    let known = View { committed: 20, last: 20, ..view(0, 5, Some(0)) };
    let seen = |leader: View| cluster(vec![What::View(known), What::View(leader)]);
    only(&seen(view(1, 6, Some(1))), "leader_completeness");
    assert_eq!(seen(view(1, 4, Some(1))), [], "it does not know yet that it is none");
    assert_eq!(seen(View { asked: Duration::ZERO, ..view(1, 6, Some(1)) }), [], "it was asked before");
    assert_eq!(seen(view(1, 6, Some(0))), [], "it does not lead");
}

#[test]
fn a_partition_that_goes_back_is_seen_and_a_new_life_may_know_less() {
    let before = View { first: 3, ..view(0, 5, None) };
    let seen = |after: View| cluster(vec![What::View(before), What::View(after)]);
    only(&seen(View { first: 2, ..before }), "offsets_never_change");
    only(&seen(View { committed: 8, ..before }), "offsets_never_change");
    only(&seen(View { first: 10, ..before }), "offsets_never_change");
    assert_eq!(seen(View { life: 2, committed: 8, first: 2, ..before }), []);
}

#[test]
fn logs_that_differ_are_seen() {
    let entry = |node, term, sum, committed| What::Logged { node, group: 7, index: 3, term, sum, committed };
    let logs = |one, other| cluster(vec![one, other]);
    only(&logs(entry(0, 2, 1, true), entry(1, 2, 9, true)), "log_matching");
    only(&logs(entry(0, 2, 1, true), entry(1, 3, 9, true)), "log_matching");
    assert_eq!(logs(entry(0, 2, 1, true), entry(1, 3, 9, false)), [], "what is not committed may go");
}

#[test]
fn a_second_leader_and_one_that_lacks_an_entry_are_seen_from_inside() {
    let led = |node, term, has| What::Led { node, group: 7, term, holds: vec![(3, has)] };
    let known = What::Known { node: 0, group: 7, term: 2, index: 3, of: 1 };
    only(&cluster(vec![led(0, 2, None), led(1, 2, None)]), "election_safety");
    assert_eq!(cluster(vec![led(0, 2, None), led(1, 3, None)]), []);
    only(&cluster(vec![known.clone(), led(1, 3, None)]), "leader_completeness");
    only(&cluster(vec![known.clone(), led(1, 3, Some(2))]), "leader_completeness");
    assert_eq!(cluster(vec![known.clone(), led(1, 3, Some(1))]), []);
    assert_eq!(cluster(vec![known, led(1, 1, None)]), [], "it was elected before");
}

#[test]
fn replicas_that_derived_something_else_are_seen() {
    let derived = |node, index, sum| What::Derived { node, group: 7, index, sum };
    only(&cluster(vec![derived(0, 3, 1), derived(1, 3, 2)]), "state_machine_safety");
    assert_eq!(cluster(vec![derived(0, 3, 1), derived(1, 4, 2), derived(2, 3, 1)]), []);
}

#[test]
fn a_connection_that_outlives_its_lease_is_seen() {
    let overdue = What::Overdue { connection: 4, node: 1, since: Duration::ZERO };
    only(&cluster(vec![overdue]), "one_owner");
}

#[test]
fn what_a_disk_without_room_reorders_is_excused_and_nothing_else() {
    let crossed = |room: bool| {
        spoiled(|events| {
            let (three, four) = (message(0, 0, 3), message(0, 0, 4));
            if room {
                push(events, What::Room(false));
            }
            push(events, What::Sent(three));
            push(events, What::Sent(four));
            push(events, deliver(0, four));
            push(events, deliver(0, three));
        })
    };
    assert_eq!(crossed(true), []);
    only(&crossed(false), "order_per_publisher");
}

#[test]
fn readers_of_retained_messages_that_disagree_are_seen() {
    let read = |seq| What::RetainedRead(message(1, 1, seq));
    let disagree = spoiled(|events| {
        push(events, What::Sent(message(1, 1, 3)));
        push(events, read(3));
    });
    assert!(disagree.iter().all(|violation| violation.promise == "retained_converges"), "{disagree:?}");
    assert_eq!(disagree.len(), 1);
    assert!(spoiled(|events| push(events, read(2))).is_empty());
}
