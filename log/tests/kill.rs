//! A process that is killed at any moment loses nothing that it said was safe.
//!
//! The test starts itself again as a child, which appends and prints each offset that was synced.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{GROUP, Node, read_all, spec};
use holdfast_log::*;

const DIRECTORY: &str = "HOLDFAST_LOG_KILL_DIRECTORY";
const OTHER: GroupId = GroupId::new(8);

fn open(dir: &Path, boot: u64) -> Node {
    let config = RocksConfig { log_memtable_bytes: 256 * 1024, ..RocksConfig::default() };
    let store = Arc::new(RocksStore::open(dir, &config).unwrap());
    Node::open(store, &[spec(GROUP, true), spec(OTHER, false)], boot).unwrap()
}

fn body(offset: u64) -> Body {
    let size = usize::try_from(offset * 37 % 900).unwrap();
    Body::Records { count: 1, bytes: format!("{offset}:{}", "y".repeat(size)).into_bytes().into() }
}

/// Not a test by itself: what the child does until it is killed.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let boot = u64::from(std::process::id());
    let mut node = open(Path::new(&dir), boot);
    let mut out = std::io::stdout();
    loop {
        let next = node.engine.status(GROUP).unwrap().next_offset.get();
        for offset in next..next + 3 {
            node.propose(GROUP, body(offset));
            node.propose(OTHER, body(offset));
        }
        node.settle().unwrap();
        writeln!(out, "synced {}", next + 3).unwrap();
        out.flush().unwrap();
        if next.is_multiple_of(7) {
            node.engine.flush_state().unwrap();
            node.engine.compact().unwrap();
        }
    }
}

#[test]
fn nothing_synced_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut synced = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut started = None;
        let patience = Duration::from_micros(1_000 + round * 7_919 % 60_000);
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(offset) = line.strip_prefix("synced ") {
                synced = offset.parse().unwrap();
                if started.get_or_insert_with(Instant::now).elapsed() > patience {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still printed before it died counts as well.
        for line in lines.map_while(Result::ok) {
            synced = line.strip_prefix("synced ").and_then(|offset| offset.parse().ok()).unwrap_or(synced);
        }
        check(dir.path(), synced);
    }
    assert!(synced > 200, "{synced}");
}

fn check(dir: &Path, synced: u64) {
    let node = open(dir, 1);
    for group in [GROUP, OTHER] {
        let status = node.engine.status(group).unwrap();
        assert!(status.next_offset.get() >= synced, "{group}: {} of {synced}", status.next_offset);
        assert_eq!(node.counts[&group], status.next_offset.get(), "{group}: state and log agree");
        for entry in read_all(&node.engine.reader(), group) {
            let Body::Records { bytes, .. } = body(entry.base.get()) else { unreachable!() };
            assert_eq!(entry.payload, bytes, "{group} {}", entry.base);
        }
    }
}
