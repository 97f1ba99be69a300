//! The format of one half of the store.
//!
//! | key | value |
//! | --- | --- |
//! | `0` | version u8 |

use super::FORMAT;

/// The one key.
pub(crate) const KEY: [u8; 1] = [FORMAT];

/// What this version writes and the only one it reads.
pub(crate) const KNOWN: u8 = 1;
