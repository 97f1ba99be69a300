//! A state that a test derives from a group: rows that are put and deleted, and a sum over everything,
//! so that two states are the same only if they saw the same entries in the same order.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;

use holdfast_log::*;

/// The rows of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Machine {
    /// Takes a row from disk.
    pub(crate) fn load(&mut self, key: &[u8], value: &[u8]) {
        self.rows.insert(key.to_vec(), value.to_vec());
    }

    /// Applies an entry and returns what has changed.
    pub(crate) fn apply(&mut self, entry: &Entry) -> StateBatch {
        let mut sum =
            self.rows.get(&b"sum"[..]).map_or(7, |sum| u64::from_le_bytes(sum[..].try_into().unwrap()));
        for byte in entry.index.get().to_le_bytes().iter().chain(&entry.payload) {
            sum = (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let spread = sum % 41;
        let mut changes = StateBatch::default();
        changes.puts.push((b"sum".to_vec(), sum.to_le_bytes().to_vec()));
        changes.puts.push((format!("row {spread:02}").into_bytes(), entry.payload.to_vec()));
        changes.deletes.push(format!("row {:02}", (spread + 20) % 41).into_bytes());
        self.rows.extend(changes.puts.iter().cloned());
        changes.deletes.iter().for_each(|key| drop(self.rows.remove(key)));
        changes
    }
}
