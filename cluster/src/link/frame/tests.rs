//! Frames come back whole, and bytes that are none are refused by name.

use holdfast_log::{Body, ReplicaId, Stamp};

use super::*;

fn proposal(body: Body) -> Frame {
    Frame::Propose(Proposal {
        group: GroupId::new(7),
        node: NodeId::new(1),
        boot: BootEpoch::new(2),
        seq: Sequence::new(3),
        body,
        stamp: Stamp::new(99),
    })
}

fn proposed(result: Result<Place, Refusal>) -> Frame {
    Frame::Proposed(Proposed {
        group: GroupId::new(7),
        node: NodeId::new(1),
        boot: BootEpoch::new(2),
        seq: Sequence::new(3),
        result,
    })
}

fn frames() -> Vec<Frame> {
    let refusals = [
        Refusal::Unknown(GroupId::new(9)),
        Refusal::Stopped,
        Refusal::NotLeader { leader: None },
        Refusal::NotLeader { leader: Some(ReplicaId::new(4)) },
        Refusal::NotReady,
        Refusal::Repeat { committed: false },
        Refusal::Repeat { committed: true },
        Refusal::Gap { expected: Sequence::new(5) },
        Refusal::Closed,
        Refusal::Full,
        Refusal::Range,
    ];
    let place = Place { index: Index::new(12), base: Offset::new(34) };
    let mut frames = vec![
        Frame::Raft(vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"two")]),
        proposal(Body::Records { count: 2, bytes: Bytes::from_static(b"records") }),
        proposal(Body::Command(Bytes::from_static(b"command"))),
        proposal(Body::CloseBoot { node: NodeId::new(3), boot: BootEpoch::new(8) }),
        proposal(Body::LogStart(Offset::new(77))),
        proposed(Ok(place)),
        Frame::ReadIndex { group: GroupId::new(1), token: 2 },
        Frame::ReadIndexed { group: GroupId::new(1), token: 2, index: Some(Index::new(0)) },
        Frame::ReadIndexed { group: GroupId::new(1), token: 2, index: None },
        Frame::App(Bytes::from_static(b"app")),
        Frame::Leaving,
    ];
    frames.extend(refusals.into_iter().map(|refusal| proposed(Err(refusal))));
    frames
}

#[test]
fn every_frame_comes_back_whole() {
    for frame in frames() {
        let mut bytes = frame.encode().expect("small");
        let body = bytes.split_off(LENGTH_BYTES);
        assert_eq!(bytes[..], (body.len() as u32).to_le_bytes());
        let back = Frame::decode(body).expect("ours");
        assert_eq!(format!("{back:?}"), format!("{frame:?}"));
    }
}

#[test]
fn a_frame_beyond_the_bound_is_not_made() {
    let fits = Frame::App(Bytes::from(vec![0; FRAME_BYTES_MAX - 16]));
    assert_eq!(fits.encode().expect("fits").len(), FRAME_BYTES_MAX - 16 + LENGTH_BYTES + 1 + 1 + 4);
    let large = Frame::App(Bytes::from(vec![0; FRAME_BYTES_MAX]));
    assert!(matches!(large.encode(), Err(FrameError::Large(_))));
}

#[test]
fn strange_bytes_are_refused_by_name() {
    let of = |bytes: &'static [u8]| Frame::decode(Bytes::from_static(bytes)).expect_err("refused").code();
    assert_eq!(of(b""), Code::Malformed);
    assert_eq!(of(b"\x02"), Code::Version);
    assert_eq!(of(b"\x01"), Code::Kind);
    assert_eq!(of(b"\x01\x78\x01"), Code::Kind, "field 15 is none of ours");
    assert_eq!(of(b"\x01\x32\x09a"), Code::Malformed, "cut short");
}

#[test]
fn no_bytes_panic() {
    for frame in frames() {
        let body = frame.encode().expect("small").split_off(LENGTH_BYTES);
        for at in 0..body.len() {
            let _either = Frame::decode(body.slice(..at));
            for flip in [1_u8, 0x80, 0xff] {
                let mut damaged = body.to_vec();
                damaged[at] ^= flip;
                let _either = Frame::decode(damaged.into());
            }
        }
    }
}
