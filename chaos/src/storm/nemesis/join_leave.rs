//! A blank node joins through the seeds, serves, and after a while one of the nodes leaves: any of them, old or new.
//!
//! The place of the one that left is where the next one joins. Clients know of a node as soon as it serves, and until
//! it is drained.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::scene::Scene;
use crate::fleet::{Fleet, View};
use crate::seed::Seed;

/// For an answer to a wish.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause before it is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// For a node that is no longer one of the cluster to stop.
const STOP: Duration = Duration::from_secs(20);

pub(super) fn lacks(fleet: &Fleet) -> Option<String> {
    let Some(binary) = fleet.nodes()[0].binary() else {
        return Some("the nodes are not processes of this storm".to_owned());
    };
    if fleet.nodes().len() == fleet.founders() {
        return Some("nobody joins a cluster of one".to_owned());
    }
    let mut drain = Command::new(binary);
    drain.args(["drain", "--help"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let knows = drain.status().is_ok_and(|status| status.success());
    (!knows).then(|| "this holdfast has no `drain`".to_owned())
}

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let places = 0..scene.fleet.nodes().len();
    let Some(place) = places.into_iter().find(|place| !scene.node(*place).is_member()) else {
        return Err(io::Error::other("no place is free"));
    };
    join(scene, place, hold)?;
    scene.hold(hold / 2);
    let leaver = scene.any(seed);
    leave(scene, leaver, hold)
}

/// Other faults may last as long as `hold`; everything else has to be done within patience.
fn join(scene: &Scene<'_>, place: usize, hold: Duration) -> io::Result<()> {
    let node = scene.node(place);
    let open = scene.begin("join-leave", (&[place], &[]), format!("node {} joins", place + 1));
    node.take_part()?;
    node.start()?;
    let serves = wait(scene, hold, || node.serves());
    scene.end(open);
    serves.map_err(|error| {
        let (why, words) = (node.reasons(), node.last_words());
        io::Error::other(format!("node {} joins: {error}: {why}; its last words:\n{words}", place + 1))
    })?;
    node.has_joined();
    scene.doors.open(place as u16, node.mqtt());
    Ok(())
}

/// Drained, removed, ended.
fn leave(scene: &Scene<'_>, place: usize, hold: Duration) -> io::Result<()> {
    let node = scene.node(place);
    let open = scene.begin("join-leave", (&[place], &[]), format!("node {} leaves", place + 1));
    let left = wait(scene, hold, || node.id().is_some()).and_then(|()| {
        let id = node.id().ok_or(io::ErrorKind::NotFound)?;
        wish(scene, (place, hold), &format!("POST /api/v1/cluster/nodes/{id}/drain"))?;
        wait(scene, hold, || view(scene, place).is_some_and(|view| is_drained(&view, id)))
            .map_err(|error| io::Error::other(format!("drain: {error}")))?;
        scene.doors.shut(place as u16);
        // From now on it may end by itself, and nobody may start it again.
        node.take_leave();
        wish(scene, (place, hold), &format!("DELETE /api/v1/cluster/nodes/{id}"))?;
        wait(scene, hold, || view(scene, place).is_some_and(|view| !is_listed(&view, id)))
            .map_err(|error| io::Error::other(format!("remove: {error}")))?;
        node.stop(STOP)
    });
    scene.end(open);
    left.map_err(|error| io::Error::other(format!("node {} leaves: {error}", place + 1)))
}

/// Says it to any of the others until one of them agrees.
fn wish(scene: &Scene<'_>, (place, hold): (usize, Duration), what: &str) -> io::Result<()> {
    let mut last = "nobody was asked".to_owned();
    let granted = wait(scene, hold, || {
        for other in scene.others(&[place]) {
            match scene.node(other).ask(what, ANSWER) {
                // Unknown: the answer to an earlier question was lost.
                Ok((status, _)) if (200..300).contains(&status) || status == 404 => return true,
                Ok((status, body)) => last = format!("node {} says {status} {}", other + 1, body.trim()),
                Err(error) => last = format!("node {}: {error}", other + 1),
            }
        }
        false
    });
    granted.map_err(|error| io::Error::other(format!("{what}: {error}; {last}")))
}

fn view(scene: &Scene<'_>, but: usize) -> Option<View> {
    scene.others(&[but]).into_iter().find_map(|other| scene.node(other).view().ok())
}

/// It does not count any more; there are always enough others to take its votes.
fn is_drained(view: &View, id: u64) -> bool {
    let mut nodes = view.nodes.iter();
    nodes.any(|node| node.id == id && node.state == "draining" && (node.leads, node.votes) == (0, 0))
}

fn is_listed(view: &View, id: u64) -> bool {
    view.nodes.iter().any(|node| node.id == id)
}

/// Until it is done, for as long as other faults may last and patience after that. A storm that is over waits no more.
fn wait(scene: &Scene<'_>, hold: Duration, mut done: impl FnMut() -> bool) -> io::Result<()> {
    let limit = hold + scene.patience;
    let until = Instant::now() + limit;
    while !done() {
        if scene.is_called_off() {
            return Err(io::Error::other("the storm was called off"));
        }
        if Instant::now() > until {
            return Err(io::Error::other(format!("not within {limit:?}")));
        }
        scene.hold(AGAIN);
    }
    Ok(())
}
