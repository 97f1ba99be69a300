//! A client's thread: it connects, keeps its session going until the connection ends, and comes back.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::publisher::Publisher;
use super::recorder::{Recorder, Signals};
use super::subscriber::Subscriber;
use crate::client::Client;
use crate::history::{Event, What};
use crate::seed::Seed;
use crate::wire::{self, Connect, Level};

/// Pause before a client tries again to connect.
const RETRY: Duration = Duration::from_millis(10);
/// A broker that accepts a connection has this long to answer CONNECT.
const CONNACK_WAIT: Duration = Duration::from_secs(5);
/// Sessions outlive any storm.
const EXPIRY: u32 = 86_400;
/// Deliveries that a 5.0 subscriber lets the broker have in flight.
const RECEIVE_MAXIMUM: u16 = 50;

pub(super) enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

pub(super) struct Actor {
    name: String,
    level: Level,
    role: Role,
    seed: Seed,
    wanders: bool,
}

impl Actor {
    pub(super) fn new(name: &str, level: Level, role: Role, seed: Seed) -> Actor {
        Actor { name: name.to_owned(), level, role, seed, wanders: false }
    }

    /// A client that is often away, so that messages wait for it.
    pub(super) fn wandering(self) -> Actor {
        Actor { wanders: true, ..self }
    }

    /// Works until it is told to stop and returns what it saw.
    pub(super) fn work(mut self, address: SocketAddr, mut recorder: Recorder) -> Vec<Event> {
        while !Signals::on(&recorder.signals.stop) {
            // The end of a connection is the weather here; what it cost shows in the history.
            let _ended = self.session(address, &mut recorder);
            let wandering = Signals::on(&recorder.signals.wander) && self.wanders;
            let away = if wandering { Duration::from_millis(self.seed.below(400)) } else { Duration::ZERO };
            thread::sleep(RETRY + away);
        }
        recorder.events
    }

    fn session(&mut self, address: SocketAddr, recorder: &mut Recorder) -> io::Result<()> {
        let name = self.name.clone();
        let connect = Connect {
            level: self.level,
            client_id: &name,
            clean: false,
            keep_alive: 60,
            expiry: EXPIRY,
            receive_maximum: RECEIVE_MAXIMUM,
        };
        let (mut client, greeting) = Client::open(address, &connect, CONNACK_WAIT)?;
        if greeting.code != 0 {
            return Ok(());
        }
        let session_present = greeting.session_present;
        recorder.record(What::Connected { client: name, session_present });
        let mut out = Vec::new();
        match &mut self.role {
            Role::Publisher(role) => role.on_connected(session_present, &mut out, recorder),
            Role::Subscriber(role) => role.on_connected(session_present, &mut out),
        }
        client.send(&out)?;
        let leave = self.leave();
        while !Signals::on(&recorder.signals.stop) {
            out.clear();
            self.turn(&mut client, &mut out, recorder)?;
            client.send(&out)?;
            if Signals::on(&recorder.signals.wander) && leave.is_some_and(|at| Instant::now() > at) {
                // Half of them say goodbye.
                if self.seed.below(2) == 0 {
                    out.clear();
                    wire::disconnect(&mut out);
                    client.send(&out)?;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads what is here, answers it, and publishes what is due.
    fn turn(&mut self, client: &mut Client, out: &mut Vec<u8>, recorder: &mut Recorder) -> io::Result<()> {
        let role = &mut self.role;
        client.read(|packet| {
            match role {
                Role::Publisher(role) => role.on_packet(&packet, out, recorder),
                Role::Subscriber(role) => role.on_packet(&packet, out, recorder),
            }
            true
        })?;
        if let Role::Publisher(role) = role {
            role.pump(Instant::now(), out, recorder);
        }
        Ok(())
    }

    /// When to go away without being asked: wanderers always, others now and then.
    fn leave(&mut self) -> Option<Instant> {
        let after = match self.wanders {
            true => 100 + self.seed.below(500),
            false if self.seed.below(4) == 0 => 100 + self.seed.below(2000),
            false => return None,
        };
        Some(Instant::now() + Duration::from_millis(after))
    }
}
