//! Where clients come in: one door for each node, of which each connection takes one by chance.

use std::net::SocketAddr;

use crate::seed::Seed;

/// The MQTT addresses of the nodes, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Doors(Vec<SocketAddr>);

impl Doors {
    /// At least one door.
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Doors {
        assert!(!addresses.is_empty(), "a client needs a door");
        Doors(addresses)
    }

    /// A door by chance: its node, counted from 0, and its address.
    pub(crate) fn any(&self, seed: &mut Seed) -> (u16, SocketAddr) {
        let node = seed.below(self.0.len() as u64) as u16;
        (node, self.0[usize::from(node)])
    }
}
