//! What befalls a cluster: nodes die, stand still and are cut off, links are slow and break, disks and clocks fail.

use super::world::World;
use crate::history::What;

/// Farthest that a wall clock is from the right time, milliseconds: hours.
const JUMP_MS: u64 = 5 * 3_600_000;
/// How long a node is away, stands still or is cut off, microseconds; one of these, at most.
const SPELLS: [u64; 4] = [50_000, 600_000, 3_000_000, 10_000_000];
/// Longest sync of a slow disk, microseconds.
const SLOW_SYNC_MICROS: u64 = 300_000;

/// How often each fault is to come in a storm. Drawn from the seed: some storms are of one kind only.
pub(super) struct Odds {
    steps: u64,
    faults: Vec<(Fault, u64)>,
    /// One step in so many publishes something.
    pub(super) publish: u64,
    /// Microseconds of a step, at most.
    pub(super) pace: u64,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A process is killed, or the power goes.
    Kill,
    /// All of them at once.
    KillAll,
    /// A disk fails after so many writes.
    CutWrites,
    FailSync,
    Full,
    SlowDisk,
    /// A process stands still.
    Freeze,
    /// A wall clock is set.
    Jump,
    /// A node hears nobody, and nobody hears it.
    Isolate,
    /// A few nodes hear only each other; then others.
    Split,
    /// Nothing gets from one node to another.
    OneWay,
    /// Between two nodes everything takes long.
    SlowLink,
    /// Between two nodes much is lost.
    Loss,
    /// Between two nodes what Raft says comes twice.
    Twice,
    /// Between two nodes what Raft says comes out of order.
    Astray,
    /// A connection between two nodes breaks.
    Snap,
    /// A client goes.
    Leave,
}

const FAULTS: [(Fault, u64); 17] = [
    (Fault::Kill, 8),
    (Fault::KillAll, 1),
    (Fault::CutWrites, 6),
    (Fault::FailSync, 3),
    (Fault::Full, 6),
    (Fault::SlowDisk, 6),
    (Fault::Freeze, 6),
    (Fault::Jump, 6),
    (Fault::Isolate, 6),
    (Fault::Split, 3),
    (Fault::OneWay, 6),
    (Fault::SlowLink, 4),
    (Fault::Loss, 4),
    (Fault::Twice, 3),
    (Fault::Astray, 3),
    (Fault::Snap, 15),
    (Fault::Leave, 200),
];

impl Odds {
    pub(super) fn draw(world: &mut World, steps: u32) -> Odds {
        let full = world.may_be_full;
        let mut faults = Vec::new();
        for (fault, most) in FAULTS {
            let some = world.seed.below(2) == 0;
            let times = world.seed.below(most + 1);
            if some && times > 0 && (full || !matches!(fault, Fault::Full)) {
                faults.push((fault, times));
            }
        }
        Odds {
            steps: u64::from(steps),
            faults,
            publish: [2, 8, 30][world.seed.below(3) as usize],
            pace: [300, 2_000, 5_000][world.seed.below(3) as usize],
        }
    }

    /// Does what is to happen in one step.
    pub(super) fn strike(&self, world: &mut World) {
        for (fault, times) in &self.faults {
            if world.seed.below(self.steps) < *times {
                fault.strike(world);
            }
        }
    }
}

impl Fault {
    fn strike(self, world: &mut World) {
        let nodes = world.hosts.len();
        let one = world.seed.below(nodes as u64) as usize;
        let other = (one + 1 + world.seed.below(nodes as u64 - 1) as usize) % nodes;
        let spell = SPELLS[world.seed.below(4) as usize];
        let micros = world.seed.below(spell);
        let until = world.now() + micros;
        match self {
            Fault::Kill => world.kill(one, until),
            Fault::KillAll => (0..nodes).for_each(|at| world.kill(at, until)),
            Fault::CutWrites | Fault::FailSync | Fault::Full | Fault::SlowDisk => self.spoil_disk(world, one),
            Fault::Freeze => world.freeze(one, until),
            Fault::Jump => world.jump(),
            Fault::Isolate => world.split(1 << one, until),
            Fault::Split => world.wander(micros),
            Fault::OneWay | Fault::SlowLink | Fault::Loss | Fault::Twice | Fault::Astray | Fault::Snap => {
                self.strike_net(world, (one, other), until)
            }
            Fault::Leave => {
                let client = world.seed.below(world.clients.len() as u64) as usize;
                super::storm::leave(world, client);
            }
        }
    }

    fn spoil_disk(self, world: &mut World, node: usize) {
        let disk = std::sync::Arc::clone(&world.hosts[node].ground.disk);
        let what = match self {
            Fault::CutWrites => {
                let (writes, half) = (world.seed.below(60), world.seed.below(2) == 0);
                disk.cut_after(writes, half);
                world.counts.note("a disk that fails after some writes");
                format!("power of node {} goes after {writes} writes", node + 1)
            }
            Fault::FailSync => {
                disk.fail_sync();
                world.counts.note("a sync that fails");
                format!("the next sync of node {} fails", node + 1)
            }
            Fault::Full => {
                let full = world.seed.below(2) == 0;
                world.set_full(node, full);
                format!("the disk of node {} {}", node + 1, if full { "is full" } else { "has room" })
            }
            _ => {
                let micros = world.seed.below(SLOW_SYNC_MICROS) * world.seed.below(2);
                disk.set_sync_micros(micros);
                if micros > 0 {
                    world.counts.note("a slow disk");
                }
                format!("a sync of node {} takes {micros} us", node + 1)
            }
        };
        world.tell(what);
    }

    fn strike_net(self, world: &mut World, (one, other): (usize, usize), until: u64) {
        let Some(ether) = world.ether.clone() else { return };
        let now = world.now();
        let between = format!("nodes {} and {}", one + 1, other + 1);
        let what = match self {
            Fault::OneWay => {
                ether.cut(one, other, until);
                world.counts.note("a cut one way");
                format!("node {} does not reach node {}", one + 1, other + 1)
            }
            Fault::SlowLink => {
                let (least, more) = (world.seed.below(300_000), world.seed.below(300_000));
                ether.slow((one, other), until, (least, more));
                ether.slow((other, one), until, (least, more));
                world.counts.note("a slow link");
                format!("between {between} it takes {least} us and more")
            }
            Fault::Loss | Fault::Twice | Fault::Astray => {
                let often = world.seed.below(300);
                let (odds, what) = match self {
                    Fault::Loss => ((often, 0, 0), "are lost"),
                    Fault::Twice => ((0, often, 0), "come twice"),
                    _ => ((0, 0, often), "come out of order"),
                };
                ether.spoil((one, other), until, odds);
                ether.spoil((other, one), until, odds);
                format!("between {between} {often} frames of 1000 {what}")
            }
            _ => {
                ether.snap(one, other, now);
                world.counts.note("a connection that breaks");
                return world.tell(format!("the connection of {between} breaks"));
            }
        };
        world.counts.cuts += 1;
        let until = until / 1_000;
        world.tell(format!("{what}, until {}.{:03} s", until / 1_000, until % 1_000));
    }
}

impl World {
    fn tell(&mut self, what: String) {
        self.recorder.record(What::Struck(what));
    }

    fn kill(&mut self, host: usize, until: u64) {
        if self.hosts[host].node.is_some() {
            self.tell(format!("node {} is killed", host + 1));
            self.counts.note("a node that is killed");
            self.crash(host);
            self.hosts[host].start_at = until;
        }
    }

    pub(super) fn freeze(&mut self, host: usize, until: u64) {
        let Some(ether) = self.ether.clone() else { return };
        if self.hosts[host].runs() {
            self.counts.note("a node that stands still");
            self.tell(format!("node {} stands still until {} us", host + 1, until));
            self.hosts[host].frozen_until = until;
            ether.freeze(host, true);
            self.desert(host);
        }
    }

    /// Half of the clients of a node try another one, and what they had said to it is still there when it goes on.
    fn desert(&mut self, host: usize) {
        let there = self.links.values().filter(|link| link.host == host && !link.abandoned);
        for client in there.map(|link| link.client).collect::<Vec<_>>() {
            if self.seed.below(2) == 0 {
                self.counts.takeovers += 1;
                self.cut(client, false, true);
                self.clients[client].back_at = self.now() + self.seed.below(100_000);
            }
        }
    }

    /// Some nodes (bits, from the lowest) hear only each other, and nobody else hears them.
    pub(super) fn split(&mut self, some: u64, until: u64) {
        let Some(ether) = self.ether.clone() else { return };
        let within = |at: usize| some & 1 << at != 0;
        let nodes = self.hosts.len();
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            if within(from) != within(to) {
                ether.cut(from, to, until);
            }
        }
        self.counts.cuts += 1;
        self.counts.note(if some.count_ones() == 1 {
            "a node that is alone"
        } else {
            "a minority that is alone"
        });
        let who: Vec<String> = (0..nodes).filter(|at| within(*at)).map(|at| (at + 1).to_string()).collect();
        let until_ms = until / 1_000;
        self.tell(format!(
            "of all nodes [{}] are alone, until {}.{:03} s",
            who.join(" "),
            until_ms / 1_000,
            until_ms % 1_000
        ));
        self.recorder.record(What::Isolated(some));
        self.isolated.push((until, some));
    }

    /// A minority is cut off, and after a while another one, some times.
    fn wander(&mut self, micros: u64) {
        let mut at = self.now();
        for _ in 0..1 + self.seed.below(4) {
            let most = (self.hosts.len() as u64 - 1) / 2;
            let mut some = 0_u64;
            for _ in 0..=self.seed.below(most) {
                some |= 1 << self.seed.below(self.hosts.len() as u64);
            }
            let until = at + micros;
            self.splits.push((at, until, some));
            at = until;
        }
        self.counts.note("a cut that moves");
    }

    /// The disk of a node is full, or has room.
    fn set_full(&mut self, node: usize, full: bool) {
        let before = self.hosts.iter().any(|host| host.full);
        self.hosts[node].full = full;
        self.hosts[node].ground.disk.set_full(full);
        let after = self.hosts.iter().any(|host| host.full);
        if before != after {
            self.recorder.record(What::Room(!after));
        }
        if full {
            self.counts.note("a full disk");
        }
    }

    /// The clock of one node: most clocks are right.
    fn jump(&mut self) {
        self.counts.note("a clock that jumps");
        self.counts.jumps += 1;
        let ms = self.seed.below(2 * JUMP_MS) as i64 - JUMP_MS as i64;
        let host = self.skewed;
        self.hosts[host].ground.clock.jump(ms);
        self.tell(format!("the clock of node {} is {ms} ms off", host + 1));
    }

    /// Whoever stood still goes on, and the net looks at its clocks.
    pub(super) fn attend(&mut self) {
        let now = self.now();
        let Some(ether) = &self.ether else { return };
        for (at, host) in self.hosts.iter_mut().enumerate() {
            if host.frozen_until > 0 && now >= host.frozen_until {
                host.frozen_until = 0;
                ether.freeze(at, false);
                self.owners.excuse(at, now);
            }
        }
        ether.look(now);
        let lease = self.hosts[0].lease_micros();
        let hosts = &self.hosts;
        self.owners.look(|at| hosts[at].runs(), lease, &mut self.recorder);
        self.rejoin(now);
        let due: Vec<_> = self.splits.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, until, some) in due.into_iter().filter(|(_, until, _)| *until > now) {
            self.split(some, until);
        }
    }

    /// Whose time alone is over hears the others again.
    fn rejoin(&mut self, now: u64) {
        for (_, some) in self.isolated.extract_if(.., |(until, _)| *until <= now) {
            self.recorder.record(What::Rejoined(some));
        }
    }

    /// Everything is well again.
    pub(super) fn heal(&mut self) {
        let now = self.now();
        if let Some(ether) = &self.ether {
            ether.heal();
        }
        self.rejoin(u64::MAX);
        self.splits.clear();
        for at in 0..self.hosts.len() {
            self.set_full(at, false);
            let host = &mut self.hosts[at];
            if host.frozen_until > now {
                host.frozen_until = now;
            }
            host.start_at = host.start_at.min(now);
            let ground = &host.ground;
            ground.disk.set_sync_micros(0);
            ground.clock.heal();
            if ground.disk.may_fail() {
                // The failure that was asked for has not come yet.
                self.crash(at);
            }
        }
        for client in &mut self.clients {
            client.back_at = 0;
        }
    }
}
