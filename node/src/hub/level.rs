//! The feature level: what all nodes of the cluster know. The leader of the meta group raises it when the last one has
//! learned more, and a node that knows less than it does not serve.

use std::time::Duration;

use super::Hub;
use super::boarding::command;
use super::tag::Tag;
use super::turn::HubError;
use crate::route::META;
use crate::state::meta::{Level, MetaKind};

/// How often a leader proposes a level that was not taken: a node may have gone back meanwhile.
const PROPOSE_EVERY: Duration = Duration::from_secs(2);

impl Hub {
    /// Proposes what all nodes know by now.
    pub(super) fn raise_level(&mut self) {
        let level = self.machines.meta.common_level();
        if self.boot == 0 || level <= self.machines.meta.level() || !self.leading.leads(META) {
            return;
        }
        let now = self.clock.monotonic();
        if self.boarding.raised_at.is_none_or(|at| now > at + PROPOSE_EVERY) {
            self.boarding.raised_at = Some(now);
            self.proposals.push(META, command(MetaKind::Raise(Level { level })), Tag::Quiet);
        }
    }

    /// A node that knows less than the cluster does would stop in the middle of it.
    pub(super) fn check_level(&self) -> Result<(), HubError> {
        let (found, known) = (self.machines.meta.level(), self.level);
        if found > known || self.boarding.behind { Err(HubError::Level { found, known }) } else { Ok(()) }
    }
}
