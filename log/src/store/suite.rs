//! What every store must do. Both stores pass this file, so that a simulated night is worth a real one.

use std::sync::Arc;

use bytes::Bytes;

use super::{Batch, Range, Space, Store};

/// Opens the same store again: what a store says is durable must still be there. The one before is
/// dropped first.
pub type Reopen<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// Runs every check; `fresh` gives an empty store, together with a way to open it again.
///
/// Panics at the first thing that a store does wrong.
pub fn run(fresh: &dyn Fn() -> Box<dyn Fn() -> Arc<dyn Store>>) {
    for check in [
        a_value_comes_back,
        spaces_are_apart,
        a_batch_keeps_its_order,
        a_range_ends_before_its_end,
        a_scan_stops_when_told,
        the_last_key_is_found,
        an_empty_range_is_empty,
        a_synced_write_survives,
        a_flush_survives_as_one_point,
        a_large_value_comes_back,
        what_is_deleted_and_reclaimed_stays_away,
    ] {
        check(&*fresh());
    }
}

fn a_value_comes_back(open: Reopen<'_>) {
    let store = open();
    assert_eq!(store.get(Space::Entry, b"k").expect("get"), None);
    put(&*store, Space::Entry, b"k", b"v");
    assert_eq!(store.get(Space::Entry, b"k").expect("get").as_deref(), Some(&b"v"[..]));
    put(&*store, Space::Entry, b"k", b"");
    assert_eq!(store.get(Space::Entry, b"k").expect("get").as_deref(), Some(&b""[..]));
}

fn spaces_are_apart(open: Reopen<'_>) {
    let store = open();
    for (space, value) in SPACES.into_iter().zip(["0", "1", "2", "3"]) {
        put(&*store, space, b"same", value.as_bytes());
    }
    for (space, value) in SPACES.into_iter().zip(["0", "1", "2", "3"]) {
        assert_eq!(store.get(space, b"same").expect("get").as_deref(), Some(value.as_bytes()));
        assert_eq!(keys(&*store, space, b"", b"z"), ["same"]);
    }
}

fn a_batch_keeps_its_order(open: Reopen<'_>) {
    let store = open();
    put(&*store, Space::Entry, b"b", b"old");
    put(&*store, Space::Entry, b"d", b"old");
    let mut batch = Batch::default();
    batch.delete_range(Space::Entry, b"a", b"z");
    batch.put(Space::Entry, b"c", Bytes::from_static(b"new"));
    batch.put(Space::Entry, b"e", Bytes::from_static(b"new"));
    batch.delete(Space::Entry, b"e");
    store.write_log(&batch, true).expect("write");
    assert_eq!(keys(&*store, Space::Entry, b"", b"z"), ["c"]);
}

fn a_range_ends_before_its_end(open: Reopen<'_>) {
    let store = open();
    for key in ["a", "b", "ba", "c"] {
        put(&*store, Space::Meta, key.as_bytes(), b"v");
    }
    assert_eq!(keys(&*store, Space::Meta, b"b", b"c"), ["b", "ba"]);
    let mut batch = Batch::default();
    batch.delete_range(Space::Meta, b"b", b"c");
    store.write_log(&batch, false).expect("write");
    assert_eq!(keys(&*store, Space::Meta, b"", b"z"), ["a", "c"]);
}

fn a_scan_stops_when_told(open: Reopen<'_>) {
    let store = open();
    for number in 0..600_u32 {
        put(&*store, Space::Side, &number.to_be_bytes(), b"v");
    }
    let mut seen = 0_u32;
    let range = Range { space: Space::Side, from: &[0], to: &[255] };
    let mut in_order = true;
    let stop = |key: &[u8], _: &[u8], seen: &mut u32| {
        let right = key == seen.to_be_bytes();
        *seen += 1;
        right
    };
    store
        .scan(range, &mut |key, value| {
            in_order &= stop(key, value, &mut seen);
            seen < 500
        })
        .expect("scan");
    assert!(in_order);
    assert_eq!(seen, 500);
}

fn the_last_key_is_found(open: Reopen<'_>) {
    let store = open();
    for key in ["a", "m", "z"] {
        put(&*store, Space::Entry, key.as_bytes(), key.as_bytes());
    }
    let last = |from: &[u8], to: &[u8]| {
        store.last(Range { space: Space::Entry, from, to }).expect("last").map(|(key, _)| key)
    };
    assert_eq!(last(b"a", b"z").as_deref(), Some(&b"m"[..]));
    assert_eq!(last(b"b", b"c"), None);
}

fn an_empty_range_is_empty(open: Reopen<'_>) {
    let store = open();
    put(&*store, Space::Entry, b"k", b"v");
    assert!(keys(&*store, Space::Entry, b"k", b"k").is_empty());
    assert!(keys(&*store, Space::Entry, b"z", b"a").is_empty());
    assert_eq!(store.last(Range { space: Space::Entry, from: b"z", to: b"a" }).expect("last"), None);
}

fn a_synced_write_survives(open: Reopen<'_>) {
    let store = open();
    put(&*store, Space::Entry, b"first", b"v");
    let mut batch = Batch::default();
    batch.put(Space::Entry, b"second", Bytes::from_static(b"v"));
    batch.put(Space::Meta, b"second", Bytes::from_static(b"v"));
    store.write_log(&batch, true).expect("write");
    drop(store);
    let store = open();
    assert_eq!(keys(&*store, Space::Entry, b"", b"z"), ["first", "second"]);
    assert_eq!(keys(&*store, Space::Meta, b"", b"z"), ["second"]);
}

fn a_flush_survives_as_one_point(open: Reopen<'_>) {
    let store = open();
    put(&*store, Space::State, b"k", b"v");
    put(&*store, Space::Side, b"k", b"v");
    store.flush_state().expect("flush");
    put(&*store, Space::State, b"later", b"v");
    put(&*store, Space::Side, b"later", b"v");
    drop(store);
    let store = open();
    let (state, side) = (keys(&*store, Space::State, b"", b"z"), keys(&*store, Space::Side, b"", b"z"));
    assert_eq!(state, side, "both or neither");
    assert!(state.contains(&"k".to_owned()));
}

fn a_large_value_comes_back(open: Reopen<'_>) {
    let store = open();
    let value: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    put(&*store, Space::Entry, b"large", &value);
    assert_eq!(store.get(Space::Entry, b"large").expect("get").as_deref(), Some(&value[..]));
}

fn what_is_deleted_and_reclaimed_stays_away(open: Reopen<'_>) {
    let store = open();
    for key in ["a", "b", "c"] {
        put(&*store, Space::Entry, key.as_bytes(), b"v");
    }
    let mut batch = Batch::default();
    batch.delete_range(Space::Entry, b"a", b"c");
    store.write_log(&batch, true).expect("write");
    store.reclaim(Range { space: Space::Entry, from: b"a", to: b"c" }).expect("reclaim");
    drop(store);
    let store = open();
    assert_eq!(keys(&*store, Space::Entry, b"", b"z"), ["c"]);
    assert!(store.usage().expect("usage").free_bytes > 0);
}

fn put(store: &dyn Store, space: Space, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(space, key, Bytes::copy_from_slice(value));
    let result = if space.in_log() { store.write_log(&batch, true) } else { store.write_state(&batch) };
    result.expect("write");
}

fn keys(store: &dyn Store, space: Space, from: &[u8], to: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        found.push(String::from_utf8_lossy(key).into_owned());
        true
    };
    store.scan(Range { space, from, to }, &mut visit).expect("scan");
    found
}

const SPACES: [Space; 4] = [Space::Entry, Space::Meta, Space::State, Space::Side];
