//! Events from the hub, the reader and other workers.

use holdfast_codec::ReasonCode;
use holdfast_log::GroupId;

use super::ack::TAG_RELEASE;
use super::commit::TAG_WINDOW;
use super::once::TAG_INTENTS;
use super::share::TAG_JOIN;
use super::subscribe::TAG_SUBSCRIBE;
use super::{Close, Conn, Phase, Worker};
use crate::mail::{ConnectionKey, Event, Refused};
use crate::metrics::Connect;
use crate::state::session::Outcome;

/// The kind of a tag is in its upper four bits.
const TAG_KIND: u64 = 0xf << 60;

impl Worker {
    /// Handles one event.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Entry(partition, entry) => self.entry(partition, entry),
            Event::FeedStarted(next) => self.tails.start(&next),
            Event::Settled { partition, count, refused } => self.settled(partition, count, refused),
            Event::Attached(key, attached) => self.attached(key, &attached),
            Event::Superseded(key) => self.close(key, Close::Ours(ReasonCode::SessionTakenOver)),
            Event::SessionDone { connection, tag, outcome } => self.session_done(connection, tag, outcome),
            Event::Started { connection, tag, starts } => self.started(connection, tag, &starts),
            Event::NotStarted { connection, tag } => self.not_started(connection, tag),
            Event::Boot(boot) => self.booted(boot),
            Event::GroupLost(group) => self.group_lost(group),
            Event::Retained(page) => self.retained_page(*page),
            Event::Fence { connection, client_id, taken_over } => {
                self.fence(connection, client_id, taken_over)
            }
            Event::Hear { connection, by } => self.hear(connection, by),
            Event::Read(answer) => self.read_answer(*answer),
            Event::Live(live) => self.live(&live),
            Event::ShareTenure(group, term) => self.share_tenure(group, term),
            Event::ShareOpen(group, term) => self.share_opened(group, term),
            Event::ShareCall { group, node, term } => self.share_called(group, node, term),
            Event::ShareBegun(window) => self.share_begun(&window),
            Event::ShareMember(member) => self.share_member(&member),
            Event::ShareGone(gone) => self.share_gone(&gone),
            Event::ShareLeft { share, client_id } => self.share_left(&share, &client_id),
            Event::ShareLost { node, boot } => self.share_lost(node, boot),
            Event::ShareClosed(share) => self.share_closed(&share),
            Event::ShareFlushed(tag) => self.share_flushed(tag),
            Event::Assign(assign) => self.assigned(assign),
            Event::ShareDone { share, client_id, done, settle } => {
                self.share_finished(&share, &client_id, done, settle.map(|owner| *owner));
            }
            Event::ShareJoined { connection, share } => self.share_joined(connection, share),
            Event::ShareSettled { connection, done } => self.share_settled(connection, done),
            Event::Subscriptions(gather) => gather.add(self.subscription_views()),
            Event::Accepted(..) => unreachable!("the driver takes connections in"),
            Event::Stop => self.stop(),
        }
    }

    fn session_done(&mut self, key: ConnectionKey, tag: u64, outcome: Result<Outcome, Refused>) {
        let refused = outcome.as_ref().err().copied();
        if matches!(outcome, Ok(Outcome::Stale)) {
            // Another owner's epoch is committed: this connection may do nothing more.
            self.close(key, Close::Ours(ReasonCode::SessionTakenOver));
            return;
        }
        let low = tag & !TAG_KIND;
        match tag & TAG_KIND {
            TAG_INTENTS => self.intents_committed(key),
            TAG_RELEASE => self.released(key, u16::try_from(low).expect("a packet identifier")),
            TAG_SUBSCRIBE => self.request_committed(key, low, refused),
            TAG_JOIN => self.joined_again(key, low),
            TAG_WINDOW => self.window_committed(key, low),
            _ => {}
        }
    }

    fn fence(&mut self, key: ConnectionKey, client_id: String, taken_over: bool) {
        if !taken_over {
            self.close(key, Close::Ours(ReasonCode::AdministrativeAction));
            return;
        }
        self.let_go(key, client_id);
    }

    fn subscription_views(&self) -> Vec<crate::admin::Subscription> {
        let mut views = Vec::new();
        for (_, conn) in &self.conns {
            let Phase::Open(session) = &conn.phase else { continue };
            views.extend(session.subscriptions.iter().flatten().filter_map(|subscription| {
                let options = subscription.options.to_u8();
                let (client_id, filter) = (&session.client_id, &subscription.filter);
                crate::admin::Subscription::of(client_id, filter, options, subscription.id)
            }));
        }
        views
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.close_those(|_| true, ReasonCode::ServerShuttingDown);
    }

    fn close_those(&mut self, which: impl Fn(&Conn) -> bool, reason: ReasonCode) {
        let keys = self.conns.iter().filter(|(_, conn)| which(conn));
        let keys: Vec<ConnectionKey> =
            keys.map(|(slot, conn)| conn.key(u32::try_from(slot).expect("few"))).collect();
        for key in keys {
            self.close(key, Close::Ours(reason));
        }
    }

    /// Another node may have taken over what this one has not heard of.
    fn group_lost(&mut self, group: GroupId) {
        let of = |conn: &Conn| matches!(&conn.phase, Phase::Open(session) if session.group == group);
        self.close_those(of, ReasonCode::UseAnotherServer);
    }

    /// The node serves under another boot, or under none: what was under way is answered by nobody.
    fn booted(&mut self, boot: u64) {
        if self.place.boot == boot {
            return;
        }
        self.close_those(|_| true, ReasonCode::UseAnotherServer);
        self.place.boot = boot;
        for batch in &mut self.batches {
            let waiting = std::mem::take(&mut batch.waiting);
            self.outstanding -= waiting.iter().map(|waiting| waiting.bytes as usize).sum::<usize>();
            *batch = Default::default();
        }
        self.touched.clear();
        self.forget_requests();
        // The boot is closed, which says more than that they have let go.
        self.leaving.clear();
        self.refusals = 0;
    }

    /// Looks at the clocks: keep alive, deadlines of CONNECT, commits.
    pub fn tick(&mut self) {
        let second = self.second();
        if second > self.swept_at {
            self.swept_at = second;
            self.free_buffers();
        }
        let mut due = Vec::new();
        self.wheel.turn(second, &mut due);
        for key in due {
            let Some(conn) = self.conn(key) else { continue };
            if conn.session().is_none() {
                self.counters.connect(Connect::Timeout);
                self.close(key, Close::Lost);
                continue;
            }
            let (heard_at, silence_max) = (conn.heard_at, conn.silence_max);
            if silence_max == 0 {
                continue;
            }
            // Strictly more than one and a half times Keep Alive, which whole seconds cannot cut short.
            if second > heard_at + silence_max {
                self.close(key, Close::Ours(ReasonCode::KeepAliveTimeout));
            } else {
                self.wheel.set(key, heard_at + silence_max + 1);
            }
        }
        self.commit_by_clock();
        self.counters.publish();
    }
}
