//! Links on loopback: what arrives, what is refused, what survives a death.

use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use bytes::Bytes;
use holdfast_log::GroupId;

use super::*;

mod pressure;
mod refused;
mod rotation;

/// Long enough for a loaded machine; a test that passes does not wait for it.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    link: Link,
    bell: Arc<(Mutex<bool>, Condvar)>,
    seen: Vec<Incoming>,
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a port")
}

fn me(cluster: &str, node: u64, incarnation: u64) -> Me {
    Me {
        identity: Some((cluster.to_owned(), NodeId::new(node))),
        node_uuid: format!("uuid of {node}"),
        incarnation,
        address: String::new(),
    }
}

fn files(dir: &Path, node: u16) -> Certificates {
    Certificates::Files(CertFiles {
        ca: dir.join("ca.pem"),
        cert: dir.join(format!("node-{node}.pem")),
        key: dir.join(format!("node-{node}.key")),
    })
}

impl Node {
    fn open(socket: UdpSocket, certificates: Certificates, me: Me) -> Self {
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let rings = bell.clone();
        let wake: Wake = Arc::new(move || {
            *rings.0.lock().expect("no panic") = true;
            rings.1.notify_all();
        });
        let certificates_check = Duration::from_millis(20);
        let config = LinkConfig { socket, certificates, certificates_check, seed: me.incarnation, me };
        Self { link: Link::open(config, wake).expect("opened"), bell, seen: Vec::new() }
    }

    fn development(node: u64) -> Self {
        Self::open(socket(), Certificates::Development, me("cluster", node, 1))
    }

    fn peer(&self) -> Peer {
        let node = self.link.shared.me().identity.expect("not blank").1;
        Peer { node, address: self.link.address().to_string() }
    }

    /// Waits for an item of which `wanted` says yes; everything before it is forgotten.
    fn wait(&mut self, what: &str, wanted: impl Fn(&Incoming) -> bool) -> Incoming {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.iter().position(&wanted) {
                return self.seen.drain(..=at).next_back().expect("it is the last of these");
            }
            assert!(Instant::now() < end, "{what} did not come");
            self.pump(Duration::from_millis(100));
        }
    }

    fn pump(&mut self, patience: Duration) {
        {
            let rung = self.bell.0.lock().expect("no panic");
            let (mut rung, _) =
                self.bell.1.wait_timeout_while(rung, patience, |rung| !*rung).expect("no panic");
            *rung = false;
        }
        self.link.take(&mut self.seen);
    }

    /// Waits for the node and returns which life of it came.
    fn up(&mut self, wanted: u64) -> u64 {
        let came = |item: &Incoming| matches!(item, Incoming::Up { node, .. } if node.get() == wanted);
        match self.wait("up", came) {
            Incoming::Up { incarnation, .. } => incarnation,
            other => panic!("not {other:?}"),
        }
    }

    fn down(&mut self, wanted: u64) {
        self.wait("down", |item| matches!(item, Incoming::Down { node } if node.get() == wanted));
    }

    /// The next frame of any peer.
    fn frame(&mut self) -> (u64, Bytes) {
        match self.wait("a frame", |item| matches!(item, Incoming::Frame { .. })) {
            Incoming::Frame { from, frame: Frame::App(bytes) } => (from.get(), bytes),
            other => panic!("not {other:?}"),
        }
    }

    fn answer(&mut self, wanted: u64) -> Option<Bytes> {
        let came = |item: &Incoming| matches!(item, Incoming::Answer { token, .. } if *token == wanted);
        match self.wait("an answer", came) {
            Incoming::Answer { answer: Ok(Frame::App(bytes)), .. } => Some(bytes),
            Incoming::Answer { answer: Err(_), .. } => None,
            other => panic!("not {other:?}"),
        }
    }

    fn asked(&mut self, wanted: &str) -> Reply {
        match self.wait("a question", |item| matches!(item, Incoming::Ask { .. })) {
            Incoming::Ask { frame: Frame::App(bytes), reply, .. } if bytes == wanted => reply,
            other => panic!("not {other:?}"),
        }
    }

    /// Waits until the link has complained of anything.
    fn complained_of_anything(&mut self) {
        self.complained("");
    }

    /// Waits until the link has complained of this.
    fn complained(&mut self, what: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.link.shared.said(what) {
            assert!(Instant::now() < end, "no word of: {what}");
            self.pump(Duration::from_millis(5));
        }
        let ups = self.seen.iter().filter(|item| matches!(item, Incoming::Up { .. })).count();
        assert_eq!(ups, 0, "connected all the same");
    }
}

fn acquaint(nodes: &[&Node]) {
    for node in nodes {
        node.link.set_peers(nodes.iter().map(|other| other.peer()).collect());
    }
}

fn pair() -> (Node, Node) {
    let (mut one, mut two) = (Node::development(1), Node::development(2));
    acquaint(&[&one, &two]);
    one.up(2);
    two.up(1);
    (one, two)
}

fn app(bytes: impl Into<Bytes>) -> Frame {
    Frame::App(bytes.into())
}

const LANES: [Lane; SLOTS] = [
    Lane::Control,
    Lane::Append(GroupId::new(4)),
    Lane::Append(GroupId::new(7)),
    Lane::Rpc,
    Lane::Feed,
    Lane::Live,
    Lane::Bulk,
];

#[test]
fn three_nodes_exchange_frames_in_order_on_every_lane() {
    let mut nodes: Vec<_> = (1..=3).map(Node::development).collect();
    acquaint(&nodes.iter().collect::<Vec<_>>());
    for node in &mut nodes {
        // The order in which the two others come is open.
        let end = Instant::now() + PATIENCE;
        while node.link.figures().iter().filter(|peer| peer.up).count() < 2 {
            assert!(Instant::now() < end, "not all are up: {:?}", node.link.figures());
            node.pump(Duration::from_millis(20));
        }
    }
    for from in 1..=3_u64 {
        for to in (1..=3_u64).filter(|to| *to != from) {
            for number in 0..50_u8 {
                for lane in LANES {
                    let bytes = vec![lane.slot() as u8, number];
                    nodes[from as usize - 1].link.send(NodeId::new(to), lane, &app(bytes)).expect("room");
                }
            }
        }
    }
    for node in &mut nodes {
        let mut next = [[0_u8; SLOTS]; 4];
        let want = 2 * SLOTS * 50;
        for _ in 0..want {
            let (from, bytes) = node.frame();
            let expected = &mut next[from as usize][usize::from(bytes[0])];
            assert_eq!(bytes[1], *expected, "slot {} of n{from}", bytes[0]);
            *expected += 1;
        }
        let figures = node.link.figures();
        assert_eq!(figures.len(), 2);
        assert!(
            figures.iter().all(|peer| peer.up
                && peer.rtt.is_some()
                && peer.window_bytes > 0
                && peer.sent_packets > 0
                && peer.sent_bytes > 0),
            "{figures:?}"
        );
    }
}

#[test]
fn a_killed_node_comes_back_as_a_new_life_from_either_end() {
    for dies in [1_u64, 2] {
        let stays = 3 - dies;
        let (mut dying, mut staying) = (Node::development(dies), Node::development(stays));
        acquaint(&[&dying, &staying]);
        assert_eq!(staying.up(dies), 1);
        dying.up(stays);
        let address = dying.link.address();
        let before = staying.link.figures().remove(0);
        dying.link.kill();
        let end = Instant::now() + PATIENCE;
        let socket = loop {
            match UdpSocket::bind(address) {
                Ok(socket) => break socket,
                Err(error) => assert!(Instant::now() < end, "the port stays taken: {error}"),
            }
        };
        // Only its next life tells the one that stays: no connection ends by being idle here.
        let mut back = Node::open(socket, Certificates::Development, me("cluster", dies, 2));
        back.link.set_peers(vec![staying.peer()]);
        staying.down(dies);
        assert_eq!(staying.up(dies), 2);
        back.up(stays);
        staying.link.send(NodeId::new(dies), Lane::Rpc, &app("again")).expect("up");
        assert_eq!(back.frame(), (stays, Bytes::from_static(b"again")));
        let after = staying.link.figures().remove(0);
        assert!(after.sent_packets > before.sent_packets, "{before:?} then {after:?}");
    }
}

#[test]
fn a_node_that_stops_is_down_at_once() {
    let (mut one, two) = pair();
    drop(two);
    // No connection ends by being idle here.
    one.down(2);
    assert_eq!(one.link.send(NodeId::new(2), Lane::Rpc, &app("x")), Err(Unsent::Away));
    assert_eq!(one.link.send(NodeId::new(9), Lane::Rpc, &app("x")), Err(Unsent::Away));
}

#[test]
fn a_removed_peer_is_closed_and_stays_away() {
    let (mut one, mut two) = pair();
    one.link.set_peers(Vec::new());
    one.down(2);
    two.down(1);
    two.complained("closed by the other end: the node is not a member");
}

#[test]
fn anyone_can_be_asked_and_so_can_oneself() {
    let blank = Me { identity: None, ..me("", 0, 1) };
    let mut blank = Node::open(socket(), Certificates::Development, blank);
    let mut member = Node::development(1);
    let token = blank.link.ask(member.link.address().to_string(), app("who?"));
    member.asked("who?").send(app("me"));
    assert_eq!(blank.answer(token), Some(Bytes::from_static(b"me")));
    let token = blank.link.ask(blank.link.address().to_string(), app("hello, me"));
    blank.asked("hello, me").send(app("hello"));
    assert_eq!(blank.answer(token), Some(Bytes::from_static(b"hello")));
    let nobody = socket();
    let token = blank.link.ask(nobody.local_addr().expect("bound").to_string(), app("?"));
    assert_eq!(blank.answer(token), None);
    let token = blank.link.ask(member.link.address().to_string(), app("no?"));
    drop(member.asked("no?"));
    assert_eq!(blank.answer(token), None);
}

#[test]
fn a_blank_node_that_gets_its_identity_connects() {
    let blank = Me { identity: None, ..me("", 0, 7) };
    let mut blank = Node::open(socket(), Certificates::Development, blank);
    let mut member = Node::development(2);
    let address = blank.link.address();
    member.link.set_peers(vec![Peer { node: NodeId::new(1), address: address.to_string() }]);
    blank.link.set_peers(vec![member.peer()]);
    blank.link.identify("cluster".to_owned(), NodeId::new(1));
    assert_eq!(member.up(1), 7);
    blank.up(2);
}

#[test]
fn the_development_identity_stays_on_loopback() {
    let node = Node::development(1);
    let address = "192.0.2.1:7883".to_owned();
    node.link.set_peers(vec![Peer { node: NodeId::new(2), address }]);
    assert_eq!(node.link.figures(), [], "not even a peer");
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let config = LinkConfig {
        socket,
        certificates: Certificates::Development,
        certificates_check: CERTIFICATES_CHECK,
        me: me("cluster", 1, 1),
        seed: 1,
    };
    let refused = Link::open(config, Arc::new(|| {})).err();
    assert!(matches!(refused, Some(LinkError::Tls(TlsError::NotLoopback(_)))), "{refused:?}");
}

#[test]
fn a_frame_beyond_the_bound_is_not_sent() {
    let (one, _two) = pair();
    let large = app(vec![0; FRAME_BYTES_MAX]);
    assert_eq!(one.link.send(NodeId::new(2), Lane::Bulk, &large), Err(Unsent::Large));
}

#[test]
fn the_bulk_connection_is_made_on_demand_and_again_when_it_was_lost() {
    let (one, mut two) = pair();
    let connections = || one.link.shared.endpoint.open_connections();
    let end = Instant::now() + PATIENCE;
    while connections() != 1 {
        assert!(Instant::now() < end, "{} connections before any bulk", connections());
        two.pump(Duration::from_millis(5));
    }
    one.link.send(NodeId::new(2), Lane::Bulk, &app("first")).expect("up");
    assert_eq!(two.frame(), (1, Bytes::from_static(b"first")));
    assert_eq!(connections(), 2);
    one.link.set_peers(Vec::new());
    two.down(1);
    acquaint(&[&one, &two]);
    two.up(1);
    let end = Instant::now() + PATIENCE;
    while one.link.send(NodeId::new(2), Lane::Bulk, &app("second")).is_err() {
        assert!(Instant::now() < end, "it stays away");
        two.pump(Duration::from_millis(5));
    }
    assert_eq!(two.frame(), (1, Bytes::from_static(b"second")));
}
