//! A simulation of several nodes: calm until everybody is here, a storm of so many steps, calm until everything has
//! arrived.
//!
//! Each step one of those who have something to do does a piece of it; where nobody has, time goes on.

use super::cast;
use super::client::Role;
use super::weather::Odds;
use super::world::World;
use crate::history::What;

/// Microseconds until everybody is subscribed, or everything has arrived.
const CALM_MICROS: u64 = 120_000_000;
/// Steps of one calm, at most.
const CALM_STEPS: u32 = 3_000_000;
/// Calm lasts until nothing has arrived for this long, microseconds: longer than any will waits, and any lease lasts.
const QUIET_MICROS: u64 = 4_000_000;
/// Microseconds of a step in calm, at most.
const CALM_PACE: u64 = 100;
/// Longest time in which nobody looks whether there is something to do, microseconds.
const DOZE_MICROS: u64 = 5_000;

/// Something that can be done now.
#[derive(Clone, Copy, Debug)]
enum Act {
    Serve(u64),
    Receive(u64),
    Worker(usize, usize),
    Hub(usize),
    Catchup(usize),
    Connect(usize),
}

/// Lets everybody come.
pub(super) fn gather(world: &mut World) {
    let until = world.now() + CALM_MICROS;
    for _ in 0..CALM_STEPS {
        step(world, CALM_PACE, true);
        let all = world.clients.iter().all(|client| client.calm());
        if all || !world.failures.is_empty() {
            return;
        }
        if world.now() > until {
            break;
        }
    }
    let who = restless(world);
    world.failures.push(format!("not every client could connect and subscribe before the storm: {who}"));
}

/// So many steps, each of them one thing that happens.
pub(super) fn rage(world: &mut World, steps: u32) {
    let odds = Odds::draw(world, steps);
    for _ in 0..steps {
        if !world.failures.is_empty() {
            return;
        }
        odds.strike(world);
        world.let_rot(steps);
        world.whims(u64::from(steps));
        if world.seed.below(odds.publish) == 0 {
            let one = world.seed.bits();
            for _ in 0..=one % 3 {
                world.publish((one >> 8) as usize % cast::PUBLISHING);
            }
        }
        step(world, odds.pace, false);
    }
}

/// One thing that happens in any weather, in pieces or whole.
fn step(world: &mut World, pace: u64, whole: bool) {
    world.start();
    world.attend();
    let acts = acts(world);
    if acts.is_empty() {
        let now = world.now();
        let next = world.ether.as_ref().and_then(|ether| ether.next()).unwrap_or(u64::MAX);
        world.time.advance(next.saturating_sub(now).clamp(50, DOZE_MICROS));
        return;
    }
    let act = acts[world.seed.below(acts.len() as u64) as usize];
    let bytes =
        if !whole && world.seed.below(3) == 0 { 1 + world.seed.below(40) as usize } else { usize::MAX };
    match act {
        Act::Serve(link) => world.serve(link, bytes),
        Act::Receive(link) => world.receive(link, bytes),
        Act::Worker(host, worker) => {
            let choice = world.seed.bits();
            world.worker(host, worker, choice);
        }
        Act::Hub(host) => {
            world.hub(host);
        }
        Act::Catchup(host) => {
            world.catchup(host);
        }
        Act::Connect(client) => {
            world.connect(client);
        }
    }
    if !whole && world.seed.below(200) == 0 {
        let host = world.seed.below(world.hosts.len() as u64) as usize;
        world.read_log(host);
    }
    let micros = world.seed.below(pace);
    world.time.advance(micros);
}

/// Everything that somebody can do now.
fn acts(world: &mut World) -> Vec<Act> {
    let now = world.now();
    let mut acts = Vec::new();
    for host in 0..world.hosts.len() {
        if !world.hosts[host].runs() {
            continue;
        }
        let Some(node) = &mut world.hosts[host].node else { continue };
        if node.hub_due() {
            acts.push(Act::Hub(host));
        }
        if node.catchup_due() {
            acts.push(Act::Catchup(host));
        }
        let workers = (0..node.workers()).filter(|worker| node.worker_due(*worker));
        acts.extend(workers.collect::<Vec<_>>().into_iter().map(|worker| Act::Worker(host, worker)));
    }
    for (number, link) in &world.links {
        let host = &mut world.hosts[link.host];
        let runs = host.runs();
        if let Some(node) = host.node.as_mut().filter(|_| runs)
            && node.readable(link)
        {
            acts.push(Act::Serve(*number));
        }
        let client = &world.clients[link.client];
        let own = client.link == Some(*number);
        let gone = link.accepted && link.key.is_none();
        if !link.down.is_empty() && !link.abandoned || gone || own && client.restless(now) {
            acts.push(Act::Receive(*number));
        }
    }
    let open = world.hosts.iter().any(|host| host.welcomes());
    for (at, client) in world.clients.iter().enumerate() {
        let there = client.home.map_or(open, |home| world.hosts[home].welcomes());
        if there && client.link.is_none() && !client.retired && now >= client.back_at {
            acts.push(Act::Connect(at));
        }
    }
    acts
}

/// Everything heals; everybody comes back and gets what is due within a bounded time.
pub(super) fn drain(world: &mut World) {
    world.recorder.record(What::Weather("calm"));
    world.read_disks();
    world.heal();
    calm(world, "clients with something in flight after the storm");
    world.cut_patient();
    calm(world, "after the last cut");
    for home in 0..world.hosts.len() {
        let mut reader = cast::reader(&format!("last-reader-{home}"), true);
        reader.home = Some(home);
        world.enter(reader);
    }
    calm(world, "the last readers");
    (0..world.hosts.len()).for_each(|host| world.read_log(host));
    world.read_disks();
}

/// Until nothing is in flight and nothing has arrived for a while.
fn calm(world: &mut World, who: &str) {
    let until = world.now() + CALM_MICROS;
    let mut seen = (world.recorder.delivered, world.now());
    for _ in 0..CALM_STEPS {
        if !world.failures.is_empty() {
            return;
        }
        step(world, CALM_PACE, true);
        let now = world.now();
        if world.recorder.delivered != seen.0 || !world.clients.iter().all(|client| client.calm()) {
            seen = (world.recorder.delivered, now);
        }
        if now - seen.1 > QUIET_MICROS {
            return;
        }
        if now > until {
            break;
        }
    }
    let restless = restless(world);
    world.failures.push(format!("no rest within bounds; {who}: {restless}"));
}

/// Who is not calm, and which nodes do not serve.
fn restless(world: &World) -> String {
    let restless = world.clients.iter().filter(|client| !client.calm());
    let names: Vec<String> = restless
        .map(|client| {
            let what = match &client.role {
                Role::Publisher(role) => role.flights(),
                _ => String::new(),
            };
            let online = if client.online { "online" } else { "offline" };
            format!("{} ({online} {what})", client.name)
        })
        .collect();
    let idle: Vec<String> = (1..)
        .zip(&world.hosts)
        .filter(|(_, host)| !host.serves())
        .map(|(n, _): (u32, _)| n.to_string())
        .collect();
    format!("{}; nodes that do not serve: [{}]", names.join(", "), idle.join(", "))
}
