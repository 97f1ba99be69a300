//! The lowest address: it proposes, collects the promises, and decides.

use super::machine::{Founding, State};
use super::message::Phase;
use super::proposal::{Candidate, Proposal, number};
use super::{Effect, Now, Terms};

impl Founding {
    /// The lowest address proposes, proposes anew, or decides; the others have nothing to do unasked.
    pub(super) fn advance(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(own) = self.own.clone().filter(|own| *own == self.setup.terms.seeds[0]) else { return };
        match &self.state {
            State::Blank => {
                let blank = |seed: &String| self.phase_of(seed).is_some_and(|p| matches!(p, Phase::Blank(_)));
                if self.others().all(blank) {
                    self.propose(now, &own, 1, effects);
                }
            }
            State::Promised(proposal) if proposal.proposer().uuid == self.uuid => {
                if self.others().all(|seed| self.has_promised(seed, proposal)) {
                    self.found(now, effects);
                } else if self.is_outdated(proposal) {
                    self.propose(now, &own, proposal.round + 1, effects);
                }
            }
            _ => {}
        }
    }

    /// Whether the node behind `seed` is the member of `proposal` and has it on disk.
    pub(super) fn has_promised(&self, seed: &str, proposal: &Proposal) -> bool {
        let Some(status) = self.heard.get(seed) else { return false };
        let same = matches!(&status.phase, Some(Phase::Promised(promised)) if promised == proposal);
        same && proposal.member(&status.uuid).is_some_and(|member| member.address == seed)
    }

    /// Whether a member is another node now than the proposal says, while no seed is bound to anybody else: a
    /// blank one that started again, or one whose answer came late when the proposal was made.
    fn is_outdated(&self, proposal: &Proposal) -> bool {
        let changed = |seed: &String| {
            self.heard.get(seed).is_some_and(|status| {
                !proposal.members.iter().any(|member| {
                    member.address == *seed
                        && member.uuid == status.uuid
                        && (status.node_id == 0 || status.node_id == member.node)
                })
            })
        };
        let mine = |seed: &String| match self.phase_of(seed) {
            Some(Phase::Blank(_)) => true,
            Some(Phase::Promised(promised)) => promised.proposer().uuid == self.uuid,
            _ => false,
        };
        self.others().all(mine) && self.others().any(changed)
    }

    fn propose(&mut self, now: Now, own: &str, round: u64, effects: &mut Vec<Effect>) {
        let candidates = self.setup.terms.seeds.iter().map(|seed| {
            let (uuid, wanted) = match self.heard.get(seed) {
                Some(status) if seed != own => (&status.uuid, Some(status.node_id).filter(|id| *id > 0)),
                _ => (&self.uuid, self.setup.node_id),
            };
            Candidate { address: seed.clone(), uuid: uuid.clone(), wanted }
        });
        let members = match number(candidates.collect()) {
            Ok(members) => members,
            Err(error) => return self.fail(error, effects),
        };
        let Terms { partitions, session_groups, replicas, .. } = self.setup.terms;
        let cluster_id = self.draw();
        self.promise(Proposal { cluster_id, round, partitions, session_groups, replicas, members }, effects);
        if self.setup.terms.seeds.len() == 1 {
            self.found(now, effects);
        } else {
            self.ask(now, effects);
        }
    }

    /// A new cluster id. The first 64 bits are stirred apart from the last: all of the entropy counts.
    pub(super) fn draw(&mut self) -> String {
        self.ids_drawn += 1;
        let halves = self.setup.entropy.to_be_bytes();
        let (high, low) = halves.split_at(8);
        let stir = |half: &[u8]| {
            let half = u64::from_be_bytes(half.try_into().expect("half of 16 bytes"));
            let mut z = half.wrapping_add(self.ids_drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let bits = (u128::from(stir(high)) << 64) | u128::from(stir(low));
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }
}
