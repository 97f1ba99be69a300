//! One simulation: calm until everybody is here, a storm of so many steps, calm until everything has arrived.

use super::cast;
use super::world::World;
use crate::history::What;

/// Virtual microseconds between two rounds of calm.
const CALM_MICROS: u64 = 20_000;
/// Rounds of calm until everybody is subscribed, or everything has arrived.
const CALM_ROUNDS: u32 = 6_000;
/// Calm lasts until nothing has arrived for this long, microseconds: longer than any will waits.
const QUIET_MICROS: u64 = 3_000_000;
/// How often the scheduler looks for something to do in one step.
const TRIES_MAX: u32 = 8;
/// Farthest that the wall clock is from the right time, milliseconds.
const JUMP_MS: u64 = 600_000;

/// How likely each fault is, in parts of 10,000 per step. Drawn from the seed: some storms are of one kind only.
struct Odds {
    crash: u64,
    cut_writes: u64,
    fail_sync: u64,
    stop: u64,
    full: u64,
    slow: u64,
    jump: u64,
    leave: u64,
    longest_micros: u64,
}

impl Odds {
    fn draw(world: &mut World) -> Odds {
        let full = world.may_be_full;
        let mut of = |most: u64| if world.seed.below(2) == 0 { 0 } else { world.seed.below(most + 1) };
        Odds {
            crash: of(40),
            cut_writes: of(40),
            fail_sync: of(20),
            stop: of(10),
            full: of(30) * u64::from(full),
            slow: of(40),
            jump: of(30),
            leave: of(300),
            longest_micros: 1_000 + of(100_000),
        }
    }
}

/// Lets everybody come.
pub(super) fn gather(world: &mut World) {
    for _ in 0..CALM_ROUNDS {
        world.pump(1_000);
        if world.clients.iter().all(|client| client.calm()) {
            return;
        }
    }
    world.failures.push("not every client could connect and subscribe before the storm".to_owned());
}

/// So many steps, each of them one thing that happens.
pub(super) fn rage(world: &mut World, steps: u32) {
    let odds = Odds::draw(world);
    for _ in 0..steps {
        if !world.failures.is_empty() {
            return;
        }
        world.start();
        fault(world, &odds);
        act(world);
        let most = if world.seed.below(50) == 0 { odds.longest_micros } else { 2_000 };
        let micros = world.seed.below(most);
        world.time.advance(micros);
    }
}

fn fault(world: &mut World, odds: &Odds) {
    let mut roll = |odds: u64| world.seed.below(10_000) < odds;
    let (crash, cut, sync, stop) =
        (roll(odds.crash), roll(odds.cut_writes), roll(odds.fail_sync), roll(odds.stop));
    let (full, slow, jump, leave) = (roll(odds.full), roll(odds.slow), roll(odds.jump), roll(odds.leave));
    if crash && world.hosts[0].node.is_some() {
        world.crash(0);
    }
    if cut {
        let (writes, half) = (world.seed.below(40), world.seed.below(2) == 0);
        world.hosts[0].ground.disk.cut_after(writes, half);
        world.recorder.record(What::Weather("the power will go"));
    }
    if sync {
        world.hosts[0].ground.disk.fail_sync();
        world.recorder.record(What::Weather("the next sync fails"));
    }
    if stop {
        world.stop();
    }
    if full {
        let full = world.seed.below(2) == 0;
        world.hosts[0].ground.disk.set_full(full);
        world.recorder.record(What::Weather(if full { "the disk is full" } else { "the disk has room" }));
    }
    if slow {
        let micros = world.seed.below(200_000) * world.seed.below(2);
        world.hosts[0].ground.disk.set_sync_micros(micros);
    }
    if jump {
        world.counts.jumps += 1;
        let ms = world.seed.below(2 * JUMP_MS) as i64 - JUMP_MS as i64;
        world.hosts[0].ground.clock.jump(ms);
        world.recorder.record(What::Weather("the wall clock jumps"));
    }
    if leave {
        let client = world.seed.below(world.clients.len() as u64) as usize;
        self::leave(world, client);
    }
}

/// A client goes, in one of the ways there are.
pub(super) fn leave(world: &mut World, client: usize) {
    let way = world.seed.below(5);
    let away = if world.seed.below(2) == 0 { 0 } else { world.seed.below(400_000) };
    match way {
        0 => {
            let mut out = Vec::new();
            world.clients[client].leave(&mut out);
            if let Some(link) = world.clients[client].link.and_then(|link| world.links.get_mut(&link)) {
                link.up.extend_from_slice(&out);
            }
            world.cut(client, true, true);
        }
        1 => world.cut(client, true, true),
        2 => world.cut(client, true, false),
        // The worker hears nothing of it: the next connection takes over, with the old one's bytes under way.
        _ => {
            world.counts.takeovers += 1;
            world.cut(client, false, way == 3);
        }
    }
    world.clients[client].back_at = world.now() + away;
}

/// One thing that happens in any weather. What there is nothing to do for costs no step.
fn act(world: &mut World) {
    for _ in 0..TRIES_MAX {
        if tried(world) {
            return;
        }
    }
}

/// `false`: there was nothing to do.
fn tried(world: &mut World) -> bool {
    let what = world.seed.below(100);
    let one = world.seed.bits();
    let bytes = if world.seed.below(3) == 0 { 1 + world.seed.below(40) as usize } else { usize::MAX };
    match what {
        0..=24 => {
            let found = pick(world.links.keys().copied().filter(|link| pending(world, *link)), one);
            found.map(|link| world.serve(link, bytes)).is_some()
        }
        25..=44 => {
            let found = pick(world.links.keys().copied().filter(|link| arrived(world, *link)), one);
            found.map(|link| world.receive(link, bytes)).is_some()
        }
        45..=69 => world.worker(0, (one % 64) as usize, one >> 32),
        70..=79 => world.hub(0),
        80..=83 => world.catchup(0),
        84..=91 => (0..=one % 3).any(|_| world.publish((one >> 8) as usize % cast::PUBLISHING)),
        92..=98 => {
            let now = world.now();
            let absent = |at: &usize| world.clients[*at].link.is_none() && world.clients[*at].back_at <= now;
            let found = pick((0..world.clients.len()).filter(absent).map(|client| client as u64), one);
            found.is_some_and(|client| world.connect(client as usize))
        }
        _ => {
            match one % 8 {
                0 => world.read_log(0),
                // The reader comes and goes, to see what is retained.
                1 => leave(world, world.clients.len() - 1),
                _ => {
                    let found = pick(world.links.keys().copied(), one);
                    found.into_iter().for_each(|link| world.receive(link, bytes));
                }
            }
            true
        }
    }
}

fn pending(world: &World, link: u64) -> bool {
    let link = &world.links[&link];
    !link.accepted || link.key.is_some() && (!link.up.is_empty() || link.ended)
}

fn arrived(world: &World, link: u64) -> bool {
    let link = &world.links[&link];
    !link.down.is_empty() || link.accepted && link.key.is_none()
}

fn pick(from: impl Iterator<Item = u64> + Clone, chance: u64) -> Option<u64> {
    let count = from.clone().count() as u64;
    from.into_iter().nth((chance % count.max(1)) as usize)
}

/// Everything heals; everybody comes back and gets what is due within a bounded time.
pub(super) fn drain(world: &mut World) {
    world.recorder.record(What::Weather("calm"));
    world.hosts[0].ground.disk.set_full(false);
    world.hosts[0].ground.disk.set_sync_micros(0);
    world.hosts[0].ground.clock.heal();
    if world.hosts[0].ground.disk.may_fail() {
        // The failure that was asked for has not come yet.
        world.crash(0);
    }
    for client in 0..world.clients.len() {
        world.clients[client].back_at = 0;
    }
    calm(world, "clients with something in flight after the storm");
    world.cut_patient();
    calm(world, "after the last cut");
    if !world.failures.is_empty() {
        return;
    }
    world.enter(cast::reader("last-reader", true));
    calm(world, "the last reader");
    world.read_log(0);
}

/// Until nothing is in flight and nothing has arrived for a while.
fn calm(world: &mut World, who: &str) {
    let mut seen = (world.recorder.delivered, world.now());
    for _ in 0..CALM_ROUNDS {
        world.pump(CALM_MICROS);
        if !world.failures.is_empty() {
            return;
        }
        let now = world.now();
        if world.recorder.delivered != seen.0 || !world.clients.iter().all(|client| client.calm()) {
            seen = (world.recorder.delivered, now);
        }
        if now - seen.1 > QUIET_MICROS {
            return;
        }
    }
    let restless: Vec<&str> =
        world.clients.iter().filter(|client| !client.calm()).map(|client| client.name.as_str()).collect();
    world.failures.push(format!("no rest within bounds; {who}: {restless:?}"));
}
