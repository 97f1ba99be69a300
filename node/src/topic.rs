//! Topic matching: which filters a Topic Name matches, and where in a sorted list of names a filter may match.
//!
//! Everything here is text in, answer out; no IO, no clock, no lock. Texts are taken as valid (the codec has
//! checked them); an invalid filter is taken literally and harms nobody. A Share Name is not part of a filter:
//! callers take `$share/name/` off first.

mod trie;

mod edge;
mod exact;
mod level;
mod range;

mod filter;
mod values;

pub use filter::{is_wildcard, matches_filter};
pub use range::FilterRange;
pub use trie::Trie;

#[cfg(test)]
mod tests;
