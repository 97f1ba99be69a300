//! Reading the rows back: what is damaged is said, what counts up goes on.

use super::*;

#[test]
fn damaged_rows_are_errors() {
    let mut good = World::new();
    good.attach(0, Attach { will: Some(will(0)), ..attach(60) });
    good.apply(1, subscribe(good.epoch(), vec![subscription("a", &[1])]));
    good.apply(1, tail(&[1]));
    good.apply(1, ShareJoin { share: "$share/g/a".into(), client_id: ID.into(), ..ShareJoin::default() });
    good.apply(2, detach(good.epoch()));
    let tags: Vec<u8> = good.rows.keys().map(|key| key[0]).collect();
    assert_eq!(tags, *b"fhnostw", "one of each kind");
    for (key, value) in &good.rows {
        assert!(Sessions::new(3).load(key, value).is_ok());
        let name = String::from_utf8_lossy(key);
        let error = Sessions::new(3).load(key, &[0xff; 7]);
        assert!(error.is_err(), "garbage at {name}");
        let cut = &value[..value.len() - 1];
        assert!(Sessions::new(3).load(key, cut).is_err(), "a cut value at {name}");
        if key[0] != b'w' {
            let mut other = key.clone();
            other.push(b'x');
            assert!(Sessions::new(3).load(&other, value).is_err(), "a value under another key than {name}");
        }
    }
    let row = good.rows.values().next().unwrap();
    for key in [&b""[..], b"z", b"s\xff", b"w\xff", b"fclient", b"h\xff", b"o1234567", b"o123456789"] {
        assert!(Sessions::new(3).load(key, row).is_err(), "{key:?}");
    }
    let empty_task = outbox::Entry { client_id: ID.into(), task: None };
    let value = prost::Message::encode_to_vec(&empty_task);
    assert!(Sessions::new(3).load(b"o12345678", &value).is_err(), "a task of a future version");
}

#[test]
fn what_counts_up_is_never_given_twice_also_after_a_reload() {
    let mut world = World::new();
    let mut last = 0;
    let mut next = |number: u64, what: &str| {
        assert!(number > last, "{what}: {number} after {last}");
        last = number;
    };
    for round in 0..4 {
        // The session ends each time, and its will is done with before the next.
        let core = world.attach(round, Attach { will: Some(will(0)), ..attach(0) }).record.core;
        next(core.epoch, "epoch");
        assert_eq!(core.incarnation, 3 << 48 | core.epoch);
        world.apply(round, detach(core.epoch));
        let number = world.machine.outbox().lowest_open().unwrap();
        next(number, "outbox");
        world.apply(round, OutboxDone { number });
        assert!(world.machine.is_empty() && world.rows.len() == 1, "only the counter is left");
        world.machine = world.reloaded();
    }
}

#[test]
fn groups_never_give_the_same_incarnation() {
    let incarnation = |group| {
        let mut machine = Sessions::new(group);
        match machine.apply(0, &attach(0).into(), &mut Changes::default()) {
            Outcome::Attached(attached) => attached.record.core.incarnation,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((incarnation(1), incarnation(512)), (1 << 48 | 1, 512 << 48 | 1));
}

#[test]
fn sessions_are_walked_in_order_and_counted() {
    let mut world = World::new();
    for id in ["b", "c", "a"] {
        world.attach(0, Attach { client_id: id.into(), ..attach(60) });
    }
    let epoch = world.machine.get("b").unwrap().core.epoch;
    world.apply(
        1,
        Subscribe {
            client_id: "b".into(),
            ..subscribe(epoch, vec![subscription("x", &[]), subscription("y", &[])])
        },
    );
    world.apply(2, Detach { client_id: "b".into(), ..detach(epoch) });
    let walk = |after| -> Vec<&str> {
        world.machine.after(after).map(|record| record.core.client_id.as_str()).collect()
    };
    assert_eq!(
        (walk(None), walk(Some("a")), walk(Some("aa"))),
        (vec!["a", "b", "c"], vec!["b", "c"], vec!["b", "c"])
    );
    let figures = world.machine.figures().and(Figures::default());
    assert_eq!((figures.connected, figures.disconnected, figures.subscriptions), (2, 1, 2));
}
