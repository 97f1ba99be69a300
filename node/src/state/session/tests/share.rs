//! Shared subscriptions, and how far back a group needs the partitions.

use super::*;
use crate::route::{Partition, Route};

const SHARE: &str = "$share/g/#";

fn join(client_id: &str, incarnation: u64, starts: &[u64]) -> ShareJoin {
    ShareJoin { share: SHARE.into(), client_id: client_id.into(), incarnation, starts: positions(starts) }
}

fn leave(client_id: &str, incarnation: u64) -> ShareLeave {
    ShareLeave { share: SHARE.into(), client_id: client_id.into(), incarnation }
}

fn assigned(offset: u64, client_id: &str) -> Assignment {
    Assignment { partition: 0, offset, client_id: client_id.into() }
}

fn members(world: &World) -> Vec<(&str, u64)> {
    let share = world.machine.share(SHARE).unwrap();
    share.members.iter().map(|(id, incarnation)| (id.as_str(), *incarnation)).collect()
}

#[test]
fn the_first_member_says_where_a_shared_subscription_starts() {
    let mut world = World::new();
    assert_eq!(world.apply(1, join("a", 1, &[5])), Outcome::Done);
    assert_eq!(world.apply(2, join("b", 2, &[9])), Outcome::Done);
    assert_eq!(members(&world), [("a", 1), ("b", 2)]);
    assert_eq!(world.machine.share(SHARE).unwrap().window.next, positions(&[5]));
}

#[test]
fn a_late_join_or_leave_of_an_older_session_changes_nothing() {
    let mut world = World::new();
    world.apply(1, join("a", 7, &[]));
    assert_eq!(world.apply(2, join("a", 3, &[])), Outcome::Stale);
    assert_eq!(world.apply(3, leave("a", 3)), Outcome::Stale);
    assert_eq!(world.apply(3, leave("b", 7)), Outcome::Stale);
    assert_eq!(members(&world), [("a", 7)]);
    world.apply(4, join("a", 8, &[]));
    assert_eq!(members(&world), [("a", 8)]);
}

#[test]
fn the_last_member_takes_the_shared_subscription_along() {
    let mut world = World::new();
    world.apply(1, join("a", 1, &[5]));
    world.apply(1, join("b", 2, &[5]));
    world.apply(2, leave("a", 1));
    assert_eq!(members(&world), [("b", 2)]);
    world.apply(3, leave("b", 2));
    assert!(world.machine.share(SHARE).is_none() && world.rows.is_empty());
    assert_eq!(world.apply(4, leave("b", 2)), Outcome::Done, "a leave that comes again is done");
    let window = ShareWindow { share: SHARE.into(), ..ShareWindow::default() };
    assert_eq!(world.apply(4, window), Outcome::Stale);
    world.apply(5, join("a", 3, &[9]));
    assert_eq!(world.machine.share(SHARE).unwrap().window.next, positions(&[9]), "it starts anew");
}

#[test]
fn mqtt_4_8_2_5_what_is_bound_to_a_session_that_ends_is_given_to_no_other() {
    let mut world = World::new();
    world.apply(1, join("a", 1, &[5]));
    world.apply(1, join("b", 2, &[5]));
    let assignments = vec![assigned(5, "a"), assigned(6, "b"), assigned(7, ""), assigned(8, "a")];
    let window = ShareWindow { share: SHARE.into(), next: positions(&[9]), assignments };
    assert_eq!(world.apply(2, window.clone()), Outcome::Done);
    assert_eq!(world.machine.share(SHARE).unwrap().window, window);
    world.apply(3, leave("a", 1));
    let left = &world.machine.share(SHARE).unwrap().window;
    assert_eq!(
        (&left.next, &*left.assignments),
        (&positions(&[9]), &[assigned(6, "b"), assigned(7, "")][..])
    );
}

#[test]
fn a_session_that_ends_leaves_its_shared_subscriptions_through_the_outbox() {
    let mut world = World::new();
    world.attach(0, attach(1));
    let shares = ["$share/g/b", "$share/g/a"].map(|filter| subscription(filter, &[]));
    world.apply(1, subscribe(world.epoch(), shares.to_vec()));
    let incarnation = world.record().core.incarnation;
    world.apply(2, detach(world.epoch()));
    assert_eq!(world.machine.outbox().lowest_open(), None, "while it may come back");
    world.apply(1_002, Expire {});
    let left: Vec<_> =
        world.machine.outbox().after(0).map(|(_, entry)| entry.task.clone().unwrap()).collect();
    let task = |share: &str| Task::LeaveShare(outbox::Leave { share: share.into(), incarnation });
    assert_eq!(left, [task("$share/g/a"), task("$share/g/b")]);
}

fn floors(world: &World) -> Vec<u64> {
    let mut floors = vec![100; 4];
    world.machine.lower_floors(Route::new(4, 1), &mut floors);
    floors
}

/// A durable session that reads everything from `starts` on.
fn reader(starts: &[u64]) -> World {
    let mut world = World::new();
    world.attach(0, attach(60));
    world.apply(1, subscribe(world.epoch(), vec![subscription("#", starts)]));
    world
}

#[test]
fn a_new_subscription_needs_everything_from_its_start() {
    assert_eq!(floors(&reader(&[10, 20, 30, 40])), [10, 20, 30, 40]);
    assert_eq!(floors(&World::new()), [100; 4]);
}

#[test]
fn a_caught_up_session_needs_what_its_tail_has_not_passed() {
    let mut world = reader(&[10, 20, 30, 40]);
    world.apply(2, tail(&[50, 50, 25, 500]));
    world.apply(3, window_op(world.epoch(), Window { live: true, ..Window::default() }));
    assert_eq!(floors(&world), [50, 50, 30, 100]);
    world.apply(4, tail(&[60, 60, 60, 60]));
    assert_eq!(floors(&world), [60; 4]);
    world.apply(5, detach(world.epoch()));
    world.apply(6, tail(&[90, 90, 90, 90]));
    assert_eq!(floors(&world), [60; 4], "the tail goes on without it");
}

#[test]
fn a_session_that_lags_needs_its_cursor_and_its_unfinished_messages() {
    let mut world = reader(&[10, 20, 30, 40]);
    let retained = Flight { retained: Some("t".into()), ..flight(2, 3, 1) };
    let window = Window {
        next: positions(&[50, 50, 50, 50]),
        flights: vec![flight(1, 1, 33), retained],
        ..Window::default()
    };
    world.apply(2, window_op(world.epoch(), window));
    assert_eq!(floors(&world), [50, 33, 50, 50]);
    world.close_boot(3, NODE, 1);
    assert_eq!(floors(&world), [50, 33, 50, 50]);
    world.apply(60_003, Expire {});
    assert_eq!(floors(&world), [100; 4], "an ended session needs nothing");
}

#[test]
fn a_session_that_ends_with_its_connection_holds_nothing_back() {
    let mut world = World::new();
    world.attach(0, attach(0));
    world.apply(1, subscribe(world.epoch(), vec![subscription("#", &[1, 1, 1, 1])]));
    assert_eq!(floors(&world), [100; 4]);
}

#[test]
fn an_exact_filter_holds_back_its_own_partition_only() {
    let mut world = World::new();
    world.attach(0, attach(60));
    world.apply(1, subscribe(world.epoch(), vec![subscription("a/b", &[10, 10, 10, 10])]));
    let own = Route::new(4, 1).partition("a/b");
    for partition in (0..4).map(Partition::new) {
        let expected = if partition == own { 10 } else { 100 };
        assert_eq!(floors(&world)[partition.index()], expected, "{partition}");
    }
}

#[test]
fn a_shared_subscription_holds_back_its_own_window_and_not_its_members_starts() {
    let mut world = World::new();
    world.attach(0, attach(60));
    world.apply(1, subscribe(world.epoch(), vec![subscription(SHARE, &[1, 1, 1, 1])]));
    assert_eq!(floors(&world), [100; 4]);
    world.apply(2, join(ID, world.record().core.incarnation, &[10, 20, 30, 400]));
    assert_eq!(floors(&world), [10, 20, 30, 100]);
    let window =
        ShareWindow { share: SHARE.into(), next: positions(&[50, 50]), assignments: vec![assigned(44, "")] };
    world.apply(3, window);
    assert_eq!(floors(&world), [44, 50, 100, 100]);
    let beyond = Assignment { partition: 4, ..assigned(1, "") };
    world.apply(4, ShareWindow { share: SHARE.into(), next: vec![], assignments: vec![beyond] });
    assert_eq!(floors(&world), [100; 4], "a partition that is not there");
}
