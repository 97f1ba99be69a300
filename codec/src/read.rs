//! Fields off the front of a packet's body.

use crate::id::PacketId;
use crate::kind::{PacketKind, Side};
use crate::limits::Limits;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;

/// What is left of a body, and under which rules it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) version: Version,
    pub(crate) side: Side,
    pub(crate) limits: Limits,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Violation> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    /// A Variable Byte Integer, 0..=268_435_455, in as few bytes as it needs.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, Violation> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let minimal = at == 0 || byte != 0;
                return if minimal { Ok(value) } else { Err(Violation::IntegerNotMinimal) };
            }
        }
        Err(Violation::IntegerTooLong)
    }

    /// Binary Data.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 Encoded String without U+0000.
    pub(crate) fn string(&mut self) -> Result<&'a str, Violation> {
        let text = self.text()?;
        if text.as_bytes().contains(&0) { Err(Violation::StringHasNul) } else { Ok(text) }
    }

    /// A UTF-8 Encoded String whose reader looks for U+0000 itself.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Violation> {
        str::from_utf8(self.binary()?).map_err(|_| Violation::StringNotUtf8)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Violation> {
        PacketId::new(self.u16()?).ok_or(Violation::PacketIdZero)
    }

    /// A Reason Code that a `kind` packet may carry.
    pub(crate) fn reason(&mut self, kind: PacketKind) -> Result<ReasonCode, Violation> {
        let code = self.u8()?;
        ReasonCode::from_u8(code)
            .filter(|reason| reason.allowed_in(kind, self.side))
            .ok_or(Violation::ReasonNotAllowed { kind, code })
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes) }
    }
}
