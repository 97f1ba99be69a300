//! A connected MQTT session, without its socket: what came in and is not acknowledged, what went out and is not
//! finished, what it subscribes to. Pure: no IO, no clock, no chance.

mod inbound;
mod outbound;
mod fencing;
mod alias;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use holdfast_codec::{Qos, SubscribeOptions, Version};
use holdfast_log::GroupId;

use crate::route::Partition;
use crate::state::session::record::Position;
pub use alias::{AliasesIn, AliasesOut};
pub use fencing::Fencing;
pub use inbound::{Ack, Arrival, Held, Inbound, Pending};
pub use outbound::{Flight, Lag, Outbound, OwedJob, Source, Step};

/// A session that a connection owns.
#[derive(Debug)]
pub struct Session {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Hash of the client id, as records carry it.
    pub publisher: u64,
    /// Its session group.
    pub group: GroupId,
    /// Owner epoch.
    pub epoch: u64,
    /// Incarnation of the session.
    pub incarnation: u64,
    /// Version the client speaks.
    pub version: Version,
    /// Session Expiry Interval, seconds; 0: ends with the connection.
    pub expiry: u32,
    /// Fences that it still has to put up.
    pub fencing: Option<Box<Fencing>>,
    /// It was resumed, so its session group holds what it has received and owes.
    pub resumed: bool,
    /// Largest packet the client takes, bytes.
    pub packet_max: u32,
    /// Subscriptions; a freed place is used again.
    pub subscriptions: Vec<Option<Subscription>>,
    /// SUBSCRIBEs and UNSUBSCRIBEs that are not answered.
    pub asking: u16,
    /// From the client.
    pub inbound: Inbound,
    /// To the client.
    pub outbound: Outbound,
    /// Subscriptions and positions of a resumed session until they are put in place.
    pub resuming: Option<Box<(Vec<Subscription>, Vec<Position>)>>,
    /// Topic aliases that the client set.
    pub aliases_in: AliasesIn,
    /// Topic aliases that we set.
    pub aliases_out: Option<Box<AliasesOut>>,
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Topic Filter as the client wrote it, with `$share/name/` when shared.
    pub filter: Arc<str>,
    /// Where the filter itself begins.
    pub filter_at: usize,
    /// Options.
    pub options: SubscribeOptions,
    /// Subscription Identifier.
    pub id: Option<u32>,
    /// Nothing below these offsets, one for each partition, is delivered.
    pub starts: Arc<[u64]>,
}

impl Subscription {
    /// The filter without the share.
    pub fn plain(&self) -> &str {
        &self.filter[self.filter_at..]
    }

    /// Is it shared?
    pub fn shared(&self) -> bool {
        self.filter_at > 0
    }

    /// Largest QoS it may deliver.
    pub fn qos(&self) -> Qos {
        self.options.qos
    }
}

impl Session {
    /// Does its session group keep its subscriptions, cursor and QoS 2 states? Those of a session that was resumed
    /// stay committed even if it now ends with its connection.
    pub fn durable(&self) -> bool {
        self.expiry > 0 || self.resumed
    }

    /// The fences that a record for this partition carries, if any.
    pub fn carried(&self, partition: Partition) -> Option<Rc<[[u8; 16]]>> {
        self.fencing.as_ref().and_then(|fencing| fencing.carried(partition))
    }

    /// The place of a subscription with exactly this filter.
    pub fn place_of(&self, filter: &str) -> Option<usize> {
        self.subscriptions.iter().position(|place| place.as_ref().is_some_and(|sub| &*sub.filter == filter))
    }

    /// Adds a subscription; where it was put.
    pub fn add(&mut self, subscription: Subscription) -> usize {
        match self.subscriptions.iter().position(Option::is_none) {
            Some(place) => {
                self.subscriptions[place] = Some(subscription);
                place
            }
            None => {
                self.subscriptions.push(Some(subscription));
                self.subscriptions.len() - 1
            }
        }
    }

    /// Subscriptions that are not shared.
    pub fn plain_subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().flatten().filter(|subscription| !subscription.shared())
    }
}
