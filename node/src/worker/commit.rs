//! Committing cursors and windows of durable sessions: in batches by the clock, and at once where a QoS 2 packet
//! waits for it.
//!
//! A session that is caught up follows its worker's tail vector. Invariant: a tail vector is committed only after
//! every session that received something and still owes for it has a window of its own committed, and before
//! any session that returns to following it.

use super::{Conn, Worker};
use crate::mail::{ConnectionKey, From, Request};
use crate::route::Cover;
use crate::session::Step;
use crate::state::session::op::{Kind, Tail, WindowOp};
use crate::state::session::record::Window;

/// Tag of the commit of a window; its number is in the low bits.
pub(super) const TAG_WINDOW: u64 = 5 << 60;
/// Milliseconds between commits of windows that nobody waits for: a crash repeats at most that much QoS 1.
const WINDOW_EVERY: u64 = 100;
/// Milliseconds between commits of tail vectors.
const TAIL_EVERY: u64 = 500;

impl Worker {
    /// Something of a session changed that its session group should know.
    pub(super) fn touch(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        let key = conn.key(slot);
        let Some(session) = conn.session().filter(|session| session.durable()) else { return };
        let commit = &mut session.outbound.commit;
        commit.dirty = true;
        if !commit.listed {
            commit.listed = true;
            self.uncommitted.push(key);
        }
        if commit.urgent || session.outbound.wants_reserve() {
            session.outbound.commit.urgent = true;
            self.urgent.push(key);
        }
    }

    /// End of turn: commits that a packet waits for.
    pub(super) fn settle_commits(&mut self) {
        for key in std::mem::take(&mut self.urgent) {
            let Some(session) = self.conn(key).and_then(Conn::session) else { continue };
            if session.outbound.commit.urgent && !session.outbound.commit.unread {
                self.commit_window(key, true);
            }
        }
    }

    /// Commits by the clock.
    pub(super) fn commit_by_clock(&mut self) {
        if self.now.monotonic < self.committed_at + WINDOW_EVERY {
            return;
        }
        self.committed_at = self.now.monotonic;
        let mut live = Vec::new();
        for key in std::mem::take(&mut self.uncommitted) {
            let Some(session) = self.conn(key).and_then(Conn::session) else { continue };
            session.outbound.commit.listed = false;
            if !session.outbound.commit.dirty || session.outbound.commit.unread {
                continue;
            }
            if session.outbound.caught_up() {
                live.push(key);
            } else {
                self.commit_window(key, true);
            }
        }
        let by_clock = self.tails.moved && self.now.monotonic >= self.tails_at + TAIL_EVERY;
        if by_clock {
            self.tails_at = self.now.monotonic;
            self.tails.moved = false;
        }
        self.commit_tails(&live, by_clock);
        for key in live {
            let session = self.open(key);
            if session.outbound.commit.live && !session.outbound.wants_reserve() {
                // It follows the tail as it did; what came and went in between needs no record.
                session.outbound.commit.dirty = false;
            } else {
                self.commit_window(key, false);
            }
        }
    }

    /// Tail vectors: of all groups by the clock, else of those where a session returns to following it.
    fn commit_tails(&mut self, live: &[ConnectionKey], all: bool) {
        let mut wanted = vec![false; self.durables.len()];
        if all {
            for (wanted, durables) in wanted.iter_mut().zip(&self.durables) {
                *wanted = *durables > 0;
            }
        }
        for key in live {
            if !self.open(*key).outbound.commit.live {
                wanted[self.group_index(*key)] = true;
            }
        }
        let groups = self.place.route.all_session_groups();
        for (group, _) in groups.zip(wanted).filter(|(_, wanted)| *wanted) {
            let tail = Tail { node: self.place.node, worker: self.place.worker, next: self.tails.all_next() };
            self.out.requests.push(Request::Note { group, op: Box::new(Kind::Tail(tail)) });
        }
    }

    fn commit_window(&mut self, key: ConnectionKey, own: bool) {
        let window = self.window(key, own);
        let worker = self.place.worker;
        let session = self.open(key);
        let commit = &mut session.outbound.commit;
        commit.sent += 1;
        commit.dirty = false;
        commit.urgent = false;
        commit.live = window.live;
        commit.reserving = Some((commit.sent, window.reserved));
        let tag = TAG_WINDOW | commit.sent;
        let op =
            Kind::Window(WindowOp { client_id: session.client_id.to_string(), epoch: session.epoch, window });
        let (group, from) = (session.group, From { worker, connection: key, tag });
        self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
    }

    /// Cursor and window as they are now. `own`: with positions even when it is caught up.
    pub(super) fn window(&mut self, key: ConnectionKey, own: bool) -> Window {
        let read = self.partitions_read(key);
        let conn = &mut self.conns[key.slot as usize];
        let session = conn.session().expect("the caller has looked");
        let tails = &self.tails;
        session.outbound.record(read.into_iter(), |partition| tails.next(partition), own)
    }

    /// Partitions that a session's filters cover.
    pub(super) fn partitions_read(&mut self, key: ConnectionKey) -> Vec<u16> {
        let route = self.place.route;
        let session = self.conns[key.slot as usize].session().expect("the caller has looked");
        let mut read = Vec::new();
        for subscription in session.plain_subscriptions() {
            match route.covers(subscription.plain()) {
                Cover::All => return (0..route.partitions()).collect(),
                Cover::One(partition) => read.push(partition.get()),
            }
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    /// A commit is done: the packets that waited for it leave.
    pub(super) fn window_committed(&mut self, key: ConnectionKey, number: u64) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let outbound = &mut session.outbound;
        outbound.commit.done = outbound.commit.done.max(number);
        if let Some((at, reserved)) = outbound.commit.reserving
            && at <= number
        {
            outbound.reserved = outbound.reserved.max(reserved);
            outbound.commit.reserving = None;
        }
        let ready: Vec<(u16, Step)> = outbound
            .flights()
            .filter(|flight| match flight.step {
                Step::Committing(at) | Step::Releasing(at) => at <= number,
                _ => false,
            })
            .map(|flight| (flight.packet_id, flight.step))
            .collect();
        for (packet_id, step) in ready {
            self.step_on(key, packet_id, step);
        }
        self.pull_later(key.slot);
    }

    fn step_on(&mut self, key: ConnectionKey, packet_id: u16, step: Step) {
        match step {
            Step::Committing(_) => self.send_flight(key, packet_id, false),
            Step::Releasing(_) => {
                if let Some(flight) = self.open(key).outbound.by_id(packet_id) {
                    flight.step = Step::Released;
                }
                let id = holdfast_codec::PacketId::new(packet_id).expect("a flight has one");
                self.pubrel_out(key, id, holdfast_codec::ReasonCode::Success);
            }
            Step::Published | Step::Released | Step::Settling => {}
        }
    }
}
