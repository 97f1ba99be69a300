//! Three real nodes, two of which do not reach each other: no client is served by one that cannot know it is its owner.

mod binary;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use holdfast_chaos::client::{Client, clean};
use holdfast_chaos::fleet::{Fleet, Plan};
use holdfast_chaos::proxy::Rule;
use holdfast_chaos::seed::Seed;

/// Far longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many client ids are of session groups that different nodes lead.
const CLIENTS: usize = 24;

fn connect(address: SocketAddr, client_id: &str) -> Client {
    let until = Instant::now() + PATIENCE;
    loop {
        match Client::open(address, &clean(client_id), Duration::from_secs(10)) {
            Ok((client, greeting)) if greeting.code == 0 => return client,
            other => assert!(Instant::now() < until, "{:?}", other.map(|(_, greeting)| greeting)),
        }
    }
}

fn closes(client: &mut Client) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if client.read(|_| true).is_err() {
            return true;
        }
    }
    false
}

#[test]
fn who_was_taken_over_is_sent_away_also_where_the_leader_is_not_heard() {
    let plan = Plan { proxied: true, ..Plan::new(binary::holdfast(), 3) };
    let fleet = Fleet::own(&plan, &mut Seed::new(1)).expect("room for three nodes");
    fleet.settle(PATIENCE).expect("they serve");
    let proxy = fleet.proxy().expect("it was asked for");
    let [to, from] = [0, 2].map(|node| fleet.nodes()[node].mqtt());
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("diver-{number}")).collect();
    let mut old: Vec<Client> = names.iter().map(|name| connect(from, name)).collect();
    let cut = [proxy.lay(1, 2, Rule::CUT), proxy.lay(2, 1, Rule::CUT)];
    let new: Vec<Client> = names.iter().map(|name| connect(to, name)).collect();
    for (name, client) in names.iter().zip(&mut old) {
        assert!(closes(client), "{name} is served on by a node that does not hear of its new owner");
    }
    cut.into_iter().for_each(|laid| proxy.lift(laid));
    drop(new);
    // Who was kept waiting, or was refused, is let in again.
    connect(from, &names[0]);
}
