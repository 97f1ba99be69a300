//! New certificates are taken up without a restart.

use std::fs;

use super::super::cert;
use super::*;

#[test]
fn a_new_authority_takes_over_while_connections_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    cert::new(&old, 2).expect("made");
    cert::new(&new, 3).expect("made");
    let mut one = Node::open(socket(), files(&old, 1), me("cluster", 1, 1));
    let mut two = Node::open(socket(), files(&old, 2), me("cluster", 2, 1));
    acquaint(&[&one, &two]);
    one.up(2);
    two.up(1);
    // Node 3 knows the new authority only, and is known to nobody else's.
    let mut three = Node::open(socket(), files(&new, 3), me("cluster", 3, 1));
    acquaint(&[&one, &two, &three]);
    three.complained_of_anything();
    let both = [fs::read(old.join("ca.pem")).expect("there"), fs::read(new.join("ca.pem")).expect("there")];
    fs::write(old.join("ca.pem"), both.concat()).expect("written");
    for node in [1, 2] {
        for end in ["pem", "key"] {
            let name = format!("node-{node}.{end}");
            fs::copy(new.join(&name), old.join(&name)).expect("copied");
        }
    }
    one.up(3);
    two.up(3);
    one.link.send(NodeId::new(2), Lane::Rpc, &app("still")).expect("up");
    assert_eq!(two.frame(), (1, Bytes::from_static(b"still")));
    one.pump(Duration::ZERO);
    assert!(!one.seen.iter().any(|item| matches!(item, Incoming::Down { .. })), "{:?}", one.seen);
}

#[test]
fn certificates_that_do_not_fit_leave_the_old_ones_in_use() {
    let dir = tempfile::tempdir().expect("a folder");
    cert::new(dir.path(), 3).expect("made");
    let mut one = Node::open(socket(), files(dir.path(), 1), me("cluster", 1, 1));
    let marks = one.link.shared.certificates.marks();
    fs::write(dir.path().join("node-1.key"), "not a key").expect("written");
    assert_ne!(one.link.shared.certificates.marks(), marks);
    assert!(one.link.shared.certificates.load().is_err());
    let mut two = Node::open(socket(), files(dir.path(), 2), me("cluster", 2, 1));
    acquaint(&[&one, &two]);
    two.up(1);
    one.up(2);
}
