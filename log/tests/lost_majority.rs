//! A majority is lost for good, and what is left goes on alone: never by itself, and with an account.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use fleet::{Fleet, home};
use holdfast_log::*;

mod fleet;
mod machine;

const GROUPS: [(u32, bool); 2] = [(1, true), (2, false)];

fn id(number: u64) -> ReplicaId {
    ReplicaId::new(number)
}

/// The store of the survivor, all nodes being down, the others with empty disks.
fn disaster(seed: u64, survivor: usize) -> (Fleet, Arc<MemoryStore>) {
    let mut fleet = Fleet::new(seed, 3, 3, &GROUPS);
    for round in 0..150 {
        if round % 40 == 20 {
            let at = fleet.pick(3);
            fleet.cut = [at].into();
        } else if round % 40 == 35 {
            fleet.cut.clear();
        }
        fleet.round();
        if round % 15 == 0 {
            fleet.start_all();
        }
    }
    fleet.quiet = true;
    fleet.cut.clear();
    for at in 0..3 {
        if fleet.nodes[at].engine.is_some() {
            fleet.crash(at);
        }
        if at != survivor {
            fleet.wipe(at);
        }
    }
    let store = Arc::clone(&fleet.nodes[survivor].store);
    (fleet, store)
}

fn saved(account: &Account) -> Saved {
    match &account.outcome {
        Outcome::Kept(saved) => *saved,
        Outcome::Lost(reason) => panic!("{}: {reason}", account.group),
    }
}

#[test]
fn one_of_three_goes_on_alone_and_gets_company_again() {
    let mut uncertain = 0;
    for seed in 0..40 {
        let survivor = (seed % 3) as usize;
        let (mut fleet, store) = disaster(seed, survivor);
        let before = fleet.acknowledged.len();
        let plan = Recovery::plan(store.clone(), home(survivor)).unwrap();
        assert_eq!(plan.accounts().len(), 2);
        let accounts = plan.accept_data_loss().unwrap();
        for account in &accounts {
            let saved = saved(account);
            assert_eq!((account.replica, saved.standing), (id(survivor as u64 + 1), Some(Standing::Voter)));
            assert!(saved.committed <= saved.last && saved.safe_offset <= saved.next_offset);
            uncertain += saved.last.get() - saved.committed.get();
            fleet.give_up(account.group, saved.safe_offset);
        }
        assert!(fleet.acknowledged.len() * 2 > before, "seed {seed}: most of it is there");
        fleet.start(survivor);
        fleet.rounds(5);
        for account in &accounts {
            assert_eq!(fleet.leader(account.group), Some(survivor), "{}", fleet.picture());
            let status = fleet.engine(survivor).status(account.group).unwrap();
            assert_eq!(status.next_offset, saved(account).next_offset, "everything counts");
            assert_eq!(fleet.members(account.group).unwrap().all().count(), 1);
            let old = [Change::AddLearner(id(3), home(1))];
            let outcome = fleet.change(account.group, &old);
            assert!(matches!(outcome, Err(ChangeRefusal::Used { .. })), "old ids are not used again");
        }
        // Two empty nodes join, under new ids.
        fleet.quiet = false;
        for (number, at) in [(4, (survivor + 1) % 3), (5, (survivor + 2) % 3)] {
            for account in &accounts {
                let mut outcomes = Vec::new();
                for _ in 0..300 {
                    let members = fleet.members(account.group);
                    let standing = members.as_ref().and_then(|members| members.standing(id(number)));
                    let change = match standing {
                        Some(Standing::Voter) => break,
                        Some(_) => Change::Promote(id(number)),
                        None => Change::AddLearner(id(number), home(at)),
                    };
                    outcomes.push(fleet.change(account.group, &[change]));
                    fleet.round();
                    fleet.start_all();
                }
                let members = fleet.members(account.group);
                let votes =
                    members.as_ref().is_some_and(|all| all.standing(id(number)) == Some(Standing::Voter));
                assert!(votes, "seed {seed}: {:?} {}", outcomes.last(), fleet.picture());
            }
        }
        fleet.heal();
        for account in &accounts {
            assert_eq!(fleet.members(account.group).unwrap().voters().count(), 3);
        }
    }
    assert!(uncertain > 10, "{uncertain} entries were not known to be committed");
}

#[test]
fn a_plan_changes_nothing_and_alone_nobody_goes_on() {
    let (mut fleet, store) = disaster(3, 0);
    let count = |store: &MemoryStore| {
        let mut rows = Vec::new();
        for space in [store::Space::Entry, store::Space::Meta, store::Space::State] {
            let range = store::Range { space, from: &[0], to: &[255] };
            store
                .scan(range, &mut |key, value| {
                    rows.push((space, key.to_vec(), value.to_vec()));
                    true
                })
                .unwrap();
        }
        rows
    };
    let before = count(&store);
    drop(Recovery::plan(store.clone(), home(0)).unwrap());
    assert_eq!(count(&store), before);
    fleet.start(0);
    fleet.rounds(300);
    assert!(GROUPS.iter().all(|(group, _)| fleet.leader(GroupId::new(*group)).is_none()));
}

#[test]
fn a_group_without_a_state_is_named_and_left_alone() {
    let (fleet, _) = disaster(5, 0);
    let store = Arc::clone(&fleet.nodes[1].store);
    let mut engine =
        Opening::new(store.clone(), Config::default(), 1, Vec::new()).unwrap().start(fleet::TICK).unwrap();
    let voters = vec![(id(1), home(0))];
    engine.open(GroupSpec { id: GroupId::new(1), history: true, replica: id(4), voters }).unwrap();
    drop(engine);
    let accounts = Recovery::plan(store.clone(), home(1)).unwrap().accept_data_loss().unwrap();
    let [Account { replica, outcome: Outcome::Lost(reason), .. }] = &accounts[..] else {
        panic!("{accounts:?}")
    };
    assert_eq!((*replica, reason.as_str()), (id(4), "it waits for a snapshot and has no state"));
    assert_eq!(Opening::groups(&*store).unwrap().len(), 1);
}
