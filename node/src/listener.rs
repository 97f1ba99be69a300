//! The MQTT door: accepts connections and spreads them over the workers, where they stay.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::mail::{Event, Mailbox};

/// What the kernel keeps of connections that are not accepted yet.
const RETRY: Duration = Duration::from_millis(50);

/// The open door.
pub(crate) struct Door {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Accepts on `listener`, on a thread of its own. How many are served the workers know, once they say CONNECT.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn open(listener: TcpListener, workers: Vec<Arc<Mailbox<Event>>>) -> std::io::Result<Door> {
    let address = listener.local_addr()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("accept".to_owned()).spawn(move || {
        let mut turn = 0;
        while !stopped.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((stream, peer)) if !stopped.load(Ordering::Acquire) => {
                    if let Err(error) = prepare(&stream) {
                        tracing::debug!(%peer, %error, "a connection broke before it was served");
                        continue;
                    }
                    let worker: &Arc<Mailbox<Event>> = &workers[turn % workers.len()];
                    turn += 1;
                    worker.send_one(Event::Accepted(stream, peer));
                }
                Ok(_) => {}
                Err(error) => {
                    // Out of file descriptors, say: those that are open go on.
                    tracing::warn!(%error, "cannot accept a connection");
                    std::thread::park_timeout(RETRY);
                }
            }
        }
    })?;
    Ok(Door { address, stop, thread })
}

fn prepare(stream: &std::net::TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)
}

impl Door {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections.
    pub(crate) fn close(self) {
        self.stop.store(true, Ordering::Release);
        // The thread waits in accept: a connection from ourselves wakes it.
        let _ = std::net::TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        let _ = self.thread.join();
    }
}
