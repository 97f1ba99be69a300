//! Retained messages, tokens and fences, against models that are too simple to be wrong.

mod admission;
mod fence;

use std::collections::BTreeMap;

use holdfast_codec::Qos;
use proptest::prelude::*;

use super::*;
use crate::record::Token;

/// A machine and its rows. After every entry the rows, loaded, must give the same machine.
#[derive(Default)]
struct World {
    machine: Messages,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn publish(&mut self, offset: u64, stamp: u64, records: &[Record<'_>]) {
        let flags =
            records.iter().fold(EntryFlags::default(), |flags, record| flags.or(record.entry_flags()));
        let mut payload = vec![flags.get()];
        for record in records {
            record.encode(&mut payload);
        }
        let mut changes = Changes::default();
        self.machine.apply(offset, stamp, &payload, &mut changes);
        self.keep(changes);
    }

    fn purge(&mut self, stamp: u64) {
        let mut changes = Changes::default();
        self.machine.command(stamp, CommandKind::Purge(Purge {}), &mut changes);
        self.keep(changes);
    }

    fn close_boot(&mut self, node: u64, boot: u64) {
        let mut changes = Changes::default();
        self.machine.close_boot(node, boot, &mut changes);
        self.keep(changes);
    }

    fn forget(&mut self, ended: Ended) {
        let mut changes = Changes::default();
        let kind = CommandKind::Forget(Forget { sessions: vec![ended] });
        self.machine.command(0, kind, &mut changes);
        self.keep(changes);
    }

    fn keep(&mut self, changes: Changes) {
        for (key, value) in changes.rows {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        let reloaded = self.reloaded();
        assert_eq!(reloaded.retained, self.machine.retained);
        assert_eq!(reloaded.deadlines, self.machine.deadlines);
        assert_eq!(reloaded.retained_bytes, self.machine.retained_bytes);
        assert_eq!(reloaded.tokens, self.machine.tokens);
        assert_eq!(reloaded.boots, self.machine.boots);
    }

    fn reloaded(&self) -> Messages {
        let mut machine = Messages::default();
        for (key, value) in &self.rows {
            assert!(machine.load(key, value));
        }
        machine
    }

    fn payload(&self, topic: &str) -> Option<&[u8]> {
        self.machine.retained(topic).map(|retained| retained.record().payload)
    }
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Record<'a> {
    Record { retain: true, ..Record::sample(topic, payload) }
}

#[test]
fn mqtt_3_3_1_5_the_last_retained_message_of_a_topic_replaces_the_one_before() {
    let mut world = World::default();
    let plain = Record { retain: false, ..retained("b", b"not kept") };
    world.publish(10, 1_000, &[retained("a", b"1"), plain, retained("a", b"2")]);
    let kept = world.machine.retained("a").unwrap();
    assert_eq!((kept.offset, kept.stamp, kept.record()), (12, 1_000, retained("a", b"2")));
    assert_eq!((world.payload("b"), world.machine.retained_len()), (None, 1));
    world.publish(20, 2_000, &[retained("a", b"3")]);
    assert_eq!(world.payload("a"), Some(&b"3"[..]));
    assert_eq!(world.machine.retained_bytes(), world.machine.retained("a").unwrap().record.len() as u64);
}

#[test]
fn mqtt_3_3_1_6_an_empty_payload_removes_the_retained_message() {
    let mut world = World::default();
    world.publish(0, 0, &[retained("a", b"1"), Record { expiry: Some(9), ..retained("b", b"1") }]);
    world.publish(2, 0, &[retained("a", b""), retained("b", b""), retained("never", b"")]);
    assert_eq!((world.machine.retained_len(), world.machine.retained_bytes()), (0, 0));
    assert!(world.rows.is_empty() && !world.machine.due(u64::MAX));
}

#[test]
fn mqtt_3_3_1_8_a_message_without_retain_leaves_the_retained_one_alone() {
    let mut world = World::default();
    world.publish(0, 0, &[retained("a", b"1")]);
    let token = Some(Token { incarnation: 1, token: 1, lowest_open: 1 });
    world.publish(1, 0, &[Record { retain: false, token, ..retained("a", b"2") }]);
    world.publish(2, 0, &[Record { retain: false, token: None, ..retained("a", b"") }]);
    assert_eq!(world.payload("a"), Some(&b"1"[..]));
}

#[test]
fn a_retained_message_keeps_its_properties_and_not_its_token() {
    let mut world = World::default();
    let token = Some(Token { incarnation: 1, token: 1, lowest_open: 1 });
    let whole =
        Record { qos: Qos::ExactlyOnce, token, expiry: Some(7), properties: &[1, 1], ..retained("a", b"1") };
    world.publish(0, 0, &[whole]);
    assert_eq!(world.machine.retained("a").unwrap().record(), Record { token: None, ..whole });
}

#[test]
fn mqtt_3_3_2_5_a_retained_message_ends_at_its_expiry() {
    let mut world = World::default();
    let expiring = |seconds| Record { expiry: Some(seconds), ..retained("a", b"1") };
    world.publish(0, 1_000, &[expiring(2), Record { topic: "b", ..expiring(5) }, retained("c", b"1")]);
    assert!(!world.machine.due(2_999) && world.machine.due(3_000));
    world.purge(2_999);
    assert_eq!(world.machine.retained_len(), 3);
    world.purge(3_000);
    assert_eq!((world.payload("a"), world.machine.retained_len()), (None, 2));
    assert!(!world.machine.due(5_999));
    // A newer one goes by its own expiry, or has none.
    world.publish(3, 4_000, &[Record { topic: "b", ..expiring(9) }]);
    world.purge(6_000);
    assert!(world.payload("b").is_some() && world.machine.due(13_000));
    world.publish(4, 5_000, &[retained("b", b"2")]);
    world.purge(u64::MAX);
    assert_eq!(world.machine.retained_len(), 2);
}

#[test]
fn an_expired_message_is_passed_over_before_it_is_removed() {
    let mut world = World::default();
    world.publish(0, 1_000, &[Record { expiry: Some(2), ..retained("a", b"1") }, retained("b", b"1")]);
    let topics = |now| -> Vec<&str> {
        let bounds = Bounds { hits_max: 9, looked_max: 9, below: u64::MAX, now };
        world.machine.scan("#", "", bounds).hits.iter().map(|hit| hit.topic).collect()
    };
    assert_eq!((topics(2_999), topics(3_000)), (vec!["a", "b"], vec!["b"]));
}

fn token(incarnation: u64, token: u64, lowest_open: u64) -> Token {
    Token { incarnation, token, lowest_open }
}

#[test]
fn a_token_that_was_applied_or_is_settled_repeats() {
    let mut world = World::default();
    let once = |token| Record { retain: false, token: Some(token), ..retained("a", b"1") };
    assert!(!world.machine.repeats(token(1, 1, 1)));
    world.publish(0, 0, &[once(token(1, 1, 1)), once(token(1, 3, 1))]);
    // Also after a reload, and of one incarnation only.
    for machine in [&world.machine, &world.reloaded()] {
        let repeats: Vec<bool> = (1..5).map(|number| machine.repeats(token(1, number, 1))).collect();
        assert_eq!(repeats, [true, false, true, false]);
        assert!(!machine.repeats(token(2, 1, 1)));
    }
    world.publish(2, 0, &[once(token(1, 4, 3))]);
    for machine in [&world.machine, &world.reloaded()] {
        let repeats: Vec<bool> = (1..6).map(|number| machine.repeats(token(1, number, 1))).collect();
        assert_eq!(repeats, [true, true, true, true, false], "all below the lowest open one are settled");
    }
}

#[test]
fn settled_tokens_cost_nothing() {
    let mut world = World::default();
    for number in 1..1_000 {
        let lowest_open = u64::max(1, number - number % 7);
        let token = Some(token(1, number, lowest_open));
        world.publish(number, 0, &[Record { retain: false, token, ..retained("a", b"1") }]);
        let row = world.rows.values().next().unwrap();
        assert!(world.rows.len() == 1 && row.len() <= 8 * 8, "{number}: {} bytes", row.len());
    }
    // A late proposal that still says a lower one does not open what is settled.
    world.publish(1_000, 0, &[Record { token: Some(token(1, 1_000, 1)), ..retained("a", b"1") }]);
    assert!(world.machine.repeats(token(1, 500, 1)) && !world.machine.repeats(token(1, 1_001, 1)));
}

#[test]
fn an_entry_that_is_not_flagged_is_not_walked() {
    let mut machine = Messages::default();
    let mut payload = vec![EntryFlags::default().get()];
    retained("a", b"1").encode(&mut payload);
    let mut changes = Changes::default();
    machine.apply(0, 0, &payload, &mut changes);
    machine.apply(1, 0, &[], &mut changes);
    assert!(changes.rows.is_empty() && machine.retained_len() == 0);
}

#[test]
fn damaged_rows_are_said() {
    let mut world = World::default();
    let token = Some(token(1, 1, 1));
    world.publish(0, 0, &[Record { token, ..retained("a", b"1") }]);
    assert_eq!(world.rows.len(), 2);
    for (key, value) in &world.rows {
        assert!(Messages::default().load(key, value));
        let more = [&value[..], &[0]].concat();
        assert!(!Messages::default().load(key, &more), "bytes behind the value at {key:?}");
        for cut in (0..value.len()).filter(|cut| key[0] == b'r' || cut % 8 != 0 || *cut == 0) {
            // A shorter payload would be one, so the record's length says what belongs to it.
            assert!(!Messages::default().load(key, &value[..cut]), "{key:?} cut at {cut}");
        }
        let other = [&key[..], b"x"].concat();
        assert!(!Messages::default().load(&other, value), "under another key than {key:?}");
    }
    let value = world.rows.values().last().unwrap();
    for key in [&b""[..], b"z", b"r\xff", b"k1234567"] {
        assert!(!Messages::default().load(key, value), "{key:?}");
    }
}

/// What a filter means, level by level.
fn matches_model(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches_model(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && matches_model(filter, topic),
        _ => false,
    }
}

fn wanted(filter: &str, topic: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let names: Vec<&str> = topic.split('/').collect();
    let hidden = topic.starts_with('$') && matches!(levels[0], "+" | "#");
    !hidden && matches_model(&levels, &names)
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$s", "a-", "a0", "\u{e9}", "$"])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..4)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 2 => Just("+")];
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, tail)| {
        if tail || levels.is_empty() {
            levels.push("#");
        }
        levels.join("/")
    })
}

/// (topic, offset, expiry in seconds) of everything that a walk to the end comes to.
fn walk(machine: &Messages, filter: &str, bounds: Bounds) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), String::new());
    for _ in 0..10_000 {
        let page = machine.scan(filter, &from, bounds);
        assert!(page.hits.len() <= bounds.hits_max);
        found.extend(page.hits.iter().map(|hit| hit.topic.to_owned()));
        match page.next {
            Some(next) => {
                assert!(next > from, "a walk goes on");
                from = next;
            }
            None => return found,
        }
    }
    panic!("a walk without end");
}

proptest! {
    #[test]
    fn a_walk_comes_to_every_retained_topic_once(
        steps in prop::collection::vec((topic(), prop::option::of(0..4_u32), any::<bool>()), 0..40),
        filter in filter(),
        (hits_max, looked_max, below) in (1..4_usize, 1..6_usize, 0..45_u64),
    ) {
        let mut world = World::default();
        let mut model = BTreeMap::new();
        for (offset, (topic, expiry, clear)) in (0..).zip(&steps) {
            let payload: &[u8] = if *clear { b"" } else { b"x" };
            world.publish(offset, offset, &[Record { expiry: *expiry, ..retained(topic, payload) }]);
            if *clear {
                model.remove(topic);
            } else {
                model.insert(topic, (offset, expiry.map(|seconds| offset + u64::from(seconds) * 1_000)));
            }
        }
        prop_assert_eq!(world.machine.retained_len(), model.len());
        let now = 1_020;
        let bounds = Bounds { hits_max, looked_max, below, now };
        let expected: Vec<&String> = model
            .iter()
            .filter(|(topic, (offset, ends))| {
                wanted(&filter, topic) && *offset < below && ends.is_none_or(|at| now < at)
            })
            .map(|(topic, _)| *topic)
            .collect();
        let found = walk(&world.machine, &filter, bounds);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        world.purge(now);
        model.retain(|_, (_, ends)| ends.is_none_or(|at| now < at));
        let left: Vec<&str> = world.machine.retained.keys().map(|topic| &**topic).collect();
        prop_assert_eq!(left, model.keys().map(|topic| topic.as_str()).collect::<Vec<_>>());
    }
}
