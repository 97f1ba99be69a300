//! Fences as state: what puts them up, what takes them down, and that rows say the same.

use super::*;
use crate::record::Fence;

fn fenced_at(world: &mut World, offset: u64, epoch: u32, fences: &[Fence]) {
    let packed = Fences::pack(fences);
    let record = Record { retain: false, epoch, fences: Fences::of(&packed), ..retained("a", b"1") };
    world.publish(offset, 0, &[record]);
}

fn boot(node: u64, boot: u64) -> Fence {
    Fence { node, boot }
}

/// Which of the epochs 1 to 9 of publisher 1 are refused.
fn refused(world: &World) -> Vec<u32> {
    (1..10).filter(|epoch| world.machine.fenced(1, *epoch)).collect()
}

#[test]
fn lower_epochs_are_refused_until_the_boot_is_closed() {
    let mut world = World::default();
    fenced_at(&mut world, 0, 4, &[boot(7, 2)]);
    assert_eq!(refused(&world), [1, 2, 3]);
    assert!(!world.machine.fenced(2, 1) && !world.machine.fenced(0, 1), "other publishers are let in");
    world.close_boot(7, 1);
    world.close_boot(6, 9);
    world.close_boot(5, 0);
    assert_eq!(refused(&world), [1, 2, 3], "another boot");
    world.close_boot(7, 2);
    assert!(refused(&world).is_empty());
    assert!(!world.machine.has_fences());
}

#[test]
fn who_is_shut_out_is_known_by_boot_and_epoch() {
    let mut world = World::default();
    let shut_out = |world: &World, of, epoch| world.machine.shuts_out(1, of, epoch);
    assert!(!shut_out(&world, boot(7, 2), 3));
    let fences = vec![Boot { node: 7, boot: 2 }];
    let ended = Ended { incarnation: 0, publisher: 1, epoch: 4, fences };
    world.forget(ended);
    assert!(shut_out(&world, boot(7, 2), 3) && !shut_out(&world, boot(7, 2), 4), "lower epochs alone");
    assert!(!shut_out(&world, boot(7, 3), 3), "another boot has no fence that would stand as long");
    assert!(!world.machine.shuts_out(2, boot(7, 2), 3), "nor has another publisher");
    world.close_boot(7, 3);
    assert!(shut_out(&world, boot(7, 2), 9) && shut_out(&world, boot(7, 3), 9), "nothing of it comes in");
}

#[test]
fn a_fence_for_two_boots_stands_until_both_are_closed() {
    let mut world = World::default();
    fenced_at(&mut world, 0, 3, &[boot(1, 1), boot(2, 5)]);
    fenced_at(&mut world, 1, 5, &[boot(3, 1)]);
    assert_eq!(refused(&world), [1, 2, 3, 4]);
    world.close_boot(3, 1);
    world.close_boot(1, 4);
    assert_eq!(refused(&world), [1, 2]);
    world.close_boot(2, 5);
    assert!(!world.machine.has_fences());
}

#[test]
fn a_fence_against_a_closed_boot_is_none() {
    let mut world = World::default();
    world.close_boot(7, 2);
    fenced_at(&mut world, 0, 4, &[boot(7, 2), boot(7, 1)]);
    assert!(!world.machine.has_fences());
    world.close_boot(7, 1);
    fenced_at(&mut world, 1, 4, &[boot(7, 2), boot(7, 3)]);
    assert_eq!(refused(&world), [1, 2, 3]);
    world.close_boot(7, 3);
    assert_eq!(world.rows.len(), 1, "the closed boot of one node");
}

#[test]
fn epochs_are_compared_around_the_wrap() {
    let mut world = World::default();
    fenced_at(&mut world, 0, 2, &[boot(1, 1)]);
    for (epoch, is) in [(1, true), (0, true), (u32::MAX, true), (2, false), (3, false)] {
        assert_eq!(world.machine.fenced(1, epoch), is, "epoch {epoch}");
    }
}

#[test]
fn rows_of_fences_are_refused_when_they_are_damaged() {
    let mut world = World::default();
    fenced_at(&mut world, 0, 4, &[boot(7, 2)]);
    world.close_boot(8, 1);
    assert_eq!(world.rows.len(), 2);
    for (key, value) in &world.rows {
        assert!(Messages::default().load(key, value));
        for cut in 0..value.len() {
            assert!(!Messages::default().load(key, &value[..cut]), "{key:?} cut at {cut}");
        }
        assert!(!Messages::default().load(key, &[&value[..], &[0]].concat()));
        assert!(!Messages::default().load(&key[..key.len() - 1], value));
        assert!(!Messages::default().load(&[&key[..], b"x"].concat(), value));
    }
}

#[test]
fn a_retained_message_does_not_keep_its_fences() {
    let mut world = World::default();
    let packed = Fences::pack(&[boot(1, 1)]);
    world.publish(0, 0, &[Record { fences: Fences::of(&packed), ..retained("a", b"1") }]);
    assert_eq!(world.machine.retained("a").unwrap().record(), retained("a", b"1"));
}

#[test]
fn the_tokens_of_an_ended_session_go_and_no_others() {
    let mut world = World::default();
    let once =
        |incarnation| Record { retain: false, token: Some(token(incarnation, 1, 1)), ..retained("a", b"1") };
    world.publish(0, 0, &[once(5), once(6)]);
    let ended = Ended { incarnation: 5, publisher: 1, epoch: 9, fences: Vec::new() };
    world.forget(ended.clone());
    assert!(!world.machine.repeats(token(5, 1, 1)) && world.machine.repeats(token(6, 1, 1)));
    assert_eq!((world.rows.len(), world.machine.has_fences()), (1, false));
    world.forget(ended);
    assert_eq!(world.rows.len(), 1, "once more changes nothing");
}

#[test]
fn owners_of_an_ended_session_whose_boot_is_not_closed_here_are_shut_out() {
    let mut world = World::default();
    world.close_boot(2, 3);
    let fences = [(2, 3), (7, 1)].map(|(node, boot)| Boot { node, boot }).to_vec();
    world.forget(Ended { incarnation: 5, publisher: 1, epoch: 4, fences });
    assert_eq!(refused(&world), [1, 2, 3]);
    world.close_boot(7, 1);
    assert!(!world.machine.has_fences());
}
