//! What speaks against what was heard, and what is waited for.

use super::machine::{Founding, State};
use super::message::{Phase, Status};
use super::{Effect, FoundingError, Now, Waiting};
use crate::Member;

/// Clocks further apart than this are worth a warning, in milliseconds. Nothing breaks: deadlines use the
/// time of the group.
pub const SKEW_MS_MAX: u64 = 60_000;

impl Founding {
    /// What is wrong with what was heard, once this node knows which seed it is.
    pub(super) fn objection(&self) -> Option<FoundingError> {
        self.heard.iter().chain(&self.claims).find_map(|(seed, status)| self.objection_to(seed, status))
    }

    /// What this node and a seed cannot both be right about. A node that is no seed has nothing to agree to.
    pub(super) fn objection_to(&self, seed: &str, status: &Status) -> Option<FoundingError> {
        let here = self.own.clone()?;
        if !matches!(status.phase, Some(Phase::Blank(_) | Phase::Promised(_))) || here == seed {
            return None;
        }
        let differences = self.setup.terms.differences(&status.terms);
        if !differences.is_empty() {
            return Some(FoundingError::Disagree { here, there: seed.to_owned(), differences });
        }
        let number = self.setup.node_id.filter(|number| *number == status.node_id)?;
        Some(FoundingError::NumberTaken { number, nodes: [here, seed.to_owned()] })
    }

    pub(super) fn waiting(&self) -> Waiting {
        let reason = |seed: &String| self.failures.get(seed).cloned();
        let with_reason = |seed: &String| (seed.clone(), reason(seed));
        let missing = self.others().filter(|seed| !self.heard.contains_key(*seed));
        let seeds: Vec<_> = missing.map(with_reason).collect();
        let lowest = &self.setup.terms.seeds[0];
        match &self.state {
            State::Promised(proposal) if proposal.proposer().uuid != self.uuid => {
                let Member { uuid, address, .. } = proposal.proposer();
                let gone = self.heard.get(address).is_some_and(|status| status.uuid != *uuid);
                let (seed, proposer) = (self.own.clone().unwrap_or_default(), address.clone());
                if gone {
                    Waiting::Stranded { seed, proposer }
                } else {
                    Waiting::Decision { proposer, reason: reason(address) }
                }
            }
            _ if !seeds.is_empty() => Waiting::Missing { seeds, of: self.setup.terms.seeds.len() },
            State::Promised(proposal) => {
                let open = self.others().filter(|seed| !self.has_promised(seed, proposal));
                let seeds = open.map(with_reason).collect();
                self.stranded(&self.uuid).unwrap_or(Waiting::Promises { seeds })
            }
            _ if self.own.is_none() => Waiting::NotASeed,
            _ => {
                let uuid = self.heard.get(lowest).map_or(&self.uuid, |status| &status.uuid);
                let waiting = Waiting::Proposal { proposer: lowest.clone(), reason: reason(lowest) };
                self.stranded(uuid).unwrap_or(waiting)
            }
        }
    }

    /// A seed whose promise is to another node than the one that could decide now.
    fn stranded(&self, proposer: &str) -> Option<Waiting> {
        self.heard.iter().find_map(|(seed, status)| match &status.phase {
            Some(Phase::Promised(promised)) if promised.proposer().uuid != proposer => {
                let proposer = promised.proposer().address.clone();
                Some(Waiting::Stranded { seed: seed.clone(), proposer })
            }
            _ => None,
        })
    }

    pub(super) fn compare_clocks(
        &mut self,
        now: Now,
        seed: &str,
        status: &Status,
        effects: &mut Vec<Effect>,
    ) {
        if now.wall_ms.abs_diff(status.wall_ms) <= SKEW_MS_MAX
            || self.skewed.iter().any(|known| known == seed)
        {
            return;
        }
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let ahead_ms = signed(status.wall_ms).saturating_sub(signed(now.wall_ms));
        self.skewed.push(seed.to_owned());
        effects.push(Effect::Skewed { seed: seed.to_owned(), ahead_ms });
    }
}
