//! From where a group stands to where it belongs, change by change.

use super::*;

type Replicas = Vec<(ReplicaId, NodeId, Standing)>;

fn node(number: u64) -> NodeId {
    NodeId::new(number)
}

fn group(voters: &[u64], learners: &[u64]) -> Replicas {
    let with = |standing| move |number: &u64| (ReplicaId::new(*number), node(*number), standing);
    voters.iter().map(with(Standing::Voter)).chain(learners.iter().map(with(Standing::Learner))).collect()
}

fn parts(full: &[u64], draining: &[u64], removed: &[u64]) -> BTreeMap<NodeId, Part> {
    let with = |part| move |number: &u64| (node(*number), part);
    let all = full.iter().map(with(Part::Full)).chain(draining.iter().map(with(Part::Draining)));
    all.chain(removed.iter().map(with(Part::Removed))).collect()
}

fn wanted(parts: &BTreeMap<NodeId, Part>, replicas: usize) -> usize {
    voters_wanted(replicas, false, parts)
}

/// As the leader does it: the first wish that `possible` allows, until there is none. The fewest voters on the way.
fn run(
    replicas: &mut Replicas,
    parts: &BTreeMap<NodeId, Part>,
    seat: usize,
    possible: impl Fn(&[Change]) -> bool,
) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..50 {
        fewest = fewest.min(replicas.iter().filter(|one| one.2 == Standing::Voter).count());
        let wishes = changes(replicas, parts, (seat, wanted(parts, 3)));
        let Some(wish) = wishes.into_iter().find(|wish| possible(wish)) else { return fewest };
        for change in wish {
            let at = replicas.iter().position(|one| one.0 == change.replica());
            match (change, at) {
                (Change::AddLearner(replica, node), None) => {
                    replicas.push((replica, node, Standing::Learner))
                }
                (Change::Promote(_), Some(at)) => replicas[at].2 = Standing::Voter,
                (Change::Demote(_), Some(at)) => replicas[at].2 = Standing::Learner,
                (Change::Remove(_), Some(at)) => drop(replicas.remove(at)),
                other => panic!("{other:?} in {replicas:?}"),
            }
        }
    }
    panic!("it does not come to rest: {replicas:?}")
}

fn voting(replicas: &Replicas) -> Vec<u64> {
    let mut voting: Vec<u64> =
        replicas.iter().filter(|one| one.2 == Standing::Voter).map(|one| one.1.get()).collect();
    voting.sort_unstable();
    voting
}

#[test]
fn founders_in_number_need_no_change() {
    let parts = parts(&[1, 2, 3], &[], &[]);
    for seat in 0..10 {
        assert!(changes(&group(&[1, 2, 3], &[]), &parts, (seat, 3)).is_empty());
    }
}

#[test]
fn whoever_joins_gets_data_first_and_then_its_share_of_the_votes() {
    let parts = parts(&[1, 2, 3, 4], &[], &[]);
    let mut votes = BTreeMap::new();
    for seat in 0..16 {
        let mut replicas = group(&[1, 2, 3], &[]);
        let fewest = run(&mut replicas, &parts, seat, |_| true);
        assert_eq!((replicas.len(), fewest), (4, 3), "never fewer than three");
        for number in voting(&replicas) {
            *votes.entry(number).or_insert(0) += 1;
        }
    }
    assert_eq!(votes, [1, 2, 3, 4].map(|number| (number, 12)).into());
}

#[test]
fn a_vote_waits_for_whoever_cannot_take_it() {
    let parts = parts(&[2, 3, 4], &[1], &[]);
    let mut replicas = group(&[1, 2, 3], &[4]);
    run(&mut replicas, &parts, 0, |wish| !matches!(wish[0], Change::Promote(_)));
    assert_eq!(voting(&replicas), [1, 2, 3]);
    run(&mut replicas, &parts, 0, |_| true);
    assert_eq!(voting(&replicas), [2, 3, 4]);
}

#[test]
fn who_drains_keeps_its_vote_where_the_others_are_too_few() {
    let parts = parts(&[1, 2], &[3], &[]);
    for seat in 0..6 {
        assert!(changes(&group(&[1, 2, 3], &[]), &parts, (seat, 3)).is_empty());
        assert_ne!(voters(&parts, &[node(1), node(2), node(3)], (seat, 3))[0], node(3), "and leads nothing");
    }
}

#[test]
fn who_was_removed_goes_and_its_vote_with_it() {
    let mut replicas = group(&[1, 2, 3], &[]);
    run(&mut replicas, &parts(&[1, 2], &[], &[3]), 1, |_| true);
    assert_eq!((voting(&replicas), replicas.len()), (vec![1, 2], 2));
    let mut replicas = group(&[1, 2, 3], &[4]);
    let fewest = run(&mut replicas, &parts(&[1, 2, 4], &[], &[3]), 1, |_| true);
    assert_eq!((voting(&replicas), replicas.len(), fewest), (vec![1, 2, 4], 3, 3), "replaced in one step");
    let mut replicas = group(&[1, 2, 3], &[4, 5]);
    run(&mut replicas, &parts(&[1, 2, 3, 5], &[], &[4]), 0, |_| true);
    assert_eq!((voting(&replicas), replicas.len()), (vec![1, 2, 3], 4));
}

#[test]
fn five_founders_and_three_replicas_leave_two_learners() {
    let mut replicas = group(&[1, 2, 3, 4, 5], &[]);
    run(&mut replicas, &parts(&[1, 2, 3, 4, 5], &[], &[]), 3, |_| true);
    assert_eq!((voting(&replicas), replicas.len()), (vec![1, 4, 5], 5));
}

#[test]
fn a_replica_of_an_unknown_node_is_left_alone() {
    let parts = parts(&[1, 2, 3], &[], &[]);
    assert!(changes(&group(&[1, 2, 3], &[9]), &parts, (0, 3)).is_empty());
}

#[test]
fn the_meta_group_has_five_voters_where_there_are_five_nodes() {
    let of = |number: u64| parts(&(1..=number).collect::<Vec<_>>(), &[], &[]);
    let meta = |nodes| voters_wanted(1, true, &of(nodes));
    assert_eq!([1, 2, 3, 4, 5, 9].map(meta), [1, 2, 3, 3, 5, 5]);
    assert_eq!(voters_wanted(3, false, &of(2)), 2);
    assert_eq!(voters_wanted(7, true, &of(9)), 7);
    assert_eq!(voters_wanted(3, true, &parts(&[1, 2, 3, 4], &[5], &[])), 3, "not for one that drains");
    assert_eq!(voters_wanted(3, true, &parts(&[1, 2], &[3], &[])), 3);
}
