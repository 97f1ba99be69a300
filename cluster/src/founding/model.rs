//! Founding under a hostile scheduler: any order of starts, lost, late and doubled messages, crashes before
//! every single effect, wiped disks. One seed decides a run.

use std::collections::BTreeSet;

use super::{Answer, Effect, Founding, Input, Now, Proposal, Question, Record, Setup, Start, Terms};
use crate::Charter;

/// A bug put into the driver, to see that the model finds it.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    ReplyBeforePersist,
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("below n")
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

#[derive(Clone)]
struct Packet {
    from: usize,
    /// The boot of the asker: an answer comes back on the connection that the question came on.
    boot: u64,
    seed: usize,
    is_answer: bool,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Node {
    disk: Option<Record>,
    machine: Option<Founding>,
    boot: u64,
    joined: Option<String>,
    founded: Option<Charter>,
}

/// What the runs together have reached, so that a test of nothing is noticed.
#[derive(Default, Debug)]
struct Coverage {
    founded_under_faults: usize,
    later_rounds: usize,
    crashes_when_promised: usize,
    partly_told: usize,
}

struct World {
    rng: Rng,
    fault: Fault,
    seeds: usize,
    /// Never loses its disk; the others may, when there is one.
    spared: Option<usize>,
    crash_percent: usize,
    crash_at: Vec<usize>,
    effects_done: usize,
    now: u64,
    nodes: Vec<Node>,
    net: Vec<Packet>,
    decided: BTreeSet<String>,
    charter: Option<Charter>,
    coverage: Coverage,
}

type Verdict = Result<(), String>;

fn address(seed: usize) -> String {
    format!("10.0.0.{}:7883", 8 + seed)
}

impl World {
    /// `seeds` founders and one node more that is no seed.
    fn new(seed: u64, seeds: usize) -> Self {
        Self {
            rng: Rng(seed),
            fault: Fault::None,
            seeds,
            spared: None,
            crash_percent: 0,
            crash_at: Vec::new(),
            effects_done: 0,
            now: 0,
            nodes: (0..=seeds).map(|_| Node::default()).collect(),
            net: Vec::new(),
            decided: BTreeSet::new(),
            charter: None,
            coverage: Coverage::default(),
        }
    }

    fn start(&mut self, at: usize) {
        let entropy = (u128::from(self.rng.next()) << 64) | u128::from(self.rng.next());
        let nonce = format!("n{:x}", self.rng.next());
        let seeds = (0..self.seeds).rev().map(address).collect();
        // Every second founder of some runs has a number of its own.
        let node_id = (self.seeds == 5 && at % 2 == 1).then_some(at as u64);
        let setup = Setup { terms: Terms::new(seeds, 16, 8, 3), node_id, nonce, entropy };
        let start = match &self.nodes[at].disk {
            None => Start::Blank { uuid: format!("u{at}-{:x}", self.rng.next()) },
            Some(Record::Promise(promise)) => Start::Promised(promise.clone()),
            Some(Record::Charter(charter)) => Start::Founded(charter.clone()),
        };
        let machine = Founding::new(setup, start).expect("the command line never changes");
        let node = &mut self.nodes[at];
        node.machine = Some(machine);
        node.boot += 1;
        node.joined = None;
    }

    fn crash(&mut self, at: usize) {
        if matches!(self.nodes[at].disk, Some(Record::Promise(_))) {
            self.coverage.crashes_when_promised += 1;
        }
        self.nodes[at].machine = None;
        self.nodes[at].joined = None;
    }

    fn handle(&mut self, at: usize, input: Input, asker: Option<(usize, u64)>) -> Verdict {
        let now = Now { ms: self.now, wall_ms: 1_000_000 };
        let mut effects = Vec::new();
        let Some(machine) = self.nodes[at].machine.as_mut() else { return Ok(()) };
        machine.handle(now, input, &mut effects);
        if self.fault == Fault::ReplyBeforePersist {
            effects.sort_by_key(|effect| matches!(effect, Effect::Persist(_)));
        }
        for effect in effects {
            let listed = self.crash_at.contains(&self.effects_done);
            self.effects_done += 1;
            if listed || self.rng.percent(self.crash_percent) {
                self.crash(at);
                return Ok(());
            }
            self.perform(at, effect, asker)?;
        }
        Ok(())
    }

    fn perform(&mut self, at: usize, effect: Effect, asker: Option<(usize, u64)>) -> Verdict {
        match effect {
            Effect::Persist(record) => self.persist(at, record)?,
            Effect::Ask { seed, question } => {
                let seed = (0..self.seeds).find(|s| address(*s) == seed).expect("a seed");
                let boot = self.nodes[at].boot;
                self.net.push(Packet { from: at, boot, seed, is_answer: false, bytes: question.encode() });
            }
            Effect::Reply { answer, .. } => {
                let (from, boot) = asker.expect("only questions are answered");
                self.net.push(Packet { from, boot, seed: at, is_answer: true, bytes: answer.encode() });
            }
            Effect::Founded(charter) => self.nodes[at].founded = Some(charter),
            Effect::Join { cluster_id, .. } => {
                if !self.decided.contains(&cluster_id) {
                    return Err(format!("node {at} joins {cluster_id}, which nobody founded"));
                }
                if self.spared.is_none() && at < self.seeds {
                    return Err(format!("founder {at} joins as a new node"));
                }
                self.nodes[at].joined = Some(cluster_id);
            }
            Effect::Waiting(_) => {}
            Effect::Skewed { seed, .. } => return Err(format!("the clocks agree, also with {seed}")),
            Effect::Fatal(error) => return Err(format!("node {at} gives up: {error}")),
        }
        Ok(())
    }

    fn persist(&mut self, at: usize, record: Record) -> Verdict {
        match &record {
            Record::Promise(promise) if promise.proposal.round > 1 => self.coverage.later_rounds += 1,
            Record::Promise(_) => {}
            Record::Charter(charter) => {
                self.decided.insert(charter.identity.cluster_id.clone());
                if self.decided.len() > 1 {
                    return Err(format!("two clusters: {:?}", self.decided));
                }
                let known = self.charter.get_or_insert_with(|| charter.clone());
                if (known.replicas, &known.members) != (charter.replicas, &charter.members) {
                    return Err(format!("node {at} founds with other members"));
                }
                if self.spared.is_none() {
                    self.nodes[at].disk = Some(record.clone());
                    self.all_are_bound(charter)?;
                }
            }
        }
        self.nodes[at].disk = Some(record);
        Ok(())
    }

    /// Every member of a founded cluster has promised it on disk, or has it.
    fn all_are_bound(&self, charter: &Charter) -> Verdict {
        for (node, member) in self.nodes.iter().zip(&charter.members) {
            let bound = match &node.disk {
                None => false,
                Some(Record::Promise(own)) => {
                    own.node_uuid == member.uuid && own.proposal.cluster_id == charter.identity.cluster_id
                }
                Some(Record::Charter(own)) => own.identity.node_uuid == member.uuid,
            };
            if !bound {
                return Err(format!("founded without the promise of {}", member.address));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, packet: Packet) -> Verdict {
        let Packet { from, boot, seed, is_answer, bytes } = packet;
        if is_answer {
            if self.nodes[from].boot != boot {
                return Ok(());
            }
            let answer = Answer::decode(&bytes).expect("what was encoded");
            return self.handle(from, Input::Answer { seed: address(seed), answer }, None);
        }
        let question = Question::decode(&bytes).expect("what was encoded");
        self.handle(seed, Input::Question { ticket: 0, question }, Some((from, boot)))
    }

    /// Random deeds, one after the other.
    fn storm(&mut self, steps: usize) -> Verdict {
        let loss = self.rng.below(30);
        let doubling = self.rng.below(20);
        self.crash_percent = self.rng.below(3);
        let weather = self.rng.below(20);
        for _ in 0..steps {
            let at = self.rng.below(self.nodes.len());
            match self.rng.below(16) {
                0..=2 if self.nodes[at].machine.is_none() => self.start(at),
                3 if self.rng.percent(weather) => self.crash(at),
                4 if self.spared.is_some_and(|spared| spared != at) && self.rng.percent(20) => {
                    self.crash(at);
                    self.nodes[at] = Node { boot: self.nodes[at].boot, ..Node::default() };
                }
                5 | 6 => {
                    self.now += self.rng.next() % 1_000;
                    self.handle(at, Input::Tick, None)?;
                }
                _ if self.net.is_empty() => {}
                _ => {
                    // Mostly among the newest, so that progress is made, and sometimes a very old one.
                    let newest = self.net.len().min(if self.rng.percent(90) { 8 } else { usize::MAX });
                    let chosen = self.net.len() - 1 - self.rng.below(newest);
                    let packet = if self.rng.percent(doubling) {
                        self.net[chosen].clone()
                    } else {
                        self.net.remove(chosen)
                    };
                    if !self.rng.percent(loss) {
                        self.deliver(packet)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// No more faults: everybody runs, everything arrives in order.
    fn calm(&mut self, ms: u64) -> Verdict {
        self.crash_percent = 0;
        for round in 0..ms / 100 {
            self.now += 100;
            for at in 0..self.nodes.len() {
                // Whoever is down comes back a while later, not all at once.
                if self.nodes[at].machine.is_none() && (round as usize + at).is_multiple_of(4) {
                    self.start(at);
                }
                self.handle(at, Input::Tick, None)?;
            }
            for packet in std::mem::take(&mut self.net) {
                self.deliver(packet)?;
            }
            let settled = |node: &Node| node.machine.as_ref().is_some_and(Founding::is_settled);
            if self.nodes.iter().all(settled) && self.crash_at.iter().all(|at| *at < self.effects_done) {
                break;
            }
        }
        Ok(())
    }

    /// One cluster, of all founders, known to all alike; the node that is no seed joins it.
    fn is_whole(&self) -> Verdict {
        if self.decided.len() != 1 {
            return Err(format!("founded: {:?}", self.decided));
        }
        let cluster_id = self.decided.first().expect("one");
        for (at, node) in self.nodes.iter().enumerate().take(self.seeds) {
            let Some(Record::Charter(charter)) = &node.disk else {
                return Err(format!("founder {at} has {:?}", node.disk));
            };
            let own = charter.members.iter().find(|member| member.uuid == charter.identity.node_uuid);
            let own = own.ok_or_else(|| format!("founder {at} is no member"))?;
            if own.node != charter.identity.node_id || own.address != address(at) {
                return Err(format!("founder {at} is taken for {own:?}"));
            }
        }
        let numbers: BTreeSet<u64> =
            self.charter.iter().flat_map(|charter| &charter.members).map(|member| member.node).collect();
        if numbers != (1..=self.seeds as u64).collect() {
            return Err(format!("numbers {numbers:?}"));
        }
        match &self.nodes[self.seeds].joined {
            Some(joined) if joined == cluster_id => Ok(()),
            other => Err(format!("the node that is no seed joined {other:?}")),
        }
    }

    fn look(&mut self) {
        let told = self.nodes.iter().filter(|node| matches!(node.disk, Some(Record::Charter(_)))).count();
        self.coverage.founded_under_faults += usize::from(!self.decided.is_empty());
        self.coverage.partly_told += usize::from((1..self.seeds).contains(&told));
    }
}

fn run(seed: u64, seeds: usize, fault: Fault, coverage: &mut Coverage) -> Verdict {
    let mut world = World::new(seed, seeds);
    world.fault = fault;
    let steps = 10 * seeds * seeds + world.rng.below(20 * seeds * seeds);
    world.storm(steps)?;
    world.look();
    world.calm(30_000)?;
    world.is_whole()?;
    coverage.founded_under_faults += world.coverage.founded_under_faults;
    coverage.later_rounds += world.coverage.later_rounds;
    coverage.crashes_when_promised += world.coverage.crashes_when_promised;
    coverage.partly_told += world.coverage.partly_told;
    Ok(())
}

fn storms(seeds: usize, runs: u64) {
    let mut coverage = Coverage::default();
    for seed in 0..runs {
        if let Err(broken) = run(seed, seeds, Fault::None, &mut coverage) {
            panic!("run({seed}, {seeds}): {broken}");
        }
    }
    println!("{seeds} seeds, {runs} runs: {coverage:?}");
    let share = usize::try_from(runs).expect("few") / 50;
    let Coverage { founded_under_faults, later_rounds, crashes_when_promised, partly_told } = coverage;
    let reached = [founded_under_faults, later_rounds, crashes_when_promised, partly_told];
    assert!(reached.iter().all(|reached| *reached > share), "the storms reach too little: {reached:?}");
}

#[test]
fn three_seeds_found_one_cluster_in_any_storm() {
    storms(3, 10_000);
}

#[test]
fn five_seeds_found_one_cluster_in_any_storm() {
    storms(5, 2_500);
}

#[test]
fn a_crash_before_any_one_or_two_effects_ends_in_one_cluster() {
    let calm = |crash_at: Vec<usize>| {
        let mut world = World::new(7, 3);
        let text = format!("crashes before effects {crash_at:?}");
        world.crash_at = crash_at;
        let verdict = world.calm(60_000).and_then(|()| world.is_whole());
        assert_eq!(verdict, Ok(()), "{text}");
        world.effects_done
    };
    let effects = calm(Vec::new());
    assert!(effects > 30, "{effects} effects");
    for first in 0..effects {
        calm(vec![first]);
        for second in first + 1..first + effects {
            calm(vec![first, second]);
        }
    }
}

#[test]
fn wiped_disks_never_make_a_second_cluster_while_one_founder_keeps_its_own() {
    let mut founded = 0;
    for seed in 0..5_000 {
        let mut world = World::new(seed, 3);
        world.spared = Some(world.rng.below(3));
        let verdict = world.storm(400).and_then(|()| world.calm(5_000));
        assert_eq!(verdict, Ok(()), "wipes of run {seed}");
        founded += world.decided.len();
    }
    assert!(founded > 1_000, "{founded} founded");
}

#[test]
fn the_model_finds_an_answer_that_does_not_wait_for_the_disk() {
    let mut unseen = Coverage::default();
    let found = (0..2_000).find(|seed| run(*seed, 3, Fault::ReplyBeforePersist, &mut unseen).is_err());
    assert!(found.is_some(), "the model is blind");
}

#[test]
fn the_same_seed_gives_the_same_cluster() {
    let cluster = || {
        let mut world = World::new(42, 5);
        world.storm(500).and_then(|()| world.calm(30_000)).expect("sound");
        (world.charter, world.effects_done)
    };
    assert_eq!(cluster(), cluster());
}

#[test]
fn bytes_from_anywhere_are_refused_and_nothing_panics() {
    let proposal = Proposal::default();
    assert!(!proposal.is_valid());
    let mut rng = Rng(1);
    let terms = Terms::new(vec![address(0)], 1, 1, 1);
    let setup = Setup { terms, node_id: None, nonce: "n".to_owned(), entropy: 1 };
    let mut machine = Founding::new(setup, Start::Blank { uuid: "u".to_owned() }).expect("sound");
    let mut effects = Vec::new();
    machine.handle(Now::default(), Input::Tick, &mut effects);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Ask { question, .. } => Some(question.encode()),
        _ => None,
    });
    let whole = asked.expect("a question");
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        let flipped = rng.below(bytes.len());
        bytes[flipped] ^= 1 << rng.below(8);
        bytes.truncate(rng.below(whole.len() + 1).max(flipped + 1));
        if let Ok(question) = Question::decode(&bytes) {
            machine.handle(Now::default(), Input::Question { ticket: 1, question }, &mut Vec::new());
        }
    }
}
