//! The HTTP door: health, metrics and the admin API, on a thread of its own.
//!
//! It knows nothing of the broker: each request becomes a [`Query`] that goes through the [`Gate`] and comes back
//! as plain values. A broker that does not answer in time is a 503, never a hanging request. Nobody is asked who
//! he is: `config` opens the door to other machines only where that is meant.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::metrics::{Metrics, UPKEEP};

mod api;

mod gate;

mod page;
mod problem;
mod status;
mod deed;
mod call;

mod answer;

pub use answer::{
    Client, Cluster, Lag, Node, NodeState, Partition, Payload, Reason, Replica, ReplicaState, Retained,
    SessionState, Subscription, Time,
};
pub use call::CallError;
pub use deed::{DeedError, drain, remove, undrain};
pub use gate::{Gate, NodeDeed, NodeRefusal, NodeReply, Query, Setup};
pub use page::{Page, PageQuery};
pub(crate) use status::columns;
pub use status::status;

#[cfg(test)]
mod tests;

/// What a graceful stop waits for requests under way.
const STOP_MAX: Duration = Duration::from_secs(1);

/// The open door; close it with [`Door::close`].
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

/// Opens the door on `listener` and serves it on a new thread.
pub fn open(listener: TcpListener, setup: Setup) -> io::Result<Door> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let serve = move || runtime.block_on(serve(listener, setup, stopped));
    let thread = std::thread::Builder::new().name("admin".into()).spawn(serve)?;
    Ok(Door { address, stop, thread })
}

impl Door {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets those under way end within a second, and waits for the thread.
    pub fn close(self) -> io::Result<()> {
        // An error means that the thread has ended by itself; the join says why.
        let _ = self.stop.send(());
        self.thread.join().expect("the admin thread does not panic")
    }
}

async fn serve(listener: TcpListener, setup: Setup, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let metrics = setup.metrics.clone();
    let (begin, begun) = oneshot::channel::<()>();
    let server = axum::serve(listener, api::router(setup)).with_graceful_shutdown(async {
        // An error is a stop as well: the other end is gone.
        let _ = begun.await;
    });
    let mut server = std::pin::pin!(server.into_future());
    let mut upkeep = tokio::time::interval(UPKEEP);
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            result = &mut server => return result,
            _ = &mut stopped => break,
            _ = upkeep.tick() => metrics.iter().for_each(Metrics::upkeep),
        }
    }
    drop(begin);
    // A request that takes longer is cut: a stop must not wait for a stranger.
    tokio::time::timeout(STOP_MAX, server).await.unwrap_or(Ok(()))
}
