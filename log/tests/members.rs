//! Members of a group change at run time, learner first, and a fresh replica takes the place of a lost one.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use fleet::{Fleet, home};
use holdfast_log::*;

mod fleet;
mod machine;

const GROUP: GroupId = GroupId::new(7);

fn id(number: u64) -> ReplicaId {
    ReplicaId::new(number)
}

/// Three founders and two more nodes, with something in the log.
fn fleet(seed: u64, history: bool) -> Fleet {
    let mut fleet = Fleet::new(seed, 5, 3, &[(7, history)]);
    calm(&mut fleet, 40);
    fleet
}

/// Goes on without power cuts, with proposals.
fn calm(fleet: &mut Fleet, rounds: usize) {
    fleet.rounds(rounds);
    fleet.start_all();
}

/// Wishes for a change until the members are settled as they should be, whoever leads and crashes meanwhile.
fn until(fleet: &mut Fleet, changes: &[Change], done: impl Fn(&Members) -> bool) -> Members {
    let mut outcomes = Vec::new();
    for _ in 0..600 {
        if let Some(members) = fleet.members(GROUP).filter(|members| members.is_settled() && done(members)) {
            return members;
        }
        outcomes.push(fleet.change(GROUP, changes));
        calm(fleet, 1);
    }
    panic!("{changes:?}: {outcomes:?} {}", fleet.picture());
}

/// Gets `next` in the place of `old`; a leader that is to go hands over first.
fn replace(fleet: &mut Fleet, next: u64, old: u64) -> Members {
    for _ in 0..400 {
        if let Some(members) = fleet.members(GROUP).filter(|members| members.standing(id(old)).is_none()) {
            return members;
        }
        let changes = [Change::Promote(id(next)), Change::Remove(id(old))];
        if fleet.change(GROUP, &changes) == Err(ChangeRefusal::Leads(id(old))) {
            let leader = fleet.leader(GROUP).unwrap();
            fleet.engine_mut(leader).transfer_away(GROUP);
        }
        calm(fleet, 3);
    }
    panic!("{old} stays: {}", fleet.picture());
}

fn add(fleet: &mut Fleet, number: u64, at: usize) -> Members {
    until(fleet, &[Change::AddLearner(id(number), home(at))], |members| members.highest() >= id(number))
}

fn voters(members: &Members) -> Vec<u64> {
    members.voters().map(ReplicaId::get).collect()
}

#[test]
fn a_replica_joins_as_a_learner_and_gets_its_vote() {
    for (seed, history) in [(1, false), (2, true)] {
        let mut fleet = fleet(seed, history);
        assert_eq!(add(&mut fleet, 4, 3).standing(id(4)), Some(Standing::Learner));
        let members = until(&mut fleet, &[Change::Promote(id(4))], |m| m.voters().any(|v| v == id(4)));
        assert_eq!(voters(&members), [1, 2, 3, 4]);
        assert!(fleet.installed > 0 && fleet.kinds["snapshot_chunk"] > 2, "it began with a snapshot");
        fleet.heal();
    }
}

#[test]
fn a_wiped_node_comes_back_as_a_new_replica() {
    for seed in 0..10 {
        let mut fleet = fleet(seed, seed % 2 == 0);
        fleet.rounds(100);
        fleet.start_all();
        fleet.wipe(2);
        add(&mut fleet, 4, 2);
        let replace = [Change::Promote(id(4)), Change::Remove(id(3))];
        let members = until(&mut fleet, &replace, |members| members.standing(id(3)).is_none());
        assert_eq!(voters(&members), [1, 2, 4]);
        fleet.heal();
    }
}

#[test]
fn all_founders_can_be_replaced() {
    let mut fleet = fleet(5, true);
    for (old, next, at) in [(1, 4, 3), (2, 5, 4), (3, 6, 0)] {
        add(&mut fleet, next, at);
        replace(&mut fleet, next, old);
    }
    assert_eq!(voters(&fleet.members(GROUP).unwrap()), [4, 5, 6]);
    fleet.heal();
    assert!((1..=2).all(|at| fleet.engine(at).status(GROUP).is_none()), "what is gone is given up");
}

#[test]
fn a_replica_that_knows_none_of_the_others_finds_them() {
    for (seed, history) in [(3, false), (4, true)] {
        let mut fleet = fleet(seed, history);
        fleet.cut = [2].into();
        for (old, next, at) in [(1, 4, 3), (2, 5, 4)] {
            add(&mut fleet, next, at);
            replace(&mut fleet, next, old);
        }
        for at in [3, 4] {
            fleet.engine_mut(at).flush_state().unwrap();
            fleet.engine_mut(at).compact().unwrap();
        }
        assert_eq!(fleet.engine(2).members(GROUP).unwrap().highest(), id(3), "it has heard of nothing");
        fleet.cut.clear();
        fleet.heal();
        assert_eq!(fleet.engine(2).members(GROUP).unwrap().highest(), id(5));
    }
}

#[test]
fn a_replica_that_was_taken_out_disturbs_nobody() {
    let mut fleet = fleet(6, true);
    fleet.quiet = true;
    fleet.start_all();
    fleet.rounds(50);
    let away = (0..3).find(|at| Some(*at) != fleet.leader(GROUP)).unwrap();
    fleet.cut = [away].into();
    let gone = id(away as u64 + 1);
    fleet.tells = false;
    until(&mut fleet, &[Change::Remove(gone)], |members| members.standing(gone).is_none());
    let before = fleet.engine(fleet.leader(GROUP).unwrap()).status(GROUP).unwrap().role;
    // It is back and knows nothing, and nobody tells its node to give it up.
    fleet.cut.clear();
    fleet.rounds(200);
    assert_eq!(fleet.engine(away).status(GROUP).unwrap().replica, gone);
    assert_eq!(fleet.engine(fleet.leader(GROUP).unwrap()).status(GROUP).unwrap().role, before);
}

#[test]
fn a_change_that_may_not_begin_says_why() {
    let mut fleet = fleet(7, true);
    fleet.quiet = true;
    fleet.start_all();
    fleet.rounds(50);
    let leader = fleet.leader(GROUP).unwrap();
    let me = id(leader as u64 + 1);
    let others: Vec<_> = (0..3).filter(|at| *at != leader).collect();
    let other = id(others[0] as u64 + 1);
    let refused = |fleet: &mut Fleet, changes: &[Change]| fleet.change(GROUP, changes).unwrap_err();
    let (used, highest) = (id(3), id(3));
    assert_eq!(
        refused(&mut fleet, &[Change::AddLearner(used, home(3))]),
        ChangeRefusal::Used { replica: used, highest }
    );
    assert_eq!(refused(&mut fleet, &[Change::Promote(other)]), ChangeRefusal::Member(other));
    assert_eq!(refused(&mut fleet, &[Change::Remove(id(9))]), ChangeRefusal::Member(id(9)));
    assert_eq!(refused(&mut fleet, &[Change::Remove(me)]), ChangeRefusal::Leads(me));
    assert_eq!(refused(&mut fleet, &[]), ChangeRefusal::Contradiction);
    let twice = [Change::AddLearner(id(4), home(3)), Change::AddLearner(id(4), home(4))];
    assert_eq!(refused(&mut fleet, &twice), ChangeRefusal::Contradiction);
    let follower = fleet.engine_mut(others[0]).change(GROUP, &[Change::Remove(me)]);
    assert_eq!(follower, Err(ChangeRefusal::NotLeader { leader: Some(me) }));
    let unknown = fleet.engine_mut(leader).change(GroupId::new(99), &[]);
    assert_eq!(unknown, Err(ChangeRefusal::Unknown(GroupId::new(99))));

    // One at a time, and no vote for what is far behind.
    fleet.cut = [3].into();
    fleet.change(GROUP, &[Change::AddLearner(id(4), home(3))]).unwrap();
    assert_eq!(refused(&mut fleet, &[Change::Remove(other)]), ChangeRefusal::UnderWay);
    fleet.rounds(10);
    assert_eq!(refused(&mut fleet, &[Change::Promote(id(4))]), ChangeRefusal::Behind(id(4)));

    // Two that are left must both be up.
    fleet.cut = [others[1], 3].into();
    fleet.rounds(12);
    assert_eq!(refused(&mut fleet, &[Change::Remove(other)]), ChangeRefusal::NoMajority);
    fleet.cut.clear();
    fleet.rounds(10);
    assert_eq!(fleet.change(GROUP, &[Change::Remove(other)]), Ok(()));
    fleet.rounds(20);
    assert_eq!(fleet.members(GROUP).unwrap().voters().count(), 2);
}

#[test]
fn no_vote_comes_and_no_replica_goes_before_the_copy_is_whole() {
    let mut fleet = fleet(8, true);
    fleet.rounds(200);
    fleet.quiet = true;
    fleet.start_all();
    fleet.rounds(50);
    // Histories come slowly where most frames are lost, and Raft's messages as well.
    let leader = fleet.leader(GROUP).unwrap();
    let old = (0..3).find(|at| *at != leader).unwrap();
    fleet.change(GROUP, &[Change::AddLearner(id(4), home(3))]).unwrap();
    let changes = [Change::Promote(id(4)), Change::Remove(id(old as u64 + 1))];
    let (mut copying, mut refused) = (0, 0);
    for _ in 0..400 {
        fleet.round();
        let Some(status) = fleet.engine(3).status(GROUP) else { continue };
        if !status.waiting && !status.history_whole {
            copying += 1;
            let outcome = fleet.change(GROUP, &changes);
            assert!(outcome.is_err(), "{outcome:?}");
            refused += usize::from(outcome == Err(ChangeRefusal::NotWhole(id(4))));
        } else if status.history_whole && fleet.change(GROUP, &changes).is_ok() {
            break;
        }
    }
    assert!(copying > 3 && refused > 0, "{copying} {refused}");
    fleet.rounds(30);
    assert!(fleet.members(GROUP).unwrap().voters().any(|voter| voter == id(4)));
    fleet.heal_quietly();
}

#[test]
fn a_node_that_says_nothing_holds_up_the_first_copies_and_no_more() {
    let groups: Vec<(u32, bool)> = (1..=24).map(|number| (number, true)).collect();
    let mut fleet = Fleet::new(11, 4, 3, &groups);
    fleet.rounds(600);
    fleet.quiet = true;
    fleet.start_all();
    fleet.rounds(100);
    // Its replicas are the first ones that are asked.
    fleet.cut.insert(0);
    fleet.rounds(100);
    let mut blank: Vec<GroupId> = groups.iter().map(|(number, _)| GroupId::new(*number)).collect();
    let mut rounds = 0;
    while !blank.is_empty() {
        for group in &blank {
            // Refused where it is a learner already.
            let _ = fleet.change(*group, &[Change::AddLearner(id(4), home(3))]);
        }
        fleet.round();
        rounds += 1;
        let status = |group: &GroupId| fleet.engine(3).status(*group);
        blank.retain(|group| status(group).is_none_or(|status| status.waiting || !status.history_whole));
        assert!(rounds < 3_000, "{blank:?} {}", fleet.picture());
    }
    // Giving up one silent node takes 40 ticks; group by group it would be more than a thousand.
    assert!(rounds < 300, "{rounds} rounds");
}

#[test]
fn a_power_cut_at_any_step_of_a_replacement_is_survived() {
    for step in 0..40 {
        let mut fleet = fleet(100 + step, step % 2 == 0);
        fleet.rounds(60);
        fleet.start_all();
        let victim = [3, 0, 1, 2][step as usize % 4];
        for (round, changes) in [
            vec![Change::AddLearner(id(4), home(3))],
            vec![Change::Promote(id(4))],
            vec![Change::Remove(id(2))],
        ]
        .into_iter()
        .enumerate()
        {
            for tick in 0..60 {
                let _may_be_refused = fleet.change(GROUP, &changes);
                fleet.round();
                if tick == step && fleet.nodes[victim].engine.is_some() && round != 1 {
                    fleet.crash(victim);
                }
                fleet.start_all();
            }
        }
        fleet.heal();
    }
}

#[test]
fn a_group_that_is_given_up_leaves_nothing_and_comes_again_under_a_new_id() {
    for step in 0..12 {
        let mut fleet = fleet(200 + step, true);
        fleet.rounds(60);
        fleet.start_all();
        add(&mut fleet, 4, 3);
        fleet.rounds(40);
        fleet.start_all();
        until(&mut fleet, &[Change::Remove(id(4))], |members| members.standing(id(4)).is_none());
        for _ in 0..200 {
            calm(&mut fleet, 1);
            if fleet.engine(3).status(GROUP).is_none() {
                break;
            }
        }
        let node = &fleet.nodes[3];
        assert_eq!(keys_of_the_group(&node.store), 0, "nothing is left");
        assert!(Opening::groups(&*node.store).unwrap().is_empty());
        let read = fleet.engine(3).reader().read(GROUP, Offset::new(0), 1);
        assert_eq!(read, Err(ReadError::Unknown(GROUP)));
        // A power cut brings the state back that was not deleted for good; it counts for nothing.
        if step % 3 == 0 {
            fleet.crash(3);
            fleet.start(3);
            assert_eq!(keys_of_the_group(&fleet.nodes[3].store), 0);
        }
        add(&mut fleet, 5, 3);
        fleet.rounds(step as usize);
        if step % 3 == 1 && fleet.nodes[3].engine.is_some() {
            fleet.crash(3);
            fleet.start(3);
        }
        fleet.start_all();
        until(&mut fleet, &[Change::Promote(id(5))], |members| members.voters().any(|one| one == id(5)));
        fleet.heal();
    }
}

fn keys_of_the_group(store: &MemoryStore) -> usize {
    let mut count = 0;
    for space in [store::Space::Entry, store::Space::Meta, store::Space::State] {
        let range = store::Range { space, from: &[1], to: &[255] };
        store
            .scan(range, &mut |_, _| {
                count += 1;
                true
            })
            .unwrap();
    }
    count
}

#[test]
fn a_voter_that_has_forgotten_its_vote_stops() {
    let mut fleet = fleet(9, true);
    fleet.quiet = true;
    fleet.start_all();
    fleet.rounds(30);
    fleet.wipe(2);
    let voters = vec![(id(1), home(0)), (id(2), home(1))];
    fleet.may_stop = true;
    fleet.engine_mut(2).open(GroupSpec { id: GROUP, history: true, replica: id(3), voters }).unwrap();
    fleet.rounds(100);
    let stopped = |fleet: &Fleet| fleet.engine(2).status(GROUP).is_some_and(|status| status.stopped);
    assert!(stopped(&fleet), "{}", fleet.picture());
    assert_eq!(fleet.stopped, [(2, GROUP, Fault::Forgotten { replica: id(3) })]);
    fleet.crash(2);
    fleet.start(2);
    fleet.rounds(100);
    assert!(stopped(&fleet), "a restart does not help it");
}

#[test]
fn what_does_not_fit_is_not_opened() {
    let mut fleet = fleet(10, true);
    fleet.start_all();
    let spec = |replica, voters| GroupSpec { id: GROUP, history: true, replica, voters };
    let others = vec![(id(1), home(0))];
    let opened = fleet.engine_mut(0).open(spec(id(9), vec![(id(2), home(1))]));
    assert!(matches!(opened, Err(LogError::Spec { .. })), "the disk has another replica");
    assert!(fleet.engine_mut(0).open(spec(id(1), others.clone())).is_ok(), "it is open already");
    for bad in [spec(id(0), others.clone()), spec(id(4), Vec::new()), spec(id(1), others.clone())] {
        assert!(matches!(fleet.engine_mut(3).open(bad), Err(LogError::Spec { .. })));
    }
    let far = GroupSpec { id: GroupId::new(u32::MAX), ..spec(id(4), others) };
    assert!(matches!(fleet.engine_mut(3).open(far), Err(LogError::Spec { .. })));
    assert!(Opening::groups(&*fleet.nodes[3].store).unwrap().is_empty());
}
