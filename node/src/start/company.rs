//! Whether a node that waits to serve is among its own: a directory that was meant for another cluster would wait for
//! ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_cluster::Identity;
use holdfast_cluster::link::{Code, Frame, Link};

use super::NodeError;
use super::form::Membership;
use crate::clock::Clock;
use crate::config::Config;

/// How often the others are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long nobody but strangers must be there: the others may only be late.
const PATIENCE: Duration = Duration::from_secs(5);

/// The others, as a node sees them that does not serve yet.
pub(super) struct Company {
    link: Option<Arc<Link>>,
    identity: Identity,
    /// Seeds that are not known as members: whoever answers there is asked as well.
    seeds: Vec<String>,
    clock: Arc<dyn Clock>,
    looked_at: Duration,
    /// When strangers were first seen and nobody else.
    since: Option<Duration>,
}

impl Company {
    pub(super) fn new(membership: &Membership, config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let known = |seed: &&String| {
            **seed == membership.advertised
                || membership.members.iter().any(|member| member.address == **seed)
        };
        Self {
            // Who goes on alone needs nobody.
            link: membership.link.clone().filter(|_| membership.members.len() > 1),
            identity: membership.identity.clone(),
            seeds: config.cluster.seeds.iter().filter(|seed| !known(seed)).cloned().collect(),
            clock: Arc::clone(clock),
            looked_at: Duration::ZERO,
            since: None,
        }
    }

    /// Gives up where waiting helps nobody.
    pub(super) fn look(&mut self) -> Result<(), NodeError> {
        let now = self.clock.monotonic();
        let Some(link) = self.link.as_ref().filter(|_| now >= self.looked_at + LOOK_EVERY) else {
            return Ok(());
        };
        self.looked_at = now;
        let alone = !link.figures().iter().any(|peer| peer.up);
        let stranger = link.refusals().into_iter().find(|(_, code)| *code == Code::OtherCluster);
        let Some((through, _)) = stranger.filter(|_| alone) else {
            self.since = None;
            if alone {
                for seed in &self.seeds {
                    // The answer is of no interest, only whether there is one.
                    link.ask(seed.clone(), Frame::App(Bytes::new()));
                }
            }
            return Ok(());
        };
        if now < *self.since.get_or_insert(now) + PATIENCE {
            return Ok(());
        }
        Err(NodeError::OtherCluster { through, cluster_id: self.identity.cluster_id.clone() })
    }
}
