//! A message as bytes: who, where, which, padding, and a checksum over all of it and the topic's name.
//!
//! | bytes | what |
//! | --- | --- |
//! | 2 | publisher |
//! | 2 | topic |
//! | 8 | seq |
//! | 0 to 255 | padding, its length and bytes decided by seq |
//! | 4 | CRC-32 of the topic's name and everything before |

use crate::history::Message;

const HEAD: usize = 12;

pub(crate) fn encode(message: Message, topic: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + 260);
    bytes.extend_from_slice(&message.publisher.to_be_bytes());
    bytes.extend_from_slice(&message.topic.to_be_bytes());
    bytes.extend_from_slice(&message.seq.to_be_bytes());
    let padding = (message.seq.wrapping_mul(0x9E37_79B9) >> 3) as u8;
    bytes.extend((0..padding).map(|i| i.wrapping_add(message.seq as u8)));
    let sum = checksum(topic.as_bytes(), &bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8], topic: &[u8]) -> Result<Message, &'static str> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or("payload is too short")?;
    if checksum(topic, body) != u32::from_be_bytes(*sum) {
        return Err("checksum does not fit payload and topic");
    }
    let head = body.first_chunk::<HEAD>().ok_or("payload is too short")?;
    let [p1, p2, t1, t2, seq @ ..] = *head;
    Ok(Message {
        publisher: u16::from_be_bytes([p1, p2]),
        topic: u16::from_be_bytes([t1, t2]),
        seq: u64::from_be_bytes(seq),
    })
}

fn checksum(topic: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(topic);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_back_and_no_byte_of_it_or_its_topic_may_differ() {
        let message = Message { publisher: 3, topic: 7, seq: 1234 };
        let bytes = encode(message, "a/b");
        assert_eq!(decode(&bytes, b"a/b"), Ok(message));
        assert!(decode(&bytes, b"a/c").is_err());
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(decode(&wrong, b"a/b").is_err(), "byte {at}");
        }
    }
}
