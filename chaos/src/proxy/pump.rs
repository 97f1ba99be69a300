//! The loops of the proxy: each takes datagrams from one socket and sends them on when their time has come.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::lane::Lanes;

/// The largest datagram there is.
const DATAGRAM_BYTES: usize = 64 << 10;

/// A loop that has not begun.
pub(super) type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// From whom to whom, by which socket, to which address.
#[derive(Clone)]
struct Way {
    from: usize,
    to: usize,
    out: Arc<UdpSocket>,
    address: SocketAddr,
    lanes: Arc<Lanes>,
}

/// The loops of all sockets.
pub(super) fn all(
    nodes: &[SocketAddr],
    fronts: Vec<std::net::UdpSocket>,
    lanes: &Arc<Lanes>,
) -> io::Result<Vec<Pump>> {
    let mut pumps: Vec<Pump> = Vec::new();
    for (to, front) in fronts.into_iter().enumerate() {
        let front = Arc::new(UdpSocket::from_std(front)?);
        let mut ways = HashMap::new();
        for (from, sender) in nodes.iter().enumerate() {
            let back = Arc::new(UdpSocket::from_std(super::socket()?)?);
            let lanes = Arc::clone(lanes);
            let there = Way { from, to, out: Arc::clone(&back), address: nodes[to], lanes: lanes.clone() };
            let back_again = Way { from: to, to: from, out: Arc::clone(&front), address: *sender, lanes };
            ways.insert(*sender, there);
            pumps.push(Box::pin(pump(back, HashMap::from([(nodes[to], back_again)]))));
        }
        pumps.push(Box::pin(pump(front, ways)));
    }
    Ok(pumps)
}

/// Takes what comes to a socket and sends it on the way of its sender. What comes from anybody else is dropped.
async fn pump(socket: Arc<UdpSocket>, ways: HashMap<SocketAddr, Way>) {
    let mut bytes = vec![0; DATAGRAM_BYTES];
    loop {
        // An error here is the kernel's word that a peer is away: datagrams to it are lost, as they are.
        let Ok((length, sender)) = socket.recv_from(&mut bytes).await else { continue };
        let Some(way) = ways.get(&sender) else { continue };
        for at in way.lanes.fate(way.from, way.to, length).into_iter().flatten() {
            if at <= Instant::now() {
                way.send(&bytes[..length]).await;
            } else {
                tokio::spawn(later(way.clone(), at, bytes[..length].to_vec()));
            }
        }
    }
}

async fn later(way: Way, at: Instant, bytes: Vec<u8>) {
    sleep_until(at).await;
    if way.lanes.open(way.from, way.to) {
        way.send(&bytes).await;
    }
}

impl Way {
    async fn send(&self, bytes: &[u8]) {
        // A datagram that cannot be sent is lost, which is what datagrams may be.
        self.out.send_to(bytes, self.address).await.ok();
    }
}
