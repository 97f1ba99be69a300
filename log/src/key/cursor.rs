//! Takes a record apart from front to back.

use super::RecordError;

/// What is left of a record. Integers are little-endian.
pub(super) struct Cursor<'a> {
    record: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts after the version, which must be `known`.
    pub(super) fn new(record: &'static str, known: u8, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (&version, rest) = bytes.split_first().ok_or(RecordError::Short(record))?;
        if version != known {
            return Err(RecordError::Version { record, version });
        }
        Ok(Self { record, rest })
    }

    /// Starts after the version, which is given back and must be 1 to `newest`.
    pub(super) fn up_to(
        record: &'static str,
        newest: u8,
        bytes: &'a [u8],
    ) -> Result<(Self, u8), RecordError> {
        let version = bytes.first().copied().ok_or(RecordError::Short(record))?;
        let known = if (1..=newest).contains(&version) { version } else { newest };
        Ok((Self::new(record, known, bytes)?, version))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(RecordError::Short(self.record))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Refuses bytes that nobody read.
    pub(super) fn end(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Long(self.record)) }
    }
}
