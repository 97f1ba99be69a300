//! What the broker and this driver used between two moments.

use std::io;
use std::time::{Duration, Instant};

use super::Figures;
use crate::process::{self, Usage};

/// Usage of the broker and of this driver, from a moment on.
pub(super) struct Meter<'a> {
    pids: &'a [u32],
    broker: Usage,
    driver: Usage,
    start: Instant,
}

/// What was used since a meter began.
pub(super) struct Reading {
    pub(super) time: Duration,
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_growth_bytes: f64,
    pub(super) written_bytes: u64,
    driver_cpu_seconds: f64,
    known: bool,
}

impl<'a> Meter<'a> {
    pub(super) fn start(pids: &'a [u32]) -> io::Result<Meter<'a>> {
        let driver = process::usage(&[std::process::id()])?;
        Ok(Meter { pids, broker: process::usage(pids)?, driver, start: Instant::now() })
    }

    pub(super) fn read(&self) -> io::Result<Reading> {
        let broker = process::usage(self.pids)?;
        let driver = process::usage(&[std::process::id()])?;
        Ok(Reading {
            time: self.start.elapsed(),
            cpu_seconds: broker.cpu_seconds - self.broker.cpu_seconds,
            rss_bytes: broker.rss_bytes,
            rss_growth_bytes: broker.rss_bytes as f64 - self.broker.rss_bytes as f64,
            written_bytes: broker.written_bytes - self.broker.written_bytes,
            driver_cpu_seconds: driver.cpu_seconds - self.driver.cpu_seconds,
            known: !self.pids.is_empty(),
        })
    }
}

impl Reading {
    /// Adds the figures that every load has; those of the broker only when its processes are known.
    pub(super) fn describe(&self, figures: &mut Figures) {
        figures.set_round("seconds", self.time.as_secs_f64());
        figures.set_round("driver_cpu_seconds", self.driver_cpu_seconds);
        if self.known {
            figures.set_round("broker_cpu_seconds", self.cpu_seconds);
            figures.set("broker_rss_bytes", self.rss_bytes);
            figures.set("broker_written_bytes", self.written_bytes);
        }
    }

    /// `count` a CPU second of the broker, when its processes are known and it used enough to be counted.
    pub(super) fn per_cpu_second(&self, figures: &mut Figures, name: &str, count: u64) {
        if self.known && self.cpu_seconds > 0.0 {
            figures.set_round(name, count as f64 / self.cpu_seconds);
        }
    }

    /// Adds how many bytes went to the disk for each byte of payload.
    pub(super) fn amplification(&self, figures: &mut Figures, payload_bytes: u64) {
        if self.known && payload_bytes > 0 {
            figures.set_round("write_amplification", self.written_bytes as f64 / payload_bytes as f64);
        }
    }
}
