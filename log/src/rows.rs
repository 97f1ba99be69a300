//! What a chunk of a snapshot holds: changes of a group's state, to be made in this order.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0 | 0 put, 1 delete, 2 applied, 3 members |
//! | 1..5 | length of the key, u32 |
//! | 5..9 | length of the value, u32 |
//! | then | key, value |
//!
//! A snapshot is read while the state changes, so a key may come more than once; the last one counts.
//! Its last two rows are the members (`members.rs`) and the applied index with the ledger (`applied.rs`).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Put(Bytes, Bytes),
    Delete(Bytes),
    Applied(Bytes),
    Members(Bytes),
}

/// Adds a change.
pub(crate) fn push(out: &mut BytesMut, row: RowRef<'_>) {
    let (kind, key, value): (u8, &[u8], &[u8]) = match row {
        RowRef::Put(key, value) => (PUT, key, value),
        RowRef::Delete(key) => (DELETE, key, &[]),
        RowRef::Applied(value) => (APPLIED, &[], value),
        RowRef::Members(value) => (MEMBERS, &[], value),
    };
    out.put_u8(kind);
    for part in [key, value] {
        out.put_u32_le(u32::try_from(part.len()).expect("a row is far below 4 GiB"));
    }
    out.put_slice(key);
    out.put_slice(value);
}

/// A change that is about to be added.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowRef<'a> {
    Put(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
    Applied(&'a [u8]),
    Members(&'a [u8]),
}

/// All changes of a chunk; `None` where its bytes are none.
pub(crate) fn parse(mut bytes: Bytes) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        if bytes.len() < HEAD {
            return None;
        }
        let kind = bytes.get_u8();
        let (key, value) = (bytes.get_u32_le() as usize, bytes.get_u32_le() as usize);
        if bytes.len() < key.checked_add(value)? {
            return None;
        }
        let (key, value) = (bytes.split_to(key), bytes.split_to(value));
        rows.push(match kind {
            PUT => Row::Put(key, value),
            DELETE => Row::Delete(key),
            APPLIED => Row::Applied(value),
            MEMBERS => Row::Members(value),
            _ => return None,
        });
    }
    Some(rows)
}

const HEAD: usize = 9;
const PUT: u8 = 0;
const DELETE: u8 = 1;
const APPLIED: u8 = 2;
const MEMBERS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_no_cut_passes_for_more() {
        let mut out = BytesMut::new();
        push(&mut out, RowRef::Put(b"key", b"value"));
        push(&mut out, RowRef::Delete(b"gone"));
        push(&mut out, RowRef::Members(b"m"));
        push(&mut out, RowRef::Applied(b"a"));
        let bytes = out.freeze();
        let part = Bytes::from_static;
        let rows = vec![
            Row::Put(part(b"key"), part(b"value")),
            Row::Delete(part(b"gone")),
            Row::Members(part(b"m")),
            Row::Applied(part(b"a")),
        ];
        assert_eq!(parse(bytes.clone()), Some(rows.clone()));
        for cut in 0..bytes.len() {
            assert!(parse(bytes.slice(..cut)).is_none_or(|found| rows.starts_with(&found)), "{cut}");
        }
        assert_eq!(parse(part(&[9; 40])), None);
    }
}
