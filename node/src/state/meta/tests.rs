//! Boots, leases, and nodes that come and go.

use super::*;

fn boot(uuid: &str, nonce: &str) -> MetaKind {
    let (version, address) = ("1".to_owned(), "a:1".to_owned());
    MetaKind::Boot(Boot {
        node: 2,
        uuid: uuid.to_owned(),
        version,
        nonce: nonce.to_owned(),
        address,
        level: 0,
    })
}

fn granted(verdict: &Verdict) -> u64 {
    let Verdict::Granted { boot, .. } = verdict else { panic!("{verdict:?}") };
    *boot
}

#[test]
fn a_boot_is_granted_once_and_closes_the_one_before() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 1);
    assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 1);
    assert!(!meta.is_closed(2, 1));
    assert_eq!(granted(&meta.apply(&boot("u", "second"), &mut changes)), 2);
    assert!(meta.is_closed(2, 1) && !meta.is_closed(2, 2));
    let late = meta.apply(&MetaKind::Renew(Renew { node: 2, boot: 1 }), &mut changes);
    assert_eq!(late, Verdict::Late(Renew { node: 2, boot: 1 }));
}

#[test]
fn a_closed_boot_is_not_renewed_and_not_granted_again() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    meta.apply(&boot("u", "first"), &mut changes);
    let lapse = Lapse { node: 2, boot: 1 };
    assert_eq!(meta.apply(&MetaKind::Lapse(lapse), &mut changes), Verdict::Closed(lapse));
    assert_eq!(meta.apply(&MetaKind::Lapse(lapse), &mut changes), Verdict::Done);
    let renew = Renew { node: 2, boot: 1 };
    assert_eq!(meta.apply(&MetaKind::Renew(renew), &mut changes), Verdict::Late(renew));
    assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 2);
}

#[test]
fn a_number_belongs_to_one_directory() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    meta.apply(&boot("u", "first"), &mut changes);
    let verdict = meta.apply(&boot("other", "second"), &mut changes);
    assert!(matches!(verdict, Verdict::Stranger { node: 2, .. }), "{verdict:?}");
    assert!(!meta.is_closed(2, 1));
}

#[test]
fn rows_come_back() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    meta.apply(&boot("u", "first"), &mut changes);
    meta.apply(&MetaKind::Lapse(Lapse { node: 2, boot: 1 }), &mut changes);
    let mut again = Meta::default();
    for (key, value) in changes.rows {
        assert!(again.load(&key, &value.expect("nothing was deleted")));
    }
    assert_eq!(again.nodes, meta.nodes);
}

fn founded(numbers: &[u64]) -> Meta {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    let founder = |number: &u64| holdfast_cluster::Member {
        node: *number,
        uuid: format!("u{number}"),
        address: format!("a:{number}"),
    };
    let founders = numbers.iter().map(founder).collect();
    meta.apply(&MetaKind::Found(Founding { founders, ..Founding::default() }), &mut changes);
    meta
}

fn join(uuid: &str, node: u64) -> MetaKind {
    MetaKind::Join(Join { uuid: uuid.to_owned(), node, address: "a:9".to_owned() })
}

#[test]
fn a_number_is_given_once_and_above_all_before_it() {
    let (mut meta, mut changes) = (founded(&[1, 2, 3]), Changes::default());
    assert_eq!(meta.apply(&join("new", 0), &mut changes), Verdict::Nodes(4));
    assert_eq!(meta.apply(&join("new", 0), &mut changes), Verdict::Done, "asking again changes nothing");
    assert_eq!(meta.by_uuid("new").map(|(number, _)| number), Some(4));
    assert_eq!(meta.apply(&MetaKind::Remove(Remove { node: 4 }), &mut changes), Verdict::Nodes(4));
    assert_eq!(meta.apply(&join("newer", 0), &mut changes), Verdict::Nodes(5), "not the one that went");
    assert_eq!(meta.apply(&join("newest", 9), &mut changes), Verdict::Nodes(9));
    assert_eq!(meta.apply(&join("late", 7), &mut changes), Verdict::Done, "below the highest");
}

#[test]
fn an_empty_directory_does_not_get_an_old_number() {
    let (mut meta, mut changes) = (founded(&[1, 2, 3]), Changes::default());
    assert_eq!(meta.apply(&join("wiped", 2), &mut changes), Verdict::Done);
    let asked = Join { uuid: "wiped".to_owned(), node: 2, address: String::new() };
    let why = meta.may_join(&asked).expect_err("it is taken");
    assert!(why.contains("u2") && why.contains("above 3"), "{why}");
    meta.apply(&join("new", 0), &mut changes);
    meta.apply(&MetaKind::Remove(Remove { node: 4 }), &mut changes);
    let asked = Join { uuid: "new".to_owned(), node: 0, address: String::new() };
    let why = meta.may_join(&asked).expect_err("it was removed");
    assert!(why.contains("was removed"), "{why}");
}

#[test]
fn who_drains_has_no_boot_until_it_takes_its_part_again() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    meta.apply(&boot("u", "first"), &mut changes);
    assert_eq!(meta.apply(&MetaKind::Drain(Drain { node: 2, on: true }), &mut changes), Verdict::Nodes(2));
    assert!(meta.is_closed(2, 1));
    let refused = meta.apply(&boot("u", "second"), &mut changes);
    assert!(matches!(refused, Verdict::NoBoot { node: 2, office: Office::Draining, .. }), "{refused:?}");
    meta.apply(&MetaKind::Drain(Drain { node: 2, on: false }), &mut changes);
    assert_eq!(granted(&meta.apply(&boot("u", "third"), &mut changes)), 2);
    meta.apply(&MetaKind::Remove(Remove { node: 2 }), &mut changes);
    assert_eq!(meta.apply(&MetaKind::Drain(Drain { node: 2, on: false }), &mut changes), Verdict::Done);
    let refused = meta.apply(&boot("u", "fourth"), &mut changes);
    assert!(matches!(refused, Verdict::NoBoot { office: Office::Removed, .. }), "{refused:?}");
}

#[test]
fn who_goes_on_alone_removes_all_others_once() {
    let (mut meta, mut changes) = (Meta::default(), Changes::default());
    let founding = Founding { cluster_id: "old".to_owned(), ..Founding::default() };
    meta.apply(&MetaKind::Found(founding), &mut changes);
    for node in 1..=3 {
        let asked = Boot { node, uuid: format!("u{node}"), nonce: "first".to_owned(), ..Boot::default() };
        meta.apply(&MetaKind::Boot(asked), &mut changes);
    }
    meta.apply(&MetaKind::Drain(Drain { node: 2, on: true }), &mut changes);
    let (former, cluster_id) = ("old".to_owned(), "new".to_owned());
    let go_on = MetaKind::GoOn(GoOn { node: 2, former, cluster_id });
    assert_eq!(meta.apply(&go_on, &mut changes), Verdict::Alone);
    assert_eq!(meta.founding().map(|founding| founding.cluster_id.as_str()), Some("new"));
    let office = |node| meta.node(node).map(Node::office);
    assert_eq!([1, 2, 3].map(office), [Office::Removed, Office::Full, Office::Removed].map(Some));
    assert!(meta.is_closed(1, 1) && meta.is_closed(3, 1));
    assert_eq!(meta.apply(&go_on, &mut changes), Verdict::Done);
    let mut again = Meta::default();
    for (key, value) in changes.rows {
        assert!(again.load(&key, &value.expect("nothing was deleted")));
    }
    assert_eq!((again.nodes, again.founding), (meta.nodes, meta.founding));
}

#[test]
fn the_level_is_raised_when_every_member_knows_it_and_nobody_below_it_boots_again() {
    let (mut meta, mut changes) = (founded(&[1, 2, 3]), Changes::default());
    let knows = |node: u64, level: u32, nonce: &str| {
        let (uuid, nonce) = (format!("u{node}"), nonce.to_owned());
        MetaKind::Boot(Boot { node, uuid, nonce, level, ..Boot::default() })
    };
    let raise = |level| MetaKind::Raise(Level { level });
    for node in 1..=3 {
        assert_eq!(granted(&meta.apply(&knows(node, 0, "old"), &mut changes)), 1);
        assert_eq!(meta.common_level(), u32::from(node == 3), "not before the last has said it");
    }
    for (node, level) in [(1, 3), (2, 2)] {
        assert_eq!(meta.apply(&raise(2), &mut changes), Verdict::Done);
        meta.apply(&knows(node, level, "new"), &mut changes);
    }
    assert_eq!((meta.level(), meta.common_level()), (1, 1));
    meta.apply(&MetaKind::Remove(Remove { node: 3 }), &mut changes);
    assert_eq!(meta.apply(&raise(3), &mut changes), Verdict::Done, "node 2 does not know it");
    assert_eq!(meta.apply(&raise(2), &mut changes), Verdict::Raised(2));
    assert_eq!(meta.apply(&raise(2), &mut changes), Verdict::Done);
    let refused = meta.apply(&knows(2, 1, "older"), &mut changes);
    assert_eq!(refused, Verdict::Behind { node: 2, nonce: "older".to_owned() });
    assert!(!meta.is_closed(2, 2), "what it was granted before goes on");
    assert_eq!(granted(&meta.apply(&knows(1, 2, "newest"), &mut changes)), 3);
    let mut again = Meta::default();
    for (key, value) in changes.rows {
        assert!(again.load(&key, &value.expect("nothing was deleted")));
    }
    assert_eq!((again.level(), again.common_level()), (2, 2));
}
