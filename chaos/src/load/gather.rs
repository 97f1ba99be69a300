//! Opens connections, some at a time, and waits until each has its CONNACK and its SUBACK.

use std::io;
use std::time::{Duration, Instant};

use super::swarm::{Handler, Swarm};
use crate::client::{self, Client};
use crate::wire::{self, Connect, Level, Packet};

/// Connections that are being opened at a time: below the usual backlog of a listener.
const OPENING_MAX: usize = 64;
/// A broker that makes no progress for this long is broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// Keep Alive of all clients, in seconds: longer than a load lasts without a packet.
const KEEP_ALIVE: u16 = 900;
/// Expiry of durable sessions, in seconds.
const EXPIRY: u32 = 3600;

/// A client that is to be connected.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) client_id: String,
    pub(super) durable: bool,
    /// Topic Filter and QoS.
    pub(super) filter: Option<(String, u8)>,
}

impl Guest {
    pub(super) fn connect(&self, level: Level) -> Connect<'_> {
        Connect {
            level,
            client_id: &self.client_id,
            clean: !self.durable,
            keep_alive: KEEP_ALIVE,
            expiry: if self.durable { EXPIRY } else { 0 },
            receive_maximum: 0,
        }
    }
}

struct Greeter<'a> {
    guests: &'a [Guest],
    first: usize,
    level: Level,
    receive_maximum: Vec<u16>,
    ready: usize,
    fault: Option<String>,
}

impl Handler for Greeter<'_> {
    fn packet(&mut self, connection: usize, packet: Packet<'_>, out: &mut Vec<u8>) {
        let Some(guest) = connection.checked_sub(self.first) else { return };
        match packet {
            Packet::Connack { code: 0, receive_maximum, .. } => {
                self.receive_maximum[guest] = receive_maximum;
                match &self.guests[guest].filter {
                    Some((filter, qos)) => wire::subscribe(out, self.level, 1, &[(filter, *qos)]),
                    None => self.ready += 1,
                }
            }
            Packet::Suback { codes, .. } if codes.iter().all(|code| *code < 0x80) => self.ready += 1,
            other => self.fault = Some(format!("{} got {other:?}", self.guests[guest].client_id)),
        }
    }

    fn closed(&mut self, connection: usize) {
        self.fault =
            Some(format!("the broker closed connection {connection} of {} guests", self.guests.len()));
    }
}

/// Connects all guests; their connections have consecutive numbers. Returns each one's Receive Maximum.
pub(super) fn gather(swarm: &mut Swarm, guests: &[Guest]) -> io::Result<Vec<u16>> {
    let mut greeter = Greeter {
        guests,
        first: swarm.len(),
        level: swarm.level(),
        receive_maximum: vec![u16::MAX; guests.len()],
        ready: 0,
        fault: None,
    };
    let mut opened = 0;
    let mut progress = (0, Instant::now());
    while greeter.ready < guests.len() {
        while opened < guests.len() && opened - greeter.ready < OPENING_MAX {
            swarm.open(&guests[opened].connect(greeter.level))?;
            opened += 1;
        }
        swarm.step(Duration::from_millis(100), &mut greeter)?;
        if let Some(fault) = greeter.fault {
            return Err(io::Error::other(fault));
        }
        if greeter.ready > progress.0 {
            progress = (greeter.ready, Instant::now());
        }
        if progress.1.elapsed() > PATIENCE {
            return Err(io::Error::other(format!(
                "{} of {} clients were greeted",
                greeter.ready,
                guests.len()
            )));
        }
    }
    Ok(greeter.receive_maximum)
}

/// Ends the sessions of durable guests.
pub(super) fn forget(address: std::net::SocketAddr, guests: &[Guest]) -> io::Result<()> {
    for guest in guests.iter().filter(|guest| guest.durable) {
        let (mut client, _) = Client::open(address, &client::clean(&guest.client_id), PATIENCE)?;
        let mut out = Vec::new();
        wire::disconnect(&mut out);
        client.send(&out)?;
    }
    Ok(())
}
