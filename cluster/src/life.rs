//! Counts the starts of a node, so that the others can tell a later life of it from an earlier one.
//!
//! It only orders connections: what a node may do is decided by boot epochs, which the cluster grants.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::identity::{read_json, sync_dir, write_draft};
use crate::{FORMAT, IdentityError};

const FILE: &str = "LIFE";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Life {
    format: u32,
    number: u64,
}

/// The number of the life that begins now: higher than any before it in `dir`, and at least `wall_ms`, so that a
/// lost count goes on above what it was. Written and synced.
///
/// # Errors
/// When the file cannot be written.
pub fn next_life(dir: &Path, wall_ms: u64) -> Result<u64, IdentityError> {
    let path = dir.join(FILE);
    let before = match read_json::<Life>(&path) {
        Ok(life) => life.map_or(0, |life| life.number),
        Err(error @ IdentityError::Damaged { .. }) => {
            warn!(%error, "the count of this node's starts begins anew");
            0
        }
        Err(error) => return Err(error),
    };
    let number = wall_ms.max(before.saturating_add(1));
    let draft = write_draft(dir, FILE, &Life { format: FORMAT, number })?;
    fs::rename(&draft, &path).map_err(|source| IdentityError::Io { path, source })?;
    sync_dir(dir)?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_life_is_above_the_one_before_whatever_the_clock_says() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("data");
        assert_eq!(next_life(&dir, 1_000).expect("written"), 1_000);
        assert_eq!(next_life(&dir, 900).expect("written"), 1_001);
        assert_eq!(next_life(&dir, 5_000).expect("written"), 5_000);
        fs::write(dir.join(FILE), b"{").expect("written");
        assert_eq!(next_life(&dir, 6_000).expect("written"), 6_000);
    }
}
