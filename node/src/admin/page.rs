//! Paging: a part of a sorted list, and the cursor that names where the next part begins.

use serde::Serialize;

use super::problem::Problem;

/// Items of a page, if the request does not say.
const LIMIT: usize = 100;

/// Most items of a page: what one answer may cost in memory.
const LIMIT_MAX: usize = 1000;

/// Which part of a sorted list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Most items, 1..=1000.
    pub limit: usize,
    /// Only items whose key is greater than this one.
    pub after: Option<String>,
}

/// A part of a sorted list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most the limit.
    pub items: Vec<T>,
    /// The key of the last item if there are more.
    pub next: Option<String>,
}

/// A page as the client sees it.
#[derive(Debug, Serialize)]
pub(super) struct PageAnswer<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for PageAnswer<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next.as_deref().map(cursor) }
    }
}

impl PageQuery {
    /// From `?limit=` and `?cursor=`.
    pub(super) fn new(limit: Option<usize>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_request(format!("limit is {limit}, and must be from 1 to {LIMIT_MAX}")));
        }
        let after = match cursor {
            Some(text) => {
                Some(key(text).ok_or_else(|| Problem::bad_request("the cursor is none of ours".into()))?)
            }
            None => None,
        };
        Ok(Self { limit, after })
    }
}

/// A key as text that needs no escapes in a URL. Opaque to clients, so that it may change.
fn cursor(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn key(cursor: &str) -> Option<String> {
    if !cursor.len().is_multiple_of(2) || !cursor.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&cursor[at..at + 2], 16).ok();
    String::from_utf8((0..cursor.len()).step_by(2).map(byte).collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_any_key() {
        for text in ["", "a", "a/b c&d", "\u{e9}\u{1f980}", "a\0b"] {
            assert_eq!(key(&cursor(text)).as_deref(), Some(text));
        }
        for text in ["0", "zz", "ff", "+1", "\u{e9}"] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
