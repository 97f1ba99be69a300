//! Nodes that found a cluster, and what keeps them from it: each message, exit code and file.

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, link_addresses};
use common::{Home, Node, ask};

const MISUSED: i32 = 2;

/// An address for TCP that was free a moment ago.
fn tcp_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn exit_code(node: &mut Node) -> (Option<i32>, String) {
    let code = node.exit().code();
    (code, node.trace.text())
}

/// Waits for a line of the trace with all these words.
fn says(node: &Node, words: &[&str]) {
    let found = node.trace.wait(|line| words.iter().all(|word| line.contains(word)));
    assert!(found.is_some(), "no line with {words:?} in: {}", node.trace.text());
}

fn certificates(dir: &Path, nodes: &str) {
    let made = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["cert", "new", "--nodes", nodes, "--out"])
        .arg(dir)
        .output()
        .expect("the program");
    assert!(made.status.success());
}

/// Settings with the certificate of `node`, from the authority in `of`.
fn with_certificate(home: &Home, of: &Path, node: u64) {
    let file = |name: &str| of.join(name).display().to_string();
    let [ca, cert, key] = ["ca.pem".to_owned(), format!("node-{node}.pem"), format!("node-{node}.key")];
    let tls = format!("ca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n", file(&ca), file(&cert), file(&key));
    home.configure(&format!("session_groups = 2\nworkers = 1\npartitions = 2\n[cluster.tls]\n{tls}"));
}

#[test]
fn a_seed_that_never_comes_is_named_and_a_stop_ends_the_wait() {
    let mut cluster = Cluster::new(3, &[]);
    let absent = cluster.links[2].clone();
    for number in 0..2 {
        let (mqtt, http) = (tcp_address(), tcp_address());
        let mut args = cluster.args(number);
        args.extend(["--mqtt".to_owned(), mqtt.to_string(), "--http".to_owned(), http.to_string()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut node = cluster.home(number).spawn(&args);
        node.http = http;
        says(&node, &["seeds have not answered", &absent, "all must be up"]);
        assert!(ask(&node, "/healthz").starts_with("HTTP/1.1 200"));
        let text = ask(&node, "/readyz");
        assert!(text.starts_with("HTTP/1.1 503") && text.contains(&absent), "{text}");
        assert!(TcpStream::connect(mqtt).is_err(), "nobody is let in before it serves");
        assert!(!cluster.home(number).data().join("FOUNDING").exists(), "nothing is promised");
        node.signal("-TERM");
        let began = Instant::now();
        let (code, text) = exit_code(&mut node);
        assert_eq!(code, Some(0), "{text}");
        assert!(began.elapsed() < Duration::from_secs(20), "a stop does not wait for the seed");
    }
    // Nothing of that hinders the founding later.
    cluster.start_all();
}

#[test]
fn founders_that_disagree_end_and_say_in_what() {
    let cases: [(&str, [&[&str]; 2]); 3] = [
        ("--partitions", [&["--partitions", "4"], &["--partitions", "5"]]),
        ("--replicas", [&["--replicas", "3"], &["--replicas", "2"]]),
        ("--node-id 7", [&["--node-id", "7"], &["--node-id", "7"]]),
    ];
    for (what, args) in cases {
        let cluster = Cluster::new(2, &[]);
        let mut nodes: Vec<Node> = (0..2)
            .map(|number| {
                let own = cluster.args(number);
                let args: Vec<&str> =
                    own.iter().map(String::as_str).chain(args[number].iter().copied()).collect();
                cluster.home(number).spawn(&args)
            })
            .collect();
        for node in &mut nodes {
            let (code, text) = exit_code(node);
            assert_eq!(code, Some(MISUSED), "{text}");
            assert!(text.contains(what) && cluster.links.iter().all(|link| text.contains(link)), "{text}");
        }
        for number in 0..2 {
            assert!(!cluster.home(number).data().join("IDENTITY").exists(), "nothing is founded");
        }
        drop(cluster);
    }
    // A longer list, and a shorter one that is part of it.
    let links = link_addresses(3);
    let lists = [links.join(","), links[..2].join(",")];
    let homes = [Home::new(), Home::new()];
    let mut nodes: Vec<Node> = (0..2)
        .map(|number| homes[number].spawn(&["--seeds", &lists[number], "--cluster", &links[number]]))
        .collect();
    for node in &mut nodes {
        let (code, text) = exit_code(node);
        assert_eq!(code, Some(MISUSED), "{text}");
        assert!(text.contains("--seeds (only ") && text.contains(&links[2]), "{text}");
    }
}

#[test]
fn a_directory_that_belongs_elsewhere_is_refused() {
    let home = Home::new();
    home.start().stop();
    let links = link_addresses(2);
    let (code, text) = home.fails(&["--seeds", &links.join(","), "--cluster", &links[0]]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("belongs to a cluster of one"), "{text}");

    let mut cluster = Cluster::three();
    cluster.kill(2);
    let mut args = cluster.args(2);
    // The disk is lost: under its old name it would vote with amnesia.
    let new = Home::new();
    args.extend(["--node-id".to_owned(), "3".to_owned()]);
    let borrowed: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, text) = new.fails(&borrowed);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("number 3 belongs to another directory") && text.contains("above 3"), "{text}");
    // Another number than the directory's.
    *args.last_mut().expect("a number") = "9".to_owned();
    let borrowed: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, text) = cluster.home(2).fails(&borrowed);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("belongs to node 3, not to node 9"), "{text}");
    // What counted at the founding is kept, whatever is said later.
    cluster.start(2);
}

#[test]
fn a_node_of_another_cluster_is_kept_out_and_says_why() {
    let mut first = Cluster::new(2, &["--partitions", "2"]);
    let homes = [Home::new(), Home::new()];
    first.start_all();
    for number in 0..2 {
        first.kill(number);
    }
    // Another cluster is founded under the same addresses.
    let args = [first.args(0), first.args(1)];
    let mut second: Vec<Node> = (0..2)
        .map(|number| homes[number].spawn(&args[number].iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    for node in &mut second {
        node.wait_ready();
    }
    second.remove(0).kill();
    let other = first.links[1].clone();
    let stranger = first.spawn(0);
    says(stranger, &["the nodes belong to different clusters"]);
    says(&second[0], &["the nodes belong to different clusters"]);
    let (code, text) = exit_code(stranger);
    assert_eq!(code, Some(MISUSED), "{text}");
    assert!(text.contains("this directory belongs to cluster") && text.contains(&other), "{text}");
    assert!(!text.contains(" ready "), "{text}");
}

#[test]
fn a_directory_that_is_used_again_among_other_seeds_is_refused() {
    let mut first = Cluster::new(2, &["--partitions", "2"]);
    first.start_all();
    for number in 0..2 {
        first.stop(number);
    }
    let links = link_addresses(3);
    let homes = [Home::new(), Home::new()];
    let mut others: Vec<Node> = (0..2)
        .map(|number| homes[number].spawn(&["--seeds", &links[..2].join(","), "--cluster", &links[number]]))
        .collect();
    others.iter_mut().for_each(Node::wait_ready);
    let (code, text) = first.home(0).fails(&["--seeds", &links[..2].join(","), "--cluster", &links[2]]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("this directory belongs to cluster"), "{text}");
    assert!(links[..2].iter().any(|link| text.contains(link)), "{text}");
}

#[test]
fn a_second_directory_with_the_number_of_a_node_that_lives_is_kept_out() {
    let mut cluster = Cluster::three();
    cluster.stop(2);
    let twin = Home::new();
    let copied =
        Command::new("cp").arg("-r").arg(cluster.home(2).data()).arg(twin.data()).status().expect("cp");
    assert!(copied.success());
    let file = twin.data().join("IDENTITY");
    let text = std::fs::read_to_string(&file).expect("read");
    let line = text.lines().find(|line| line.contains("node_uuid")).expect("it has one").to_owned();
    std::fs::write(&file, text.replace(&line, "\"node_uuid\": \"of another\",")).expect("written");
    cluster.start(2);
    let link = link_addresses(1).remove(0);
    let mut args = cluster.args(2);
    let at = args.iter().position(|arg| arg == "--cluster").expect("given") + 1;
    args[at].clone_from(&link);
    let mut second = twin.spawn(&args.iter().map(String::as_str).collect::<Vec<_>>());
    says(&second, &["two nodes have the same node id"]);
    // The one that was there first goes on.
    cluster.wait_well();
    let mut client = cluster.node(2).clean(5, "client");
    client.store("kelp", b"deep");
    assert!(!second.trace.text().contains(" ready "), "{}", second.trace.text());
    second.signal("-TERM");
    assert_eq!(second.exit().code(), Some(0));
}

#[test]
fn with_certificates_each_node_has_its_number_and_a_stranger_gets_nowhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    certificates(&ours, "2");
    certificates(&theirs, "2");
    let mut cluster = Cluster::new(2, &[]);
    // The higher address has the lower number: the certificate says so.
    with_certificate(cluster.home(0), &ours, 2);
    let (of_another, without) = (Home::new(), Home::new());
    with_certificate(&of_another, &theirs, 1);
    cluster.spawn(0);
    for stranger in [&of_another, &without] {
        let args = cluster.args(1);
        let mut node = stranger.spawn(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let own = cluster.links[0].clone();
        says(&node, &["seeds have not answered", &own, "("]);
        assert!(!stranger.data().join("IDENTITY").exists() && !stranger.data().join("FOUNDING").exists());
        node.signal("-TERM");
        assert_eq!(node.exit().code(), Some(0));
    }
    let (code, text) = {
        with_certificate(cluster.home(1), &ours, 2);
        let mut args = cluster.args(1);
        args.extend(["--node-id".to_owned(), "1".to_owned()]);
        cluster.home(1).fails(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("node-2.pem is a certificate of the nodes [ 2 ]"), "{text}");
    with_certificate(cluster.home(1), &dir.path().join("nowhere"), 1);
    let args = cluster.args(1);
    let (code, text) = cluster.home(1).fails(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("cannot read") && text.contains("nowhere/ca.pem"), "{text}");

    with_certificate(cluster.home(1), &ours, 1);
    cluster.start(1);
    cluster.wait_ready(0);
    let text = ask(cluster.node(0), "/api/v1/cluster");
    assert!(text.contains("\"node_id\":2"), "{text}");
}

#[test]
fn bytes_of_strangers_do_not_hinder_a_founding() {
    let mut cluster = Cluster::new(2, &["--partitions", "2"]);
    cluster.spawn(0);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for size in [1, 20, 1_200, 1_400] {
        for first in [0x00, 0x40, 0xc0, 0xff] {
            let mut bytes = vec![0x5a; size];
            bytes[0] = first;
            // Nobody may be there yet.
            let _ = stranger.send_to(&bytes, &cluster.links[0]);
        }
    }
    cluster.start(1);
    cluster.wait_ready(0);
    for number in 0..2 {
        let _ = stranger.send_to(&[0xff; 1_200], &cluster.links[number]);
    }
    cluster.wait_well();
}
