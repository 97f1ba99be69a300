//! Shared subscriptions with members on three nodes: each message once, whoever dispatches and whoever dies.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::wire::{self, Connect, Message};
use common::{PATIENCE, eventually};

/// Share names enough that each session group has some.
const SHARES: [&str; 4] = ["$share/a/t/#", "$share/b/t/#", "$share/c/t/#", "$share/d/t/#"];

/// A member, which acknowledges all that it gets: payloads by Subscription Identifier are not needed, for each member
/// has one share.
struct Member {
    client: Client,
    share: &'static str,
    unreleased: BTreeSet<u16>,
}

impl Member {
    fn new(address: SocketAddr, id: &str, share: &'static str, qos: u8) -> Self {
        let mut client = connect(address, id);
        client.subscribe(share, qos);
        Self { client, share, unreleased: BTreeSet::new() }
    }

    /// Takes in what has come; what is new of it.
    fn hear(&mut self, patience: Duration) -> Vec<String> {
        let mut new = Vec::new();
        while let Heard::Packet(packet) = self.client.hear(patience) {
            match packet.kind() {
                wire::PUBLISH => {
                    let message = packet.message(5);
                    let kind = if message.qos == 2 { wire::PUBREC } else { wire::PUBACK };
                    if message.qos < 2 || self.unreleased.insert(message.id) {
                        new.push(String::from_utf8_lossy(&message.payload).into_owned());
                    }
                    self.client.send_to_closed(&wire::ack(kind, message.id));
                }
                wire::PUBREL => {
                    self.unreleased.remove(&packet.id());
                    self.client.send_to_closed(&wire::ack(wire::PUBCOMP, packet.id()));
                }
                kind => panic!("{kind:#x}"),
            }
        }
        new
    }
}

/// A durable session, which may be refused while leaders change.
fn connect(address: SocketAddr, id: &str) -> Client {
    let mut connected = None;
    eventually("the client is let in", || {
        let mut client = Client::open(address, 5);
        client.send_to_closed(&Connect::durable(id).bytes(5));
        let let_in = matches!(client.hear(PATIENCE), Heard::Packet(answer)
            if answer.kind() == wire::CONNACK && answer.body[1] == 0);
        connected = let_in.then_some(client);
        let_in
    });
    connected.expect("it is let in")
}

/// Members of every share at each of these nodes.
fn members(cluster: &mut Cluster, nodes: &[usize], qos: u8) -> Vec<Member> {
    let mut members = Vec::new();
    for node in nodes {
        let address = cluster.node(*node).mqtt;
        let of = |share| Member::new(address, &format!("{share} at {node}"), share, qos);
        members.extend(SHARES.into_iter().map(of));
    }
    members
}

/// What each share got, each message as often as it came, until every share has all of `wanted`.
fn collect(members: &mut [Member], got: &mut BTreeMap<&'static str, Vec<String>>, wanted: &BTreeSet<String>) {
    eventually("every share has every message", || {
        for member in &mut *members {
            let new = member.hear(Duration::from_millis(10));
            got.entry(member.share).or_default().extend(new);
        }
        let whole =
            |share: &&str| got.get(share).is_some_and(|got| wanted.iter().all(|one| got.contains(one)));
        SHARES.iter().all(whole)
    });
}

fn publish(publisher: &mut Client, qos: u8, numbers: std::ops::Range<u16>) {
    for number in numbers {
        let (topic, payload) = (format!("t/{}", number % 8), number.to_string());
        if qos == 2 {
            publisher.store_once(&topic, 1, payload.as_bytes());
        } else {
            publisher.store(&topic, payload.as_bytes());
        }
    }
}

fn numbers(range: std::ops::Range<u16>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

fn assert_once(got: &BTreeMap<&'static str, Vec<String>>) {
    for (share, got) in got {
        let distinct: BTreeSet<&String> = got.iter().collect();
        assert_eq!(distinct.len(), got.len(), "{share} got something twice: {got:?}");
    }
}

#[test]
fn members_on_three_nodes_share_the_messages() {
    let mut cluster = Cluster::three();
    let mut members = members(&mut cluster, &[0, 1, 2], 1);
    let mut publisher = cluster.node(1).clean(5, "publisher");
    publish(&mut publisher, 1, 0..60);
    let mut got = BTreeMap::new();
    collect(&mut members, &mut got, &numbers(0..60));
    assert_once(&got);
}

#[test]
fn mqtt_4_8_2_4_qos_2_comes_once_while_the_dispatching_node_dies() {
    let mut cluster = Cluster::three();
    let mut members = members(&mut cluster, &[1, 2], 2);
    let mut got = BTreeMap::new();
    let mut next = 0;
    // The node that has no members leads some group or other, or will after the next kill.
    for _ in 0..2 {
        let mut publisher = connect(cluster.node(1).mqtt, "publisher");
        publish(&mut publisher, 2, next..next + 20);
        cluster.kill(0);
        drop(publisher);
        let mut publisher = connect(cluster.node(2).mqtt, "publisher");
        next += 20;
        collect(&mut members, &mut got, &numbers(0..next));
        publish(&mut publisher, 2, next..next + 10);
        next += 10;
        collect(&mut members, &mut got, &numbers(0..next));
        cluster.start(0);
        cluster.wait_spread();
    }
    assert_once(&got);
}

#[test]
fn what_a_dead_node_had_given_to_its_members_goes_to_the_others() {
    let mut cluster = Cluster::three();
    let mut silent = members(&mut cluster, &[2], 1);
    let mut publisher = cluster.node(0).clean(5, "publisher");
    publish(&mut publisher, 1, 0..20);
    for member in &mut silent {
        // It gets messages and acknowledges none.
        assert_eq!(member.client.expect(wire::PUBLISH).message(5).qos, 1);
    }
    let mut others = members(&mut cluster, &[0, 1], 1);
    cluster.kill(2);
    let mut got = BTreeMap::new();
    collect(&mut others, &mut got, &numbers(0..20));
    let mut message = Message::new("t/1", 1, b"last");
    message = message.id(9);
    publisher.publish(&message);
    collect(&mut others, &mut got, &BTreeSet::from(["last".to_owned()]));
}
