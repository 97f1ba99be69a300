//! The two ends of a flow of messages over a kill: who publishes at QoS 1, and who receives.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::wire::{self, Ack, Connect, Level, Packet, Publish};

/// Where everything is published.
pub(super) const TOPIC: &str = "failover/topic";
/// Messages without PUBACK, at most.
const IN_FLIGHT_MAX: usize = 1000;

/// What the two ends know of each other.
pub(super) struct Ends {
    patience: Duration,
    pause: Duration,
    start: Instant,
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    flows: [bool; 2],
    killed: Option<Instant>,
    /// First PUBACK and first delivery of what was sent after the kill.
    after: [Option<Instant>; 2],
}

#[derive(Clone, Copy)]
enum End {
    Acknowledged,
    Delivered,
}

impl Ends {
    pub(super) fn new(patience: Duration, rate: u32) -> Ends {
        let pause = Duration::from_secs(1) / rate.max(1);
        let (start, over, seen) = (Instant::now(), AtomicBool::new(false), Mutex::default());
        Ends { patience, pause, start, over, seen }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether messages have come through, at both ends.
    pub(super) fn flow(&self) -> bool {
        self.seen().flows == [true, true]
    }

    /// The leader died.
    pub(super) fn killed(&self, at: Instant) {
        self.seen().killed = Some(at);
    }

    /// How long it took from the kill, at each end.
    pub(super) fn both(&self) -> Option<(Duration, Duration)> {
        let seen = self.seen();
        let killed = seen.killed?;
        Some((seen.after[0]? - killed, seen.after[1]? - killed))
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn note(&self, end: End, sent: Instant) {
        let now = Instant::now();
        let mut seen = self.seen();
        seen.flows[end as usize] = true;
        if seen.killed.is_some_and(|killed| sent > killed) {
            seen.after[end as usize].get_or_insert(now);
        }
    }

    /// Publishes until the end, also over connections that are cut.
    pub(super) fn publish(&self, door: SocketAddr) -> io::Result<()> {
        self.insist(|| {
            let mut client = open(door, "failover-publisher", self.patience)?;
            let mut flights: VecDeque<(u16, Instant)> = VecDeque::new();
            let mut next_id = 1;
            let mut due = Instant::now();
            let mut out = Vec::new();
            while !self.over.load(Ordering::SeqCst) {
                out.clear();
                let now = Instant::now();
                if now >= due && flights.len() < IN_FLIGHT_MAX {
                    due = now + self.pause;
                    let micros = (now - self.start).as_micros() as u64;
                    message(&mut out, next_id, &micros.to_be_bytes());
                    flights.push_back((next_id, now));
                    next_id = next_id % u16::MAX + 1;
                }
                client.send(&out)?;
                client.read(|packet| {
                    if let Packet::Ack { kind: Ack::Puback, packet_id, code } = packet
                        && let Some(at) = flights.iter().position(|(id, _)| *id == packet_id)
                        && let Some((_, sent)) = flights.remove(at)
                        && code < 0x80
                    {
                        self.note(End::Acknowledged, sent);
                    }
                    true
                })?;
            }
            Ok(())
        })
    }

    /// Receives until the end.
    pub(super) fn subscribe(&self, door: SocketAddr) -> io::Result<()> {
        self.insist(|| {
            let mut client = open(door, "failover-subscriber", self.patience)?;
            let mut out = Vec::new();
            wire::subscribe(&mut out, Level::V5, 1, &[(TOPIC, 1)]);
            while !self.over.load(Ordering::SeqCst) {
                client.send(&out)?;
                out.clear();
                client.read(|packet| {
                    if let Packet::Publish { packet_id, payload, .. } = packet {
                        wire::ack(&mut out, Ack::Puback, packet_id);
                        let micros = payload.try_into().map(u64::from_be_bytes).unwrap_or(0);
                        self.note(End::Delivered, self.start + Duration::from_micros(micros));
                    }
                    true
                })?;
            }
            Ok(())
        })
    }

    /// Comes back when the node ends a connection, for as long as there is patience.
    fn insist(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        loop {
            let ended = work();
            let over = self.over.load(Ordering::SeqCst);
            if ended.is_ok() || over {
                return Ok(());
            }
            if self.start.elapsed() > 3 * self.patience {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Publishes so many messages, and waits until all are acknowledged.
pub(super) fn publish(door: SocketAddr, count: u64) -> io::Result<()> {
    let patience = Duration::from_secs(30);
    let mut client = open(door, "failover-probe", patience)?;
    let mut out = Vec::new();
    (1..=count).for_each(|id| message(&mut out, id as u16, &[0; 8]));
    client.send(&out)?;
    let (mut acked, start) = (0, Instant::now());
    while acked < count {
        client.read(|packet| {
            acked += u64::from(matches!(packet, Packet::Ack { kind: Ack::Puback, .. }));
            true
        })?;
        if start.elapsed() > patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

fn open(door: SocketAddr, client_id: &str, patience: Duration) -> io::Result<Client> {
    // No Keep Alive: what is slow here is to be measured, not to be left.
    let connect =
        Connect { level: Level::V5, client_id, clean: true, keep_alive: 0, expiry: 0, receive_maximum: 0 };
    let (client, greeting) = Client::open(door, &connect, patience)?;
    if greeting.code == 0 { Ok(client) } else { Err(io::Error::other(format!("CONNACK {}", greeting.code))) }
}

fn message(out: &mut Vec<u8>, packet_id: u16, payload: &[u8]) {
    let publish = Publish { topic: TOPIC, payload, qos: 1, dup: false, retain: false, packet_id };
    wire::publish(out, Level::V5, &publish);
}
