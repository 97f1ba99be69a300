//! Random operations: a replica that was reloaded on the way comes to the same as one that was not.

use proptest::prelude::*;

use super::*;

/// One random step: what, whose, and two numbers that its details come from.
type Step = (u8, u8, u8, u8);

const FILTERS: [&str; 5] = ["b", "#", "a/+", "$share/g/b", "$share/f/#"];

fn client(who: u8) -> String {
    ["c", "c\u{e9}", "cc"][usize::from(who)].to_owned()
}

fn filters(bits: u8) -> impl Iterator<Item = &'static str> {
    let order: Vec<&str> = if bits > 127 { FILTERS.into_iter().rev().collect() } else { FILTERS.into() };
    order.into_iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, filter)| filter)
}

fn window(x: u8, y: u8) -> Window {
    let next = u64::from(y);
    let own = Window {
        live: false,
        next: positions(&[next, next + 1]),
        flights: (0..u32::from(x % 3)).map(|id| flight(id + 1, 0, u64::from(id))).collect(),
        owed: (0..x % 2).map(|_| Owed { filter: FILTERS[0].into(), ..Owed::default() }).collect(),
        reserved: 4_096 + next,
    };
    if x > 127 { Window { live: true, reserved: own.reserved, ..Window::default() } } else { own }
}

/// The operation of a step, mostly by the owner. `None`: a boot is closed.
fn operation(machine: &Sessions, (what, who, x, y): Step) -> Option<Kind> {
    let client_id = client(who);
    let core = machine.get(&client_id).map(|record| record.core.clone()).unwrap_or_default();
    let epoch = if x % 16 == 15 { core.epoch.saturating_sub(1) } else { core.epoch };
    let share = FILTERS[3 + usize::from(x % 2)].to_owned();
    let incarnation = core.incarnation - u64::from(y % 8 == 7 && core.incarnation > 0);
    let at = Point { epoch, number: u64::from(y % 4) };
    Some(match what {
        0..=3 => Kind::Attach(Attach {
            client_id,
            owner: Owner {
                node: u64::from(x % 2),
                boot: u64::from(x / 2 % 2),
                worker: 0,
                connection: u64::from(y),
            },
            clean_start: x % 8 == 7,
            expiry: [0, 1, 3, NEVER][usize::from(y % 4)],
            will: (y > 99).then(|| will(u32::from(x % 3))),
            ..Attach::default()
        }),
        4..=5 => Kind::Detach(Detach {
            client_id,
            epoch,
            discard_will: x % 4 == 3,
            expiry: (y % 4 == 3).then_some(u32::from(x % 3)),
            window: (y > 127).then(|| window(x, y)),
        }),
        6..=8 => Kind::Subscribe(Subscribe {
            client_id,
            epoch,
            subscriptions: filters(y).map(|filter| subscription(filter, &[u64::from(x), 3])).collect(),
            owed: filters(y)
                .take(1)
                .map(|filter| Owed { filter: filter.into(), ..Owed::default() })
                .collect(),
        }),
        9 => {
            let filters = filters(y).map(Into::into).collect();
            Kind::Unsubscribe(Unsubscribe { client_id, epoch, filters, number: u64::from(x % 4) })
        }
        10..=11 => Kind::Window(WindowOp { client_id, epoch, window: window(x, y) }),
        12 => {
            let intent = Intent {
                packet_id: u32::from(x % 4),
                hash: u64::from(y),
                token: core.next_token,
                partition: Some(u32::from(y % 3)),
            };
            Kind::Intents(Intents {
                client_id,
                epoch,
                intents: vec![intent],
                refused: vec![u32::from(x % 4)],
            })
        }
        13 => Kind::Release(Release { client_id, epoch, packet_ids: vec![u32::from(x % 4)] }),
        14..=15 => Kind::Expire(Expire {}),
        16 => Kind::OutboxDone(OutboxDone { number: machine.outbox().lowest_open().unwrap_or(0) }),
        17 if x > 200 => Kind::Forget(Forget { client_id }),
        17 | 18 => Kind::Tail(Tail { node: u64::from(x % 2), worker: 0, next: vec![u64::from(y), 5] }),
        19 => Kind::ShareJoin(ShareJoin { share, client_id, incarnation, starts: positions(&[1, 2]), at }),
        20 => Kind::ShareLeave(ShareLeave { share, client_id, at }),
        21 => {
            let assignments = vec![Assignment { partition: 0, offset: u64::from(y), client_id, incarnation }];
            Kind::ShareWindow(ShareWindow { share, next: positions(&[9]), assignments, term: 1 })
        }
        _ => return None,
    })
}

fn run(world: &mut World, stamp: u64, step: Step) -> Option<Outcome> {
    let Some(kind) = operation(&world.machine, step) else {
        world.close_boot(stamp, u64::from(step.2 % 2), u64::from(step.3 % 2));
        return None;
    };
    Some(world.apply(stamp, kind))
}

/// Wills that a machine has yet to publish, or will have when their time comes.
fn wills(world: &World) -> usize {
    world.wills() + world.machine.after(None).filter(|record| record.core.will.is_some()).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_reloaded_replica_goes_on_as_one_that_was_not(
        steps in prop::collection::vec((0..23_u8, 0..3_u8, any::<u8>(), any::<u8>()), 1..60),
        cut in 0..60_usize,
    ) {
        let (mut whole, mut cut_off) = (World::new(), World::new());
        let mut epochs = BTreeMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            if at == cut {
                cut_off.machine = cut_off.reloaded();
            }
            let stamp = at as u64 * 400;
            let before = wills(&whole);
            let outcome = run(&mut whole, stamp, step);
            prop_assert_eq!(&run(&mut cut_off, stamp, step), &outcome);
            prop_assert_eq!(format!("{:?}", cut_off.machine), format!("{:?}", whole.machine));
            // Nothing but a CONNECT adds a will, so none is published twice.
            let connect = matches!(outcome, Some(Outcome::Attached(_)));
            prop_assert!(wills(&whole) <= before + usize::from(connect));
            for record in whole.machine.after(None) {
                let epoch = epochs.entry(record.core.client_id.clone()).or_insert(0);
                prop_assert!(record.core.epoch >= *epoch, "an owner's epoch fell");
                *epoch = record.core.epoch;
                let core = &record.core;
                let due = core.ends_at().into_iter().chain(core.will_due_at()).min();
                prop_assert!(due.is_none_or(|at| whole.machine.due(at)), "an end or a will without a deadline");
                prop_assert!(core.owner.is_some() || !record.window.live, "nobody moves its tail");
            }
        }
    }
}
