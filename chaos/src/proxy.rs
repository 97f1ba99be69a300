//! A UDP proxy between the nodes of a cluster, in user space: it delays, loses, repeats, reorders and cuts.
//!
//! ```text
//!   node j  --->  front of i   [link j to i]  --->  back of (j, i)  --->  node i
//!   node j  <---  front of i   [link i to j]  <---  back of (j, i)  <---  node i
//! ```
//! Each node is known to the others by the address of its front alone. A datagram that comes to it is told by its
//! sender's address, and goes on from a socket that stands for the pair, so that what is answered comes back
//! through the proxy too. Nothing needs root, and nothing in a node knows of it.

mod lane;
mod pump;
mod rule;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime;
use tokio::sync::Notify;

pub use rule::{Laid, Rule};

use self::lane::Lanes;
use crate::seed::Seed;

/// What the kernel is asked to keep of datagrams while the proxy is not running.
const SOCKET_BYTES: usize = 4 << 20;

/// A running proxy. Dropped, it ends.
pub struct Proxy {
    fronts: Vec<SocketAddr>,
    lanes: Arc<Lanes>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for nodes whose links are bound to these addresses. Everything passes until told otherwise.
    pub fn start(nodes: &[SocketAddr], seed: &mut Seed) -> io::Result<Proxy> {
        let sockets = nodes.iter().map(|_| socket()).collect::<io::Result<Vec<_>>>()?;
        let fronts = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let lanes = Arc::new(Lanes::new(nodes.len(), seed));
        let stop = Arc::new(Notify::new());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let pumps = {
            let _in = runtime.enter();
            pump::all(nodes, sockets, &lanes)?
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                pumps.into_iter().for_each(|pump| drop(tokio::spawn(pump)));
                stopped.notified().await;
            });
            runtime.shutdown_background();
        })?;
        Ok(Proxy { fronts, lanes, stop, thread: Some(thread) })
    }

    /// The addresses under which the nodes reach each other.
    pub fn fronts(&self) -> &[SocketAddr] {
        &self.fronts
    }

    /// From now on datagrams from one node to another fare like this too.
    pub fn lay(&self, from: usize, to: usize, rule: Rule) -> Laid {
        self.lanes.lay(from, to, rule)
    }

    /// What was laid is no more.
    pub fn lift(&self, laid: Laid) {
        self.lanes.lift(laid);
    }

    /// Datagrams that passed and that did not, from one node to another.
    pub fn counts(&self, from: usize, to: usize) -> (u64, u64) {
        self.lanes.counts(from, to)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends in any case, and what it could not do is seen by the nodes.
            thread.join().ok();
        }
    }
}

/// A bound socket with as large buffers as the kernel grants.
fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BYTES)?;
    options.set_send_buffer_size(SOCKET_BYTES)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
