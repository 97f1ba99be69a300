//! Several real nodes on loopback that are one cluster.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Home, Node, PATIENCE, ask, eventually, get};

/// Free addresses for links between nodes, in their order. Free means: a moment ago.
pub(crate) fn link_addresses(number: usize) -> Vec<String> {
    let sockets: Vec<_> = (0..number).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    let mut addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
    addresses.sort();
    addresses.iter().map(ToString::to_string).collect()
}

/// Clusters take turns: a small machine has no room for several at once.
static TURN: Mutex<()> = Mutex::new(());

/// A cluster: the folders of its nodes, and those of them that run.
pub(crate) struct Cluster {
    homes: Vec<Home>,
    pub(crate) links: Vec<String>,
    /// The links of those that found it.
    seeds: String,
    nodes: Vec<Option<Node>>,
    args: Vec<String>,
    /// Dropped last, when no node runs any more.
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Folders and addresses; nothing runs. `args` go to every node.
    pub(crate) fn new(number: usize, args: &[&str]) -> Self {
        let links = link_addresses(number);
        Self {
            homes: (0..number).map(|_| Home::new()).collect(),
            seeds: links.join(","),
            links,
            nodes: (0..number).map(|_| None).collect(),
            args: args.iter().map(ToString::to_string).collect(),
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Three nodes that serve, with few groups, so that a busy machine can follow.
    pub(crate) fn three() -> Self {
        Self::three_with(|_| {})
    }

    /// The same, after something was done to their folders.
    pub(crate) fn three_with(prepare: impl Fn(&Self)) -> Self {
        let mut cluster = Self::new(3, &["--partitions", "4"]);
        for home in &cluster.homes {
            home.configure("session_groups = 2\nworkers = 1\n");
        }
        prepare(&cluster);
        cluster.start_all();
        cluster
    }

    pub(crate) fn home(&self, number: usize) -> &Home {
        &self.homes[number]
    }

    pub(crate) fn node(&mut self, number: usize) -> &mut Node {
        self.nodes[number].as_mut().expect("it runs")
    }

    /// The arguments of a node, without its addresses for clients.
    pub(crate) fn args(&self, number: usize) -> Vec<String> {
        let own = ["--seeds", &self.seeds, "--cluster", &self.links[number]].map(str::to_owned);
        own.into_iter().chain(self.args.iter().cloned()).collect()
    }

    /// Another node, which joins by the same command line and serves then.
    pub(crate) fn join(&mut self) -> usize {
        let number = self.add();
        self.start(number);
        number
    }

    /// The folder of another node, which does not run yet.
    pub(crate) fn add(&mut self) -> usize {
        let number = self.homes.len();
        self.homes.push(Home::new());
        self.homes[number].configure("session_groups = 2\nworkers = 1\n");
        self.links.extend(link_addresses(1));
        self.nodes.push(None);
        number
    }

    /// Starts a node again with an empty disk.
    pub(crate) fn wipe(&mut self, number: usize) {
        self.homes[number] = Home::new();
        self.homes[number].configure("session_groups = 2\nworkers = 1\n");
        self.start(number);
    }

    /// Waits until a node has ended by itself, and returns what it said.
    pub(crate) fn ended(&mut self, number: usize) -> String {
        let mut node = self.nodes[number].take().expect("it runs");
        node.exit();
        node.trace.text()
    }

    pub(crate) fn spawn(&mut self, number: usize) -> &mut Node {
        let args = self.args(number);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.nodes[number] = Some(self.homes[number].spawn(&args));
        self.node(number)
    }

    /// Starts all nodes, and waits until all of them serve.
    pub(crate) fn start_all(&mut self) {
        for number in 0..self.nodes.len() {
            self.spawn(number);
        }
        for number in 0..self.nodes.len() {
            self.wait_ready(number);
        }
    }

    pub(crate) fn wait_ready(&mut self, number: usize) {
        self.node(number).wait_ready();
    }

    pub(crate) fn start(&mut self, number: usize) {
        self.spawn(number);
        self.wait_ready(number);
    }

    /// Ends a node without warning.
    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number].take().expect("it runs").kill();
    }

    /// Stops a node gracefully.
    pub(crate) fn stop(&mut self, number: usize) {
        self.nodes[number].take().expect("it runs").stop();
    }

    /// The numbers of the nodes that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|number| self.nodes[*number].is_some()).collect()
    }

    /// Waits until all nodes that run say the same of who leads, and each leads its part of the partitions.
    pub(crate) fn wait_spread(&mut self) {
        let running = self.running();
        eventually("leaders are spread", || {
            let views: Vec<Vec<u64>> = running.iter().map(|number| leaders(self.node(*number))).collect();
            let count = |node: u64| views[0].iter().filter(|leader| **leader == node).count();
            let nodes: BTreeSet<u64> = views[0].iter().copied().collect();
            views.iter().all(|view| *view == views[0])
                && nodes.len() == running.len()
                && nodes.iter().all(|node| count(*node) >= views[0].len() / running.len())
        });
    }

    /// Waits until the nodes that run serve, each with a leader for everything.
    pub(crate) fn wait_well(&mut self) {
        let until = Instant::now() + PATIENCE;
        for number in self.running() {
            loop {
                let text = ask(self.node(number), "/readyz");
                if text.starts_with("HTTP/1.1 200") {
                    break;
                }
                assert!(Instant::now() < until, "node {number} is not well: {text}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The leader of each partition, as a node sees it; 0: nobody.
pub(crate) fn leaders(node: &Node) -> Vec<u64> {
    let text = get(node, "/api/v1/cluster");
    let number = |part: &str| part.split(|at: char| !at.is_ascii_digit()).next()?.parse().ok();
    text.split("\"leader\":").skip(1).map(|part| number(part).unwrap_or(0)).collect()
}
