//! Topic matching against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

/// The model: both sides as lists of levels, one rule a line.
fn model(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => model(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) if level == name => model(filter, topic),
        _ => false,
    }
}

fn model_matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    if topic[0].starts_with('$') && matches!(filter[0], "+" | "#") {
        return false;
    }
    model(&filter, &topic)
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$a", "a-", "a0", "A", "\u{e9}", "$", "a.", "seventeen letters"])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(text(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => text(), 2 => Just("+")];
    (prop::collection::vec(level, 0..5), any::<bool>()).prop_map(|(mut levels, tail)| {
        if tail || levels.is_empty() {
            levels.push("#");
        }
        levels.join("/")
    })
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String, u64),
    Remove(String, u64),
    Match(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), 0..3_u64).prop_map(|(filter, value)| Step::Insert(filter, value)),
        3 => (filter(), 0..3_u64).prop_map(|(filter, value)| Step::Remove(filter, value)),
        2 => topic().prop_map(Step::Match),
    ]
}

fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

fn check(trie: &Trie<u64>, held: &BTreeSet<(String, u64)>, topic: &str) {
    let mut out = Vec::new();
    trie.matches(topic, &mut out);
    let expected = held.iter().filter(|(filter, _)| model_matches(filter, topic)).map(|(_, value)| *value);
    assert_eq!(sorted(out), sorted(expected.collect()), "{topic:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_filter_matches_like_the_model(filter in filter(), topic in topic()) {
        prop_assert_eq!(matches_filter(&filter, &topic), model_matches(&filter, &topic));
    }

    #[test]
    fn trie_matches_like_the_model(steps in prop::collection::vec(step(), 1..200), topics in prop::collection::vec(topic(), 20)) {
        let mut trie = Trie::new();
        let mut held = BTreeSet::new();
        for step in steps {
            let (version, len) = (trie.version(), trie.len());
            match step {
                Step::Insert(filter, value) => {
                    prop_assert_eq!(trie.insert(&filter, value), held.insert((filter, value)));
                }
                Step::Remove(filter, value) => {
                    prop_assert_eq!(trie.remove(&filter, &value), held.remove(&(filter, value)));
                }
                Step::Match(topic) => check(&trie, &held, &topic),
            }
            prop_assert_eq!(trie.version() != version, trie.len() != len);
            prop_assert_eq!(trie.len(), held.len());
        }
        topics.iter().for_each(|topic| check(&trie, &held, topic));
        for (filter, value) in &held {
            prop_assert!(trie.remove(filter, value));
        }
        prop_assert_eq!(trie.kept(), (0, 0, 0, 0), "an empty trie keeps nothing");
    }

    #[test]
    fn seek_skips_no_match(filter in filter(), topics in prop::collection::btree_set(topic(), 0..60)) {
        let map: BTreeMap<String, ()> = topics.into_iter().map(|topic| (topic, ())).collect();
        let range = FilterRange::new(&filter);
        let mut found = Vec::new();
        let mut from = Some(range.first());
        while let Some(bound) = from.take() {
            for (topic, ()) in map.range::<str, _>((Bound::Included(bound.as_str()), Bound::Unbounded)) {
                if model_matches(&filter, topic) {
                    found.push(topic.clone());
                    continue;
                }
                from = range.seek(topic);
                prop_assert!(from.as_ref().is_none_or(|next| next > topic), "{:?} after {}", from, topic);
                break;
            }
        }
        let expected: Vec<String> = map.into_keys().filter(|topic| model_matches(&filter, topic)).collect();
        prop_assert_eq!(found, expected);
    }

    /// Also from names that do match, and names that are in no map.
    #[test]
    fn nothing_between_a_name_and_its_seek_matches(filter in filter(), after in topic(), name in topic()) {
        let next = FilterRange::new(&filter).seek(&after);
        let between = name > after && next.is_none_or(|next| name < next);
        prop_assert!(!(between && model_matches(&filter, &name)));
    }
}

#[test]
fn mqtt_4_7_2_1_leading_wildcards_do_not_see_dollar_topics() {
    for filter in ["#", "+/monitor", "+/#"] {
        assert!(!matches_filter(filter, "$SYS/monitor"), "{filter}");
    }
    assert!(matches_filter("$SYS/#", "$SYS/monitor") && matches_filter("$SYS/+", "$SYS/monitor"));
    assert!(matches_filter("a/+", "a/$b"));
}

#[test]
fn the_examples_of_the_specification() {
    let matching = [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
    ];
    for (filter, topic) in matching {
        assert!(matches_filter(filter, topic) && model_matches(filter, topic), "{filter} {topic}");
    }
    for (filter, topic) in [("sport/+", "sport"), ("+", "/finance"), ("sport/tennis/+", "sport/tennis/a/b")] {
        assert!(!matches_filter(filter, topic), "{filter} {topic}");
    }
}

#[test]
fn invalid_filters_are_literal() {
    assert!(!is_wildcard("a#") && !is_wildcard("a+/b") && !is_wildcard("#/a"));
    assert!(is_wildcard("#") && is_wildcard("a/#") && is_wildcard("+") && is_wildcard("a/+/b"));
}

#[test]
fn a_scan_for_a_narrow_filter_touches_few_names() {
    let map: BTreeMap<String, ()> =
        (0..1000).flat_map(|room| (0..100).map(move |k| (format!("r{room:04}/d{k:03}/t"), ()))).collect();
    let range = FilterRange::new("+/d042/#");
    let (mut seeks, mut found) = (0, 0);
    let mut from = Some(range.first());
    while let Some(bound) = from.take() {
        for (topic, ()) in map.range::<str, _>((Bound::Included(bound.as_str()), Bound::Unbounded)) {
            if matches_filter("+/d042/#", topic) {
                found += 1;
                continue;
            }
            seeks += 1;
            from = range.seek(topic);
            break;
        }
    }
    assert_eq!(found, 1000);
    assert!(seeks <= 2 * 1000 + 1, "{seeks} seeks");
}

#[test]
fn a_crowd_on_one_filter_comes_and_goes_in_linear_time() {
    let mut trie = Trie::new();
    for value in 0..200_000_u64 {
        assert!(trie.insert("a/+", value));
    }
    assert!(!trie.insert("a/+", 7));
    let mut out = Vec::new();
    trie.matches("a/b", &mut out);
    assert_eq!(out.len(), 200_000);
    for value in 0..200_000_u64 {
        assert!(trie.remove("a/+", &value));
    }
    assert_eq!(trie.kept(), (0, 0, 0, 0));
}

#[test]
fn random_topics_leave_nothing_behind() {
    let mut trie = Trie::new();
    trie.insert("keep/+", 1_u64);
    let before = trie.kept();
    for turn in 0..10_000_u64 {
        let filter = format!("x/{turn}/+/a level of more than fifteen bytes {}/#", turn % 10);
        trie.insert(&filter, turn);
        trie.remove(&filter, &turn);
    }
    assert_eq!(trie.kept(), before);
}

#[test]
fn levels_compare_with_their_length() {
    let mut trie = Trie::new();
    trie.insert("+/a", 1_u64);
    trie.insert("+/fifteen letters", 2);
    trie.insert("+/sixteen letters!", 3);
    for (topic, expected) in [("x/a", 1), ("x/fifteen letters", 2), ("x/sixteen letters!", 3)] {
        let mut out = Vec::new();
        trie.matches(topic, &mut out);
        assert_eq!(out, [expected], "{topic}");
    }
    for topic in ["x/a\0", "x/fifteen letters!", "x/sixteen letters", "x/a level that nobody asked for"] {
        let mut out = Vec::new();
        trie.matches(topic, &mut out);
        assert!(out.is_empty(), "{topic}");
    }
}

#[test]
fn depth_is_no_danger() {
    let deep = vec!["a"; 32_767].join("/");
    let wild = vec!["+"; 32_767].join("/");
    let mut trie = Trie::new();
    trie.insert(&deep, 1_u64);
    trie.insert(&wild, 2);
    trie.insert(&format!("{deep}/#"), 3);
    let mut out = Vec::new();
    trie.matches(&deep, &mut out);
    assert_eq!(sorted(out), [1, 2, 3]);
}
