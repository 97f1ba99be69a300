//! Bits that turn over on one disk of several, as rot would: entries of its logs, found when they are read again.
//!
//! Always the same disk: what is damaged everywhere is lost. Its chance is a stream of its own, so that the rest of a
//! storm is the same with it and without.

use std::collections::BTreeMap;

use holdfast_node::log::Store;
use holdfast_node::log::store::{Range, Space};

use super::disk::SimDisk;
use super::world::World;
use crate::history::What;
use crate::seed::Seed;

/// Bits that turn over in a storm, at most.
const MOST: u64 = 6;
/// How far from the end of a log.
const FROM_THE_END: u64 = 40;

/// Rot in one storm.
pub(super) struct Rot {
    seed: Seed,
    host: usize,
    times: u64,
}

impl Rot {
    /// Half of all storms have it, where there are several nodes.
    pub(super) fn draw(seed: u64, nodes: usize) -> Rot {
        let mut seed = Seed::new(seed ^ 0x0072_6f74);
        let host = seed.below(nodes as u64) as usize;
        let some = nodes > 1 && seed.below(2) == 0;
        let times = if some { 1 + seed.below(MOST) } else { 0 };
        Rot { seed, host, times }
    }
}

impl World {
    /// One step of a storm of `steps` has passed.
    pub(super) fn let_rot(&mut self, steps: u32) {
        let Rot { seed, host, times } = &mut self.rot;
        if *times == 0 || seed.below(u64::from(steps)) >= *times {
            return;
        }
        let Some((group, index)) = rot_entry(&self.hosts[*host].ground.disk, seed) else { return };
        let what = format!("entry {index} of group {group} rots on the disk of node {}", *host + 1);
        self.counts.note("a bit that turns over on a disk");
        self.recorder.record(What::Struck(what));
    }
}

/// Damages one of the last entries of any group; group and index of it.
fn rot_entry(disk: &SimDisk, seed: &mut Seed) -> Option<(u32, u64)> {
    let mut groups: BTreeMap<[u8; 5], Vec<Vec<u8>>> = BTreeMap::new();
    let range = Range { space: Space::Entry, from: &[], to: &[0xff] };
    disk.scan(range, &mut |key, _| {
        if let Some(group) = key.first_chunk() {
            groups.entry(*group).or_default().push(key.to_vec());
        }
        true
    })
    .ok()?;
    let keys = groups.values().nth(seed.below(groups.len() as u64) as usize)?;
    let back = 1 + seed.below(FROM_THE_END.min(keys.len() as u64)) as usize;
    let key = &keys[keys.len() - back];
    let (group, index) = (key.get(1..5)?.try_into().ok()?, key.get(5..13)?.try_into().ok()?);
    disk.rot(Space::Entry, key).then(|| (u32::from_be_bytes(group), u64::from_be_bytes(index)))
}
