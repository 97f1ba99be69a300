//! What half of the simulations over several nodes have beside the weather, by a stream of chance of its own, so that
//! nothing else is drawn differently for it.
//!
//! ```text
//! haste    said to node A, no answer --> CONNECT to another node, Clean Start --> what comes next, and nothing again
//! ambush   a hasty publisher has spoken to A, and now A stands still or is alone, for less than a lease
//! hunt     A leads and is cut off --> B leads and is cut off; A is back, and C tells it what B did
//! ```
//! So publishes of an old owner, and entries of an old leader, are still there when others have gone on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Client;
use super::world::World;
use crate::seed::Seed;

/// Makes the stream another one than that of everything else.
const STREAM: u64 = 0x7768_696d;
/// How long a publisher waits for an answer, microseconds.
const PATIENCE_MICROS: [u64; 3] = [60_000, 200_000, 600_000];
/// How much longer for the one to its CONNECT.
const GREETING_MICROS: u64 = 500_000;
/// How long it is away, microseconds, at most.
const AWAY_MICROS: u64 = 20_000;
/// What it says to the node that is caught, messages, at most.
const BURST_MAX: u64 = 9;
/// Hunts in a storm, at most.
const HUNTS_MAX: u64 = 4;
/// Times that a node is caught with publishes under way, at least and more.
const AMBUSHES: (u64, u64) = (5, 15);
/// Leaders that one hunt cuts off, one after the other, at least and more.
const PREYS: (u64, u64) = (2, 3);
/// How long each of them is cut off, microseconds, at least and more: another one is elected in that time.
const ALONE_MICROS: (u64, u64) = (600_000, 1_400_000);

/// What a simulation has of it.
pub(super) struct Whims {
    seed: Seed,
    /// Microseconds. None: there is nothing of all this.
    patience: Option<u64>,
    /// Who was seen to lead each group last: term and node.
    leaders: BTreeMap<u32, (u64, usize)>,
    hunts: u64,
    ambushes: u64,
    /// The next one is due.
    lurks: bool,
    hunt: Option<Hunt>,
}

/// Whoever leads this group is cut off.
struct Hunt {
    group: u32,
    next_at: u64,
    preys: u64,
}

impl Whims {
    pub(super) fn draw(seed: u64, nodes: usize) -> Whims {
        let mut seed = Seed::new(seed ^ STREAM);
        let some = seed.below(2) == 0 && nodes > 1;
        let (patience, hunts) = (PATIENCE_MICROS[seed.below(3) as usize], seed.below(HUNTS_MAX + 1));
        let ambushes = AMBUSHES.0 + seed.below(AMBUSHES.1);
        let leaders = BTreeMap::new();
        Whims { seed, patience: some.then_some(patience), leaders, hunts, ambushes, lurks: false, hunt: None }
    }

    /// A publisher has no patience.
    pub(super) fn hasty(&self) -> bool {
        self.patience.is_some()
    }

    /// These were seen to lead: node, group and term.
    pub(super) fn saw(&mut self, leads: &[(usize, u32, u64)]) {
        for (node, group, term) in leads {
            let last = self.leaders.entry(*group).or_default();
            *last = (*last).max((*term, *node));
        }
    }
}

impl World {
    /// What happens by whim in one step of a storm of so many.
    pub(super) fn whims(&mut self, steps: u64) {
        if self.whims.hasty() {
            self.lose_patience();
            self.hunt(steps);
            self.ambush(steps);
        }
    }

    /// Whoever has waited too long tries another node. The old one hears nothing of it, or that the connection ends,
    /// and has what was said to it.
    fn lose_patience(&mut self) {
        let (now, Some(patience)) = (self.now(), self.whims.patience) else { return };
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let patience = patience + if client.online { 0 } else { GREETING_MICROS };
            let late = |since: Duration| now > since.as_micros() as u64 + patience;
            if !client.hasty || !client.waits_since().is_some_and(late) {
                continue;
            }
            self.counts.takeovers += 1;
            self.counts.note("a publisher that waits no longer");
            let shuns = client.link.and_then(|link| self.links.get(&link)).map(|link| link.host);
            let ended = self.whims.seed.below(3) == 0;
            self.cut(at, ended, true);
            self.clients[at].shuns = shuns;
            self.clients[at].back_at = now + self.whims.seed.below(AWAY_MICROS);
        }
    }

    /// The node that a hasty publisher has just spoken to stands still, or is alone.
    fn ambush(&mut self, steps: u64) {
        self.whims.lurks |= self.whims.seed.below(steps) < self.whims.ambushes;
        let prey = |client: &Client| client.hasty && client.online;
        let Some(client) = self.clients.iter().position(prey).filter(|_| self.whims.lurks) else { return };
        // The others can take over.
        if !self.isolated.is_empty() || !self.hosts.iter().all(|host| host.runs() && host.serves()) {
            return;
        }
        let link = self.clients[client].link.and_then(|link| self.links.get(&link));
        let Some(host) = link.map(|link| link.host) else { return };
        self.whims.lurks = false;
        let until = self.now() + ALONE_MICROS.0 + self.whims.seed.below(ALONE_MICROS.1);
        self.counts.note("a node that is caught with publishes under way");
        match self.whims.seed.below(2) {
            0 => self.freeze(host, until),
            _ => self.split(1 << host, until),
        }
        for _ in 0..=self.whims.seed.below(BURST_MAX - 1) {
            self.publish(client);
        }
    }

    /// Whoever leads a group is cut off, and then whoever leads it by then.
    fn hunt(&mut self, steps: u64) {
        let now = self.now();
        if self.whims.hunt.is_none() && self.whims.seed.below(steps) < self.whims.hunts {
            let groups: Vec<u32> = self.whims.leaders.keys().copied().collect();
            let (group, (least, more)) = (self.whims.seed.below(groups.len() as u64) as usize, PREYS);
            let preys = least + self.whims.seed.below(more);
            self.whims.hunt = groups.get(group).map(|group| Hunt { group: *group, next_at: now, preys });
        }
        let Some(hunt) = self.whims.hunt.as_mut().filter(|hunt| now >= hunt.next_at) else { return };
        let Some((_, prey)) = self.whims.leaders.get(&hunt.group).copied() else { return };
        let micros = ALONE_MICROS.0 + self.whims.seed.below(ALONE_MICROS.1);
        hunt.next_at = now + micros;
        hunt.preys -= 1;
        if hunt.preys == 0 {
            self.whims.hunt = None;
        }
        self.counts.note("a leader that is hunted");
        self.split(1 << prey, now + micros);
    }
}
