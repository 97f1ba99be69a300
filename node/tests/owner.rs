//! An owner of a session as its worker plays it: the fences that it puts up against earlier owners, and how it
//! makes way for a later one.
//!
//! No sockets and no hub: the test answers what the worker asks.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use common::wire::{Connect, Message};
use holdfast_node::board::{Board, Lead};
use holdfast_node::codec::Qos;
use holdfast_node::mail::{Batch, ConnectionKey, Event, Live, Refused, Request, RetainedPage};
use holdfast_node::metrics::Counters;
use holdfast_node::record::{Fence, Records};
use holdfast_node::route::{Partition, Route};
use holdfast_node::state::changes::Changes;
use holdfast_node::state::session::op::Kind;
use holdfast_node::state::session::{Outcome, Sessions};
use holdfast_node::worker::{Now, Outgoing, Place, Settings, Tally, Worker};

const FENCES: [Fence; 2] = [Fence { node: 4, boot: 9 }, Fence { node: 5, boot: 1 }];

/// A worker, and the session group that it asks.
struct Desk {
    worker: Worker,
    sessions: Sessions,
    route: Route,
    board: Arc<Board>,
    key: ConnectionKey,
    /// What the session group and the hub were told, and nobody waits for.
    told: Vec<String>,
}

impl Desk {
    /// A 5.0 client is connected; `fences` are those that its CONNECT was answered with.
    fn connected(connect: Connect<'_>, fences: &[Fence]) -> Self {
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
        let key = worker.accept("127.0.0.1:9".parse().expect("an address"));
        let mut desk = Self { worker, sessions: Sessions::new(1), route, board, key, told: Vec::new() };
        desk.says(&connect.bytes(5));
        desk.answer(fences);
        assert_eq!(desk.heard()[0], common::wire::CONNACK);
        desk
    }

    fn says(&mut self, bytes: &[u8]) {
        assert_eq!(self.worker.input(self.key, bytes), bytes.len());
    }

    /// What the client got since the last call.
    fn heard(&mut self) -> Vec<u8> {
        self.worker.conn(self.key).map(|conn| std::mem::take(&mut conn.out)).unwrap_or_default()
    }

    fn publishes(&mut self, topic: &str, qos: u8, id: u16) {
        self.says(&Message::new(topic, qos, b"x").id(id).bytes(5));
    }

    /// Commits what the session group was asked, until nothing more is asked; the publishes that left.
    fn answer(&mut self, fences: &[Fence]) -> Vec<Batch> {
        let mut batches = Vec::new();
        loop {
            let mut out = Outgoing::default();
            self.worker.settle(&mut out);
            if out.requests.is_empty() {
                return batches;
            }
            for request in out.requests {
                match request {
                    Request::Publish(batch) => batches.push(batch),
                    Request::Session { from, op, .. } => {
                        let event = match self.sessions.apply(0, &op, &mut Changes::default()) {
                            Outcome::Attached(mut attached) => {
                                assert!(attached.fences.is_empty(), "whoever answers says which");
                                attached.fences = fences.to_vec();
                                Event::Attached(from.connection, attached)
                            }
                            outcome => Event::SessionDone {
                                connection: from.connection,
                                tag: from.tag,
                                outcome: Ok(outcome),
                            },
                        };
                        self.worker.event(event);
                    }
                    Request::Note { op, .. } => match *op {
                        Kind::Detach(detach) => self.told.push(format!("detach {}", detach.epoch)),
                        Kind::Window(op) => self.told.push(format!("window live={}", op.window.live)),
                        other => panic!("{other:?}"),
                    },
                    Request::Interest(_) => {}
                    Request::Barrier(from, _) => {
                        let (connection, tag, starts) = (from.connection, from.tag, Arc::from([0; 4]));
                        self.worker.event(Event::Started { connection, tag, starts });
                    }
                    Request::Retained(scan) => {
                        let (connection, tag) = (scan.from.connection, scan.from.tag);
                        let page = RetainedPage { connection, tag, hits: Vec::new(), next: None };
                        self.worker.event(Event::Retained(Box::new(page)));
                    }
                    Request::Released(released) => {
                        self.told.push(format!("released window={}", released.window.is_some()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Publishes to a topic and gives what its record carries.
    fn carries(&mut self, topic: &str, qos: u8, id: u16) -> Vec<Fence> {
        self.publishes(topic, qos, id);
        let batches = self.answer(&[]);
        let [batch] = &batches[..] else { panic!("{batches:?}") };
        let records: Vec<_> = Records::bare(&batch.bytes).collect();
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!(record.topic, topic);
        assert!(record.fences.is_empty() || batch.flags.stateful());
        record.fences.iter().collect()
    }

    /// What was told since the last call.
    fn told(&mut self) -> Vec<String> {
        self.answer(&[]);
        std::mem::take(&mut self.told)
    }

    /// Records that were routed at this time arrive; whether the client gets something.
    fn gets(&mut self, bytes: &[u8], stamp: u64) -> bool {
        self.board.sent(0, bytes.len());
        let (partition, bytes) = (Partition::new(0), bytes.to_vec().into());
        let terms = Arc::default();
        self.worker.event(Event::Live(Live { partition, lead: Lead::ALONE, count: 1, bytes, stamp, terms }));
        self.answer(&[]);
        !self.heard().is_empty()
    }

    fn settled(&mut self, topic: &str, refused: Option<Refused>) {
        let partition = self.route.partition(topic);
        self.worker.event(Event::Settled { partition, count: 1, refused });
    }
}

/// A topic of another partition than `topic`.
fn elsewhere(topic: &str) -> String {
    let route = Route::new(4, 1);
    let other = |name: &String| -> bool {
        let partition: Partition = route.partition(name);
        partition != route.partition(topic)
    };
    (0..).map(|number| format!("t{number}")).find(other).expect("there are four partitions")
}

#[test]
fn each_partition_gets_the_fences_with_the_first_publish() {
    let mut desk = Desk::connected(Connect::clean("c"), &FENCES);
    let other = elsewhere("a");
    assert_eq!(desk.carries("a", 1, 1), FENCES);
    // The first is not settled, so it may yet be refused.
    assert_eq!(desk.carries("a", 1, 2), FENCES);
    desk.settled("a", None);
    assert_eq!(desk.carries("a", 1, 3), []);
    assert_eq!(desk.carries(&other, 2, 4), FENCES);
    desk.settled(&other, None);
    assert_eq!(desk.carries(&other, 1, 5), []);
}

#[test]
fn a_refused_publish_has_put_up_nothing() {
    let mut desk = Desk::connected(Connect::clean("c"), &FENCES);
    assert_eq!(desk.carries("a", 1, 1), FENCES);
    desk.settled("a", Some(Refused::Full));
    assert_eq!(desk.carries("a", 1, 2), FENCES);
    desk.settled("a", None);
    assert_eq!(desk.carries("a", 1, 3), []);
}

#[test]
fn a_message_that_may_be_a_repeat_is_not_relied_on() {
    let mut desk = Desk::connected(Connect::durable("c"), &FENCES);
    for id in 1..3 {
        assert_eq!(desk.carries("a", 2, id), FENCES, "it is left out if it repeats, with what it carries");
        desk.settled("a", None);
    }
    assert_eq!(desk.carries("a", 1, 9), FENCES);
    desk.settled("a", None);
    assert_eq!(desk.carries("a", 2, 3), []);
}

#[test]
fn a_retained_qos_0_message_carries_the_fences_and_a_live_one_does_not() {
    let mut desk = Desk::connected(Connect::clean("c"), &FENCES);
    desk.publishes("a", 0, 0);
    assert!(desk.answer(&[]).is_empty(), "it does not go through the log");
    desk.says(&Message::new("a", 0, b"x").retained().bytes(5));
    let batches = desk.answer(&[]);
    let record = Records::bare(&batches[0].bytes).next().unwrap();
    assert_eq!((record.qos, record.fences.iter().collect::<Vec<_>>()), (Qos::AtMostOnce, FENCES.to_vec()));
}

#[test]
fn without_a_takeover_nothing_is_carried() {
    let mut desk = Desk::connected(Connect::durable("c"), &[]);
    assert_eq!(desk.carries("a", 1, 1), []);
    assert_eq!(desk.carries("a", 2, 2), []);
}

#[test]
fn mqtt_3_1_4_3_an_owner_behind_a_fence_acknowledges_nothing_and_is_closed() {
    for qos in [1, 2] {
        let mut desk = Desk::connected(Connect::durable("c"), &[]);
        desk.publishes("a", qos, 1);
        desk.publishes("a", qos, 2);
        assert_eq!(desk.answer(&[])[0].count, 2);
        desk.settled("a", Some(Refused::Fenced));
        let heard = desk.heard();
        assert_eq!(heard, [common::wire::DISCONNECT, 1, 0x8e], "{heard:x?}");
        // What comes after it is for nobody, whatever it says.
        desk.settled("a", None);
        assert!(desk.heard().is_empty() && desk.worker.conn(desk.key).unwrap().closing());
    }
}

#[test]
fn the_end_of_a_connection_is_told_behind_its_publishes() {
    let mut desk = Desk::connected(Connect::durable("c"), &[]);
    let other = elsewhere("a");
    for (topic, qos, id) in [("a", 1, 1), (&other, 2, 2), ("a", 1, 3)] {
        desk.publishes(topic, qos, id);
    }
    desk.answer(&[]);
    desk.settled("a", None);
    desk.worker.remove(desk.key);
    // What it has received is kept at once, so that it does not follow the tail while it is no longer there.
    assert_eq!(desk.told(), ["window live=false"]);
    desk.settled(&other, None);
    assert_eq!(desk.told(), [""; 0]);
    desk.settled("a", Some(Refused::Full));
    assert_eq!(desk.told(), ["detach 1"]);
}

#[test]
fn the_end_of_a_connection_with_nothing_under_way_is_told_at_once() {
    let mut desk = Desk::connected(Connect::durable("c"), &[]);
    desk.publishes("a", 1, 1);
    desk.answer(&[]);
    desk.settled("a", None);
    desk.worker.remove(desk.key);
    assert_eq!(desk.told(), ["detach 1"]);
}

#[test]
fn an_old_owner_lets_go_when_nothing_of_it_is_under_way() {
    for closed_before in [false, true] {
        let mut desk = Desk::connected(Connect::durable("c"), &[]);
        desk.says(&Message::new("a", 0, b"x").retained().bytes(5));
        desk.publishes("a", 1, 1);
        desk.answer(&[]);
        if closed_before {
            desk.worker.remove(desk.key);
        }
        desk.worker.event(Event::Fence { connection: desk.key, client_id: "c".into(), taken_over: true });
        assert_eq!(desk.told(), ["window live=false"]);
        desk.settled("a", None);
        assert_eq!(desk.told(), [""; 0]);
        desk.settled("a", Some(Refused::Fenced));
        assert_eq!(desk.told(), ["detach 1", "released window=true"]);
    }
}

#[test]
fn a_worker_that_stops_waits_for_what_is_under_way() {
    let mut desk = Desk::connected(Connect::durable("c"), &[]);
    desk.publishes("a", 1, 1);
    desk.answer(&[]);
    desk.worker.event(Event::Stop);
    desk.worker.remove(desk.key);
    desk.answer(&[]);
    assert!(!desk.worker.ended());
    desk.settled("a", None);
    assert!(!desk.worker.ended(), "the end of the connection is still to be told");
    assert_eq!(desk.told(), ["window live=false", "detach 1"]);
    assert!(desk.worker.ended());
}

#[test]
fn qos_0_that_was_routed_before_a_connect_is_not_for_the_session_that_it_began() {
    let mut desk = Desk::connected(Connect::clean("c"), &[]);
    desk.says(&common::wire::subscribe(5, 1, "a", 0));
    desk.publishes("a", 1, 1);
    let batches = desk.answer(&[]);
    assert_eq!(desk.heard()[0], common::wire::SUBACK);
    let connected = desk.worker.now;
    assert!(!desk.gets(&batches[0].bytes, connected.wall - 1), "it was for whoever was there then");
    assert!(desk.gets(&batches[0].bytes, connected.wall));
    // Nothing is under way for so long: the clock of its router is wrong.
    desk.worker.now = Now { monotonic: connected.monotonic + 10_000, wall: connected.wall + 10_000 };
    assert!(desk.gets(&batches[0].bytes, connected.wall - 1));
}
