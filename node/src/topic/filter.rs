//! What a Topic Filter means. MQTT 5.0, 4.7.
//!
//! `+` and `#` are wildcards only as whole levels, `#` only as the last one; anything else is literal text.

/// Whether `topic` matches `filter`; costs no memory. Empty levels count, `a/#` matches `a`, and a filter that
/// starts with a wildcard does not match a topic that starts with `$` [MQTT-4.7.2-1].
pub fn matches_filter(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && starts_wild(filter) {
        return false;
    }
    let (body, tail) = split_tail(filter);
    let Some(body) = body else { return true };
    let mut names = topic.split('/');
    for level in body.split('/') {
        match names.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    tail || names.next().is_none()
}

/// Whether `filter` can match more than the one topic that reads like it.
pub fn is_wildcard(filter: &str) -> bool {
    if !filter.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return false;
    }
    split_tail(filter).1 || filter.split('/').any(|level| level == "+")
}

/// Whether the first level of `filter` is a wildcard.
pub(super) fn starts_wild(filter: &str) -> bool {
    filter == "#" || filter.split('/').next() == Some("+")
}

/// The levels before a closing `#`, and whether there is one; no levels at all for `#` alone.
pub(super) fn split_tail(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        Some("") => (None, true),
        Some(rest) if rest.ends_with('/') => (Some(&rest[..rest.len() - 1]), true),
        _ => (Some(filter), false),
    }
}
