//! Many connections on one thread: reads and writes in batches, hands whole packets to a handler.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::wire::{self, Connect, Level, Packet};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Bytes that wait to be written before a connection takes no more: about one full socket buffer.
const WRITE_BYTES: usize = 64 * 1024;

/// Who deals with what arrives.
pub(super) trait Handler {
    /// Bytes have been read; their packets follow.
    fn woke(&mut self) {}

    /// A packet; answers go to `out`.
    fn packet(&mut self, connection: usize, packet: Packet<'_>, out: &mut Vec<u8>);

    /// The broker has closed the connection.
    fn closed(&mut self, connection: usize);
}

/// The connections, by number.
pub(super) struct Swarm {
    /// Connections go round them.
    addresses: Vec<SocketAddr>,
    level: Level,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Connection {
    stream: Option<TcpStream>,
    out: Vec<u8>,
    written: usize,
    /// A packet of which only the front has arrived.
    rest: Vec<u8>,
    writable: bool,
}

impl Swarm {
    /// No connections yet, and at least one address. `packet_bytes_max` is the largest packet that will arrive.
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        level: Level,
        packet_bytes_max: usize,
    ) -> io::Result<Swarm> {
        Ok(Swarm {
            addresses,
            level,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            scratch: vec![0; READ_BYTES + 2 * packet_bytes_max],
        })
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Opens a new connection and returns its number; CONNECT goes out as soon as it can.
    pub(super) fn open(&mut self, connect: &Connect<'_>) -> io::Result<usize> {
        self.connections.push(Connection::default());
        let connection = self.connections.len() - 1;
        self.reopen(connection, connect)?;
        Ok(connection)
    }

    /// Opens a connection with the number of one that was closed.
    pub(super) fn reopen(&mut self, connection: usize, connect: &Connect<'_>) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.addresses[connection % self.addresses.len()])?;
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(connection), interest)?;
        let own = &mut self.connections[connection];
        *own = Connection { stream: Some(stream), ..Connection::default() };
        wire::connect(&mut own.out, connect);
        Ok(())
    }

    /// Closes a connection at once. After the broker has closed its side, this leaves no port behind that
    /// waits for late packets.
    pub(super) fn close(&mut self, connection: usize) {
        if let Some(stream) = self.connections[connection].stream.take() {
            // Without it the port only takes longer to become free.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
        }
        self.connections[connection] = Connection::default();
    }

    /// Sends DISCONNECT and closes, when everything has been handed to the kernel.
    pub(super) fn leave(&mut self, connection: usize) -> io::Result<()> {
        wire::disconnect(&mut self.connections[connection].out);
        self.flush(connection)?;
        self.connections[connection] = Connection::default();
        Ok(())
    }

    /// The buffer of a connection that takes more bytes, and none where it has enough to write.
    pub(super) fn room(&mut self, connection: usize) -> Option<&mut Vec<u8>> {
        let own = &mut self.connections[connection];
        let waiting = own.out.len() - own.written;
        (own.writable && waiting < WRITE_BYTES).then_some(&mut own.out)
    }

    /// Whether everything for this connection has been handed to the kernel.
    pub(super) fn flush(&mut self, connection: usize) -> io::Result<bool> {
        flush(&mut self.connections[connection])
    }

    /// Waits for at most `timeout` and deals with everything that has arrived.
    pub(super) fn step(&mut self, timeout: Duration, handler: &mut impl Handler) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_writable() {
                connection.writable = true;
            }
            let mut open = connection.stream.is_some();
            if open && (event.is_readable() || event.is_read_closed() || event.is_error()) {
                open = receive(connection, &mut self.scratch, (index, self.level), handler)?;
            }
            // A write to a connection that the broker has just closed is found by the next read.
            if open && flush(connection).is_err() {
                open = false;
            }
            if !open && connection.stream.is_some() {
                handler.closed(index);
            }
        }
        Ok(())
    }
}

/// Reads until the socket is empty. `Ok(false)`: the broker has closed it.
fn receive(
    connection: &mut Connection,
    scratch: &mut [u8],
    (index, level): (usize, Level),
    handler: &mut impl Handler,
) -> io::Result<bool> {
    let Some(stream) = &mut connection.stream else { return Ok(false) };
    loop {
        let kept = connection.rest.len();
        let room = scratch.len() - kept;
        assert!(room > 0, "the scratch buffer is larger than any packet");
        match stream.read(&mut scratch[kept..]) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                scratch[..kept].copy_from_slice(&connection.rest);
                connection.rest.clear();
                handler.woke();
                let mut at = 0;
                let end = kept + n;
                while let Some((packet, used)) =
                    wire::take(&scratch[at..end], level).map_err(io::Error::other)?
                {
                    handler.packet(index, packet, &mut connection.out);
                    at += used;
                }
                connection.rest.extend_from_slice(&scratch[at..end]);
                if n < room {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
            Err(_) => return Ok(false),
        }
    }
}

fn flush(connection: &mut Connection) -> io::Result<bool> {
    let Some(stream) = &mut connection.stream else { return Ok(true) };
    while connection.writable && connection.written < connection.out.len() {
        match stream.write(&connection.out[connection.written..]) {
            Ok(n) => connection.written += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.writable = false,
            Err(error) => return Err(error),
        }
    }
    let done = connection.written == connection.out.len();
    if done {
        connection.out.clear();
        connection.written = 0;
    }
    Ok(done)
}
