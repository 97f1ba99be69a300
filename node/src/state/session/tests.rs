//! The session machine: its promises as tables, and against itself reloaded.

mod law;
mod past;
mod reload;
mod share;

use std::collections::BTreeMap;

use super::op::*;
use super::outbox::Task;
use super::record::*;
use super::*;
use crate::state::changes::Changes;

const ID: &str = "client";
const NODE: u64 = 1;

/// A machine and its rows. After every operation the rows, loaded, must give the same machine.
#[derive(Default)]
struct World {
    machine: Sessions,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        Self { machine: Sessions::new(3), ..Self::default() }
    }

    fn apply(&mut self, stamp: u64, kind: impl Into<Kind>) -> Outcome {
        let mut changes = Changes::default();
        let outcome = self.machine.apply(stamp, &kind.into(), &mut changes);
        self.keep(changes);
        outcome
    }

    fn close_boot(&mut self, stamp: u64, node: u64, boot: u64) {
        let mut changes = Changes::default();
        self.machine.close_boot(stamp, node, boot, &mut changes);
        self.keep(changes);
    }

    fn keep(&mut self, changes: Changes) {
        for (key, value) in changes.rows {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        assert_eq!(
            format!("{:#?}", self.reloaded()),
            format!("{:#?}", self.machine),
            "rows differ from the state"
        );
    }

    fn reloaded(&self) -> Sessions {
        let mut machine = Sessions::new(3);
        for (key, value) in &self.rows {
            machine.load(key, value).unwrap();
        }
        machine.loaded_all();
        machine
    }

    fn attach(&mut self, stamp: u64, attach: Attach) -> Attached {
        match self.apply(stamp, attach) {
            Outcome::Attached(attached) => *attached,
            other => panic!("a CONNECT came to {other:?}"),
        }
    }

    fn record(&self) -> &Record {
        self.machine.get(ID).unwrap()
    }

    fn epoch(&self) -> u64 {
        self.record().core.epoch
    }

    fn wills(&self) -> usize {
        let tasks = self.machine.outbox().after(0).filter_map(|(_, entry)| entry.task.as_ref());
        tasks.filter(|task| matches!(task, Task::Will(_))).count()
    }
}

macro_rules! into_kind {
    ($($op:ident => $kind:ident),*) => {
        $(impl From<$op> for Kind {
            fn from(op: $op) -> Self {
                Self::$kind(op)
            }
        })*
    };
}
into_kind!(Attach => Attach, Detach => Detach, Subscribe => Subscribe, Unsubscribe => Unsubscribe,
    WindowOp => Window, Intents => Intents, Release => Release, Expire => Expire, OutboxDone => OutboxDone,
    Forget => Forget, Tail => Tail, ShareJoin => ShareJoin, ShareLeave => ShareLeave, ShareWindow => ShareWindow, Confirmed => Confirmed);

fn owner(boot: u64, connection: u64) -> Owner {
    Owner { node: NODE, boot, worker: 0, connection }
}

fn attach(expiry: u32) -> Attach {
    Attach { client_id: ID.into(), owner: owner(1, 1), expiry, level: 5, ..Attach::default() }
}

fn will(delay: u32) -> Will {
    Will { topic: "gone".into(), payload: "x".into(), qos: 1, delay, ..Will::default() }
}

fn detach(epoch: u64) -> Detach {
    Detach { client_id: ID.into(), epoch, ..Detach::default() }
}

fn positions(next: &[u64]) -> Vec<Position> {
    (0..).zip(next).map(|(partition, next)| Position { partition, next: *next }).collect()
}

fn subscription(filter: &str, starts: &[u64]) -> Subscription {
    Subscription { filter: filter.into(), options: 1, id: 0, starts: positions(starts) }
}

fn subscribe(epoch: u64, subscriptions: Vec<Subscription>) -> Subscribe {
    Subscribe { client_id: ID.into(), epoch, subscriptions, owed: Vec::new() }
}

fn window_op(epoch: u64, window: Window) -> WindowOp {
    WindowOp { client_id: ID.into(), epoch, window }
}

fn tail(next: &[u64]) -> Tail {
    Tail { node: NODE, worker: 0, next: next.to_vec() }
}

fn intent(packet_id: u32, hash: u64, token: u64) -> Intent {
    Intent { packet_id, hash, token, partition: Some(0) }
}

fn flight(packet_id: u32, partition: u32, offset: u64) -> Flight {
    Flight { packet_id, partition, offset, qos: 1, ..Flight::default() }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Another connection of the client id.
    TakenOver,
    /// Its node died.
    Killed,
    /// DISCONNECT 0x00.
    Disconnect,
    /// DISCONNECT 0x04, or the socket was lost.
    WithWill,
    /// DISCONNECT 0x04 with a Session Expiry Interval of one second.
    ExpiryOne,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    expiry: u32,
    delay: u32,
    end: End,
    /// Of the CONNECT that comes after.
    clean: bool,
    /// When that comes; the first connection ends at 1000.
    back: u64,
    /// Deadlines are acted on in between, not only when the client is back.
    ticked: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for expiry in [0, 2, 20, NEVER] {
            for delay in [0, 5] {
                for end in [End::TakenOver, End::Killed, End::Disconnect, End::WithWill, End::ExpiryOne] {
                    for (clean, ticked) in [(false, false), (false, true), (true, false), (true, true)] {
                        for back in [1_000, 1_999, 2_000, 2_999, 3_000, 5_999, 6_000, 20_999, 21_000, 90_000]
                        {
                            all.push(Self { expiry, delay, end, clean, back, ticked });
                        }
                    }
                }
            }
        }
        all
    }

    /// Seconds that the session goes on after the connection.
    fn lasts(&self) -> u32 {
        if self.end == End::ExpiryOne { self.expiry.min(1) } else { self.expiry }
    }

    /// Was it there until the client came back?
    fn alive(&self) -> bool {
        if self.end == End::TakenOver {
            return self.expiry > 0;
        }
        self.lasts() == NEVER || self.back < 1_000 + u64::from(self.lasts()) * 1_000
    }

    /// The specification, MQTT 5.0, 3.1.2.5 and 3.1.3.2.2: is the will published?
    fn wills(&self) -> usize {
        let published = match self.end {
            End::Disconnect => false,
            End::TakenOver => self.delay == 0 || self.clean || self.expiry == 0,
            _ => self.clean || self.back >= 1_000 + u64::from(self.delay.min(self.lasts())) * 1_000,
        };
        usize::from(published)
    }
}

fn ended(case: Case) -> World {
    let mut world = World::new();
    let first = world.attach(0, Attach { will: Some(will(case.delay)), ..attach(case.expiry) });
    assert!(!first.session_present);
    let detach = detach(first.record.core.epoch);
    match case.end {
        End::TakenOver => {}
        End::Killed => world.close_boot(1_000, NODE, 1),
        End::Disconnect => {
            assert_eq!(world.apply(1_000, Detach { discard_will: true, ..detach }), Outcome::Done)
        }
        End::WithWill => assert_eq!(world.apply(1_000, detach), Outcome::Done),
        End::ExpiryOne => assert_eq!(world.apply(1_000, Detach { expiry: Some(1), ..detach }), Outcome::Done),
    }
    world
}

#[test]
fn mqtt_3_1_2_8_a_will_is_published_once_or_not_at_all_as_the_end_of_its_connection_says() {
    for case in Case::all() {
        let mut world = ended(case);
        if case.ticked && case.end != End::TakenOver {
            for at in (1_000..=case.back).step_by(500) {
                world.apply(at, Expire {});
            }
        }
        let back = Attach { clean_start: case.clean, owner: owner(2, 2), ..attach(100) };
        world.attach(case.back, back);
        assert_eq!(world.wills(), case.wills(), "{case:?}");
        // Later nothing comes after: neither by the clock nor with the next end.
        world.apply(case.back + 60_000, Expire {});
        world.apply(case.back + 60_000, detach(world.epoch()));
        world.apply(case.back + 900_000, Expire {});
        assert_eq!(world.wills(), case.wills(), "{case:?}");
        assert!(world.machine.is_empty(), "{case:?}");
    }
}

#[test]
fn mqtt_3_2_2_3_session_present_says_whether_there_was_a_session() {
    for case in Case::all() {
        let mut world = ended(case);
        let back = Attach { clean_start: case.clean, owner: owner(2, 2), ..attach(100) };
        let attached = world.attach(case.back, back);
        let present = case.alive() && !case.clean;
        assert_eq!(attached.session_present, present, "{case:?}");
        let first = 3 << 48 | 1;
        assert_eq!(attached.record.core.incarnation == first, present, "{case:?}");
        assert_eq!(attached.previous.is_some(), case.end == End::TakenOver, "{case:?}");
    }
}

#[test]
fn mqtt_3_1_3_9_a_will_waits_for_its_delay() {
    let mut world = World::new();
    world.attach(0, Attach { will: Some(will(5)), ..attach(20) });
    world.apply(1_000, detach(world.epoch()));
    world.apply(5_999, Expire {});
    assert_eq!(world.wills(), 0);
    assert!(!world.machine.due(5_999) && world.machine.due(6_000));
    world.apply(6_000, Expire {});
    assert_eq!(world.wills(), 1);
    assert!(world.machine.get(ID).is_some(), "the session goes on");
}

#[test]
fn mqtt_3_1_2_10_a_disconnect_of_0x00_discards_the_will_also_of_the_record() {
    let mut world = World::new();
    world.attach(0, Attach { will: Some(will(0)), ..attach(NEVER) });
    world.apply(1, Detach { discard_will: true, ..detach(world.epoch()) });
    assert_eq!(world.record().core.will, None);
}

#[test]
fn a_session_that_ends_with_its_connection_cannot_be_prolonged() {
    let mut world = World::new();
    world.attach(0, attach(0));
    world.apply(1, Detach { expiry: Some(100), ..detach(world.epoch()) });
    assert!(world.machine.is_empty() && world.rows.keys().all(|key| key == b"n"));
}

#[test]
fn mqtt_3_1_2_23_a_session_that_never_expires_stays() {
    let mut world = World::new();
    world.attach(0, attach(NEVER));
    world.apply(1, detach(world.epoch()));
    world.apply(u64::MAX, Expire {});
    assert!(!world.machine.due(u64::MAX) && world.machine.get(ID).is_some());
}

#[test]
fn an_operator_who_forgets_a_session_publishes_its_will_and_learns_its_owner() {
    let mut world = World::new();
    world.attach(0, Attach { will: Some(will(60)), ..attach(60) });
    let forget = Forget { client_id: ID.into() };
    assert_eq!(world.apply(1, forget.clone()), Outcome::Removed(Some(owner(1, 1))));
    assert_eq!((world.wills(), world.machine.len()), (1, 0));
    assert_eq!(world.apply(2, forget), Outcome::Removed(None));
}

#[test]
fn a_published_will_leaves_the_outbox_once_and_a_second_confirmation_changes_nothing() {
    let mut world = World::new();
    world.attach(0, Attach { will: Some(will(0)), ..attach(0) });
    world.apply(1, detach(world.epoch()));
    let number = world.machine.outbox().lowest_open().unwrap();
    assert!(world.machine.outbox().holds_will_of(ID) && !world.machine.outbox().holds_will_of("other"));
    for said in [Outcome::WillsOut(ID.into()), Outcome::Done] {
        assert_eq!(world.apply(2, OutboxDone { number }), said);
        assert_eq!(world.machine.outbox().lowest_open(), None);
        assert!(!world.machine.outbox().holds_will_of(ID));
    }
}

/// Every operation that an owner proposes.
fn owned(epoch: u64) -> Vec<Kind> {
    let client_id = || ID.to_owned();
    let intent = intent(9, 9, 9);
    let release = Release { client_id: client_id(), epoch, packet_ids: vec![1] };
    vec![
        Detach { discard_will: true, expiry: Some(1), window: Some(Window::default()), ..detach(epoch) }
            .into(),
        subscribe(epoch, vec![subscription("late", &[])]).into(),
        Unsubscribe { client_id: client_id(), epoch, filters: vec!["a".into()], number: 1 }.into(),
        window_op(epoch, Window { reserved: 1, ..Window::default() }).into(),
        Intents { client_id: client_id(), epoch, intents: vec![intent], refused: vec![] }.into(),
        release.into(),
    ]
}

fn assert_all_stale(world: &mut World, epoch: u64, why: &str) {
    let before = format!("{:?}", world.machine);
    for op in owned(epoch) {
        let mut changes = Changes::default();
        assert_eq!(world.machine.apply(9, &op, &mut changes), Outcome::Stale, "{why}: {op:?}");
        assert!(changes.rows.is_empty(), "{why}: {op:?}");
        assert_eq!(format!("{:?}", world.machine), before, "{why}: {op:?}");
    }
}

#[test]
fn a_lower_epoch_changes_nothing() {
    let mut world = World::new();
    world.attach(0, Attach { will: Some(will(9)), ..attach(60) });
    let old = world.epoch();
    world.apply(1, subscribe(old, vec![subscription("a", &[0])]));
    let intents = vec![intent(1, 1, 1)];
    world.apply(1, Intents { client_id: ID.into(), epoch: old, intents, refused: vec![] });
    world.attach(2, Attach { owner: owner(1, 2), ..attach(60) });
    // The late end of the old owner says that nothing of it is under way, and that is all.
    let before = world.record().clone();
    let late = Detach { discard_will: true, window: Some(Window::default()), ..detach(old) };
    assert_eq!(world.apply(2, late), Outcome::Stale);
    assert_eq!(*world.record(), before);
    assert_all_stale(&mut world, old, "taken over");
    let newer = world.epoch();
    assert_all_stale(&mut world, newer + 1, "an epoch that was never given");
    world.apply(3, detach(newer));
    assert_all_stale(&mut world, newer, "detached");
    world.apply(4, Forget { client_id: ID.into() });
    assert_all_stale(&mut world, newer, "forgotten");
}

#[test]
fn the_owner_of_the_highest_epoch_may_do_everything() {
    for op in owned(1) {
        let mut world = World::new();
        world.attach(0, attach(60));
        assert_eq!(world.apply(1, op.clone()), Outcome::Done, "{op:?}");
    }
}

type Ending = (&'static str, fn(&mut World));

/// Ends the connection of a durable session, or replaces it, without a window.
fn every_end(world: impl Fn() -> World) -> Vec<(&'static str, World)> {
    let ends: [Ending; 4] = [
        ("detach", |world| {
            world.apply(9, detach(world.epoch()));
        }),
        ("detach that follows the tail", |world| {
            let window = Some(Window { live: true, ..Window::default() });
            world.apply(9, Detach { window, ..detach(world.epoch()) });
        }),
        ("killed", |world| world.close_boot(9, NODE, 1)),
        ("taken over", |world| {
            world.attach(9, Attach { owner: owner(2, 2), ..attach(60) });
        }),
    ];
    ends.into_iter()
        .map(|(name, end)| {
            let mut world = world();
            end(&mut world);
            (name, world)
        })
        .collect()
}

#[test]
fn a_caught_up_session_keeps_the_committed_tail_when_its_connection_ends() {
    let live = || {
        let mut world = World::new();
        world.attach(0, attach(60));
        world.apply(1, tail(&[7, 9]));
        world.apply(1, Tail { worker: 1, ..tail(&[90, 90]) });
        world.apply(1, Tail { node: 2, ..tail(&[91, 91]) });
        world.apply(1, window_op(world.epoch(), Window { live: true, reserved: 5_000, ..Window::default() }));
        world.apply(2, tail(&[8, 9]));
        world
    };
    for (end, world) in every_end(live) {
        let window = &world.record().window;
        assert_eq!((window.live, &window.next), (false, &positions(&[8, 9])), "{end}");
        assert!(window.reserved >= 5_000, "{end}");
    }
}

#[test]
fn a_session_with_unfinished_messages_stays_where_it_stands_however_far_the_tail_is() {
    let own = Window {
        next: positions(&[3, 4]),
        flights: vec![flight(1, 0, 2), flight(2, 1, 3)],
        reserved: 5_000,
        ..Window::default()
    };
    let standing = || {
        let mut world = World::new();
        world.attach(0, attach(60));
        world.apply(1, window_op(world.epoch(), own.clone()));
        world.apply(2, tail(&[80, 90]));
        world
    };
    for (end, world) in every_end(standing) {
        let window = Window { reserved: 5_000, ..world.record().window.clone() };
        assert_eq!(window, own, "{end}");
    }
}

#[test]
fn the_last_window_of_a_connection_replaces_the_committed_one_as_a_whole() {
    let mut world = World::new();
    world.attach(0, attach(60));
    let owed = vec![Owed { filter: "a".into(), ..Owed::default() }];
    let old = Window { next: positions(&[1]), flights: vec![flight(1, 0, 0)], owed, ..Window::default() };
    world.apply(1, window_op(world.epoch(), old));
    let new = Window { next: positions(&[5]), reserved: 7, ..Window::default() };
    world.apply(2, window_op(world.epoch(), new.clone()));
    assert_eq!(world.record().window, new);
    let last =
        Window { next: positions(&[6]), flights: vec![flight(2, 0, 5)], reserved: 7, ..Window::default() };
    world.apply(3, Detach { window: Some(last.clone()), ..detach(world.epoch()) });
    assert_eq!(world.record().window, last);
}

#[test]
fn closing_a_boot_ends_its_connections_and_no_others() {
    let mut world = World::new();
    let connect = |id: &str, node, boot| Attach {
        client_id: id.into(),
        owner: Owner { node, boot, worker: 0, connection: 1 },
        will: Some(will(0)),
        ..attach(60)
    };
    world.attach(0, connect("old", 1, 1));
    world.attach(0, connect("older", 1, 0));
    world.attach(0, connect("new", 1, 2));
    world.attach(0, connect("other", 2, 1));
    let mut clean = connect("clean", 1, 1);
    clean.expiry = 0;
    world.attach(0, clean);
    world.close_boot(1, 1, 1);
    let connected = |world: &World| -> Vec<String> {
        let owned = world.machine.after(None).filter(|record| record.core.owner.is_some());
        owned.map(|record| record.core.client_id.clone()).collect()
    };
    assert_eq!(connected(&world), ["new", "other"]);
    assert_eq!((world.wills(), world.machine.len()), (3, 4));
    world.close_boot(2, 1, 1);
    assert_eq!((connected(&world).len(), world.wills()), (2, 3), "closing again changes nothing");
}

#[test]
fn closing_an_old_boot_leaves_the_tail_that_sessions_of_the_new_one_follow() {
    let mut world = World::new();
    world.attach(0, Attach { owner: owner(2, 1), ..attach(60) });
    world.apply(1, tail(&[7]));
    world.apply(1, window_op(world.epoch(), Window { live: true, ..Window::default() }));
    world.close_boot(2, NODE, 1);
    world.close_boot(3, NODE, 2);
    assert_eq!(world.record().window.next, positions(&[7]));
    assert!(world.machine.tails.is_empty(), "nobody follows it any more");
}

#[test]
fn mqtt_3_8_4_3_a_subscription_with_the_same_filter_is_replaced_and_its_start_stays() {
    let mut world = World::new();
    world.attach(0, attach(60));
    let epoch = world.epoch();
    world.apply(1, subscribe(epoch, vec![subscription("b", &[4]), subscription("a", &[4])]));
    let again = Subscription { options: 2, id: 7, ..subscription("b", &[9]) };
    world.apply(2, subscribe(epoch, vec![again]));
    let replaced = Subscription { options: 2, id: 7, ..subscription("b", &[4]) };
    assert_eq!(world.record().subscriptions, [subscription("a", &[4]), replaced]);
}

#[test]
fn mqtt_3_10_4_1_an_unsubscribe_removes_its_filters_what_they_are_owed_and_nothing_else() {
    let mut world = World::new();
    world.attach(0, attach(60));
    let epoch = world.epoch();
    let owed = |filter: &str| Owed { filter: filter.into(), ..Owed::default() };
    world.apply(
        1,
        Subscribe {
            owed: vec![owed("a"), owed("b")],
            ..subscribe(
                epoch,
                vec![subscription("a", &[1]), subscription("b", &[1]), subscription("$share/g/c", &[1])],
            )
        },
    );
    let filters = vec!["a".into(), "$share/g/c".into(), "never".into()];
    world.apply(2, Unsubscribe { client_id: ID.into(), epoch, filters, number: 7 });
    let record = world.record();
    assert_eq!(
        (&*record.subscriptions, &*record.window.owed),
        (&[subscription("b", &[1])][..], &[owed("b")][..])
    );
    let left: Vec<_> = world.machine.outbox().after(0).map(|(_, entry)| entry.task.clone()).collect();
    let at = Point { epoch, number: 7 };
    assert_eq!(left, [Some(Task::LeaveShare(outbox::Leave { share: "$share/g/c".into(), at }))]);
}

#[test]
fn mqtt_4_3_3_9_what_was_refused_is_no_intent_and_is_remembered_until_its_identifier_is_used_again() {
    let mut world = World::new();
    world.attach(0, attach(60));
    let epoch = world.epoch();
    let intents = |intents, refused| Intents { client_id: ID.into(), epoch, intents, refused };
    world.apply(1, intents(vec![intent(5, 50, 1), intent(6, 60, 2), intent(7, 70, 3)], vec![]));
    world.apply(2, intents(vec![], vec![5, 6, 9]));
    let refused = |packet_id, hash| Refusal { packet_id, hash };
    assert_eq!(world.record().core.intents, [intent(7, 70, 3)]);
    assert_eq!(world.record().core.refused, [refused(5, 50), refused(6, 60)]);
    world.apply(3, intents(vec![intent(5, 51, 4)], vec![]));
    world.apply(4, Release { client_id: ID.into(), epoch, packet_ids: vec![7] });
    let resumed = world.attach(5, Attach { owner: owner(1, 2), ..attach(60) });
    assert_eq!(resumed.record.core.refused, [refused(6, 60)]);
    assert_eq!(resumed.record.core.intents, [intent(5, 51, 4)]);
}

#[test]
fn mqtt_4_3_3_10_intents_are_added_replaced_by_identifier_and_released() {
    let mut world = World::new();
    world.attach(0, attach(60));
    let epoch = world.epoch();
    let intents = |intents| Intents { client_id: ID.into(), epoch, intents, refused: vec![] };
    assert_eq!(world.record().core.lowest_open(), 1);
    world.apply(1, intents(vec![intent(5, 50, 1), intent(6, 60, 2)]));
    assert_eq!((world.record().core.next_token, world.record().core.lowest_open()), (3, 1));
    world.apply(2, intents(vec![intent(5, 51, 3)]));
    assert_eq!(world.record().core.intents, [intent(6, 60, 2), intent(5, 51, 3)]);
    world.apply(3, Release { client_id: ID.into(), epoch, packet_ids: vec![6, 7] });
    assert_eq!(world.record().core.intents, [intent(5, 51, 3)]);
    assert_eq!((world.record().core.next_token, world.record().core.lowest_open()), (4, 3));
    // They go with the session to its next owner, and end with the session.
    let resumed = world.attach(4, Attach { owner: owner(1, 2), ..attach(60) });
    assert_eq!((resumed.record.core.next_token, resumed.record.core.intents.len()), (4, 1));
    let fresh = world.attach(5, Attach { clean_start: true, ..attach(60) });
    assert_eq!((fresh.record.core.next_token, fresh.record.core.intents.len()), (1, 0));
    assert_ne!(fresh.record.core.incarnation, resumed.record.core.incarnation);
}

#[test]
fn every_connect_of_a_durable_session_gets_packet_identifiers_of_its_own() {
    let mut world = World::new();
    let first = world.attach(0, attach(60)).record.window.reserved;
    let second = world.attach(1, Attach { owner: owner(1, 2), ..attach(60) }).record.window.reserved;
    assert_eq!(second, first + 4_096);
    world.apply(2, window_op(world.epoch(), Window { reserved: 50_000, ..Window::default() }));
    assert_eq!(world.attach(3, attach(60)).record.window.reserved, 54_096);
}
