//! What strikes when: each fault alone, then pairs, with quiet between them; all of it decided by the seed.

use std::time::Duration;

use super::nemesis::Nemesis;
use super::scene::between;
use crate::seed::Seed;

/// Faults that strike together.
pub(super) struct Round {
    pub(super) nemeses: Vec<Nemesis>,
    pub(super) hold: Duration,
    /// Quiet after everything has recovered.
    pub(super) gap: Duration,
    /// Decides whom they meet, and how.
    pub(super) seed: Seed,
}

/// An endless list.
pub(super) struct Schedule {
    nemeses: Vec<Nemesis>,
    /// What is still to come of the current deal, last first.
    deal: Vec<Vec<Nemesis>>,
    pairs: bool,
    seed: Seed,
}

impl Schedule {
    pub(super) fn new(nemeses: Vec<Nemesis>, seed: Seed) -> Schedule {
        Schedule { nemeses, deal: Vec::new(), pairs: false, seed }
    }

    /// The next round; none where nothing can go wrong.
    pub(super) fn next(&mut self) -> Option<Round> {
        if self.deal.is_empty() {
            self.deal();
        }
        let nemeses = self.deal.pop()?;
        // Short ones end before an election does, long ones outlast a lease.
        let hold = match self.seed.below(3) {
            0 => between(&mut self.seed, 100, 1500),
            1 => between(&mut self.seed, 1500, 5000),
            _ => between(&mut self.seed, 5000, 12_000),
        };
        let gap = between(&mut self.seed, 500, 3000);
        Some(Round { nemeses, hold, gap, seed: self.seed.branch() })
    }

    /// All of them once, alone, or all pairs once; by turns.
    fn deal(&mut self) {
        let all = &self.nemeses;
        if self.pairs && all.len() > 1 {
            let pairs = (0..all.len()).flat_map(|one| (one + 1..all.len()).map(move |other| (one, other)));
            self.deal = pairs.map(|(one, other)| vec![all[one], all[other]]).collect();
        } else {
            self.deal = all.iter().map(|nemesis| vec![*nemesis]).collect();
        }
        self.pairs = !self.pairs;
        for last in (1..self.deal.len()).rev() {
            let other = self.seed.below(last as u64 + 1) as usize;
            self.deal.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::nemesis;
    use super::*;

    fn names(seed: u64, rounds: usize) -> Vec<Vec<&'static str>> {
        let mut schedule = Schedule::new(nemesis::ALL[..4].to_vec(), Seed::new(seed));
        let next = || schedule.next().map(|round| round.nemeses.iter().map(|nemesis| nemesis.name).collect());
        std::iter::from_fn(next).take(rounds).collect()
    }

    #[test]
    fn everything_comes_alone_and_then_every_pair() {
        let rounds = names(1, 10);
        let alone: BTreeSet<_> = rounds[..4].iter().flatten().collect();
        let pairs: BTreeSet<BTreeSet<_>> = rounds[4..].iter().map(|pair| pair.iter().collect()).collect();
        assert_eq!(alone.len(), 4);
        assert!(pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2), "{pairs:?}");
    }

    #[test]
    fn the_seed_decides_the_order() {
        assert_eq!(names(7, 30), names(7, 30));
        assert_ne!(names(7, 30), names(8, 30));
    }
}
