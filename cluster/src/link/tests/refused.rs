//! What a link does not take: strangers, wrong names, wrong clusters, bytes that are no frames.

use std::future::Future;
use std::net::UdpSocket;

use super::super::cert;
use super::super::frame::seal;
use super::super::hello::{Hello, Purpose};
use super::*;

/// A peer made by hand: what comes of `script` on a connection to `to`, and why the connection ended.
fn raw<S, F>(certificates: &Certificates, to: SocketAddr, script: S) -> quinn::ConnectionError
where
    S: FnOnce(quinn::Connection) -> F,
    F: Future<Output = ()>,
{
    let crypto = certificates.load().expect("good certificates").client;
    raw_with(quinn::ClientConfig::new(crypto), to, script)
}

fn raw_with<S, F>(config: quinn::ClientConfig, to: SocketAddr, script: S) -> quinn::ConnectionError
where
    S: FnOnce(quinn::Connection) -> F,
    F: Future<Output = ()>,
{
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let settings = quinn::EndpointConfig::default();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let endpoint =
            quinn::Endpoint::new(settings, None, socket, Arc::new(quinn::TokioRuntime)).expect("an endpoint");
        match endpoint.connect_with(config, to, "holdfast").expect("well formed").await {
            Ok(connection) => {
                script(connection.clone()).await;
                tokio::time::timeout(PATIENCE, connection.closed()).await.expect("closed in time")
            }
            Err(error) => error,
        }
    })
}

fn code(error: &quinn::ConnectionError) -> Option<Code> {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => Code::new(close.error_code.into_inner()),
        _ => None,
    }
}

/// Says `hello`; the stream stays open, and what comes back is not looked at.
async fn greet_with(connection: &quinn::Connection, hello: &Hello) -> Option<quinn::RecvStream> {
    let (mut send, recv) = connection.open_bi().await.ok()?;
    send.write_all(&seal(hello).expect("small")).await.ok()?;
    Some(recv)
}

/// Node 2, which has a peer with id 1 that is nowhere.
fn victim(certificates: Certificates) -> (Node, UdpSocket) {
    let node = Node::open(socket(), certificates, me("cluster", 2, 1));
    let nowhere = socket();
    let address = nowhere.local_addr().expect("bound");
    node.link.set_peers(vec![Peer { node: NodeId::new(1), address: address.to_string() }]);
    (node, nowhere)
}

fn hello() -> Hello {
    Hello::new(&me("cluster", 1, 1), Purpose::Live)
}

#[test]
fn bytes_that_are_no_frames_close_with_their_code_and_hurt_nobody_else() {
    let (mut node, _nowhere) = victim(Certificates::Development);
    let large = [&[0][..], &(FRAME_BYTES_MAX as u32 + 1).to_le_bytes()].concat();
    let cases: [(Vec<u8>, Code); 8] = [
        (large, Code::TooLarge),
        (vec![0, 10, 0, 0, 0, 1, 2, 3], Code::Truncated),
        (vec![0, 10, 0], Code::Truncated),
        (vec![0, 1, 0, 0, 0, 2], Code::Version),
        (vec![0, 3, 0, 0, 0, 1, 0x78, 1], Code::Kind),
        (vec![0, 4, 0, 0, 0, 1, 0x32, 9, 0], Code::Malformed),
        (vec![9], Code::Lane),
        (vec![6, 0, 0, 0, 0], Code::Lane),
    ];
    for (bytes, wanted) in cases {
        let ended = raw(&Certificates::Development, node.link.address(), |connection| async move {
            let mut recv = greet_with(&connection, &hello()).await.expect("greeted");
            recv.read_chunk(1024, true).await.expect("a hello comes back");
            let mut stream = connection.open_uni().await.expect("a stream");
            stream.write_all(&bytes).await.expect("written");
            stream.finish().expect("open");
        });
        assert_eq!(code(&ended), Some(wanted), "{ended}");
        node.up(1);
        node.down(1);
    }
    let mut good = Node::development(1);
    node.link.set_peers(vec![good.peer()]);
    good.link.set_peers(vec![node.peer()]);
    good.up(2);
    node.up(1);
}

#[test]
fn each_wrong_hello_closes_with_its_code() {
    let (mut node, _nowhere) = victim(Certificates::Development);
    let cases = [
        (Hello { cluster_id: "other".to_owned(), ..hello() }, Code::OtherCluster),
        (Hello { protocol_min: 7, protocol_max: 9, ..hello() }, Code::Protocol),
        (Hello { node_id: 2, ..hello() }, Code::SameId),
        (Hello { node_id: 8, ..hello() }, Code::UnknownNode),
        (Hello { node_id: 0, cluster_id: String::new(), ..hello() }, Code::Blank),
        (Hello { purpose: 77, ..hello() }, Code::Kind),
        (Hello { purpose: Purpose::Bulk as i32, ..hello() }, Code::NotUp),
        (Hello { address: "x".repeat(5_000), ..hello() }, Code::TooLarge),
    ];
    for (hello, wanted) in cases {
        let ended = raw(&Certificates::Development, node.link.address(), |connection| async move {
            let _recv = greet_with(&connection, &hello).await;
            connection.closed().await;
        });
        assert_eq!(code(&ended), Some(wanted), "{ended}");
    }
    let higher = Node::development(3);
    node.link.set_peers(vec![higher.peer()]);
    let ended = raw(&Certificates::Development, node.link.address(), |connection| async move {
        let _recv = greet_with(&connection, &Hello { node_id: 3, ..hello() }).await;
        connection.closed().await;
    });
    assert_eq!(code(&ended), Some(Code::Direction), "{ended}");
    node.pump(Duration::ZERO);
    assert!(node.seen.is_empty(), "{:?}", node.seen);
}

#[test]
fn a_silent_connection_is_closed() {
    let (node, _nowhere) = victim(Certificates::Development);
    let ended = raw(&Certificates::Development, node.link.address(), |connection| async move {
        connection.closed().await;
    });
    assert_eq!(code(&ended), Some(Code::Silent), "{ended}");
}

#[test]
fn a_stranger_gets_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    cert::new(&ours, 3).expect("made");
    cert::new(&theirs, 3).expect("made");
    let (mut node, _nowhere) = victim(files(&ours, 2));
    let ask = Hello { purpose: Purpose::Ask as i32, ..hello() };
    // Neither another authority's certificate nor a self-made one: both trust anyone, and are not trusted.
    let mixed = Certificates::Files(CertFiles {
        ca: ours.join("ca.pem"),
        cert: theirs.join("node-1.pem"),
        key: theirs.join("node-1.key"),
    });
    for stranger in [mixed, Certificates::Development] {
        let ask = ask.clone();
        let ended = raw(&stranger, node.link.address(), |connection| async move {
            if let Some(mut recv) = greet_with(&connection, &ask).await {
                assert!(recv.read_chunk(1024, true).await.is_err(), "not a byte comes back");
            }
        });
        assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "refused by TLS: {ended}");
    }
    node.pump(Duration::ZERO);
    assert!(node.seen.is_empty(), "{:?}", node.seen);
    // And one without any certificate.
    let ended = raw_with(without_certificate(&ours), node.link.address(), |connection| async move {
        if let Some(mut recv) = greet_with(&connection, &ask).await {
            assert!(recv.read_chunk(1024, true).await.is_err(), "not a byte comes back");
        }
    });
    assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "refused by TLS: {ended}");
    node.pump(Duration::ZERO);
    assert!(node.seen.is_empty(), "{:?}", node.seen);
    // A member is let in by the same door.
    let mut member = Node::open(socket(), files(&ours, 1), me("cluster", 1, 1));
    acquaint(&[&node, &member]);
    member.up(2);
    node.up(1);
}

fn without_certificate(dir: &Path) -> quinn::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).expect("there")).expect("good");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = super::super::tls::OfAuthority { roots: Arc::new(roots), provider: provider.clone() };
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("known")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"holdfast-link".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("TLS 1.3");
    quinn::ClientConfig::new(Arc::new(crypto))
}

#[test]
fn a_certificate_speaks_only_for_the_node_it_names() {
    let dir = tempfile::tempdir().expect("a folder");
    cert::new(dir.path(), 3).expect("made");
    let (mut one, mut two) = (
        Node::open(socket(), files(dir.path(), 3), me("cluster", 1, 1)),
        Node::open(socket(), files(dir.path(), 2), me("cluster", 2, 1)),
    );
    acquaint(&[&one, &two]);
    two.complained("closed: the certificate does not name this node");
    one.complained("closed by the other end: the certificate does not name this node");
    let (mut one, mut two) = (
        Node::open(socket(), files(dir.path(), 1), me("cluster", 1, 1)),
        Node::open(socket(), files(dir.path(), 3), me("cluster", 2, 1)),
    );
    acquaint(&[&one, &two]);
    one.complained("closed: the certificate does not name this node");
    two.pump(Duration::ZERO);
    assert!(!two.seen.iter().any(|item| matches!(item, Incoming::Frame { .. })));
}

#[test]
fn nodes_of_two_clusters_stay_apart_and_say_so() {
    let mut one = Node::development(1);
    let mut two = Node::open(socket(), Certificates::Development, me("another", 2, 1));
    acquaint(&[&one, &two]);
    two.complained("closed: the nodes belong to different clusters");
    one.complained("closed by the other end: the nodes belong to different clusters");
}

#[test]
fn of_two_nodes_with_one_id_the_second_is_refused() {
    let (mut one, mut two) = pair();
    let twin = Me { node_uuid: "another".to_owned(), ..me("cluster", 1, 9) };
    let mut twin = Node::open(socket(), Certificates::Development, twin);
    twin.link.set_peers(vec![two.peer()]);
    twin.complained("closed by the other end: two nodes have the same node id");
    two.link.send(NodeId::new(1), Lane::Rpc, &app("still")).expect("up");
    assert_eq!(one.frame(), (2, Bytes::from_static(b"still")));
    two.pump(Duration::ZERO);
    assert!(two.seen.is_empty(), "{:?}", two.seen);
}

#[test]
fn a_later_life_of_another_directory_ends_nothing_by_a_knock() {
    let (mut one, mut two) = pair();
    let twin = Me { node_uuid: "another".to_owned(), ..me("cluster", 2, 9) };
    let mut twin = Node::open(socket(), Certificates::Development, twin);
    twin.link.set_peers(vec![one.peer()]);
    twin.complained("closed by the other end: two nodes have the same node id");
    one.link.send(NodeId::new(2), Lane::Rpc, &app("still")).expect("up");
    assert_eq!(two.frame(), (1, Bytes::from_static(b"still")));
    one.pump(Duration::ZERO);
    assert!(one.seen.is_empty(), "{:?}", one.seen);
}

#[test]
fn an_earlier_life_does_not_replace_a_later_one() {
    let mut node = Node::development(2);
    let mut late = Node::open(socket(), Certificates::Development, me("cluster", 1, 5));
    acquaint(&[&node, &late]);
    node.up(1);
    late.up(2);
    let ended = raw(&Certificates::Development, node.link.address(), |connection| async move {
        let _recv = greet_with(&connection, &hello()).await;
        connection.closed().await;
    });
    assert_eq!(code(&ended), Some(Code::Stale), "{ended}");
}
