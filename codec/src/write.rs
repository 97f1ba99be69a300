//! Fields onto the end of a byte vector.

/// The largest Variable Byte Integer.
pub(crate) const VARINT_MAX: usize = 268_435_455;

/// How many bytes `value` takes as a Variable Byte Integer.
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends `value` as a Variable Byte Integer.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: usize) {
    assert!(value <= VARINT_MAX, "no packet and no property is longer than the protocol can say");
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a two byte integer.
pub(crate) fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a four byte integer.
pub(crate) fn u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends Binary Data: its length in two bytes, then itself.
pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).expect("the caller keeps strings below 65_536 bytes");
    u16(out, len);
    out.extend_from_slice(bytes);
}

/// Appends a UTF-8 Encoded String.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    binary(out, text.as_bytes());
}

/// Appends what `body` appends, with its length as a Variable Byte Integer before it.
pub(crate) fn prefixed(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    body(out);
    let len = out.len() - at - 1;
    if len <= 0x7f {
        out[at] = len as u8;
    } else {
        // Control packets seldom come here, and are short when they do: moving them is cheap.
        let mut prefix = Vec::with_capacity(4);
        varint(&mut prefix, len);
        out.splice(at..=at, prefix);
    }
}
