//! What must fit together before a node may speak with others.

use std::net::SocketAddr;

use holdfast_cluster::founding::SEEDS_MAX;
use holdfast_cluster::link::FRAME_BYTES_MAX;

use super::super::layers::Layers;
use super::super::mistake::{Mistakes, Origin};
use super::super::{Cluster, ClusterTls};

const TLS: [&str; 3] = ["cluster.tls.ca", "cluster.tls.cert", "cluster.tls.key"];

/// The settings of the cluster; `None` if one was given badly.
pub(super) fn finish(layers: &Layers) -> Option<Cluster> {
    let [ca, cert, key] = TLS.map(|key| layers.text(key).map(Into::into));
    Some(Cluster {
        seeds: layers.list("cluster.seeds")?,
        advertise: layers.text("cluster.advertise").map(str::to_owned),
        tls: ca.zip(cert).zip(key).map(|((ca, cert), key)| ClusterTls { ca, cert, key }),
        tick: layers.time("cluster.tick")?,
        heartbeat: layers.time("cluster.heartbeat")?,
        election_timeout_min: layers.time("cluster.election_timeout_min")?,
        election_timeout_max: layers.time("cluster.election_timeout_max")?,
        lease: layers.time("cluster.lease")?,
    })
}

/// Adds what is wrong with the cluster's settings, alone or together.
pub(super) fn check(layers: &Layers, mistakes: &mut Mistakes) {
    check_seeds(layers, mistakes);
    check_tls(layers, mistakes);
    check_timing(layers, mistakes);
    check_packet(layers, mistakes);
}

/// What one message may be, with whatever is around it, must fit one frame of the link.
fn check_packet(layers: &Layers, mistakes: &mut Mistakes) {
    const MOST: u64 = FRAME_BYTES_MAX as u64 / 2;
    let key = "mqtt.packet_bytes_max";
    let several = layers.list("cluster.seeds").is_some_and(|seeds| seeds.len() > 1);
    if let Some(packet) = layers.number(key).filter(|packet| several && *packet > MOST) {
        let text =
            format!("{packet} bytes is more than {MOST}, the most that nodes send each other as one message");
        mistakes.add(layers.origin(key), key, text);
    }
}

fn check_seeds(layers: &Layers, mistakes: &mut Mistakes) {
    let seeds = layers.list("cluster.seeds").unwrap_or_default();
    let mut wrong = |key: &str, text: String| mistakes.add(layers.origin(key), key, text);
    for (at, seed) in seeds.iter().enumerate() {
        if !is_host_and_port(seed) {
            wrong("cluster.seeds", format!("`{seed}` is not HOST:PORT"));
        } else if seeds[..at].contains(seed) {
            wrong("cluster.seeds", format!("{seed} is named twice"));
        }
    }
    if seeds.len() > SEEDS_MAX {
        wrong(
            "cluster.seeds",
            format!("{} seeds are too many; a list names at most {SEEDS_MAX}", seeds.len()),
        );
    }
    if let Some(advertise) = layers.text("cluster.advertise")
        && !is_host_and_port(advertise)
    {
        wrong("cluster.advertise", format!("`{advertise}` is not HOST:PORT"));
    }
}

/// A name or address of a machine and the port that others dial, which cannot be 0. IPv6 goes in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let known = text.parse::<SocketAddr>().is_ok() || (!host.is_empty() && host.chars().all(name));
    known && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Without certificates anybody who reaches the link is a node: that is for one machine alone.
fn check_tls(layers: &Layers, mistakes: &mut Mistakes) {
    let (set, unset): (Vec<&str>, Vec<&str>) = TLS.into_iter().partition(|key| layers.text(key).is_some());
    if let Some(first) = set.first() {
        for key in unset {
            mistakes.add(
                layers.origin(first),
                key,
                format!("is missing beside {first}; the link needs all three"),
            );
        }
        return;
    }
    let open = |text: &str| text.parse::<SocketAddr>().ok().filter(|address| !address.ip().is_loopback());
    let mut wrong = |key: &str, address: SocketAddr| {
        let text = format!(
            "{address} is not a loopback address, so the link between nodes needs certificates; name them in \
             [cluster.tls] (`holdfast cert new` makes them)"
        );
        mistakes.add(layers.origin(key), key, text);
    };
    if let Some(own) = layers.address("listeners.cluster").filter(|own| !own.ip().is_loopback()) {
        wrong("listeners.cluster", own);
    }
    if let Some(address) = layers.text("cluster.advertise").and_then(open) {
        wrong("cluster.advertise", address);
    }
    let seeds = layers.list("cluster.seeds").unwrap_or_default();
    if let Some(address) = seeds.iter().find_map(|seed| open(seed)) {
        wrong("cluster.seeds", address);
    }
}

/// A heartbeat must come before an election, and an election must be over before a lease.
fn check_timing(layers: &Layers, mistakes: &mut Mistakes) {
    let Some(cluster) = finish(layers) else { return };
    let given = |keys: [&'static str; 2]| {
        let blamed = keys.into_iter().find(|key| layers.origin(key) != Origin::Default);
        let key = blamed.unwrap_or(keys[0]);
        (layers.origin(key), key)
    };
    let mut wrong = |keys: [&'static str; 2], text: String| {
        let (origin, key) = given(keys);
        mistakes.add(origin, key, text);
    };
    let (heartbeat, election) = cluster.ticks();
    if election.is_empty() {
        let keys = ["cluster.election_timeout_max", "cluster.election_timeout_min"];
        wrong(keys, format!("{} is less than {}", keys[0], keys[1]));
    }
    if *election.start() <= heartbeat {
        let keys = ["cluster.election_timeout_min", "cluster.heartbeat"];
        let text =
            format!("{} must be more ticks (cluster.tick) than {}, or leaders lose office", keys[0], keys[1]);
        wrong(keys, text);
    }
    if cluster.lease < 2 * cluster.election_timeout_max {
        let keys = ["cluster.lease", "cluster.election_timeout_max"];
        wrong(keys, format!("{} must be at least twice {}, or an election costs it", keys[0], keys[1]));
    }
}
