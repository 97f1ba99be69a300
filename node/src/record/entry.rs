//! The payload of a partition's entry.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | [`EntryFlags`] |
//! | 4 + 4 n | ordinals of the records that were left out, if flagged |
//! | rest | the records, end to end |

use super::{Record, take_u32};

/// First byte of an entry's payload: says what the records need at apply, so that a plain entry is not walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryFlags(u8);

impl EntryFlags {
    /// Some record is retained or carries a token or a fence, so apply must walk the records.
    pub const STATEFUL: Self = Self(1);
    /// Some records were left out since their publisher lost its session; a list of them stands before the rest.
    pub const FENCED: Self = Self(2);

    /// The byte.
    pub fn get(self) -> u8 {
        self.0
    }

    /// From the byte.
    pub fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// Both.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Must apply walk the records?
    pub fn stateful(self) -> bool {
        self.0 & 1 != 0
    }

    /// Does a list of what was left out stand before the records?
    pub fn fenced(self) -> bool {
        self.0 & 2 != 0
    }
}

/// The records of an entry's payload, in offset order. Stops at damage, which the checksum rules out.
pub fn records(payload: &[u8]) -> Records<'_> {
    Records { rest: split(payload).1 }
}

/// Positions, among the records as they were proposed, of those that were left out since their publisher had lost
/// its session. Rising.
pub fn fenced_ordinals(payload: &[u8]) -> impl Iterator<Item = u32> + '_ {
    split(payload).0.iter().map(|ordinal| u32::from_le_bytes(*ordinal))
}

/// The payload of an entry: records end to end, behind their flags and what was left out.
pub fn assemble(flags: EntryFlags, fenced: &[u32], records: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(5 + 4 * fenced.len() + records.len());
    if fenced.is_empty() {
        payload.push(flags.get());
    } else {
        payload.push(flags.or(EntryFlags::FENCED).get());
        let count = u32::try_from(fenced.len()).expect("an entry holds fewer than 2^32 records");
        payload.extend_from_slice(&count.to_le_bytes());
        payload.extend(fenced.iter().flat_map(|ordinal| ordinal.to_le_bytes()));
    }
    payload.extend_from_slice(records);
    payload
}

/// The ordinals of what was left out, and the records.
fn split(payload: &[u8]) -> (&[[u8; 4]], &[u8]) {
    let Some((flags, rest)) = payload.split_first() else { return (&[], &[]) };
    if !EntryFlags::from_byte(*flags).fenced() {
        return (&[], rest);
    }
    let (count, rest) = take_u32(rest).expect("a committed payload was assembled whole");
    let (ordinals, rest) =
        rest.split_at_checked(4 * count as usize).expect("a committed payload was assembled whole");
    (ordinals.as_chunks().0, rest)
}

/// Iterator over [`records`].
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Over records without the flags byte in front.
    pub fn bare(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The lengths of records end to end, without reading them. Unit: bytes.
    pub fn lengths(mut bytes: &'a [u8]) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let (len, rest) = take_u32(bytes)?;
            bytes = rest.get(len as usize..).unwrap_or_default();
            Some(4 + len as usize)
        })
    }

    /// Passes over `count` records without reading them.
    pub fn skip_records(&mut self, count: u64) {
        for _ in 0..count {
            let Some((len, rest)) = take_u32(self.rest) else { return };
            self.rest = rest.get(len as usize..).unwrap_or_default();
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (record, rest) = Record::decode(self.rest).expect("a committed record was encoded whole");
        self.rest = rest;
        Some(record)
    }
}
