//! Shared subscriptions, and how far back a group needs the partitions.

use super::*;
use crate::route::{Partition, Route};

const SHARE: &str = "$share/g/#";

fn at(epoch: u64, number: u64) -> Point {
    Point { epoch, number }
}

fn join(client_id: &str, epoch: u64, starts: &[u64]) -> ShareJoin {
    join_at(client_id, (epoch, at(epoch, 1)), starts)
}

/// A join by a session of this incarnation.
fn join_at(client_id: &str, (incarnation, at): (u64, Point), starts: &[u64]) -> ShareJoin {
    ShareJoin { share: SHARE.into(), client_id: client_id.into(), incarnation, starts: positions(starts), at }
}

fn leave(client_id: &str, epoch: u64) -> ShareLeave {
    ShareLeave { share: SHARE.into(), client_id: client_id.into(), at: at(epoch, u64::MAX) }
}

fn assigned(offset: u64, client_id: &str) -> Assignment {
    Assignment { partition: 0, offset, client_id: client_id.into(), incarnation: 1 }
}

fn members(world: &World) -> Vec<(&str, u64)> {
    let share = world.machine.share(SHARE).unwrap();
    share.members.iter().map(|(id, member)| (id.as_str(), member.incarnation)).collect()
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
fn a_late_join_or_leave_of_an_older_request_changes_nothing() {
    let mut world = World::new();
    world.apply(1, join("a", 7, &[]));
    assert_eq!(world.apply(2, join("a", 3, &[])), Outcome::Stale);
    assert_eq!(world.apply(3, leave("a", 3)), Outcome::Stale);
    assert_eq!(world.apply(3, leave("b", 7)), Outcome::Stale);
    assert_eq!(members(&world), [("a", 7)]);
    world.apply(4, join("a", 8, &[]));
    assert_eq!(members(&world), [("a", 8)]);
    // It unsubscribes and subscribes again, and the leave comes last.
    world.apply(5, join_at("a", (8, at(8, 5)), &[]));
    let left = ShareLeave { at: at(8, 4), ..leave("a", 8) };
    assert_eq!(world.apply(6, left), Outcome::Stale);
    assert_eq!(members(&world), [("a", 8)]);
    assert_eq!(world.apply(7, ShareLeave { at: at(8, 6), ..leave("a", 8) }), Outcome::Done);
    assert!(world.machine.share(SHARE).is_none());
}

#[test]
fn what_is_bound_to_a_session_that_has_ended_is_not_given_to_its_next_one() {
    let mut world = World::new();
    world.apply(1, join("a", 1, &[5]));
    let assignments = vec![assigned(5, "a"), assigned(6, ""), assigned(7, "b")];
    let window =
        ShareWindow { share: SHARE.into(), next: positions(&[9]), assignments, ..ShareWindow::default() };
    world.apply(2, window.clone());
    world.apply(3, join_at("a", (1, at(2, 0)), &[]));
    assert_eq!(world.machine.share(SHARE).unwrap().window, window, "the same session, reconnected");
    world.apply(4, join("a", 3, &[]));
    let left = &world.machine.share(SHARE).unwrap().window.assignments;
    assert_eq!(left[..], [assigned(6, ""), assigned(7, "b")]);
}

#[test]
fn a_window_counts_only_in_the_term_of_its_dispatcher() {
    let window = Kind::ShareWindow(ShareWindow { term: 3, ..ShareWindow::default() });
    assert!(window.counts_in(3));
    assert!(!window.counts_in(4), "proposed again to the next leader");
    assert!(!window.counts_in(2));
    assert!(Kind::ShareJoin(join("a", 1, &[])).counts_in(4));
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
    let window =
        ShareWindow { share: SHARE.into(), next: positions(&[9]), assignments, ..ShareWindow::default() };
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
    let epoch = world.epoch();
    world.apply(2, detach(epoch));
    assert_eq!(world.machine.outbox().lowest_open(), None, "while it may come back");
    world.apply(1_002, Expire {});
    let left: Vec<_> =
        world.machine.outbox().after(0).map(|(_, entry)| entry.task.clone().unwrap()).collect();
    let task = |share: &str| Task::LeaveShare(outbox::Leave { share: share.into(), at: at(epoch, u64::MAX) });
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
    let window = |next: &[u64], assignments| ShareWindow {
        share: SHARE.into(),
        next: positions(next),
        assignments,
        ..ShareWindow::default()
    };
    world.apply(3, window(&[50, 50], vec![assigned(44, "")]));
    assert_eq!(floors(&world), [44, 50, 100, 100]);
    let beyond = Assignment { partition: 4, ..assigned(1, "") };
    world.apply(4, window(&[], vec![beyond]));
    assert_eq!(floors(&world), [100; 4], "a partition that is not there");
}
