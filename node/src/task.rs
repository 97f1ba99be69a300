//! The tasks of a node, each with a name.

use std::future::Future;

/// What a task is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    /// Reads one connection.
    Connection,
    /// Takes what a closed connection still sends.
    Linger,
    /// Writes out what a turn has collected.
    Settle,
    /// Waits until what a client has sent is read.
    Hear,
    /// Looks at a worker's clocks.
    Tick,
}

/// Starts a task on this thread's runtime.
pub(crate) fn spawn_local(name: Name, future: impl Future<Output = ()> + 'static) {
    tracing::trace!(?name, "task");
    tokio::task::spawn_local(future);
}
