//! What is a Topic Filter, what is a Topic Name, and which matches which. MQTT 5.0, 4.7 and 4.8.

use holdfast_codec::{Limits, TopicFilter, topic_name_valid};

fn parse(text: &str) -> Option<TopicFilter<'_>> {
    TopicFilter::parse(text, &Limits::default())
}

fn matches(filter: &str, topic: &str) -> bool {
    parse(filter).expect("valid").matches(topic)
}

#[test]
fn mqtt_4_7_1_1_multi_level_wildcard_stands_last_and_alone() {
    for valid in ["#", "sport/#", "sport/tennis/#", "/#"] {
        assert!(parse(valid).is_some_and(|filter| filter.has_wildcards()), "{valid}");
    }
    for invalid in ["sport/tennis#", "sport/#/ranking", "##", "#/", "+#"] {
        assert!(parse(invalid).is_none(), "{invalid}");
    }
    assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
    assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    assert!(matches("sport/#", "sport"));
    assert!(!matches("sport/#", "sports"));
}

#[test]
fn mqtt_4_7_1_2_single_level_wildcard_stands_alone() {
    for valid in ["+", "+/tennis/#", "sport/+/player1", "/+", "+/+"] {
        assert!(parse(valid).is_some(), "{valid}");
    }
    for invalid in ["sport+", "+sport", "a/+b", "++"] {
        assert!(parse(invalid).is_none(), "{invalid}");
    }
    assert!(matches("sport/+", "sport/"));
    assert!(!matches("sport/+", "sport"));
    assert!(matches("+/+", "/finance") && matches("/+", "/finance") && !matches("+", "/finance"));
}

#[test]
fn mqtt_4_7_2_1_leading_wildcard_does_not_match_dollar_topics() {
    assert!(!matches("#", "$SYS/broker"));
    assert!(!matches("+/broker", "$SYS/broker"));
    assert!(matches("$SYS/#", "$SYS/broker"));
    assert!(matches("$SYS/+", "$SYS/broker"));
    assert!(matches("a/+", "a/$x"));
}

#[test]
fn mqtt_4_7_3_1_names_and_filters_have_a_character() {
    assert!(parse("").is_none());
    assert!(!topic_name_valid("", &Limits::default()));
    assert!(topic_name_valid("/", &Limits::default()) && parse("/").is_some());
}

#[test]
fn mqtt_4_7_3_2_nul_is_refused() {
    assert!(parse("a\0").is_none());
    assert!(!topic_name_valid("a\0", &Limits::default()));
}

#[test]
fn mqtt_4_7_3_4_matching_is_character_by_character() {
    assert!(!matches("ACCOUNTS", "Accounts"));
    assert!(matches("Accounts payable", "Accounts payable"));
    assert!(!matches("finance", "/finance"));
    assert!(!matches("a/b", "a/b/"));
}

#[test]
fn mqtt_4_8_2_1_share_name_has_a_character() {
    assert!(parse("$share//t").is_none());
    let shared = parse("$share/group/sport/+").expect("valid");
    assert_eq!(shared.share(), Some(("group", "sport/+")));
    assert_eq!((shared.as_str(), shared.filter()), ("$share/group/sport/+", "sport/+"));
    assert!(shared.has_wildcards() && shared.matches("sport/tennis"));
    assert_eq!(parse("$share/g//t").and_then(|filter| filter.share()), Some(("g", "/t")));
}

#[test]
fn mqtt_4_8_2_2_share_name_has_no_wildcard_and_a_filter_follows() {
    for invalid in ["$share/g+/t", "$share/#/t", "$share/g", "$share/g/", "$share/", "$share/g/a#"] {
        assert!(parse(invalid).is_none(), "{invalid}");
    }
    assert_eq!(parse("$share").and_then(|filter| filter.share()), None);
    assert!(parse("$shared/g").is_some_and(|filter| filter.share().is_none()));
}

#[test]
fn limits_are_kept() {
    let limits = Limits { topic_bytes_max: 5, topic_levels_max: 2, ..Limits::default() };
    assert!(TopicFilter::parse("a/b", &limits).is_some());
    assert!(TopicFilter::parse("a/b/c", &limits).is_none());
    assert!(TopicFilter::parse("abcdef", &limits).is_none());
    assert!(topic_name_valid("a/b", &limits));
    assert!(topic_name_valid("/", &limits) && !topic_name_valid("//", &limits));
    assert!(!topic_name_valid("a/b/c", &limits) && !topic_name_valid("abcdef", &limits));
}

#[test]
fn levels_are_those_of_the_filter_proper() {
    let levels: Vec<_> = parse("$share/g/a//+").expect("valid").levels().collect();
    assert_eq!(levels, ["a", "", "+"]);
}
