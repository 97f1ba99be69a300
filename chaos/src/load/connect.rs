//! CONNECT, CONNACK, DISCONNECT, end of the connection; as often as the broker can.

use std::io;
use std::time::{Duration, Instant};

use super::gather::Guest;
use super::meter::Meter;
use super::swarm::{Handler, Swarm};
use super::{Figures, LoadArgs};
use crate::wire::{self, Packet};

#[derive(Default)]
struct Door {
    greeted: u64,
    gone: Vec<usize>,
    fault: Option<String>,
}

impl Handler for Door {
    fn packet(&mut self, _: usize, packet: Packet<'_>, out: &mut Vec<u8>) {
        match packet {
            Packet::Connack { code: 0, .. } => {
                self.greeted += 1;
                wire::disconnect(out);
            }
            other => self.fault = Some(format!("instead of a CONNACK of success came {other:?}")),
        }
    }

    fn closed(&mut self, connection: usize) {
        self.gone.push(connection);
    }
}

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let mut swarm = Swarm::new(args.addresses()?, args.level(), 0)?;
    let run = args.run_id();
    let guests: Vec<Guest> = (0..args.publishers.unwrap_or(50))
        .map(|index| Guest { client_id: format!("load-{run}-{index}"), durable: args.durable, filter: None })
        .collect();
    for guest in &guests {
        swarm.open(&guest.connect(args.level()))?;
    }
    let mut door = Door::default();
    turn(args, &mut swarm, &mut door, (&guests, Duration::from_secs_f64(args.warmup)))?;
    let before = door.greeted;
    let meter = Meter::start(&args.pid)?;
    turn(args, &mut swarm, &mut door, (&guests, args.duration()))?;
    let reading = meter.read()?;
    let connects = door.greeted - before;
    let mut figures = Figures::default();
    figures.set("connects", connects);
    figures.set_round("connects_per_second", connects as f64 / reading.time.as_secs_f64());
    reading.describe(&mut figures);
    reading.per_cpu_second(&mut figures, "connects_per_broker_cpu_second", connects);
    Ok(figures)
}

fn turn(
    args: &LoadArgs,
    swarm: &mut Swarm,
    door: &mut Door,
    (guests, time): (&[Guest], Duration),
) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        swarm.step(Duration::from_millis(10), door)?;
        if let Some(fault) = door.fault.take() {
            return Err(io::Error::other(fault));
        }
        for connection in std::mem::take(&mut door.gone) {
            swarm.close(connection);
            swarm.reopen(connection, &guests[connection].connect(args.level()))?;
        }
    }
    Ok(())
}
