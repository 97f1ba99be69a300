//! A dispatcher as the hub and its members see it.

use std::sync::atomic::AtomicUsize;

use holdfast_codec::Qos;

use super::*;
use crate::board::{Board, Lead};
use crate::mail::{Event, Live, Request, ShareFlush, ShareMember};
use crate::metrics::Counters;
use crate::record::Record;
use crate::route::{Partition, Route};
use crate::state::session::op::{Assignment, ShareWindow};
use crate::worker::{Now, Outgoing, Place, Settings, Tally, Worker};

const SHARE: &str = "$share/crew/a";
const OWNER: Owner = Owner { node: 1, boot: 1, worker: 0, connection: 7 };
const TERM: u64 = 3;

/// A worker whose node has begun to dispatch.
struct Desk {
    worker: Worker,
    board: Arc<Board>,
}

impl Desk {
    fn new() -> Self {
        let route = Route::new(4, 1);
        let board = Arc::new(Board::new(route, 1, true));
        let place = Place {
            worker: 0,
            workers: 1,
            node: 1,
            boot: 1,
            route,
            board: Arc::clone(&board),
            greeted: Arc::new(AtomicUsize::new(0)),
        };
        let mut worker = Worker::new(place, Arc::new(Settings::default()), Tally::new(Counters::new()));
        worker.now = Now { monotonic: 1_000, wall: 50_000 };
        let group = route.session_group(SHARE);
        worker.event(Event::FeedStarted(Arc::from([9; 4])));
        worker.event(Event::ShareTenure(group, TERM));
        worker.event(Event::ShareOpen(group, TERM));
        Self { worker, board }
    }

    fn settle(&mut self) -> Outgoing {
        let mut out = Outgoing::default();
        out.peers.push(Vec::new());
        self.worker.settle(&mut out);
        out
    }

    /// The window that is to be committed.
    fn flush(&mut self) -> (Option<ShareFlush>, Vec<Event>) {
        let mut out = self.settle();
        let flush = out.requests.drain(..).find_map(|request| match request {
            Request::ShareFlush(flush) => Some(*flush),
            _ => None,
        });
        (flush, out.peers.swap_remove(0))
    }

    fn done(&mut self, offset: u64, window: Option<&ShareWindow>) {
        if let Some(window) = window {
            self.worker.event(Event::ShareBegun(Box::new(window.clone())));
        }
        self.worker.event(Event::ShareDone {
            share: SHARE.into(),
            client_id: "diver".into(),
            done: (0, offset),
            settle: Some(Box::new(OWNER)),
        });
    }
}

fn window(offset: u64) -> ShareWindow {
    let assignment = Assignment { partition: 0, offset, client_id: "diver".into(), incarnation: 5 };
    ShareWindow {
        share: SHARE.into(),
        assignments: vec![assignment],
        term: TERM - 1,
        ..ShareWindow::default()
    }
}

fn member() -> ShareMember {
    ShareMember {
        share: SHARE.into(),
        client_id: "diver".into(),
        incarnation: 5,
        owner: OWNER,
        options: u32::from(SubscribeOptions::new(Qos::ExactlyOnce).to_u8()),
        id: 0,
        capacity: 10,
        held: Vec::new(),
        term: TERM,
        epoch: 5,
    }
}

#[test]
fn what_is_finished_before_its_member_is_known_is_recorded_before_it_is_settled() {
    let mut desk = Desk::new();
    desk.done(4, Some(&window(4)));
    let (flush, told) = desk.flush();
    let flush = flush.expect("somebody waits for it");
    assert!(flush.window.assignments.is_empty() && flush.window.term == TERM);
    assert!(!told.iter().any(|event| matches!(event, Event::ShareSettled { .. })), "{told:?}");
    desk.worker.event(Event::ShareFlushed(flush.tag));
    let (_, told) = desk.flush();
    assert!(matches!(told[..], [Event::ShareSettled { done: (0, 4), .. }]), "{told:?}");
    // The member comes, has nothing in hand, and gets nothing again.
    desk.worker.event(Event::ShareMember(Box::new(member())));
    let (_, told) = desk.flush();
    assert!(matches!(told[..], [Event::ShareJoined { .. }]), "{told:?}");
}

#[test]
fn what_is_finished_where_nobody_subscribes_any_more_is_settled_at_once() {
    let mut desk = Desk::new();
    desk.done(4, None);
    let (flush, told) = desk.flush();
    assert!(flush.is_none() && matches!(told[..], [Event::ShareSettled { .. }]), "{told:?}");
}

#[test]
fn an_owner_that_lost_its_session_does_not_take_its_successors_place() {
    let mut desk = Desk::new();
    let window = ShareWindow { share: SHARE.into(), ..ShareWindow::default() };
    desk.worker.event(Event::ShareBegun(Box::new(window)));
    let stale = Owner { node: 2, ..OWNER };
    for (owner, epoch) in [(OWNER, 6), (stale, 5)] {
        desk.worker.event(Event::ShareMember(Box::new(ShareMember { owner, epoch, ..member() })));
    }
    desk.settle();
    let share = desk.worker.shares.named(SHARE).expect("it has begun");
    let members = &desk.worker.shares.at(share).members;
    assert!(matches!(&members[..], [member] if member.owner == OWNER), "{members:?}");
}

#[test]
fn qos_0_is_given_by_who_began_before_it_was_routed_and_dispatches_for_its_router() {
    let mut desk = Desk::new();
    desk.worker
        .event(Event::ShareBegun(Box::new(ShareWindow { share: SHARE.into(), ..ShareWindow::default() })));
    desk.worker.event(Event::ShareMember(Box::new(member())));
    desk.settle();
    let began = desk.worker.now.wall;
    let mut gives = |stamp, terms: &[u64]| {
        let mut bytes = Vec::new();
        Record { qos: Qos::AtMostOnce, ..Record::sample("a", b"x") }.encode(&mut bytes);
        desk.board.sent(0, bytes.len());
        let (partition, bytes) = (Partition::new(0), bytes.into());
        desk.worker.event(Event::Live(Live {
            partition,
            lead: Lead::ALONE,
            count: 1,
            bytes,
            stamp,
            terms: terms.into(),
        }));
        let (_, told) = desk.flush();
        told.iter().any(|event| matches!(event, Event::Assign(_)))
    };
    assert!(!gives(began - 1, &[]), "the dispatcher before this one gave it, or nobody");
    assert!(gives(began, &[]));
    assert!(gives(began, &[TERM]));
    assert!(!gives(began, &[TERM + 1]), "this node stood still, and another one dispatches by now");
    assert!(!gives(began, &[TERM - 1]), "its router knows of the dispatcher before, which gives it");
}
