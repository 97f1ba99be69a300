//! Full queues and floods: bounded, counted, and no concern of the control lane.

use super::*;

const MIB: usize = 1 << 20;

#[test]
fn a_reader_that_sleeps_fills_a_bounded_way_and_then_live_frames_are_dropped() {
    let (one, mut two) = pair();
    let frame_bytes = 256 << 10;
    let frame = app(vec![7; frame_bytes]);
    let (mut sent, mut refused_in_a_row) = (0_usize, 0);
    let end = Instant::now() + PATIENCE;
    // Full for good is when the inbox has its part and nothing has moved for as long as a frame would take many times
    // over.
    while sent * frame_bytes < 24 * MIB || refused_in_a_row < 200 {
        assert!(Instant::now() < end, "it takes less than 24 MiB, or more and more: {} MiB", sent / 4);
        match one.link.send(NodeId::new(2), Lane::Live, &frame) {
            Ok(()) => (sent, refused_in_a_row) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error, Unsent::Full);
                refused_in_a_row += 1;
                let _wait = one.bell.1.wait_timeout(one.bell.0.lock().expect("no panic"), TICK);
            }
        }
    }
    let bytes = sent * frame_bytes;
    assert!(bytes <= 40 * MIB, "inbox, window and queue are bounded: {bytes}");
    let figures = one.link.figures().remove(0);
    assert!(figures.dropped[Lane::Live.slot()] >= 200, "{figures:?}");
    assert!(figures.queued_bytes[Lane::Live.slot()] > 3 << 20, "{figures:?}");
    assert_eq!((figures.queued_bytes[Lane::Control.slot()], figures.dropped[Lane::Control.slot()]), (0, 0));
    // A lane that may wait less is still read.
    one.link.send(NodeId::new(2), Lane::Control, &app("beat")).expect("room");
    let mut live = 0;
    let mut beat = false;
    while live < sent || !beat {
        match two.frame().1 {
            bytes if bytes == "beat" => beat = true,
            _ => live += 1,
        }
    }
}

const TICK: Duration = Duration::from_millis(5);

#[test]
fn a_flood_does_not_delay_control_frames() {
    for lane in [Lane::Bulk, Lane::Live] {
        let (one, mut two) = pair();
        let frame = app(vec![7; 64 << 10]);
        let (mut queued, mut got, mut beats) = (0_usize, 0_usize, 0_usize);
        // How much of the flood was on its way when a beat was sent, and how much of it came before the beat.
        let mut waits = Vec::new();
        let end = Instant::now() + PATIENCE;
        while beats < 10 {
            assert!(Instant::now() < end, "{lane:?}: {beats} beats after {got} frames");
            while one.link.send(NodeId::new(2), lane, &frame).is_ok() {
                queued += 1;
            }
            two.pump(Duration::ZERO);
            let arrived = got + two.seen.len();
            one.link.send(NodeId::new(2), Lane::Control, &app("beat")).expect("room");
            let before = queued - arrived;
            loop {
                let (_, bytes) = two.frame();
                if bytes == "beat" {
                    break;
                }
                got += 1;
            }
            waits.push((before, got - arrived));
            beats += 1;
        }
        waits.sort_by_key(|(before, read)| read * 1000 / before.max(&1));
        let (before, read) = waits[waits.len() / 2];
        assert!(before > 30, "{lane:?}: there was no flood: {waits:?}");
        assert!(read * 2 < before, "{lane:?}: a beat waits for {read} of {before} frames: {waits:?}");
    }
}
