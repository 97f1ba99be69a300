//! Shutting out owners that lost their session and have not let go, before the new one is answered.
//!
//! Dead, frozen or cut off, such an owner can commit nothing in the session group; but what it proposes to a
//! partition would be taken there, and acknowledged. So its epoch is fenced in every partition, by one entry for all
//! who wait, and CONNACK follows the last of them. Nobody is waited for whose boot is closed: its node has sent its
//! clients away, and what carries its fence is the new owner's first message in each partition.

use std::collections::BTreeSet;

use super::Hub;
use super::outbox::FORGOTTEN_MAX;
use super::tag::{Fenced, Tag};
use crate::config::Fault;
use crate::record::{Fence, low_epoch};
use crate::route::{Partition, hash};
use crate::state::partition::{Boot, Ended};

/// No session is of this incarnation, so no token goes with such a fence.
const NO_INCARNATION: u64 = 0;

/// How far a CONNECT is with shutting out earlier owners.
#[derive(Debug, Default)]
pub(super) enum Shutting {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It waits for these partitions.
    Waits(BTreeSet<Partition>),
    /// Nobody earlier is let in anywhere.
    Done,
}

impl Hub {
    /// Is an earlier owner of a session let in by some partition, as far as is known? Then its fences are on their
    /// way, and [`Hub::answer`] comes here again when they stand.
    pub(super) fn awaits_fences(&mut self, client_id: &str) -> bool {
        let Some(waiting) = self.attaching.get(client_id) else { return false };
        if matches!(waiting.shutting, Shutting::Done) {
            return false;
        }
        let at_large = self.at_large(client_id, waiting.let_go);
        let shutting = match &waiting.shutting {
            _ if at_large.is_empty() => Shutting::Done,
            Shutting::Unknown => self.begin_fences(client_id, &at_large),
            Shutting::Waits(_) | Shutting::Done => return true,
        };
        let waits = matches!(shutting, Shutting::Waits(_));
        if let Some(waiting) = self.attaching.get_mut(client_id) {
            waiting.shutting = shutting;
        }
        waits
    }

    /// Earlier owners that may still be at work: their boots and epochs.
    fn at_large(&self, client_id: &str, let_go: Option<u64>) -> Vec<(Fence, u64)> {
        if Fault::SkipFence.is_in(self.fault) {
            return Vec::new();
        }
        let sessions = self.machines.sessions_of(self.route.session_group(client_id));
        let (here, meta) = (self.here(), &self.machines.meta);
        let owners = sessions.at_large(client_id, let_go);
        owners.filter(|(boot, _)| *boot != here && !meta.is_closed(boot.node, boot.boot)).collect()
    }

    /// What is under way from this boot is ahead of its new owner in the same lanes.
    fn here(&self) -> Fence {
        Fence { node: self.node.get(), boot: self.boot }
    }

    /// Asks for fences where none stands yet that shuts these owners out.
    fn begin_fences(&mut self, client_id: &str, owners: &[(Fence, u64)]) -> Shutting {
        let epoch = self.attaching[client_id].epoch();
        let publisher = hash(client_id.as_bytes());
        let mut waits = BTreeSet::new();
        for partition in self.route.all_partitions() {
            let there = &self.machines.partitions[partition.index()];
            let open = owners.iter().filter(|(boot, of)| !there.shuts_out(publisher, *boot, low_epoch(*of)));
            let fences: Vec<Boot> = open.map(|(boot, _)| Boot::from(*boot)).collect();
            if !fences.is_empty() {
                let fenced = Fenced { client_id: client_id.to_owned(), epoch };
                let ended = Ended { incarnation: NO_INCARNATION, publisher, epoch: low_epoch(epoch), fences };
                self.fencing.entry(partition).or_default().push((fenced, ended));
                waits.insert(partition);
            }
        }
        if waits.is_empty() { Shutting::Done } else { Shutting::Waits(waits) }
    }

    /// Proposes the fences that were asked for. `false`: there were none.
    pub(super) fn propose_fences(&mut self) -> bool {
        let all = std::mem::take(&mut self.fencing);
        for (partition, fencing) in &all {
            for fencing in fencing.chunks(FORGOTTEN_MAX) {
                let (fenced, sessions) = fencing.iter().cloned().unzip();
                self.propose_forget(*partition, sessions, Tag::Fences(fenced));
            }
        }
        !all.is_empty()
    }

    /// Fences stand in a partition.
    pub(super) fn fences_stand(&mut self, partition: Partition, fenced: Vec<Fenced>) {
        for Fenced { client_id, epoch } in fenced {
            let waiting = self.attaching.get_mut(&client_id).filter(|waiting| waiting.epoch() == epoch);
            let Some(waiting) = waiting else { continue };
            if let Shutting::Waits(waits) = &mut waiting.shutting {
                waits.remove(&partition);
                if waits.is_empty() {
                    waiting.shutting = Shutting::Done;
                    self.answer(&client_id);
                }
            }
        }
    }

    /// The boots that the new owner of a session shuts out of each partition with its first message there.
    pub(super) fn fences(&self, client_id: &str, epoch: u64, let_go: Option<u64>) -> Vec<Fence> {
        if Fault::SkipFence.is_in(self.fault) {
            return Vec::new();
        }
        let sessions = self.machines.sessions_of(self.route.session_group(client_id));
        let mut fences = sessions.unsettled(client_id, let_go);
        let (here, publisher) = (self.here(), hash(client_id.as_bytes()));
        let last = low_epoch(epoch.wrapping_sub(1));
        let partitions = &self.machines.partitions;
        let shut = |fence: &Fence| partitions.iter().all(|there| there.shuts_out(publisher, *fence, last));
        fences.retain(|fence| *fence != here && !shut(fence));
        fences
    }
}
