//! What one node makes of what it hears, and what its directory keeps.

use super::*;
use crate::{Charter, Identity, IdentityError};

const A: &str = "10.0.0.9:7883";
const B: &str = "10.0.0.10:7883";
const C: &str = "10.0.0.11:7883";

fn terms(seeds: &[&str]) -> Terms {
    Terms::new(seeds.iter().map(ToString::to_string).collect(), 16, 8, 3)
}

/// A blank node behind `address`.
fn blank(address: &str, terms: Terms, node_id: Option<u64>) -> Founding {
    let setup = Setup { terms, node_id, nonce: format!("nonce {address}"), entropy: 0x1234_5678 };
    Founding::new(setup, Start::Blank { uuid: format!("uuid {address}") }).expect("sound terms")
}

fn at(ms: u64) -> Now {
    Now { ms, wall_ms: 1_700_000_000_000 + ms }
}

fn handle(node: &mut Founding, now: Now, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    node.handle(now, input, &mut effects);
    effects
}

/// `asker` asks the node behind `seed` once; what both do otherwise comes back.
fn ask(asker: &mut Founding, seed: &str, node: &mut Founding, now: Now) -> Vec<Effect> {
    let question = Question { status: asker.status(now) };
    let mut effects = handle(node, now, Input::Question { ticket: 7, question });
    let reply = effects.iter().position(|effect| matches!(effect, Effect::Reply { ticket: 7, .. }));
    if let Effect::Reply { answer, .. } = effects.remove(reply.expect("a reply")) {
        effects.extend(handle(asker, now, Input::Answer { seed: seed.to_owned(), answer }));
    }
    effects
}

/// The node finds itself behind its address.
fn recognise(node: &mut Founding, seed: &str) -> Vec<Effect> {
    let answer = Answer { status: node.status(at(0)) };
    handle(node, at(0), Input::Answer { seed: seed.to_owned(), answer })
}

fn fatal(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Fatal(error) => Some(error.to_string()),
        _ => None,
    })
}

fn waiting(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Waiting(waiting) => Some(waiting.to_string()),
        _ => None,
    })
}

/// Three blank nodes up to the proposal of the lowest address; its effects, and what it proposed.
fn proposed(numbers: [Option<u64>; 3]) -> ([Founding; 3], Proposal) {
    let list = terms(&[C, A, B]);
    let mut a = blank(A, list.clone(), numbers[0]);
    let mut b = blank(B, list.clone(), numbers[1]);
    let mut c = blank(C, list, numbers[2]);
    assert!(recognise(&mut a, A).is_empty());
    assert!(ask(&mut a, B, &mut b, at(0)).is_empty(), "one of two answers is not enough");
    let effects = ask(&mut a, C, &mut c, at(0));
    let Some(Effect::Persist(Record::Promise(promise))) = effects.first() else {
        panic!("the promise comes first: {effects:?}");
    };
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Ask { .. })).count(), 2);
    ([a, b, c], promise.proposal.clone())
}

#[test]
fn the_lowest_address_numbers_the_founders_in_the_order_of_addresses() {
    let (_, proposal) = proposed([None, None, None]);
    let numbers: Vec<_> = proposal.members.iter().map(|m| (m.node, m.address.as_str())).collect();
    assert_eq!(numbers, [(1, A), (2, B), (3, C)]);
    let (_, proposal) = proposed([None, Some(1), None]);
    let numbers: Vec<_> = proposal.members.iter().map(|m| (m.node, m.address.as_str())).collect();
    assert_eq!(numbers, [(2, A), (1, B), (3, C)]);
}

#[test]
fn nobody_founds_before_the_last_promise() {
    let ([mut a, mut b, mut c], proposal) = proposed([None; 3]);
    let effects = ask(&mut a, B, &mut b, at(1));
    assert!(
        matches!(&effects[..], [Effect::Persist(Record::Promise(promise))] if promise.proposal == proposal),
        "{effects:?}"
    );
    let effects = ask(&mut a, C, &mut c, at(2));
    let told: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Founded(_))).collect();
    let [Effect::Founded(charter)] = told[..] else { panic!("{effects:?}") };
    assert_eq!((charter.identity.node_id, charter.replicas), (1, 3));
    assert_eq!(charter.members, proposal.members);

    let effects = ask(&mut b, A, &mut a, at(3));
    let Some(Effect::Founded(other)) = effects.get(1) else { panic!("{effects:?}") };
    assert_eq!(other.identity.cluster_id, charter.identity.cluster_id);
    assert_eq!((other.identity.node_id, &other.members), (2, &charter.members));
}

#[test]
fn both_of_two_that_disagree_end_whoever_hears_it_first_and_however_early() {
    let mut a = blank(A, terms(&[A, B]), None);
    let other = Terms { partitions: 12, ..terms(&[A, B]) };
    let mut b = blank(B, other, None);
    recognise(&mut a, A);
    // It hears of the other while it does not know itself, so it cannot say which two disagree.
    let effects = ask(&mut a, B, &mut b, at(0));
    assert!(fatal(&effects).expect("the answer differs").contains("--partitions (16 here, 12 there)"));
    let told = effects.iter().any(|effect| matches!(effect, Effect::Ask { seed, .. } if seed == B));
    assert!(told, "the other is told before it ends: {effects:?}");
    let error = fatal(&recognise(&mut b, B)).expect("now it knows");
    assert!(error.contains("--partitions (12 here, 16 there)"), "{error}");
}

#[test]
fn a_promise_is_on_disk_before_it_is_said() {
    let ([a, mut b, _], _) = proposed([None; 3]);
    let question = Question { status: a.status(at(1)) };
    let effects = handle(&mut b, at(1), Input::Question { ticket: 1, question });
    assert!(matches!(effects[..], [Effect::Persist(_), Effect::Reply { .. }]), "{effects:?}");
}

#[test]
fn a_blank_node_joins_what_is_founded_and_promises_nothing_more() {
    let ([mut a, mut b, mut c], _) = proposed([None; 3]);
    ask(&mut a, B, &mut b, at(1));
    ask(&mut a, C, &mut c, at(1));
    let mut status = a.status(at(2));
    status.terms = Terms::default();
    let bare = Answer { status };
    assert_eq!(Answer::decode(&bare.encode()), Ok(bare), "a member may be started without seeds");
    let mut d = blank("d:1", terms(&[A, B, C]), None);
    let effects = ask(&mut d, A, &mut a, at(2));
    assert!(matches!(&effects[..], [Effect::Join { through, .. }] if through == A), "{effects:?}");
    assert!(d.is_settled());
}

#[test]
fn a_cluster_of_one_seed_is_founded_at_once() {
    let mut node = blank(A, terms(&[A]), Some(9));
    let effects = recognise(&mut node, A);
    let founded = effects.iter().find_map(|effect| match effect {
        Effect::Founded(charter) => Some(charter.identity.node_id),
        _ => None,
    });
    assert_eq!(founded, Some(9), "{effects:?}");
}

#[test]
fn a_promise_of_a_single_seed_is_decided_after_a_restart() {
    let mut node = blank(A, terms(&[A]), None);
    let effects = recognise(&mut node, A);
    let Some(Effect::Persist(Record::Promise(promise))) = effects.into_iter().next() else { panic!() };
    let setup = Setup { terms: terms(&[A]), node_id: None, nonce: "again".to_owned(), entropy: 2 };
    let cluster_id = promise.proposal.cluster_id.clone();
    let mut node = Founding::new(setup, Start::Promised(promise)).expect("as before");
    let effects = handle(&mut node, at(0), Input::Tick);
    assert!(matches!(&effects[..], [Effect::Persist(_), Effect::Founded(charter)]
        if charter.identity.cluster_id == cluster_id));
}

#[test]
fn different_settings_end_both_nodes_and_say_what_differs() {
    let mut a = blank(A, terms(&[A, B, C]), None);
    let other = Terms::new(vec![A.to_owned(), B.to_owned()], 32, 8, 3);
    let mut b = blank(B, other, None);
    recognise(&mut a, A);
    recognise(&mut b, B);
    let effects = ask(&mut a, B, &mut b, at(0));
    let errors: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Fatal(error) => Some(error.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 2, "{effects:?}");
    assert!(errors[1].contains(A) && errors[1].contains(B), "{errors:?}");
    assert!(errors[1].contains(&format!("--seeds (only here: {C})")), "{errors:?}");
    assert!(errors[1].contains("--partitions (16 here, 32 there)"), "{errors:?}");
}

#[test]
fn a_stranger_with_another_list_harms_no_founder() {
    let mut a = blank(A, terms(&[A, B]), None);
    recognise(&mut a, A);
    let mut stranger = blank("x:1", terms(&["x:1", A]), None);
    recognise(&mut stranger, "x:1");
    let question = Question { status: stranger.status(at(0)) };
    let effects = handle(&mut a, at(0), Input::Question { ticket: 1, question });
    assert!(matches!(effects[..], [Effect::Reply { .. }]), "{effects:?}");
}

#[test]
fn one_number_for_two_founders_is_an_error_that_names_both() {
    let list = terms(&[A, B, C]);
    let (mut b, mut c) = (blank(B, list.clone(), Some(4)), blank(C, list.clone(), Some(4)));
    recognise(&mut b, B);
    let error = fatal(&ask(&mut b, C, &mut c, at(0))).expect("an error");
    assert!(error.contains(B) && error.contains(C) && error.contains("--node-id 4"), "{error}");

    let mut a = blank(A, list.clone(), None);
    let (mut b, mut c) = (blank(B, list.clone(), Some(4)), blank(C, list, Some(4)));
    recognise(&mut a, A);
    ask(&mut a, B, &mut b, at(0));
    let error = fatal(&ask(&mut a, C, &mut c, at(0))).expect("an error");
    assert!(error.contains(B) && error.contains(C), "{error}");
}

#[test]
fn one_node_behind_two_seeds_is_an_error() {
    let mut node = blank(A, terms(&[A, "localhost:7883"]), None);
    recognise(&mut node, A);
    let error = fatal(&recognise(&mut node, "localhost:7883")).expect("an error");
    assert!(error.contains("localhost:7883") && error.contains(A), "{error}");

    let mut a = blank(A, terms(&[A, B, C]), None);
    let mut b = blank(B, terms(&[A, B, C]), None);
    recognise(&mut a, A);
    ask(&mut a, B, &mut b, at(0));
    let error = fatal(&ask(&mut a, C, &mut b, at(0))).expect("an error");
    assert!(error.contains(B) && error.contains(C), "{error}");
}

#[test]
fn a_missing_seed_is_named_again_and_again() {
    let mut a = blank(A, terms(&[A, B, C]), None);
    let mut b = blank(B, terms(&[A, B, C]), None);
    recognise(&mut a, A);
    ask(&mut a, B, &mut b, at(0));
    handle(&mut a, at(1), Input::Failed { seed: C.to_owned(), reason: "timed out".to_owned() });
    let mut lines = Vec::new();
    for ms in (0..21_000).step_by(100) {
        lines.extend(waiting(&handle(&mut a, at(ms), Input::Tick)));
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
    let expected = format!("1 of 3 seeds have not answered: {C} (timed out)");
    assert!(lines.iter().all(|line| line.starts_with(&expected)), "{lines:?}");

    let (nodes, _) = proposed([None; 3]);
    let [mut a, mut b, _] = nodes;
    ask(&mut a, B, &mut b, at(1));
    handle(&mut a, at(2), Input::Failed { seed: C.to_owned(), reason: "refused".to_owned() });
    handle(&mut a, at(3), Input::Tick);
    let line = waiting(&handle(&mut a, at(6_000), Input::Tick)).expect("a line");
    assert_eq!(line, format!("waiting for the promise of {C} (refused)"));
    handle(&mut b, at(3), Input::Tick);
    let line = waiting(&handle(&mut b, at(6_000), Input::Tick)).expect("a line");
    assert_eq!(line, format!("promised; waiting for {A} to decide"));
}

#[test]
fn a_proposer_that_lost_its_disk_proposes_nothing_and_says_so() {
    let ([mut a, mut b, mut c], _) = proposed([None; 3]);
    ask(&mut a, B, &mut b, at(1));
    ask(&mut a, C, &mut c, at(1));
    let setup = Setup { terms: terms(&[A, B, C]), node_id: None, nonce: "new".to_owned(), entropy: 5 };
    let mut wiped = Founding::new(setup, Start::Blank { uuid: "new".to_owned() }).expect("sound");
    recognise(&mut wiped, A);
    let mut effects = ask(&mut wiped, B, &mut b, at(2));
    effects.extend(ask(&mut wiped, C, &mut c, at(2)));
    effects.extend(handle(&mut wiped, at(3), Input::Tick));
    effects.extend(handle(&mut wiped, at(9_000), Input::Tick));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Persist(_))), "{effects:?}");
    let line = waiting(&effects).expect("a line");
    assert!(line.contains(B) && line.contains(&format!("a former node at {A}")), "{line}");
}

#[test]
fn a_promise_binds_to_one_proposer() {
    let ([mut a, mut b, _], first) = proposed([None; 3]);
    ask(&mut a, B, &mut b, at(1));
    // Another node claims the lowest address with a later round.
    let mut members = first.members.clone();
    members[0].uuid = "another".to_owned();
    let claim = Proposal { cluster_id: "x".to_owned(), round: 9, members, ..first.clone() };
    let mut status = a.status(at(2));
    status.uuid = "another".to_owned();
    status.phase = Some(message::Phase::Promised(claim));
    let effects = handle(&mut b, at(2), Input::Question { ticket: 1, question: Question { status } });
    assert!(matches!(effects[..], [Effect::Reply { .. }]), "{effects:?}");
}

#[test]
fn clocks_an_hour_apart_are_told_once_and_hinder_nothing() {
    let ([mut a, mut b, mut c], _) = proposed([None; 3]);
    ask(&mut a, C, &mut c, at(1));
    let late = Now { ms: 2, wall_ms: at(2).wall_ms + 3_600_000 };
    let question = Question { status: a.status(at(2)) };
    let effects = handle(&mut b, late, Input::Question { ticket: 1, question });
    let ahead = effects.iter().find_map(|effect| match effect {
        Effect::Skewed { seed, ahead_ms } => Some((seed.as_str(), *ahead_ms)),
        _ => None,
    });
    assert_eq!(ahead, Some((A, -3_600_000)), "{effects:?}");
    let Some(Effect::Reply { answer, .. }) =
        effects.into_iter().find(|effect| matches!(effect, Effect::Reply { .. }))
    else {
        panic!("a reply")
    };
    let effects = handle(&mut a, at(2), Input::Answer { seed: B.to_owned(), answer: answer.clone() });
    assert!(matches!(effects[0], Effect::Skewed { ahead_ms: 3_600_000, .. }), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Founded(_))), "{effects:?}");
}

#[test]
fn a_changed_command_line_does_not_pass_for_the_promised_one() {
    let ([_, _, _], proposal) = proposed([None; 3]);
    let promise = Promise::new(proposal.members[1].uuid.clone(), proposal);
    let start = |terms, node_id| {
        let setup = Setup { terms, node_id, nonce: "n".to_owned(), entropy: 1 };
        Founding::new(setup, Start::Promised(promise.clone())).map(|_| ())
    };
    assert_eq!(start(terms(&[A, B, C]), Some(2)), Ok(()));
    let error = start(terms(&[A, B, C]), Some(5)).expect_err("another number").to_string();
    assert!(error.contains("node 2, not node 5"), "{error}");
    let error = start(terms(&[B, C]), None).expect_err("another list").to_string();
    assert!(error.contains(&format!("only there: {A}")), "{error}");
    let error = Founding::new(
        Setup { terms: terms(&[]), node_id: None, nonce: "n".to_owned(), entropy: 1 },
        Start::Blank { uuid: "u".to_owned() },
    );
    assert!(matches!(error, Err(FoundingError::SeedCount { found: 0 })));
}

#[test]
fn another_cluster_than_the_promised_one_is_an_error() {
    let ([mut a, mut b, _], _) = proposed([None; 3]);
    ask(&mut a, B, &mut b, at(1));
    let mut status = a.status(at(2));
    status.phase = Some(message::Phase::Founded("other".to_owned()));
    let answer = Answer { status };
    let error =
        fatal(&handle(&mut b, at(2), Input::Answer { seed: A.to_owned(), answer })).expect("an error");
    assert!(error.contains("cluster other"), "{error}");
}

#[test]
fn addresses_have_one_order_everywhere() {
    let list =
        terms(&["node-b:1", "10.0.0.10:1", "[::1]:1", "10.0.0.9:2", "10.0.0.9:10", "node-a:10", "node-a:9"]);
    let expected =
        ["10.0.0.9:2", "10.0.0.9:10", "10.0.0.10:1", "[::1]:1", "node-a:9", "node-a:10", "node-b:1"];
    assert_eq!(list.seeds, expected);
    assert_eq!(terms(&[A, B, A]).seeds, [A, B]);
}

#[test]
fn ids_differ_from_draw_to_draw_and_from_entropy_to_entropy() {
    let mut drawn = std::collections::BTreeSet::new();
    for bit in 0..128 {
        let setup = Setup { terms: terms(&[A]), node_id: None, nonce: "n".to_owned(), entropy: 1 << bit };
        let mut node = Founding::new(setup, Start::Blank { uuid: "u".to_owned() }).expect("sound");
        let (first, second) = (node.draw(), node.draw());
        assert!(uuid::Uuid::parse_str(&first).is_ok_and(|id| id.get_version_num() == 4), "{first}");
        drawn.extend([first, second]);
    }
    assert_eq!(drawn.len(), 256);
}

#[test]
fn messages_of_other_versions_and_impossible_ones_are_refused() {
    let node = blank(A, terms(&[A, B]), None);
    let question = Question { status: node.status(at(0)) };
    assert_eq!(Question::decode(&question.encode()), Ok(question.clone()));
    assert_eq!(Question::decode(b"\xff\xff"), Err(Malformed::Bytes));
    let mut newer = question.clone();
    newer.status.version = 2;
    assert_eq!(Question::decode(&newer.encode()), Err(Malformed::Version { found: 2 }));
    let mut empty = question.clone();
    empty.status.phase = None;
    assert_eq!(Question::decode(&empty.encode()), Err(Malformed::Content));
    let (_, proposal) = proposed([None; 3]);
    let faults: [fn(&mut Proposal); 6] = [
        |p| p.members.clear(),
        |p| p.members.swap(0, 1),
        |p| p.members[0].node = p.members[1].node,
        |p| p.members[0].uuid = p.members[1].uuid.clone(),
        |p| p.partitions = 70_000,
        |p| p.cluster_id.clear(),
    ];
    for fault in faults {
        let mut wrong = proposal.clone();
        fault(&mut wrong);
        let mut question = question.clone();
        question.status.phase = Some(message::Phase::Promised(wrong));
        assert_eq!(Answer::decode(&question.encode()), Err(Malformed::Content));
    }
}

#[test]
fn a_directory_keeps_the_promise_then_the_decision() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(Start::read(dir.path()), Ok(Start::Blank { .. })));
    let (_, first) = proposed([None; 3]);
    let uuid = first.members[2].uuid.clone();
    for round in 1..=2 {
        let promise = Promise::new(uuid.clone(), Proposal { round, ..first.clone() });
        Record::Promise(promise.clone()).write(dir.path()).expect("written");
        assert_eq!(Start::read(dir.path()).expect("read"), Start::Promised(promise));
    }
    assert_eq!(Identity::read(dir.path()).expect("read"), None, "a promise is no identity");
    let charter = first.charter(&uuid).expect("a member");
    Record::Charter(charter.clone()).write(dir.path()).expect("written");
    assert_eq!(Start::read(dir.path()).expect("read"), Start::Founded(charter.clone()));
    assert_eq!(Charter::read(dir.path()).expect("read"), Some(charter));
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["IDENTITY"]);
}

#[test]
fn a_damaged_promise_is_not_taken_for_a_blank_directory() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("FOUNDING");
    for text in ["", "{\"format\": 1}", "{\"format\": 1, \"node_uuid\": \"u\", \"proposal\": {}}"] {
        std::fs::write(&path, text).expect("written");
        assert!(matches!(Start::read(dir.path()), Err(IdentityError::Damaged { .. })), "{text}");
    }
    let (_, proposal) = proposed([None; 3]);
    let promise = Promise::new("a stranger".to_owned(), proposal);
    Record::Promise(promise).write(dir.path()).expect("written");
    assert!(matches!(Start::read(dir.path()), Err(IdentityError::Damaged { .. })));
    std::fs::write(&path, "{\"format\": 2}").expect("written");
    assert!(matches!(Start::read(dir.path()), Err(IdentityError::Newer { found: 2, .. })));
}
