//! A client's thread: it connects, keeps its session going until the connection ends, and comes back.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::doors::Doors;
use super::publisher::Publisher;
use super::reader::Reader;
use super::recorder::{Recorder, Signals, Stand};
use super::subscriber::Subscriber;
use super::testament::Testament;
use crate::client::Client;
use crate::history::{Event, What};
use crate::seed::Seed;
use crate::wire::{self, Connect, Level};

/// Pause before a client tries again to connect.
const RETRY: Duration = Duration::from_millis(10);
/// A broker that accepts a connection has this long to answer CONNECT.
const CONNACK_WAIT: Duration = Duration::from_secs(3);
/// Sessions outlive any storm.
const EXPIRY: u32 = 86_400;
/// Deliveries that a 5.0 subscriber lets the broker have in flight.
const RECEIVE_MAXIMUM: u16 = 50;
/// Seconds of Keep Alive: short, so that a connection that was left behind ends by itself.
const KEEP_ALIVE: u16 = 10;
/// Pause between two PINGREQs, and the silence after which a node is taken for dead.
const PING: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(3);

/// What a client is for.
pub(crate) enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
    Reader(Reader),
    /// It has only its will.
    Mortal,
}

/// How a client comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Now and then it leaves.
    Stays,
    /// It is often away, so that messages wait for it.
    Wanders,
    /// One of several under one client id: it comes back when it was thrown out.
    Fights,
    /// It leaves soon, mostly without a word.
    Dies,
}

/// One client.
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(super) client: u16,
    pub(super) level: Level,
    pub(super) clean: bool,
    pub(super) role: Role,
    pub(super) manner: Manner,
    pub(super) testament: Option<Testament>,
    /// The first, or only, one under its name: it is there before the storm.
    pub(super) first: bool,
    pub(super) seed: Seed,
    /// It has been counted.
    pub(super) settled: bool,
    /// A connection that was left open when the client went to another node.
    pub(super) abandoned: Option<Client>,
}

/// How a connection ends, when its client wants it to.
enum Leave {
    Goodbye,
    Cut,
    Abandon,
}

impl Actor {
    /// Whether the storm waits for it before it begins.
    pub(crate) fn settles(&self) -> bool {
        self.first
    }

    /// Whether something must have been done by it soon after all faults have healed.
    pub(crate) fn is_steady(&self) -> bool {
        let busy = match &self.role {
            Role::Publisher(role) => role.is_acknowledged(),
            Role::Subscriber(role) => role.sees_everything(),
            Role::Reader(_) | Role::Mortal => false,
        };
        busy && self.manner == Manner::Stays
    }

    /// Whether the broker owes it no acknowledgement.
    fn is_idle(&self) -> bool {
        if let Role::Publisher(role) = &self.role { role.is_idle() } else { true }
    }

    /// Works until it is told to stop and returns what it saw.
    pub(crate) fn work(mut self, doors: &Doors, mut recorder: Recorder) -> Vec<Event> {
        let signals = recorder.signals.clone();
        while !Signals::on(&signals.stop) {
            if Signals::on(&signals.retire) {
                // A will is due now, and not only at the end of Keep Alive.
                self.abandoned = None;
            }
            let absent = match self.manner {
                Manner::Fights if self.first => Signals::on(&signals.retire) && self.is_idle(),
                Manner::Fights => !Signals::on(&signals.publish) && self.is_idle(),
                Manner::Dies => Signals::on(&signals.retire),
                Manner::Stays | Manner::Wanders => false,
            };
            if !absent {
                // The end of a connection is the weather here; what it cost shows in the history.
                let _ended = self.session(doors, &mut recorder);
            }
            let wandering = Signals::on(&signals.wander);
            let away = match self.manner {
                Manner::Wanders if wandering => self.seed.below(400),
                Manner::Fights => 50 + self.seed.below(1500),
                Manner::Dies if wandering => self.seed.below(300),
                _ => self.seed.below(20),
            };
            thread::sleep(RETRY + Duration::from_millis(away));
        }
        recorder.events
    }

    fn session(&mut self, doors: &Doors, recorder: &mut Recorder) -> io::Result<()> {
        let (node, address) = doors.any(&mut self.seed);
        let connection = recorder.signals.connection();
        recorder.stand = Stand { client: self.client, connection, node };
        let scatter = recorder.signals.scatter.load(Ordering::SeqCst);
        let name = self.name.clone();
        let connect = Connect {
            level: self.level,
            client_id: &name,
            clean: self.clean,
            keep_alive: KEEP_ALIVE,
            expiry: if self.clean { 0 } else { EXPIRY },
            receive_maximum: RECEIVE_MAXIMUM,
        };
        if let Some(testament) = &mut self.testament {
            testament.renew(recorder);
        }
        let will = self.testament.as_ref().map(Testament::will);
        let began = recorder.now();
        let opened = Client::open_with(address, &connect, will.as_ref(), CONNACK_WAIT);
        if opened.is_err() && !self.clean {
            recorder.record(What::Unanswered { client: name.clone() });
        }
        let (mut client, greeting) = opened?;
        if greeting.code != 0 {
            return Ok(());
        }
        recorder.served(began);
        self.abandoned = None;
        let ended = self.converse(&mut client, (greeting.session_present, scatter), recorder);
        if !matches!(ended, Ok(Leave::Goodbye))
            && let Some(testament) = &self.testament
        {
            testament.open(Signals::on(&recorder.signals.retire), recorder);
        }
        if matches!(ended, Ok(Leave::Abandon)) {
            self.abandoned = Some(client);
        }
        ended.map(drop)
    }

    /// From CONNACK to the end.
    fn converse(
        &mut self,
        client: &mut Client,
        (session_present, scatter): (bool, u64),
        recorder: &mut Recorder,
    ) -> io::Result<Leave> {
        let mut out = Vec::new();
        self.greet(session_present, &mut out, recorder);
        client.send(&out)?;
        let leave_at = self.leave_at();
        let mut ping_at = Instant::now() + PING;
        while !Signals::on(&recorder.signals.stop) {
            out.clear();
            self.turn(client, &mut out, recorder)?;
            let now = Instant::now();
            if now > ping_at {
                ping_at = now + PING;
                wire::ping(&mut out);
            }
            client.send(&out)?;
            let retires = self.manner == Manner::Dies && Signals::on(&recorder.signals.retire);
            let scattered = recorder.signals.scatter.load(Ordering::SeqCst) != scatter;
            if retires || scattered || client.silent_for() > SILENCE {
                return Ok(Leave::Cut);
            }
            if Signals::on(&recorder.signals.wander) && leave_at.is_some_and(|at| now > at) {
                return self.leave(client);
            }
        }
        Ok(Leave::Goodbye)
    }

    fn greet(&mut self, session_present: bool, out: &mut Vec<u8>, recorder: &mut Recorder) {
        if !self.clean {
            recorder.record(What::Connected { client: self.name.clone(), session_present });
        }
        match &mut self.role {
            Role::Publisher(role) => role.on_connected(session_present, out, recorder),
            Role::Subscriber(role) => role.on_connected(session_present, out, recorder),
            Role::Reader(role) => role.on_connected(self.level, out, recorder),
            Role::Mortal if !self.settled => {
                self.settled = true;
                recorder.settled();
            }
            Role::Mortal => {}
        }
    }

    /// Reads what is here, answers it, and publishes what is due.
    fn turn(&mut self, client: &mut Client, out: &mut Vec<u8>, recorder: &mut Recorder) -> io::Result<()> {
        let role = &mut self.role;
        client.read(|packet| {
            match role {
                Role::Publisher(role) => role.on_packet(&packet, out, recorder),
                Role::Subscriber(role) => role.on_packet(&packet, out, recorder),
                Role::Reader(role) => role.on_packet(&packet, out, recorder),
                Role::Mortal => {}
            }
            true
        })?;
        match role {
            Role::Publisher(role) => role.pump(Instant::now(), out, recorder),
            Role::Subscriber(role) => role.pump(out, recorder),
            Role::Reader(_) | Role::Mortal => {}
        }
        Ok(())
    }

    /// When to go away without being asked.
    fn leave_at(&mut self) -> Option<Instant> {
        let after = match self.manner {
            Manner::Wanders => 100 + self.seed.below(500),
            Manner::Dies => 100 + self.seed.below(2000),
            Manner::Fights if self.seed.below(2) == 0 => 100 + self.seed.below(3000),
            Manner::Stays if self.seed.below(4) == 0 => 100 + self.seed.below(2000),
            Manner::Fights | Manner::Stays => return None,
        };
        Some(Instant::now() + Duration::from_millis(after))
    }

    /// Half of them say goodbye; some of the others leave the connection open behind them.
    fn leave(&mut self, client: &mut Client) -> io::Result<Leave> {
        match self.seed.below(4) {
            0 | 1 => {
                let mut out = Vec::new();
                wire::disconnect(&mut out);
                client.send(&out)?;
                Ok(Leave::Goodbye)
            }
            2 => Ok(Leave::Cut),
            _ => Ok(Leave::Abandon),
        }
    }
}
