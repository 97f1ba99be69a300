//! A plain blocking client for the quiet moments: probing, reading retained messages, forgetting sessions.
//!
//! It is not used where speed is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire::{self, Connect, Level, Packet, Will};

/// How long a socket waits for its peer before it looks at its deadline again.
const TICK: Duration = Duration::from_millis(5);

/// A blocking connection with whole packets on both sides.
pub struct Client {
    stream: TcpStream,
    level: Level,
    buffer: Vec<u8>,
    heard: Instant,
}

/// How the broker greeted us.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// Session Present flag.
    pub session_present: bool,
    /// 0 is success.
    pub code: u8,
}

impl Client {
    /// Connects, sends CONNECT and waits for CONNACK until `patience` is over.
    pub fn open(
        address: SocketAddr,
        connect: &Connect<'_>,
        patience: Duration,
    ) -> io::Result<(Client, Greeting)> {
        Client::open_with(address, connect, None, patience)
    }

    /// The same with a will.
    pub fn open_with(
        address: SocketAddr,
        connect: &Connect<'_>,
        will: Option<&Will<'_>>,
        patience: Duration,
    ) -> io::Result<(Client, Greeting)> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut client = Client { stream, level: connect.level, buffer: Vec::new(), heard: Instant::now() };
        let mut out = Vec::new();
        wire::connect_with(&mut out, connect, will);
        client.send(&out)?;
        let deadline = Instant::now() + patience;
        let mut greeting = None;
        while greeting.is_none() {
            client.read(|packet| {
                if let Packet::Connack { session_present, code, .. } = packet {
                    greeting = Some(Greeting { session_present, code });
                }
                // What follows CONNACK in the same bytes belongs to the session.
                greeting.is_none()
            })?;
            if greeting.is_none() && Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok((client, greeting.expect("the loop ends only with a greeting")))
    }

    /// For how long nothing has come.
    pub fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Hands on the packets that are here or arrive within a tick, until `each` returns false.
    pub fn read(&mut self, mut each: impl FnMut(Packet<'_>) -> bool) -> io::Result<()> {
        let mut at = 0;
        let mut go_on = true;
        self.drain(&mut at, &mut go_on, &mut each)?;
        if at == 0 && go_on {
            self.fill()?;
            self.drain(&mut at, &mut go_on, &mut each)?;
        }
        self.buffer.drain(..at);
        Ok(())
    }

    fn drain(
        &mut self,
        at: &mut usize,
        go_on: &mut bool,
        each: &mut impl FnMut(Packet<'_>) -> bool,
    ) -> io::Result<()> {
        while *go_on {
            let Some((packet, used)) = wire::take(&self.buffer[*at..], self.level).map_err(fault)? else {
                break;
            };
            *at += used;
            *go_on = each(packet);
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.heard = Instant::now();
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Whether a clean client gets a CONNACK of success within `patience`.
pub fn answers(address: SocketAddr, patience: Duration) -> bool {
    let connect = clean("holdfast-chaos-probe");
    let Ok((mut client, greeting)) = Client::open(address, &connect, patience) else { return false };
    // The answer has been seen; a broker that dies here is found by the next one that asks.
    client.send(&[0xE0, 0]).ok();
    greeting.code == 0
}

/// The CONNECT of a clean 3.1.1 client.
pub fn clean(client_id: &str) -> Connect<'_> {
    Connect { level: Level::V4, client_id, clean: true, keep_alive: 60, expiry: 0, receive_maximum: 0 }
}

/// Reads the retained messages that match `filter`: (topic, payload), until `quiet` has passed without one.
pub fn retained(address: SocketAddr, filter: &str, quiet: Duration) -> io::Result<Vec<(String, Vec<u8>)>> {
    let (mut client, greeting) =
        Client::open(address, &clean("holdfast-chaos-reader"), Duration::from_secs(10))?;
    if greeting.code != 0 {
        return Err(io::Error::other(format!("CONNACK code {}", greeting.code)));
    }
    let mut out = Vec::new();
    wire::subscribe(&mut out, Level::V4, 1, &[(filter, 0)]);
    client.send(&out)?;
    let mut found = Vec::new();
    let mut last = Instant::now();
    while last.elapsed() < quiet {
        client.read(|packet| {
            if let Packet::Publish { topic, payload, retain: true, .. } = packet {
                found.push((String::from_utf8_lossy(topic).into_owned(), payload.to_vec()));
            }
            last = Instant::now();
            true
        })?;
    }
    Ok(found)
}

fn fault(fault: wire::Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}
