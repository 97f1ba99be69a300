//! Where clients come in: one door for each node of the cluster, of which each connection takes one by chance.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::seed::Seed;

/// A node, counted from 0, and its MQTT address.
type Door = (u16, SocketAddr);

/// The doors that are open, for all clients.
#[derive(Clone, Debug)]
pub(crate) struct Doors(Arc<Mutex<Vec<Door>>>);

impl Doors {
    /// At least one door; their nodes are counted from 0, in this order.
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Doors {
        assert!(!addresses.is_empty(), "a client needs a door");
        Doors(Arc::new(Mutex::new((0..).zip(addresses).collect())))
    }

    fn open_ones(&self) -> MutexGuard<'_, Vec<Door>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A door by chance.
    pub(crate) fn any(&self, seed: &mut Seed) -> Door {
        let doors = self.open_ones();
        doors[seed.below(doors.len() as u64) as usize]
    }

    /// Clients may come in at this node from now on.
    pub(crate) fn open(&self, node: u16, address: SocketAddr) {
        self.open_ones().push((node, address));
    }

    /// Nobody new comes in at this node. The last door stays open.
    pub(crate) fn shut(&self, node: u16) {
        let mut doors = self.open_ones();
        if doors.len() > 1 {
            doors.retain(|(other, _)| *other != node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_follow_the_doors_and_the_last_one_stays() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let doors = Doors::new(vec![address(1), address(2)]);
        let everybody = doors.clone();
        let seen = |doors: &Doors| {
            let mut seed = Seed::new(1);
            let seen: std::collections::BTreeSet<_> = (0..100).map(|_| doors.any(&mut seed).0).collect();
            seen.into_iter().collect::<Vec<_>>()
        };
        everybody.open(2, address(3));
        everybody.shut(0);
        assert_eq!(seen(&doors), [1, 2]);
        everybody.shut(1);
        everybody.shut(2);
        assert_eq!(seen(&doors), [2]);
    }
}
