//! Walking a sorted map of Topic Names by a filter: where the next match can be, so that a scan skips whole
//! subtrees that cannot match.
//!
//! Names sort as strings (by bytes), not by level: `a-b` comes before `a/b`, and `a0` after.

use super::filter::{split_tail, starts_wild};

/// The places in string order where names that match one filter can be.
///
/// Use: start a range scan at [`FilterRange::first`]; for each name that does not match, go on at
/// [`FilterRange::seek`] of it, and stop at `None`.
#[derive(Debug)]
pub struct FilterRange<'a> {
    levels: Vec<&'a str>,
    tail: bool,
    starts_wild: bool,
}

impl<'a> FilterRange<'a> {
    /// The places of `filter`.
    pub fn new(filter: &'a str) -> Self {
        let (body, tail) = split_tail(filter);
        let levels = body.map(|body| body.split('/').collect()).unwrap_or_default();
        Self { levels, tail, starts_wild: starts_wild(filter) }
    }

    /// No name before this one matches; the name itself may.
    pub fn first(&self) -> String {
        self.literal(String::new(), 0)
    }

    /// A string greater than `after`, such that no name strictly between the two matches; `None` when no name
    /// after `after` matches. The string is a bound and need not be a name.
    pub fn seek(&self, after: &str) -> Option<String> {
        if self.starts_wild && after.starts_with('$') {
            return Some("%".into()); // the successor of `$` [MQTT-4.7.2-1]
        }
        let mut at = 0;
        // Where the latest `+` level of `after` ends: a greater letter than `/` there makes that level longer.
        let mut plus_end = None;
        for (depth, level) in self.levels.iter().enumerate() {
            let rest = &after[at..];
            let last = depth + 1 == self.levels.len();
            let end = if *level == "+" {
                let Some(slash) = rest.find('/') else { return Some(successor(after)) };
                plus_end = Some(at + slash);
                at + slash
            } else if let Some(end) = literal_end(rest, level, last) {
                at + end
            } else if rest < *level
                || (!last && rest.starts_with(level) && before_slash(&rest[level.len()..]))
            {
                return Some(self.literal(after[..at].into(), depth));
            } else {
                return raise(after, plus_end);
            };
            if last {
                return self.beyond(after, end, plus_end);
            }
            at = end + 1;
        }
        Some(successor(after))
    }

    /// `after` has all levels of the filter, the last ending at `end`: what can come next.
    fn beyond(&self, after: &str, end: usize, plus_end: Option<usize>) -> Option<String> {
        if !self.tail {
            return raise(after, plus_end);
        }
        let rest = &after[end..];
        if rest.starts_with('/') {
            Some(successor(after))
        } else if before_slash(rest) {
            Some(format!("{}/", &after[..end]))
        } else {
            raise(after, plus_end)
        }
    }

    /// `start` and the literal levels from `depth` on, up to the next wildcard.
    fn literal(&self, mut start: String, depth: usize) -> String {
        for (depth, level) in self.levels.iter().enumerate().skip(depth) {
            if *level == "+" {
                break;
            }
            start.push_str(level);
            if depth + 1 < self.levels.len() {
                start.push('/');
            }
        }
        start
    }
}

/// Where `level` ends in `rest`, if `rest` starts with it and, unless it is the last, with a `/` after it.
fn literal_end(rest: &str, level: &str, last: bool) -> Option<usize> {
    let beyond = rest.strip_prefix(level)?;
    (last || beyond.starts_with('/')).then_some(level.len())
}

/// Whether `rest` sorts before `/`.
fn before_slash(rest: &str) -> bool {
    rest < "/"
}

/// The least string greater than `after`.
fn successor(after: &str) -> String {
    let mut next = String::with_capacity(after.len() + 1);
    next.push_str(after);
    next.push('\0');
    next
}

/// The least string that has a greater letter than the `/` at `plus_end`.
fn raise(after: &str, plus_end: Option<usize>) -> Option<String> {
    plus_end.map(|end| format!("{}0", &after[..end]))
}
