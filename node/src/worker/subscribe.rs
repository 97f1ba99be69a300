//! SUBSCRIBE and UNSUBSCRIBE. MQTT 5.0, 3.8 to 3.11.
//!
//! A subscription first asks the hub where the partitions stand; from there on it takes part in delivery. SUBACK
//! follows when that is so, and for a durable session when its session group has it. Retained messages come after
//! SUBACK, those published below that point, so that none is missed and none comes twice.

use std::sync::Arc;

use holdfast_codec::{
    ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeOptions, TopicFilter, UnsubAck, Unsubscribe,
    Version,
};

use super::{Close, Conn, Worker};
use crate::mail::{ConnectionKey, From, Refused, Request};
use crate::route::Cover;
use crate::session::{OwedJob, Subscription};
use crate::state::session::op::{self, Kind};
use crate::state::session::record::{self, Position};

/// Tag of a barrier and of the commit of a SUBSCRIBE or UNSUBSCRIBE; the number of the request is in the low bits.
pub(super) const TAG_SUBSCRIBE: u64 = 3 << 60;
/// Tag of a barrier of a resumed session.
pub(super) const TAG_RESUME: u64 = 4 << 60;

/// A SUBSCRIBE or UNSUBSCRIBE on its way.
#[derive(Debug)]
pub(super) struct Asking {
    packet_id: holdfast_codec::PacketId,
    reasons: Vec<ReasonCode>,
    kind: Asked,
    /// Commits that are still to come.
    commits: usize,
    /// The dispatchers of its shared subscriptions have been told.
    telling: bool,
}

#[derive(Debug)]
enum Asked {
    Subscribe {
        wanted: Vec<Wanted>,
        added: Vec<Arc<str>>,
        owed: Vec<OwedJob>,
        /// Shared subscriptions to join when the session has them.
        joining: Vec<Subscription>,
        /// Shared subscriptions whose dispatchers are to know the member.
        unconfirmed: Vec<Arc<str>>,
    },
    Unsubscribe,
}

/// One filter of a SUBSCRIBE that may be granted.
#[derive(Debug)]
struct Wanted {
    subscription: Subscription,
    /// Place of its reason code.
    at: usize,
}

impl Asking {
    /// The filters that wait to be put in place.
    fn take_wanted(&mut self) -> Vec<Wanted> {
        match &mut self.kind {
            Asked::Subscribe { wanted, .. } => std::mem::take(wanted),
            Asked::Unsubscribe => Vec::new(),
        }
    }
}

impl Worker {
    pub(super) fn subscribe(&mut self, key: ConnectionKey, packet: &Subscribe<'_>) -> Result<(), Close> {
        let mut reasons = Vec::with_capacity(packet.filters.len());
        let mut wanted = Vec::new();
        for (at, (filter, options)) in packet.filters.iter().enumerate() {
            match filter {
                Ok(filter) => {
                    reasons.push(granted(options));
                    let subscription = subscription(filter, *options, packet.subscription_id);
                    wanted.push(Wanted { subscription, at });
                }
                Err(_) => reasons.push(ReasonCode::TopicFilterInvalid),
            }
        }
        self.limit(key, &mut wanted, &mut reasons);
        let cover = self.cover(&wanted);
        wanted.iter().for_each(|wanted| self.want_plain(&wanted.subscription));
        let number = self.next_request();
        let kind = Asked::Subscribe {
            wanted,
            added: Vec::new(),
            owed: Vec::new(),
            joining: Vec::new(),
            unconfirmed: Vec::new(),
        };
        let request = Asking { packet_id: packet.packet_id, reasons, kind, commits: 0, telling: false };
        self.open(key).asking += 1;
        self.requests.insert((key, number), request);
        let tag = TAG_SUBSCRIBE | number;
        let from = From { worker: self.place.worker, connection: key, tag };
        self.tell_wants();
        self.out.requests.push(Request::Barrier(from, cover));
        Ok(())
    }

    /// The partitions that all of these filters together read.
    fn cover(&self, wanted: &[Wanted]) -> Cover {
        let mut covers = wanted.iter().map(|wanted| self.place.route.covers(wanted.subscription.plain()));
        let first = covers.next().unwrap_or(Cover::All);
        if covers.all(|cover| cover == first) { first } else { Cover::All }
    }

    /// Nobody can tell where a partition stands: the subscriptions are refused, and may be asked for again.
    pub(super) fn not_started(&mut self, key: ConnectionKey, tag: u64) {
        if tag == TAG_RESUME {
            return self.close(key, Close::Ours(ReasonCode::ServerBusy));
        }
        let number = tag & !TAG_SUBSCRIBE;
        let Some(request) = self.requests.get_mut(&(key, number)) else { return };
        for reason in request.reasons.iter_mut().filter(|reason| !reason.is_error()) {
            *reason = ReasonCode::ImplementationSpecificError;
        }
        for wanted in request.take_wanted() {
            self.unwant_plain(&wanted.subscription);
        }
        self.subscription_committed(key, number, None);
    }

    /// A session holds only so many subscriptions.
    fn limit(&mut self, key: ConnectionKey, wanted: &mut Vec<Wanted>, reasons: &mut [ReasonCode]) {
        let maximum = self.settings.subscriptions_max;
        let session = self.open(key);
        let mut count = session.subscriptions.iter().flatten().count();
        wanted.retain(|wanted| {
            count += usize::from(session.place_of(&wanted.subscription.filter).is_none());
            if count > maximum {
                reasons[wanted.at] = ReasonCode::QuotaExceeded;
            }
            count <= maximum
        });
    }

    /// Nobody will answer what was asked.
    pub(super) fn forget_requests(&mut self) {
        for (_, mut request) in std::mem::take(&mut self.requests) {
            for wanted in request.take_wanted() {
                self.unwant_plain(&wanted.subscription);
            }
        }
    }

    fn next_request(&mut self) -> u64 {
        self.request = (self.request + 1) & 0xffff_ffff;
        self.request
    }

    /// Everything below `starts` has been handed out before, everything from there on comes.
    pub(super) fn started(&mut self, key: ConnectionKey, tag: u64, starts: &Arc<[u64]>) {
        if tag == TAG_RESUME {
            self.resumed(key, starts);
            return;
        }
        let number = tag & !TAG_SUBSCRIBE;
        let Some(mut request) = self.requests.remove(&(key, number)) else { return };
        if self.conn(key).and_then(Conn::session).is_none() {
            for wanted in request.take_wanted() {
                self.unwant_plain(&wanted.subscription);
            }
            return;
        }
        let Asked::Subscribe { wanted, added, owed, joining, .. } = &mut request.kind else { return };
        let mut ops = Vec::new();
        for wanted in std::mem::take(wanted) {
            let subscription = Subscription { starts: Arc::clone(starts), ..wanted.subscription };
            let existed = self.put(key, subscription.clone());
            if !existed {
                added.push(Arc::clone(&subscription.filter));
            }
            if subscription.shared() {
                joining.push(subscription.clone());
            } else if retained_wanted(&subscription, existed) {
                owed.push(OwedJob::new(Arc::clone(&subscription.filter), starts.to_vec()));
            }
            ops.push(self.recorded(&subscription, starts));
        }
        let tag = TAG_SUBSCRIBE | number;
        request.commits = self.commit_subscriptions(key, tag, ops, owed);
        self.requests.insert((key, number), request);
        self.subscription_committed(key, number, None);
    }

    /// Puts a subscription, which is wanted, into the session and the trie. Was it there before?
    pub(super) fn put(&mut self, key: ConnectionKey, subscription: Subscription) -> bool {
        let shared = subscription.shared();
        let filter = Arc::clone(&subscription.filter);
        let plain_at = subscription.filter_at;
        let session = self.open(key);
        let place = session.place_of(&filter);
        let at = match place {
            Some(at) => {
                // Replaced: what the old one is still to receive is not lost, so its starts stay.
                let starts =
                    session.subscriptions[at].take().map_or(subscription.starts.clone(), |old| old.starts);
                session.subscriptions[at] = Some(Subscription { starts, ..subscription });
                at
            }
            None => session.add(subscription),
        };
        let plain = &filter[plain_at..];
        match (shared, place) {
            (true, _) => {}
            (false, Some(_)) => {
                self.matching.replace(plain, key.slot, at);
                self.unwant(plain);
            }
            (false, None) => {
                self.matching.insert(plain, key.slot, at);
                self.show_interest();
            }
        }
        place.is_some()
    }

    fn recorded(&self, subscription: &Subscription, starts: &[u64]) -> record::Subscription {
        let covers = self.place.route.covers(subscription.plain());
        let starts = (0u16..).zip(starts).filter_map(|(number, next)| {
            let partition = crate::route::Partition::new(number);
            covers.contains(partition).then_some(Position { partition: u32::from(number), next: *next })
        });
        record::Subscription {
            filter: subscription.filter.to_string(),
            options: u32::from(subscription.options.to_u8()),
            id: subscription.id.unwrap_or(0),
            starts: starts.collect(),
        }
    }

    /// Commits what must be: the subscriptions of a durable session, and shared ones of any.
    fn commit_subscriptions(
        &mut self,
        key: ConnectionKey,
        tag: u64,
        ops: Vec<record::Subscription>,
        owed: &[OwedJob],
    ) -> usize {
        let from = From { worker: self.place.worker, connection: key, tag };
        let session = self.open(key);
        let durable = session.durable();
        let ops: Vec<_> = ops.into_iter().filter(|op| durable || op.filter.starts_with("$share/")).collect();
        if ops.is_empty() {
            return 0;
        }
        {
            let op = Kind::Subscribe(op::Subscribe {
                client_id: session.client_id.to_string(),
                epoch: session.epoch,
                subscriptions: ops,
                owed: if durable { owed.iter().map(OwedJob::record).collect() } else { Vec::new() },
            });
            let group = session.group;
            self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
        }
        1
    }

    /// One of the commits is done; after the last one the client is told.
    pub(super) fn subscription_committed(
        &mut self,
        key: ConnectionKey,
        number: u64,
        refused: Option<Refused>,
    ) {
        let Some(request) = self.requests.get_mut(&(key, number)) else { return };
        if refused.is_some() {
            for reason in request.reasons.iter_mut().filter(|reason| !reason.is_error()) {
                *reason = ReasonCode::QuotaExceeded;
            }
            if let Asked::Subscribe { added, owed, joining, .. } = &mut request.kind {
                owed.clear();
                joining.clear();
                let added = std::mem::take(added);
                if self.conn(key).and_then(Conn::session).is_some() {
                    for filter in added {
                        self.take(key, &filter);
                    }
                }
            }
        }
        if self.join_on(key, number) {
            return;
        }
        let Some(request) = self.requests.remove(&(key, number)) else { return };
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        session.asking -= 1;
        let version = session.version;
        let conn = &mut self.conns[key.slot as usize];
        if conn.stalled
            && let Some(waker) = &conn.waker
        {
            waker.wake_by_ref();
        }
        let session = conn.session().expect("just seen");
        match request.kind {
            Asked::Subscribe { owed, .. } => {
                let suback = SubAck::new(request.packet_id, before_v5(request.reasons, version));
                let owes = !owed.is_empty();
                session.outbound.owed.extend(owed);
                self.write(key, |out| suback.encode(version, out));
                if owes {
                    self.touch(key.slot);
                    self.pull_later(key.slot);
                }
            }
            Asked::Unsubscribe => {
                let unsuback = UnsubAck::new(request.packet_id, request.reasons);
                self.write(key, |out| unsuback.encode(version, out));
            }
        }
    }

    /// The next step of a request with shared subscriptions: its session has them, their groups know the member, and
    /// then their dispatchers do. `true`: it waits for something.
    fn join_on(&mut self, key: ConnectionKey, number: u64) -> bool {
        let Some(request) = self.requests.get_mut(&(key, number)) else { return true };
        let Asked::Subscribe { joining, unconfirmed, .. } = &mut request.kind else {
            return request.commits > 0;
        };
        if request.commits > 0 {
            return true;
        }
        if !joining.is_empty() {
            let joining = std::mem::take(joining);
            request.commits = joining.len();
            *unconfirmed = joining.iter().map(|share| Arc::clone(&share.filter)).collect();
            for share in joining {
                self.join_share(key, &share, number, TAG_SUBSCRIBE | number);
            }
            return true;
        }
        if request.telling {
            return !unconfirmed.is_empty();
        }
        request.telling = true;
        let session = self.conns.get_mut(key.slot as usize).and_then(Conn::session);
        // What was unsubscribed meanwhile has no member to tell of.
        unconfirmed.retain(|share| session.as_ref().is_some_and(|session| session.place_of(share).is_some()));
        let shares = unconfirmed.clone();
        for share in &shares {
            self.register(key, share);
        }
        !shares.is_empty()
    }

    /// The dispatcher of a shared subscription knows a member here, or there is none any more.
    pub(super) fn confirmed(&mut self, key: ConnectionKey, share: &str) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        if session.asking == 0 {
            return;
        }
        let mut told = Vec::new();
        for ((of, number), request) in &mut self.requests {
            if let (true, true, Asked::Subscribe { unconfirmed, .. }) =
                (*of == key, request.telling, &mut request.kind)
            {
                unconfirmed.retain(|one| **one != *share);
                told.push(*number);
            }
        }
        told.sort_unstable();
        for number in told {
            self.subscription_committed(key, number, None);
        }
    }

    /// A commit of a SUBSCRIBE or UNSUBSCRIBE is done.
    pub(super) fn request_committed(&mut self, key: ConnectionKey, number: u64, refused: Option<Refused>) {
        if let Some(request) = self.requests.get_mut(&(key, number)) {
            request.commits -= 1;
        }
        self.subscription_committed(key, number, refused);
    }

    pub(super) fn unsubscribe(&mut self, key: ConnectionKey, packet: &Unsubscribe<'_>) -> Result<(), Close> {
        let mut reasons = Vec::with_capacity(packet.filters.len());
        let mut gone = Vec::new();
        let mut shared = false;
        for filter in &packet.filters {
            let valid = TopicFilter::parse(filter, &self.settings.limits).is_some();
            let removed = self.take(key, filter);
            shared |= removed && filter.starts_with("$share/");
            reasons.push(match (removed, valid) {
                (true, _) => ReasonCode::Success,
                (false, true) => ReasonCode::NoSubscriptionExisted,
                (false, false) => ReasonCode::TopicFilterInvalid,
            });
            if removed {
                gone.push((*filter).to_owned());
            }
        }
        let number = self.next_request();
        let worker = self.place.worker;
        let session = self.open(key);
        session.outbound.owed.retain(|owed| !gone.iter().any(|gone| **gone == *owed.filter));
        let commits = usize::from((session.durable() || shared) && !gone.is_empty());
        if commits > 0 {
            let op = Kind::Unsubscribe(op::Unsubscribe {
                client_id: session.client_id.to_string(),
                epoch: session.epoch,
                filters: gone,
                number,
            });
            let group = session.group;
            let from = From { worker, connection: key, tag: TAG_SUBSCRIBE | number };
            self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
        }
        self.open(key).asking += 1;
        let kind = Asked::Unsubscribe;
        let request = Asking { packet_id: packet.packet_id, reasons, kind, commits, telling: false };
        self.requests.insert((key, number), request);
        self.subscription_committed(key, number, None);
        Ok(())
    }

    /// Takes a subscription out of the session and the trie. Was it there?
    fn take(&mut self, key: ConnectionKey, filter: &str) -> bool {
        let session = self.open(key);
        let Some(place) = session.place_of(filter) else { return false };
        let subscription = session.subscriptions[place].take().expect("just found");
        if subscription.shared() {
            self.leave_share(key, &subscription.filter);
            self.confirmed(key, &subscription.filter);
        } else {
            self.matching.remove(subscription.plain(), key.slot, place);
            self.unwant(subscription.plain());
            self.show_interest();
        }
        true
    }
}

fn granted(options: &SubscribeOptions) -> ReasonCode {
    match options.qos.get() {
        0 => ReasonCode::GRANTED_QOS_0,
        1 => ReasonCode::GrantedQos1,
        _ => ReasonCode::GrantedQos2,
    }
}

/// 3.x knows one failure. MQTT 3.1.1, 3.9.3.
fn before_v5(mut reasons: Vec<ReasonCode>, version: Version) -> Vec<ReasonCode> {
    if version < Version::V5 {
        for reason in reasons.iter_mut().filter(|reason| reason.is_error()) {
            *reason = ReasonCode::UnspecifiedError;
        }
    }
    reasons
}

pub(super) fn subscription(
    filter: &TopicFilter<'_>,
    options: SubscribeOptions,
    id: Option<u32>,
) -> Subscription {
    Subscription {
        filter: filter.as_str().into(),
        filter_at: filter.as_str().len() - filter.filter().len(),
        options,
        id,
        starts: Arc::from([]),
    }
}

/// MQTT 5.0, 3.8.3.1: Retain Handling. A shared subscription gets none. MQTT 5.0, 4.8.2.
fn retained_wanted(subscription: &Subscription, existed: bool) -> bool {
    match subscription.options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => !existed,
        RetainHandling::DoNotSend => false,
    }
}
