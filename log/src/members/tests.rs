//! Members step by step, and side by side with Raft's own.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn id(number: u64) -> ReplicaId {
    ReplicaId::new(number)
}

fn add(number: u64) -> Change {
    Change::AddLearner(id(number), NodeId::new(number * 10))
}

fn three() -> Members {
    Members::founding(&[1, 2, 3].map(|number| (id(number), NodeId::new(number * 10))))
}

fn standings(members: &Members) -> Vec<(u64, Standing)> {
    members.all().map(|(replica, _, standing)| (replica.get(), standing)).collect()
}

#[test]
fn a_replica_is_replaced_step_by_step() {
    use Standing::{Incoming, Learner, Leaving, Outgoing, Voter};
    let one = three().after(&Step::One(add(4))).unwrap();
    assert_eq!(standings(&one), [(1, Voter), (2, Voter), (3, Voter), (4, Learner)]);
    assert!(one.is_settled());
    let enter = Step::Enter(vec![Change::Promote(id(4)), Change::Remove(id(1))]);
    let two = one.after(&enter).unwrap();
    assert_eq!(standings(&two), [(1, Outgoing), (2, Voter), (3, Voter), (4, Incoming)]);
    assert!(two.is_joint() && !two.is_settled());
    assert_eq!(two.next_step(), Some(Step::Leave));
    let three = two.after(&Step::Leave).unwrap();
    assert_eq!(standings(&three), [(1, Leaving), (2, Voter), (3, Voter), (4, Voter)]);
    assert!(!three.is_joint() && !three.is_settled());
    let last = Step::One(Change::Remove(id(1)));
    assert_eq!(three.next_step(), Some(last.clone()));
    let four = three.after(&last).unwrap();
    assert_eq!(standings(&four), [(2, Voter), (3, Voter), (4, Voter)]);
    assert_eq!((four.next_step(), four.is_settled()), (None, true));
    assert_eq!(four.node(id(4)), Some(NodeId::new(40)));
}

#[test]
fn a_voter_becomes_a_learner_and_may_vote_again() {
    use Standing::{Learner, Outgoing, Voter};
    let joint = three().after(&Step::Enter(vec![Change::Demote(id(2))])).unwrap();
    assert_eq!(standings(&joint), [(1, Voter), (2, Outgoing), (3, Voter)]);
    let after = joint.after(&Step::Leave).unwrap();
    assert_eq!(standings(&after), [(1, Voter), (2, Learner), (3, Voter)]);
    assert!(after.is_settled());
    let again = after.after(&Step::Enter(vec![Change::Promote(id(2))])).unwrap().after(&Step::Leave);
    assert_eq!(again, Some(three()));
    assert_eq!(after.after(&Step::Enter(vec![Change::Demote(id(2))])), None);
    assert_eq!(three().after(&Step::One(Change::Demote(id(2)))), None, "a vote needs two majorities");
}

#[test]
fn an_id_is_never_used_again() {
    let members = three().after(&Step::One(add(7))).unwrap();
    let members = members.after(&Step::One(Change::Remove(id(7)))).unwrap();
    for used in [1, 5, 7] {
        assert_eq!(members.after(&Step::One(add(used))), None);
    }
    assert!(members.after(&Step::One(add(8))).is_some());
    assert_eq!(members.highest(), id(7));
}

#[test]
fn what_does_not_fit_is_refused() {
    let members = three().after(&Step::One(add(4))).unwrap();
    let joint = members.after(&Step::Enter(vec![Change::Promote(id(4))])).unwrap();
    assert_eq!(joint.after(&Step::Enter(vec![Change::Remove(id(1))])), None, "one at a time");
    assert_eq!(joint.after(&Step::One(add(5))), None);
    assert_eq!(members.after(&Step::Leave), None);
    assert_eq!(members.after(&Step::One(Change::Promote(id(4)))), None, "a vote needs two majorities");
    assert_eq!(members.after(&Step::One(Change::Remove(id(1)))), None);
    assert_eq!(members.after(&Step::Enter(vec![Change::Promote(id(9))])), None);
    assert_eq!(members.after(&Step::Enter(vec![Change::Promote(id(1))])), None);
    let all = [1, 2, 3].map(|number| Change::Remove(id(number)));
    assert_eq!(members.after(&Step::Enter(all.to_vec())), None, "somebody has to vote");
    let both = vec![Change::Promote(id(4)), Change::Remove(id(4))];
    assert_eq!(members.after(&Step::Enter(both)), None);
}

#[test]
fn raft_comes_to_the_same_members() {
    // Random walks, each step taken by both.
    let mut dice = 1_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let (mut taken, mut joints) = (0, 0);
    for _ in 0..200 {
        let mut members = three();
        let mut raft = raft::ProgressTracker::new(10);
        for voter in members.conf_state().voters {
            let mut single = ConfChangeSingle { node_id: voter, ..ConfChangeSingle::default() };
            single.set_change_type(ConfChangeType::AddNode);
            let (conf, changes) = raft::Changer::new(&raft).simple(&[single]).unwrap();
            raft.apply_conf(conf, changes, 1);
        }
        for _ in 0..40 {
            let highest = members.highest().get();
            let change = |roll: &mut dyn FnMut(u64) -> u64| match roll(4) {
                0 => add(highest + 1 + roll(2)),
                1 => Change::Promote(id(roll(highest + 2))),
                2 => Change::Demote(id(roll(highest + 2))),
                _ => Change::Remove(id(roll(highest + 2))),
            };
            let step = match (members.next_step(), roll(4)) {
                (Some(step), 0..3) => step,
                (_, 3) => Step::One(change(&mut roll)),
                _ => {
                    let count = roll(3);
                    Step::Enter((0..=count).map(|_| change(&mut roll)).collect())
                }
            };
            let Some(next) = members.after(&step) else { continue };
            let change = members.conf_change(&step).unwrap();
            let mut changer = raft::Changer::new(&raft);
            let (conf, changes) = if change.leave_joint() {
                changer.leave_joint().unwrap()
            } else if let Some(auto) = change.enter_joint() {
                assert!(!auto);
                changer.enter_joint(auto, &change.changes).unwrap()
            } else {
                changer.simple(&change.changes).unwrap()
            };
            raft.apply_conf(conf, changes, 1);
            assert!(same(&raft.conf().to_conf_state(), &next), "{members:?} {step:?} {next:?}");
            taken += 1;
            joints += usize::from(next.is_joint());
            members = next;
        }
    }
    assert!(taken > 1_000 && joints > 300, "{taken} {joints}");
}

fn same(conf: &ConfState, members: &Members) -> bool {
    let sorted = |ids: &[u64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    let want = members.conf_state();
    [
        (&conf.voters, &want.voters),
        (&conf.voters_outgoing, &want.voters_outgoing),
        (&conf.learners, &want.learners),
        (&conf.learners_next, &want.learners_next),
    ]
    .iter()
    .all(|(got, want)| sorted(got) == sorted(want))
}

#[test]
fn a_step_comes_back_and_no_damage_passes() {
    let steps = [
        Step::Enter(vec![add(9), Change::Promote(id(3)), Change::Remove(id(u64::MAX))]),
        Step::Leave,
        Step::One(add(4)),
        Step::Enter(vec![Change::Demote(id(2))]),
        Step::Recover(id(3), NodeId::new(30)),
    ];
    for step in steps {
        let bytes = step.encode();
        assert_eq!(Step::decode(bytes.clone()), Some(step));
        for at in 0..bytes.len() {
            assert_eq!(Step::decode(bytes.slice(..at)), None, "cut at {at}");
            let mut bad = bytes.to_vec();
            bad[at] ^= 1;
            assert_eq!(Step::decode(bad.into()), None, "byte {at}");
        }
    }
}

#[test]
fn recovery_leaves_one_replica_and_its_memory_of_ids() {
    let members = three().after(&Step::Recover(id(2), NodeId::new(20))).unwrap();
    assert_eq!(standings(&members), [(2, Standing::Voter)]);
    assert!(members.is_alone(id(2)) && members.decides_alone(id(2)));
    assert_eq!(members.after(&Step::One(add(3))), None);
}
