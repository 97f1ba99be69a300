//! A cluster under test: real processes on this machine behind a proxy, or somebody's own nodes.
//!
//! Nodes are counted from 0 here and from 1 in everything that is shown.

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
pub use shim::Weather;
pub use view::{Member, Partition, Replica, View};

use self::hook::Hooked;
use self::process::{Ports, Process};
use self::shim::Shim;
use crate::broker::free_port;
use crate::proxy::Proxy;
use crate::seed::Seed;
use crate::{client, http};

/// For one question to a node that may be frozen.
const ASK: Duration = Duration::from_millis(500);

/// A cluster.
pub struct Fleet {
    nodes: Vec<Node>,
    /// The first so many nodes founded the cluster; the others wait to join.
    founders: usize,
    /// Numbers by which the nodes call each other.
    ids: Vec<u64>,
    proxy: Option<Proxy>,
    /// Why clock and disk cannot be changed.
    fair: Option<String>,
    directory: Option<TempDir>,
}

/// One node.
pub struct Node {
    mqtt: SocketAddr,
    http: Option<SocketAddr>,
    body: Body,
}

enum Body {
    Own(Process),
    Hooked(Hooked),
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
            let (mqtt, http) = (ports.mqtt, Some(ports.http));
            let home = directory.path().join(format!("node-{}", index + 1));
            let mut process = Process::new(&plan.binary, home, ports, shim.as_ref().ok())?;
            process.arguments(&seeds);
            process.arguments(&["--node-id".to_owned(), (index + 1).to_string()]);
            if proxy.is_some() {
                process.variable("HOLDFAST_CLUSTER_ADVERTISE", &known[index].to_string());
            }
            plan.environment.iter().for_each(|(name, value)| process.variable(name, value));
            nodes.push(Node { mqtt, http, body: Body::Own(process) });
        }
        let fair = shim.err().map(|error| format!("the library for it does not compile: {error}"));
        let ids = (1..=count as u64).collect();
        Ok(Fleet { nodes, founders: plan.nodes, ids, proxy, fair, directory: Some(directory) })
    }

    /// A cluster that is running already. `http` may be empty; if it is not, each node is asked who it is.
    pub fn foreign(targets: &[SocketAddr], http: &[SocketAddr], hooks: &Hooks) -> io::Result<Fleet> {
        let id = |http: &SocketAddr| Ok(View::of(*http, ASK)?.node_id);
        let ids = http.iter().map(id).collect::<io::Result<Vec<_>>>()?;
        let node = |(index, mqtt): (usize, &SocketAddr)| Node {
            mqtt: *mqtt,
            http: http.get(index).copied(),
            body: Body::Hooked(Hooked::new(hooks.clone(), index)),
        };
        let nodes = targets.iter().enumerate().map(node).collect();
        let fair = Some("the nodes are not processes of this storm".to_owned());
        Ok(Fleet { nodes, founders: targets.len(), ids, proxy: None, fair, directory: None })
    }

    /// How many nodes founded the cluster.
    pub fn founders(&self) -> usize {
        self.founders
    }

    /// Which node calls itself this.
    pub fn index_of(&self, id: u64) -> Option<usize> {
        self.ids.iter().position(|own| *own == id)
    }

    /// All nodes, those that wait to join last.
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

    /// Starts the founders that are down, and waits until all that are up serve; an error names who does not.
    pub fn settle(&self, patience: Duration) -> io::Result<()> {
        for node in &self.nodes[..self.founders] {
            node.start()?;
        }
        let deadline = Instant::now() + patience;
        for (index, node) in self.nodes.iter().enumerate() {
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

impl Node {
    /// Where its clients come in.
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Its HTTP listener, where it is known.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Starts it, unless it runs.
    pub fn start(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.start(),
            Body::Hooked(hooked) => hooked.start(),
        }
    }

    /// Ends it without a word. One that is down stays down.
    pub fn kill(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.kill(),
            Body::Hooked(hooked) => hooked.kill(),
        }
    }

    /// Asks it to stop and waits; an error when it does not, or stops with another code than 0.
    pub fn stop(&self, patience: Duration) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.stop(patience),
            Body::Hooked(hooked) => hooked.stop(),
        }
    }

    /// Freezes it.
    pub fn pause(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.pause(),
            Body::Hooked(hooked) => hooked.pause(),
        }
    }

    /// Thaws it. One that is not frozen goes on.
    pub fn resume(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.resume(),
            Body::Hooked(hooked) => hooked.resume(),
        }
    }

    /// Whether it was started and not stopped.
    pub fn is_up(&self) -> bool {
        match &self.body {
            Body::Own(process) => process.is_up(),
            Body::Hooked(hooked) => hooked.is_up(),
        }
    }

    /// How it ended, if it did so without being asked, and nothing excuses it. It is down then.
    pub fn ended(&self) -> Option<String> {
        match &self.body {
            Body::Own(process) => process.ended(),
            Body::Hooked(_) => None,
        }
    }

    /// Its end is expected from now on, or no more.
    pub fn excuse(&self, excused: bool) {
        if let Body::Own(process) = &self.body {
            process.excuse(excused);
        }
    }

    /// Its clock and disk, where they can be changed.
    pub fn weather(&self) -> Option<&Weather> {
        match &self.body {
            Body::Own(process) => process.weather(),
            Body::Hooked(_) => None,
        }
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Own(process) => process.pid(),
            Body::Hooked(_) => None,
        }
    }

    /// Counts its starts.
    pub fn lives(&self) -> u32 {
        match &self.body {
            Body::Own(process) => process.lives(),
            Body::Hooked(hooked) => hooked.lives(),
        }
    }

    /// The program and the data of a process of our own.
    pub fn own(&self) -> Option<(&Path, &Path)> {
        match &self.body {
            Body::Own(process) => Some(process.own()),
            Body::Hooked(_) => None,
        }
    }

    /// Whether it can be killed, stopped and started; frozen.
    pub fn obeys(&self) -> (bool, bool) {
        match &self.body {
            Body::Own(_) => (true, true),
            Body::Hooked(hooked) => hooked.obeys(),
        }
    }

    /// Whether it says that it serves, and greets a client.
    pub fn serves(&self) -> bool {
        let ready = |http| http::get(http, "/readyz", ASK).is_ok_and(|(status, _)| status == 200);
        self.http.is_none_or(ready) && client::answers(self.mqtt, ASK)
    }

    /// Why it says that it does not serve.
    fn reasons(&self) -> String {
        let Some(http) = self.http else { return "no client is greeted".to_owned() };
        match http::get(http, "/readyz", ASK) {
            Ok((status, body)) => format!("/readyz says {status} {}", body.trim()),
            Err(error) => format!("/readyz does not answer: {error}"),
        }
    }

    /// The last lines that it wrote.
    pub fn last_words(&self) -> String {
        match &self.body {
            Body::Own(process) => process.last_words(),
            Body::Hooked(_) => String::new(),
        }
    }

    /// The cluster as it sees it.
    pub fn view(&self) -> io::Result<View> {
        View::of(self.http.ok_or(io::ErrorKind::Unsupported)?, ASK)
    }
}

fn loopback() -> io::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port()?).into())
}
