//! Topic Names and Topic Filters. MQTT 5.0, 4.7 and 4.8.

use std::fmt;

use crate::limits::Limits;
use crate::violation::Violation;

/// What a Shared Subscription begins with.
const SHARE_PREFIX: &str = "$share/";

/// Whether `topic` is a Topic Name: not empty, no wildcard, no U+0000, within `limits`.
pub fn topic_name_valid(topic: &str, limits: &Limits) -> bool {
    check_name(topic, limits).is_ok()
}

/// As [`topic_name_valid`], but says what is wrong.
#[inline]
pub(crate) fn check_name(topic: &str, limits: &Limits) -> Result<(), Violation> {
    if topic.is_empty() {
        return Err(Violation::TopicEmpty);
    }
    if topic.len() > usize::from(limits.topic_bytes_max) {
        return Err(Violation::TopicTooLong);
    }
    // No early exit: the compiler widens a loop without branches.
    let bytes = topic.as_bytes();
    if bytes.iter().fold(false, |bad, &byte| bad | (byte == b'#') | (byte == b'+') | (byte == 0)) {
        let nul = bytes.contains(&0);
        return Err(if nul { Violation::StringHasNul } else { Violation::TopicHasWildcard });
    }
    // A short name cannot be deep, and is not counted.
    let levels_max = usize::from(limits.topic_levels_max);
    if bytes.len() < levels_max || bytes.iter().filter(|&&byte| byte == b'/').count() < levels_max {
        return Ok(());
    }
    Err(Violation::TopicTooDeep)
}

/// A valid Topic Filter; only [`TopicFilter::parse`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a> {
    text: &'a str,
    /// Where the filter proper begins: 0, or after `$share/{ShareName}/`.
    start: usize,
    wildcards: bool,
}

impl<'a> TopicFilter<'a> {
    /// `text` as a Topic Filter; `None` when it is empty, too long or too deep, holds U+0000, has a
    /// wildcard that is not a whole level [MQTT-4.7.1-2], a `#` that is not last [MQTT-4.7.1-1], or
    /// begins with `$share/` but names no share [MQTT-4.8.2-1] or no filter [MQTT-4.8.2-2].
    pub fn parse(text: &'a str, limits: &Limits) -> Option<Self> {
        if text.len() > usize::from(limits.topic_bytes_max) || text.as_bytes().contains(&0) {
            return None;
        }
        let start = match text.strip_prefix(SHARE_PREFIX) {
            None => 0,
            Some(rest) => {
                let (share, _) = rest.split_once('/')?;
                if share.is_empty() || share.contains(['+', '#']) {
                    return None;
                }
                SHARE_PREFIX.len() + share.len() + 1
            }
        };
        let filter = &text[start..];
        if filter.is_empty() {
            return None;
        }
        let (mut wildcards, mut levels, mut closed) = (false, 0, false);
        for level in filter.split('/') {
            levels += 1;
            if closed || levels > usize::from(limits.topic_levels_max) {
                return None;
            }
            if level.contains(['+', '#']) {
                if level.len() > 1 {
                    return None;
                }
                wildcards = true;
                closed = level == "#";
            }
        }
        Some(Self { text, start, wildcards })
    }

    /// The whole filter as it was sent, `$share/{ShareName}/` included.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The filter that topics are matched with: without `$share/{ShareName}/`.
    pub fn filter(&self) -> &'a str {
        &self.text[self.start..]
    }

    /// The Share Name and the filter proper of a Shared Subscription.
    pub fn share(&self) -> Option<(&'a str, &'a str)> {
        let end = self.start.checked_sub(1)?;
        Some((&self.text[SHARE_PREFIX.len()..end], self.filter()))
    }

    /// Whether the filter holds `+` or `#`.
    pub fn has_wildcards(&self) -> bool {
        self.wildcards
    }

    /// The levels of the filter proper.
    pub fn levels(&self) -> std::str::Split<'a, char> {
        self.filter().split('/')
    }

    /// Whether the filter matches the Topic Name `topic`. A wildcard in front matches no topic that
    /// begins with `$` [MQTT-4.7.2-1].
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for (at, wanted) in self.levels().enumerate() {
            if at == 0 && topic.starts_with('$') && matches!(wanted, "+" | "#") {
                return false;
            }
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}
