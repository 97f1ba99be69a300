//! What goes wrong in a storm: one file each. Each strikes, lasts as long as it is told, and heals what it did.

mod clock;
mod disk_full;
mod disk_slow;
mod join_leave;
mod kill;
mod leader_hunt;
mod loss;
mod one_way;
mod partition;
mod pause;
mod rolling_restart;
mod slow_link;
mod stampede;

use std::io;
use std::time::Duration;

use super::scene::Scene;
use crate::fleet::Fleet;
use crate::seed::Seed;

/// Strikes for about this long.
type Strike = fn(&Scene<'_>, &mut Seed, Duration) -> io::Result<()>;

/// A kind of fault.
#[derive(Clone, Copy)]
pub(super) struct Nemesis {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) does: &'static str,
    /// Why it cannot be tried on this cluster, if it cannot.
    pub(super) lacks: fn(&Fleet) -> Option<String>,
    pub(super) strike: Strike,
}

/// All of them.
pub(super) const ALL: [Nemesis; 13] = [
    Nemesis { name: "kill", does: "SIGKILL at any moment", lacks: ends, strike: kill::strike },
    Nemesis {
        name: "pause",
        does: "a process that is frozen and thawed",
        lacks: freezes,
        strike: pause::strike,
    },
    Nemesis {
        name: "partition",
        does: "nodes that cannot reach others",
        lacks: links,
        strike: partition::strike,
    },
    Nemesis { name: "one-way", does: "a link that works one way", lacks: links, strike: one_way::strike },
    Nemesis {
        name: "slow-link",
        does: "delay, jitter, little bandwidth",
        lacks: links,
        strike: slow_link::strike,
    },
    Nemesis { name: "loss", does: "datagrams lost, twice, out of order", lacks: links, strike: loss::strike },
    Nemesis { name: "disk-full", does: "no room on a disk", lacks: skies, strike: disk_full::strike },
    Nemesis { name: "disk-slow", does: "syncs that take long", lacks: skies, strike: disk_slow::strike },
    Nemesis { name: "clock", does: "a wall clock that is wrong", lacks: skies, strike: clock::strike },
    Nemesis {
        name: "rolling-restart",
        does: "one node after the other is stopped and started",
        lacks: ends,
        strike: rolling_restart::strike,
    },
    Nemesis {
        name: "join-leave",
        does: "a node more, a node less",
        lacks: join_leave::lacks,
        strike: join_leave::strike,
    },
    Nemesis {
        name: "leader-hunt",
        does: "whoever leads is killed or frozen",
        lacks: hunts,
        strike: leader_hunt::strike,
    },
    Nemesis {
        name: "stampede",
        does: "all clients lose their connections at once",
        lacks: |_| None,
        strike: stampede::strike,
    },
];

/// The one with this name.
pub(super) fn named(name: &str) -> Option<Nemesis> {
    ALL.into_iter().find(|nemesis| nemesis.name == name)
}

fn ends(fleet: &Fleet) -> Option<String> {
    let obeys = fleet.nodes().iter().all(|node| node.obeys().0);
    (!obeys).then(|| "it needs --hook-kill, --hook-start and --hook-stop".to_owned())
}

fn freezes(fleet: &Fleet) -> Option<String> {
    let obeys = fleet.nodes().iter().all(|node| node.obeys().1);
    (!obeys).then(|| "it needs --hook-pause and --hook-resume".to_owned())
}

fn hunts(fleet: &Fleet) -> Option<String> {
    if fleet.founders() < 2 {
        return Some("one node always leads".to_owned());
    }
    let blind = fleet.nodes().iter().any(|node| node.http().is_none());
    if blind { Some("it needs --http to know who leads".to_owned()) } else { ends(fleet) }
}

fn links(fleet: &Fleet) -> Option<String> {
    match (fleet.proxy(), fleet.founders()) {
        (Some(_), _) => None,
        (None, 1) => Some("one node has no links".to_owned()),
        (None, _) => Some("the links do not lead through a proxy of this storm".to_owned()),
    }
}

fn skies(fleet: &Fleet) -> Option<String> {
    fleet.fair_weather().map(str::to_owned)
}
