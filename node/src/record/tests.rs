//! Records and payloads, there and back.

use super::*;

impl<'a> Record<'a> {
    /// A message of QoS 1 with nothing to it, for tests to change.
    pub(crate) fn sample(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            qos: Qos::AtLeastOnce,
            retain: false,
            slot: 0,
            publisher: 1,
            epoch: 1,
            expiry: None,
            token: None,
            fences: Fences::default(),
            topic,
            properties: &[],
            payload,
        }
    }
}

fn record<'a>() -> Record<'a> {
    Record { slot: 17, publisher: 0xdead_beef_0102_0304, epoch: 7, ..Record::sample("a/b", b"hello") }
}

#[test]
fn decode_of_encode_is_identity() {
    let token = Token { incarnation: 1, token: 9, lowest_open: 4 };
    let all = [
        record(),
        Record { retain: true, expiry: Some(60), ..record() },
        Record { qos: Qos::ExactlyOnce, token: Some(token), properties: &[1, 0], payload: b"", ..record() },
    ];
    let mut bytes = vec![EntryFlags::STATEFUL.get()];
    for one in &all {
        one.encode(&mut bytes);
    }
    assert_eq!(records(&bytes).collect::<Vec<_>>(), all);
    let mut skipped = records(&bytes);
    skipped.skip_records(2);
    assert_eq!(skipped.collect::<Vec<_>>(), all[2..]);
}

#[test]
fn any_cut_is_damage() {
    let mut bytes = Vec::new();
    Record { expiry: Some(1), properties: &[1, 1], ..record() }.encode(&mut bytes);
    for cut in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn only_retained_and_tokens_need_a_walk_at_apply() {
    assert!(!record().entry_flags().stateful());
    assert!(Record { retain: true, ..record() }.entry_flags().stateful());
}

#[test]
fn a_record_comes_back_with_its_fences() {
    let packed = Fences::pack(&[Fence { node: 1, boot: u64::MAX }, Fence { node: 2, boot: 7 }]);
    let token = Token { incarnation: 1, token: 9, lowest_open: 4 };
    let one = Record { fences: Fences::of(&packed), token: Some(token), expiry: Some(3), ..record() };
    let mut bytes = Vec::new();
    one.encode(&mut bytes);
    assert_eq!(Record::decode(&bytes), Some((one, &[][..])));
    let fences: Vec<Fence> = one.fences.iter().collect();
    assert_eq!(fences, [Fence { node: 1, boot: u64::MAX }, Fence { node: 2, boot: 7 }]);
    for cut in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..cut]), None, "cut at {cut}");
    }
    assert!(Record { fences: Fences::of(&packed), ..record() }.entry_flags().stateful());
}

#[test]
fn a_record_of_the_first_release_is_read() {
    let bytes = b"\x1a\0\0\0\x05\x11\0\x04\x03\x02\x01\xef\xbe\xad\xde\x07\0\0\0\x03\0a/bhelloo".to_vec();
    let expected = Record { retain: true, payload: b"helloo", ..record() };
    let payload = [&[1][..], &bytes].concat();
    assert_eq!(records(&payload).collect::<Vec<_>>(), [expected]);
    assert_eq!(fenced_ordinals(&payload).count(), 0);
    let mut again = Vec::new();
    expected.encode(&mut again);
    assert_eq!(again, bytes, "and written as it was");
}

#[test]
fn what_was_left_out_stands_before_the_records() {
    let mut bytes = Vec::new();
    record().encode(&mut bytes);
    Record { retain: true, ..record() }.encode(&mut bytes);
    let payload = assemble(EntryFlags::STATEFUL, &[0, 3, 70_000], &bytes);
    assert!(EntryFlags::from_byte(payload[0]).stateful() && EntryFlags::from_byte(payload[0]).fenced());
    assert_eq!(fenced_ordinals(&payload).collect::<Vec<_>>(), [0, 3, 70_000]);
    let mut walk = records(&payload);
    walk.skip_records(1);
    assert_eq!(walk.collect::<Vec<_>>(), [Record { retain: true, ..record() }]);
    assert_eq!(assemble(EntryFlags::STATEFUL, &[], &bytes), [&[1][..], &bytes].concat());
}

#[test]
fn an_epoch_is_below_a_later_one_around_the_wrap() {
    let below = [(1, 2), (u32::MAX, 0), (u32::MAX - 5, 7), (0, (1 << 31) - 1)];
    for (lower, higher) in below {
        assert!(epoch_below(lower, higher) && !epoch_below(higher, lower), "{lower} {higher}");
    }
    assert!(!epoch_below(5, 5));
}
