//! A cluster under test: real processes on this machine behind a proxy, or somebody's own nodes.
//!
//! Nodes are counted from 0 here and from 1 in everything that is shown.

mod node;
mod process;
mod hook;
mod view;
mod shim;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use hook::Hooks;
pub use node::Node;
pub use shim::Weather;
pub use view::{Member, Partition, Replica, View};

use self::hook::Hooked;
use self::node::ASK;
use self::process::{Ports, Process};
use self::shim::Shim;
use crate::broker::free_port;
use crate::proxy::Proxy;
use crate::seed::Seed;

/// A cluster.
pub struct Fleet {
    nodes: Vec<Node>,
    /// The first so many nodes founded the cluster; the others wait to join.
    founders: usize,
    proxy: Option<Proxy>,
    /// Why clock and disk cannot be changed.
    fair: Option<String>,
    directory: Option<TempDir>,
}

/// A cluster of processes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `holdfast` binary.
    pub binary: PathBuf,
    /// Nodes that found the cluster.
    pub nodes: usize,
    /// Nodes that may join it.
    pub spares: usize,
    /// Where the directory is made that holds everything; the system's temporary directory when absent.
    pub directory: Option<PathBuf>,
    /// More variables for each node, such as settings.
    pub environment: Vec<(String, String)>,
    /// Whether links lead through a proxy.
    pub proxied: bool,
}

impl Plan {
    /// So many nodes with their defaults, in the system's temporary directory and without a proxy.
    pub fn new(binary: PathBuf, nodes: usize) -> Plan {
        let (directory, environment) = (None, Vec::new());
        Plan { binary, nodes, spares: 0, directory, environment, proxied: false }
    }
}

impl Fleet {
    /// Makes room for the processes, and starts none.
    pub fn own(plan: &Plan, seed: &mut Seed) -> io::Result<Fleet> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("holdfast-storm-");
        let directory = match &plan.directory {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let shim = Shim::build(directory.path());
        let count = plan.nodes + plan.spares;
        let ports = (0..count).map(|_| Ports::new()).collect::<io::Result<Vec<_>>>()?;
        let real: Vec<SocketAddr> = ports.iter().map(|ports| ports.cluster).collect();
        let proxy = (plan.proxied && plan.nodes > 1).then(|| Proxy::start(&real, seed)).transpose()?;
        let known = proxy.as_ref().map_or(real.as_slice(), Proxy::fronts).to_vec();
        let seeds = known[..plan.nodes].iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
        // Everybody votes everywhere, so that any minority of the nodes may be away.
        let replicas = plan.nodes.max(3).to_string();
        let seeds = ["--seeds".to_owned(), seeds, "--replicas".to_owned(), replicas];
        let seeds = if plan.nodes > 1 { seeds.to_vec() } else { Vec::new() };
        let mut nodes = Vec::new();
        for (index, ports) in ports.into_iter().enumerate() {
            let doors = (ports.mqtt, ports.http);
            let home = directory.path().join(format!("node-{}", index + 1));
            let mut process = Process::new(&plan.binary, home, ports, shim.as_ref().ok())?;
            process.arguments(&seeds);
            // Whoever joins is given a number by the others.
            let id = (index < plan.nodes).then_some(index as u64 + 1);
            process.name(id);
            if proxy.is_some() {
                process.variable("HOLDFAST_CLUSTER_ADVERTISE", &known[index].to_string());
            }
            plan.environment.iter().for_each(|(name, value)| process.variable(name, value));
            nodes.push(Node::own(doors, process, id));
        }
        let fair = shim.err().map(|error| format!("the library for it does not compile: {error}"));
        Ok(Fleet { nodes, founders: plan.nodes, proxy, fair, directory: Some(directory) })
    }

    /// A cluster that is running already. `http` may be empty; if it is not, each node is asked who it is.
    pub fn foreign(targets: &[SocketAddr], http: &[SocketAddr], hooks: &Hooks) -> io::Result<Fleet> {
        let id = |http: &SocketAddr| Ok(View::of(*http, ASK)?.node_id);
        let ids = http.iter().map(id).collect::<io::Result<Vec<_>>>()?;
        let node = |(index, mqtt): (usize, &SocketAddr)| {
            let doors = (*mqtt, http.get(index).copied());
            Node::hooked(doors, Hooked::new(hooks.clone(), index), ids.get(index).copied())
        };
        let nodes = targets.iter().enumerate().map(node).collect();
        let fair = Some("the nodes are not processes of this storm".to_owned());
        Ok(Fleet { nodes, founders: targets.len(), proxy: None, fair, directory: None })
    }

    /// How many nodes founded the cluster.
    pub fn founders(&self) -> usize {
        self.founders
    }

    /// Which node calls itself this.
    pub fn index_of(&self, id: u64) -> Option<usize> {
        self.nodes.iter().position(|node| node.id() == Some(id))
    }

    /// Nodes that take part in the cluster now.
    pub fn members(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_member()).collect()
    }

    /// All nodes, and the places of those that may join.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The proxy between the nodes, where there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Why clock and disk of the nodes cannot be changed, if they cannot.
    pub fn fair_weather(&self) -> Option<&str> {
        self.fair.as_deref()
    }

    /// Where everything is, of a cluster of processes.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(TempDir::path)
    }

    /// Leaves data and logs where they are, and returns where that is.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.directory.take().map(TempDir::keep)
    }

    /// Starts the members that are down, and waits until all of them serve; an error names who does not.
    pub fn settle(&self, patience: Duration) -> io::Result<()> {
        let members = || self.nodes.iter().enumerate().filter(|(_, node)| node.is_member());
        for (_, node) in members() {
            node.start()?;
        }
        let deadline = Instant::now() + patience;
        for (index, node) in members() {
            while node.is_up() && !node.serves() {
                if let Some(status) = node.ended() {
                    let words = node.last_words();
                    return Err(io::Error::other(format!(
                        "node {} ended by itself ({status}); its last words:\n{words}",
                        index + 1
                    )));
                }
                if Instant::now() > deadline {
                    let (why, words) = (node.reasons(), node.last_words());
                    return Err(io::Error::other(format!(
                        "node {} did not serve within {patience:?}: {why}; its last words:\n{words}",
                        index + 1
                    )));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

fn loopback() -> io::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port()?).into())
}
