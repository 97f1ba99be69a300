//! What must hold at every step, and when the storm is over.

use super::*;

impl Fleet {
    /// State machine safety: nobody ever applies anything else at an offset.
    pub(super) fn check(&mut self, batch: &[Committed]) {
        for entry in batch.iter().filter(|entry| entry.count > 0) {
            let first =
                self.content.entry((entry.group, entry.base)).or_insert_with(|| entry.entry().clone());
            assert_eq!(first, entry.entry(), "seed {}: {} {}", self.seed, entry.group, entry.base);
        }
    }

    /// Whatever was acknowledged in a group from an offset on is lost, and may be something else now.
    pub(crate) fn give_up(&mut self, group: GroupId, offset: Offset) {
        let lost = |(id, base): &(GroupId, Offset)| *id == group && *base >= offset;
        self.content.retain(|key, _| !lost(key));
        self.acknowledged.retain(|key, _| !lost(key));
        self.leaders.retain(|(id, _), _| *id != group);
    }

    /// The members of a group as its leader has them.
    pub(crate) fn members(&self, group: GroupId) -> Option<Members> {
        self.engine(self.leader(group)?).members(group).cloned()
    }

    /// Whether every group has a leader, is settled, and all of its members are there with everything.
    pub(crate) fn is_calm(&self) -> bool {
        self.groups.iter().all(|(group, _)| {
            let Some(members) = self.members(*group) else { return false };
            let end = self.engine(self.leader(*group).unwrap()).status(*group).unwrap().applied;
            members.is_settled()
                && members.all().all(|(replica, node, _)| {
                    let engine = self.nodes[place(node)].engine.as_ref();
                    engine.and_then(|engine| engine.status(*group)).is_some_and(|status| {
                        status.replica == replica
                            && status.applied == end
                            && status.history_whole
                            && !status.waiting
                    })
                })
        })
    }

    /// After the storm everybody comes back, agrees, and has everything that was acknowledged.
    pub(crate) fn heal(&mut self) {
        (self.cut, self.loss) = (BTreeSet::new(), 0);
        let before = self.acknowledged.len();
        for _ in 0..200 {
            self.start_all();
            self.round();
        }
        assert!(self.acknowledged.len() > before, "seed {}: alive again", self.seed);
        self.heal_quietly();
    }

    /// The same without further proposals.
    pub(crate) fn heal_quietly(&mut self) {
        self.quiet = true;
        self.start_all();
        for _ in 0..100 {
            self.take_out_the_lost();
            self.rounds(20);
            if self.is_calm() && self.lost.is_empty() {
                break;
            }
        }
        for _ in 0..5 {
            self.read_all();
            self.rounds(40);
        }
        assert!(self.is_calm(), "seed {}: {}", self.seed, self.picture());
        self.verify();
    }

    fn take_out_the_lost(&mut self) {
        let lost: Vec<_> = self.lost.iter().copied().collect();
        for (group, replica) in lost {
            // Refused while another change is under way, or before there is a leader.
            let _refused = self.change(group, &[Change::Remove(replica)]);
        }
    }

    /// Every replica in a line, for whoever reads a failure.
    pub(crate) fn picture(&self) -> String {
        let mut lines = format!("round {}, lost {:?}, gone {:?}\n", self.now, self.lost, self.gone);
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(engine) = &node.engine else { continue };
            for group in engine.groups() {
                let status = engine.status(group).unwrap();
                let GroupStatus { replica, role, waiting, history_whole, .. } = &status;
                let GroupStatus { first, applied, committed, last, .. } = &status;
                let members: Vec<_> = status
                    .replicas
                    .iter()
                    .map(|one| format!("{} {} {:?}", one.replica, one.node, one.standing))
                    .collect();
                lines += &format!(
                    "node {at} {group} {replica} {role:?} waiting {waiting} whole {history_whole} {first} \
                     {applied} {committed} {last} {members:?}\n"
                );
            }
        }
        lines
    }

    /// Readers find what is damaged; from then on it is asked for.
    fn read_all(&self) {
        for engine in self.nodes.iter().filter_map(|node| node.engine.as_ref()) {
            for group in engine.groups() {
                let reader = engine.reader();
                let (mut at, next) = reader.bounds(group).unwrap();
                while at < next {
                    match reader.read(group, at, 1) {
                        Ok(found) if found.is_empty() => panic!("seed {}: {group} {at} of {next}", self.seed),
                        Ok(entries) => at = entries.last().unwrap().end(),
                        Err(ReadError::Damaged { .. }) => at = at.after(1),
                        Err(error) => panic!("seed {}: {group} {at}: {error:?}", self.seed),
                    }
                }
            }
        }
    }

    /// All members have the same state, and what was acknowledged and not cut is on a majority of the voters.
    pub(crate) fn verify(&self) {
        for (group, history) in &self.groups {
            let members = self.members(*group).unwrap();
            let places: Vec<_> = members.all().map(|(_, node, _)| place(node)).collect();
            let first = &self.nodes[places[0]].machines[group];
            for at in &places {
                assert_eq!(first, &self.nodes[*at].machines[group], "seed {}: {group} node {at}", self.seed);
                assert_eq!(self.engine(*at).members(*group), Some(&members), "seed {}", self.seed);
                self.verify_log(*group, *at);
            }
            if *history {
                self.verify_acknowledged(*group, &members);
            }
        }
    }

    fn verify_log(&self, group: GroupId, at: usize) {
        let reader = self.engine(at).reader();
        let (mut offset, next) = reader.bounds(group).unwrap();
        while offset < next {
            let found = reader.read(group, offset, 500);
            let found = found.unwrap_or_else(|error| panic!("seed {}: {offset}: {error:?}", self.seed));
            for entry in found {
                assert_eq!(self.content[&(group, entry.base)], entry, "seed {}", self.seed);
                offset = entry.end();
            }
        }
    }

    fn verify_acknowledged(&self, group: GroupId, members: &Members) {
        let voters: Vec<_> = members.voters().map(|voter| place(members.node(voter).unwrap())).collect();
        let first = voters.iter().map(|at| self.engine(*at).status(group).unwrap().first_offset).max();
        let range = (group, first.unwrap())..(group, Offset::new(u64::MAX));
        for ((_, base), payload) in self.acknowledged.range(range) {
            let holders = voters.iter().filter(|at| {
                let read = self.engine(**at).reader().read(group, *base, 1);
                read.is_ok_and(|found| found.first().is_some_and(|entry| entry.payload == *payload))
            });
            let holders = holders.count();
            assert!(holders * 2 > voters.len(), "seed {}: {group} {base}: {holders}", self.seed);
        }
    }
}
