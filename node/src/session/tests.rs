//! What came in and is not acknowledged, what went out and is not finished, aliases, subscriptions.

mod outbound;

use std::num::NonZeroU16;

use holdfast_codec::ReasonCode;
use proptest::prelude::*;

use super::*;
use crate::record::Token;
use crate::state::session::record::{Core, Intent, Refusal};

fn acks(inbound: &mut Inbound) -> Vec<(Ack, u16)> {
    std::iter::from_fn(|| inbound.poll()).map(|pending| (pending.ack, pending.packet_id)).collect()
}

/// A QoS 2 message goes the way to its partition; its number.
fn proposed(inbound: &mut Inbound, packet_id: u16, hash: u64, token: u64) -> u64 {
    assert_eq!(inbound.arrives(packet_id, hash, false), Arrival::Propose(token));
    inbound.push(packet_id, Ack::PubRec)
}

#[test]
fn mqtt_4_6_0_2_acknowledgements_leave_in_the_order_in_which_the_publishes_came() {
    let mut inbound = Inbound::default();
    let first = inbound.push(1, Ack::PubAck);
    let second = proposed(&mut inbound, 2, 0, 0);
    let third = inbound.push(3, Ack::PubAck);
    inbound.settle(third, ReasonCode::Success);
    inbound.settle(second, ReasonCode::Success);
    assert_eq!(acks(&mut inbound), []);
    inbound.settle(first, ReasonCode::QuotaExceeded);
    let pending = inbound.poll().unwrap();
    assert_eq!(pending, Pending { ack: Ack::PubAck, packet_id: 1, reason: ReasonCode::QuotaExceeded });
    assert_eq!(acks(&mut inbound), [(Ack::PubRec, 2), (Ack::PubAck, 3)]);
    assert_eq!(inbound.poll(), None);
}

#[test]
fn a_logged_message_of_qos_0_is_settled_without_a_word_and_holds_its_place() {
    let mut inbound = Inbound::default();
    inbound.logged_qos0 += 1;
    let silent = inbound.push(0, Ack::None);
    let next = inbound.push(1, Ack::PubAck);
    inbound.settle(next, ReasonCode::Success);
    assert_eq!((acks(&mut inbound), inbound.logged_qos0), (vec![], 1));
    inbound.settle(silent, ReasonCode::Success);
    assert_eq!((acks(&mut inbound), inbound.logged_qos0), (vec![(Ack::PubAck, 1)], 0));
}

proptest! {
    /// Whatever the order in which partitions commit.
    #[test]
    fn every_publish_is_acknowledged_once_and_in_order(
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let mut inbound = Inbound::default();
        let (mut open, mut came, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (packet_id, (push, pick)) in (1..).zip(steps) {
            if push || open.is_empty() {
                open.push(inbound.push(packet_id, Ack::PubAck));
                came.push(packet_id);
            } else {
                inbound.settle(open.swap_remove(pick.index(open.len())), ReasonCode::Success);
            }
            left.extend(acks(&mut inbound).into_iter().map(|(_, id)| id));
            prop_assert!(came.starts_with(&left));
            prop_assert_eq!(inbound.outstanding(), came.len() - left.len());
        }
        for number in open {
            inbound.settle(number, ReasonCode::Success);
        }
        left.extend(acks(&mut inbound).into_iter().map(|(_, id)| id));
        prop_assert_eq!(left, came);
    }
}

#[test]
fn mqtt_4_3_3_10_a_repeat_of_a_qos_2_message_is_no_new_one_until_it_is_released() {
    let mut inbound = resumed(&[], 1);
    assert_eq!(inbound.arrives(7, 70, false), Arrival::Propose(1));
    assert_eq!(inbound.arrives(7, 70, false), Arrival::UnderWay, "its intent is being committed");
    let number = inbound.push(7, Ack::PubRec);
    assert_eq!(inbound.arrives(7, 70, false), Arrival::UnderWay, "its record is being committed");
    inbound.settle(number, ReasonCode::Success);
    assert_eq!(inbound.arrives(7, 70, false), Arrival::Stored);
    assert_eq!(acks(&mut inbound), [(Ack::PubRec, 7)]);
    assert!(inbound.release(7) && inbound.releasing(7));
    assert!(!inbound.release(7), "a second PUBREL while the first is committed");
    inbound.released(7);
    assert!(!inbound.releasing(7) && !inbound.release(7));
    assert_eq!(
        inbound.arrives(7, 70, false),
        Arrival::Propose(2),
        "the identifier is free for the same again"
    );
}

#[test]
fn a_refused_qos_2_message_frees_its_identifier() {
    let mut inbound = resumed(&[], 1);
    let number = proposed(&mut inbound, 7, 70, 1);
    inbound.settle(number, ReasonCode::QuotaExceeded);
    assert_eq!(inbound.poll().map(|pending| pending.reason), Some(ReasonCode::QuotaExceeded));
    assert!(!inbound.release(7) && inbound.outstanding() == 0);
    assert_eq!(inbound.arrives(7, 70, false), Arrival::Propose(2));
}

#[test]
fn the_same_identifier_with_other_content_is_another_message() {
    let mut inbound = resumed(&[], 1);
    let first = proposed(&mut inbound, 7, 70, 1);
    let second = proposed(&mut inbound, 7, 71, 2);
    inbound.settle(first, ReasonCode::Success);
    assert_eq!(
        inbound.arrives(7, 71, false),
        Arrival::UnderWay,
        "that the first is stored says nothing of the second"
    );
    inbound.settle(second, ReasonCode::Success);
    assert_eq!(inbound.arrives(7, 71, false), Arrival::Stored);
    assert_eq!(acks(&mut inbound), [(Ack::PubRec, 7), (Ack::PubRec, 7)]);
    // The first refused does not forget the second either.
    let third = proposed(&mut inbound, 8, 80, 3);
    proposed(&mut inbound, 8, 81, 4);
    inbound.settle(third, ReasonCode::QuotaExceeded);
    assert_eq!(inbound.arrives(8, 81, false), Arrival::UnderWay);
}

fn resumed(intents: &[Intent], next_token: u64) -> Inbound {
    Inbound::resume(&Core { intents: intents.to_vec(), next_token, ..Core::default() }, true)
}

#[test]
fn a_repeat_of_a_qos_2_message_that_was_refused_unheard_is_refused_again() {
    let refused = [(7, 70), (8, 80), (9, 90)].map(|(packet_id, hash)| Refusal { packet_id, hash });
    let core = Core { refused: refused.to_vec(), next_token: 5, ..Core::default() };
    let mut inbound = Inbound::resume(&core, true);
    assert_eq!(inbound.outstanding(), 0);
    assert_eq!(inbound.arrives(7, 70, true), Arrival::Refused);
    assert_eq!(inbound.arrives(7, 70, true), Arrival::Propose(5), "it has been told");
    assert_eq!(inbound.arrives(8, 80, false), Arrival::Propose(6), "it has heard, and tries anew");
    assert_eq!(inbound.arrives(9, 91, true), Arrival::Propose(7), "another message under its identifier");
    let mut deaf = Inbound::resume(&core, false);
    assert_eq!(deaf.arrives(7, 70, true), Arrival::Propose(5), "before 5.0 there is no way to say no");
}

fn intent(packet_id: u32, hash: u64, token: u64) -> Intent {
    Intent { packet_id, hash, token, partition: Some(0) }
}

#[test]
fn a_resumed_session_proposes_a_repeat_with_the_token_it_had() {
    let intents = [intent(7, 70, 5), intent(8, 80, 6)];
    let mut inbound = resumed(&intents, 9);
    assert_eq!(inbound.outstanding(), 2);
    assert_eq!(inbound.arrives(7, 70, false), Arrival::Propose(5));
    assert_eq!(inbound.arrives(7, 70, false), Arrival::UnderWay);
    assert_eq!(inbound.arrives(8, 81, false), Arrival::Propose(9), "another message under an old identifier");
    let mut inbound = resumed(&intents, 9);
    assert!(inbound.release(8), "PUBREL for a message that the last owner stored");
    inbound.released(8);
    assert_eq!(inbound.arrives(8, 80, false), Arrival::Propose(9));
}

#[test]
fn a_token_says_which_are_still_open() {
    let lowest = |inbound: &Inbound, token| {
        let Token { incarnation, token: own, lowest_open } = inbound.token(3, token);
        assert_eq!((incarnation, own), (3, token));
        lowest_open
    };
    let mut inbound = resumed(&[], 0);
    for (packet_id, token) in [(10, 1), (11, 2), (12, 3)] {
        let number = proposed(&mut inbound, packet_id, 0, token);
        inbound.settle(number, ReasonCode::Success);
        assert_eq!(lowest(&inbound, token), 1);
    }
    inbound.released(11);
    assert_eq!(lowest(&inbound, 3), 1, "a stored one is open until its PUBREL");
    inbound.released(10);
    assert_eq!(lowest(&inbound, 3), 3);
    inbound.released(12);
    assert_eq!(lowest(&inbound, 4), 4);
}

#[test]
fn mqtt_3_3_4_7_publishes_count_until_they_are_acknowledged() {
    let mut inbound = Inbound::default();
    let number = inbound.push(1, Ack::PubAck);
    let once = proposed(&mut inbound, 2, 0, 0);
    inbound.push(0, Ack::None);
    assert_eq!((inbound.outstanding(), inbound.below(2), inbound.below(9)), (2, false, true));
    inbound.settle(number, ReasonCode::Success);
    inbound.settle(once, ReasonCode::Success);
    acks(&mut inbound);
    assert_eq!(inbound.outstanding(), 1, "QoS 2 counts until PUBCOMP");
    inbound.released(2);
    assert_eq!(inbound.outstanding(), 0);
}

fn alias(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

#[test]
fn mqtt_3_3_2_12_an_alias_stands_for_the_topic_it_was_set_to_last() {
    let mut aliases = AliasesIn::default();
    assert_eq!(aliases.get(alias(1)), None);
    assert!(aliases.set(alias(3), "a", 3) && aliases.set(alias(1), "b", 3));
    assert_eq!((aliases.get(alias(3)).as_deref(), aliases.get(alias(2))), (Some("a"), None));
    assert!(aliases.set(alias(3), "c", 3));
    assert_eq!(aliases.get(alias(3)).as_deref(), Some("c"));
    assert_eq!(aliases.get(alias(u16::MAX)), None);
}

#[test]
fn mqtt_3_3_2_9_an_alias_beyond_the_maximum_is_refused() {
    let mut aliases = AliasesIn::default();
    assert!(!aliases.set(alias(4), "a", 3) && !aliases.set(alias(1), "a", 0));
    assert_eq!((aliases.get(alias(4)), aliases.get(alias(1))), (None, None));
}

#[test]
fn mqtt_3_3_2_11_we_set_no_more_aliases_than_the_client_takes() {
    assert!(AliasesOut::new(0).is_none());
    let mut aliases = AliasesOut::new(2).unwrap();
    assert_eq!(aliases.get("a"), Some((alias(1), false)), "the first time with the topic");
    assert_eq!(aliases.get("b"), Some((alias(2), false)));
    assert_eq!(aliases.get("c"), None);
    assert_eq!(aliases.get("a"), Some((alias(1), true)));
    assert_eq!(aliases.get("c"), None);
}
