//! The ways between nodes: the rule of each, and the chance that decides about each datagram.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::rule::{Laid, Rule};
use crate::seed::Seed;

/// For how long a datagram is held back that is to be late.
const LATE: Duration = Duration::from_millis(10);
/// A slow way keeps so much of what waits; more is lost.
const QUEUE: Duration = Duration::from_millis(500);

/// One way.
struct Lane {
    state: Mutex<State>,
    passed: AtomicU64,
    lost: AtomicU64,
}

struct State {
    laid: Vec<(u64, Rule)>,
    /// All of them at once.
    rule: Rule,
    seed: Seed,
    /// When a slow way has sent everything that waits.
    free_at: Option<Instant>,
}

/// All ways between so many nodes.
pub(super) struct Lanes {
    nodes: usize,
    lanes: Vec<Lane>,
    numbers: AtomicU64,
}

/// When a datagram leaves: not at all, once or twice.
pub(super) type Fate = [Option<Instant>; 2];

impl Lanes {
    pub(super) fn new(nodes: usize, seed: &mut Seed) -> Lanes {
        let lane = |_| Lane {
            state: Mutex::new(State::new(Rule::default(), seed.branch())),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        Lanes { nodes, lanes: (0..nodes * nodes).map(lane).collect(), numbers: AtomicU64::new(0) }
    }

    fn lane(&self, from: usize, to: usize) -> &Lane {
        &self.lanes[from * self.nodes + to]
    }

    fn state(&self, from: usize, to: usize) -> std::sync::MutexGuard<'_, State> {
        self.lane(from, to).state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn lay(&self, from: usize, to: usize, rule: Rule) -> Laid {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state(from, to);
        state.laid.push((number, rule));
        state.sum();
        Laid { from, to, number }
    }

    pub(super) fn lift(&self, laid: Laid) {
        let mut state = self.state(laid.from, laid.to);
        state.laid.retain(|(number, _)| *number != laid.number);
        state.sum();
    }

    pub(super) fn counts(&self, from: usize, to: usize) -> (u64, u64) {
        let lane = self.lane(from, to);
        (lane.passed.load(Ordering::Relaxed), lane.lost.load(Ordering::Relaxed))
    }

    /// Whether anything may pass at this moment.
    pub(super) fn open(&self, from: usize, to: usize) -> bool {
        !self.state(from, to).rule.cut
    }

    /// What becomes of a datagram that has come in now.
    pub(super) fn fate(&self, from: usize, to: usize, bytes: usize) -> Fate {
        let fate = self.state(from, to).fate(Instant::now(), bytes);
        let lane = self.lane(from, to);
        let counter = if fate[0].is_some() { &lane.passed } else { &lane.lost };
        counter.fetch_add(1, Ordering::Relaxed);
        fate
    }
}

impl State {
    fn new(rule: Rule, seed: Seed) -> State {
        State { laid: Vec::new(), rule, seed, free_at: None }
    }

    fn sum(&mut self) {
        self.rule = self.laid.iter().fold(Rule::default(), |sum, (_, rule)| sum.and(*rule));
        self.free_at = None;
    }

    fn fate(&mut self, now: Instant, bytes: usize) -> Fate {
        let rule = self.rule;
        let mut chance = |of: u32| of > 0 && self.seed.below(1000) < u64::from(of);
        if rule.cut || chance(rule.loss) {
            return [None, None];
        }
        let (twice, late) = (chance(rule.twice), chance(rule.late));
        let mut at = now;
        if let Some(nanos) = (bytes as u64 * 1_000_000_000).checked_div(rule.rate) {
            let free_at = self.free_at.filter(|at| *at > now).unwrap_or(now);
            if free_at - now > QUEUE {
                return [None, None];
            }
            at = free_at + Duration::from_nanos(nanos);
            self.free_at = Some(at);
        }
        at += rule.delay + Duration::from_nanos(self.seed.below(rule.jitter.as_nanos() as u64));
        if late {
            at += LATE;
        }
        [Some(at), twice.then_some(at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(rule: Rule, seed: u64) -> Vec<Fate> {
        let mut state = State::new(rule, Seed::new(seed));
        let now = Instant::now();
        let since = |fate: Fate| fate.map(|at| at.map(|at| now + (at - now)));
        (0..1000).map(|_| since(state.fate(now, 100))).collect()
    }

    #[test]
    fn the_default_rule_lets_everything_pass_at_once_and_once() {
        assert!(fates(Rule::default(), 1).iter().all(|fate| fate[0].is_some() && fate[1].is_none()));
    }

    #[test]
    fn losses_and_repeats_come_as_often_as_asked() {
        let lossy = fates(Rule { loss: 300, twice: 100, ..Rule::default() }, 1);
        let lost = lossy.iter().filter(|fate| fate[0].is_none()).count();
        let twice = lossy.iter().filter(|fate| fate[1].is_some()).count();
        assert!((250..350).contains(&lost), "{lost}");
        assert!((40..100).contains(&twice), "{twice}");
        assert!(fates(Rule::CUT, 1).iter().all(|fate| *fate == [None, None]));
    }

    #[test]
    fn a_slow_way_takes_its_time_and_loses_what_waits_too_long() {
        let mut state = State::new(Rule { rate: 10_000, ..Rule::default() }, Seed::new(1));
        let now = Instant::now();
        let waits: Vec<_> = (0..100).filter_map(|_| state.fate(now, 100)[0]).map(|at| at - now).collect();
        assert_eq!(waits[0], Duration::from_millis(10));
        assert_eq!(waits[1], Duration::from_millis(20));
        assert_eq!(waits.len(), 51, "half a second at a hundred datagrams a second, and the one on top");
    }

    #[test]
    fn rules_on_one_way_add_up_and_are_lifted_one_by_one() {
        let lanes = Lanes::new(2, &mut Seed::new(1));
        let cut = lanes.lay(0, 1, Rule::CUT);
        let slow = lanes.lay(0, 1, Rule { delay: Duration::from_millis(5), ..Rule::default() });
        assert_eq!(lanes.fate(0, 1, 1), [None, None]);
        lanes.lift(cut);
        assert!(lanes.open(0, 1) && lanes.fate(0, 1, 1)[0].is_some_and(|at| at > Instant::now()));
        lanes.lift(slow);
        assert_eq!(lanes.state(0, 1).rule, Rule::default());
        assert!(lanes.open(1, 0));
    }
}
