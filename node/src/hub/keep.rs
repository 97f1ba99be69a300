//! Housekeeping by the clock: deadlines of sessions and retained messages, retention, flushing, disk space.

use std::time::Duration;

use bytes::Bytes;
use holdfast_log::{Body, Offset, Stamp};
use prost::Message;

use super::Hub;
use super::machine::Machines;
use super::tag::{OpTag, Tag};
use super::turn::HubError;
use crate::mail::{Flushing, Request};
use crate::route::Partition;
use crate::state::partition::{Command, CommandKind, Purge};
use crate::state::session::Backlog;
use crate::state::session::op::{Expire, Kind};

/// Eight times the bytes of messages between two looks at the space, at the most.
const LOOK_BYTES: u64 = 256 * 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
/// Computing floors walks all durable sessions.
const RETENTION_EVERY: Duration = Duration::from_secs(10);

/// Limits of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages older than this are dropped once no durable session needs them.
    pub age: Duration,
    /// So are the oldest beyond this many bytes per partition.
    pub bytes: u64,
    /// Beyond this many bytes per partition even those that a session needs are dropped.
    pub hard_bytes: u64,
    /// Bytes of log and state beyond which new messages are refused; 0: no limit.
    pub store_bytes_max: u64,
    /// Free bytes of the file system below which new messages are refused.
    pub reserve_bytes: u64,
}

/// When what was looked at last.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) limits: Limits,
    /// How writes are synced, as the admin API shows it.
    pub(super) fsync: String,
    /// New messages are refused: there is no space here, or on another node.
    pub(super) full: bool,
    /// There is no space here.
    pub(super) short: bool,
    /// Bytes used and free, as of the last look.
    pub(super) used: (u64, u64),
    /// What each session group's sessions have still to get, as of the last look at it.
    backlogs: Vec<Backlog>,
    /// The group that is counted next: counting walks its sessions, so they have their turn one by one.
    uncounted: usize,
    counted_at: Duration,
    deadlines_at: Duration,
    space_at: Duration,
    /// Bytes taken in since the last look at the space.
    unlooked: u64,
    retention_at: Duration,
    flushing: bool,
    /// Flushes run on a thread of their own.
    beside: bool,
}

impl Keeping {
    pub(super) fn new(limits: Limits, fsync: String, beside: bool) -> Self {
        Self {
            limits,
            fsync,
            full: false,
            short: false,
            used: (0, 0),
            backlogs: Vec::new(),
            uncounted: 0,
            counted_at: Duration::ZERO,
            deadlines_at: Duration::ZERO,
            space_at: Duration::ZERO,
            unlooked: 0,
            retention_at: RETENTION_EVERY,
            flushing: false,
            beside,
        }
    }

    /// What all sessions have still to get.
    pub(super) fn backlog(&self) -> Backlog {
        self.backlogs.iter().copied().fold(Backlog::default(), Backlog::and)
    }

    pub(super) fn counted(&mut self, bytes: usize) {
        self.unlooked += bytes as u64;
    }
}

impl Hub {
    pub(super) fn keep(&mut self) -> Result<(), HubError> {
        let now = self.clock.monotonic();
        if now >= self.keeping.deadlines_at {
            self.keeping.deadlines_at = now + super::TICK;
            if self.boot > 0 {
                self.keep_deadlines();
                self.append_late();
            }
        }
        // A fast publisher fills what is held in reserve in less than a second.
        let much = self.keeping.limits.reserve_bytes.clamp(LOOK_BYTES / 32, LOOK_BYTES) / 8;
        if now >= self.keeping.space_at || self.keeping.unlooked > much {
            self.keeping.space_at = now + SECOND;
            self.keeping.unlooked = 0;
            self.keep_space()?;
        }
        if now >= self.keeping.retention_at {
            self.keeping.retention_at = now + RETENTION_EVERY;
            if self.boot > 0 {
                self.read_for_retention();
            }
            self.engine.compact()?;
        }
        if !self.keeping.flushing && self.engine.wants_flush() {
            self.start_flush()?;
        }
        Ok(())
    }

    /// The last sync and flush before the process ends on request.
    pub(super) fn keep_last(mut self) -> Result<(), HubError> {
        let mut requests = Vec::new();
        self.inbox.take(&mut requests);
        self.turn(&mut requests)?;
        if !self.keeping.flushing {
            self.engine.flush_state()?;
        }
        Ok(())
    }

    fn keep_deadlines(&mut self) {
        let now = self.now();
        for group in self.route.all_session_groups() {
            let due = self.machines.sessions[Machines::session_index(group)].due(now);
            if due && self.leading.leads(group) {
                self.accept_op(group, Kind::Expire(Expire {}), OpTag::Quiet);
            }
        }
        for partition in self.route.all_partitions() {
            let due = self.machines.partitions[partition.index()].due(now);
            if due && self.leading.leads(partition.group()) {
                let command = Command { kind: Some(CommandKind::Purge(Purge {})) };
                let body = Body::Command(Bytes::from(command.encode_to_vec()));
                self.proposals.push(partition.group(), body, Tag::Quiet);
            }
        }
    }

    fn keep_space(&mut self) -> Result<(), HubError> {
        let usage = self.reader.usage()?;
        let Limits { store_bytes_max, reserve_bytes, .. } = self.keeping.limits;
        let used = usage.log_bytes + usage.state_bytes;
        // Some slack before it opens again, so that it does not flutter.
        let slack = if self.keeping.short { 20 } else { 0 };
        let short = usage.free_bytes < reserve_bytes + reserve_bytes / 100 * slack;
        let over = store_bytes_max > 0 && used + store_bytes_max / 100 * slack > store_bytes_max;
        self.keeping.short = short || over;
        // What one node cannot keep is not replicated as it was promised.
        let full = self.keeping.short || self.peers.any_full();
        if full != self.keeping.full {
            self.keeping.full = full;
            if full {
                let free = usage.free_bytes;
                if self.keeping.short {
                    tracing::error!(free, used, "the disk is full: new messages are refused");
                } else {
                    tracing::error!("the disk of another node is full: new messages are refused");
                }
                // What retention may give back is wanted now.
                self.keeping.retention_at = Duration::ZERO;
            } else {
                tracing::info!(free = usage.free_bytes, used, "there is space again");
            }
        }
        self.keeping.used = (used, usage.free_bytes);
        self.count_backlog();
        self.show_levels()
    }

    fn count_backlog(&mut self) {
        let now = self.clock.monotonic();
        if now >= self.keeping.counted_at {
            let Machines { sessions, next, .. } = &self.machines;
            let Keeping { backlogs, uncounted, counted_at, .. } = &mut self.keeping;
            *counted_at = now + SECOND;
            backlogs.resize(sessions.len(), Backlog::default());
            backlogs[*uncounted] = sessions[*uncounted].backlog(self.route, next);
            *uncounted = (*uncounted + 1) % sessions.len();
        }
    }

    /// Cuts each partition that is led here where age and bytes say so, but not past what a session needs, unless the
    /// hard limit says so. The sessions have been read: one that is not here yet begins behind what is here.
    pub(super) fn cut_all(&mut self) {
        self.sweep_shares();
        let mut floors = self.machines.next.clone();
        for sessions in &self.machines.sessions {
            sessions.lower_floors(self.machines.route(), &mut floors);
        }
        let limits = self.keeping.limits;
        let age = u64::try_from(limits.age.as_millis()).unwrap_or(u64::MAX);
        let older_than = Stamp::new(self.now().saturating_sub(age));
        for partition in self.route.all_partitions() {
            let group = partition.group();
            let soft = self.engine.log_start_for(group, older_than, limits.bytes).map_or(0, Offset::get);
            let hard =
                self.engine.log_start_for(group, Stamp::new(0), limits.hard_bytes).map_or(0, Offset::get);
            let start = soft.min(floors[partition.index()]).max(hard);
            self.cut(partition, start);
        }
    }

    fn cut(&mut self, partition: Partition, start: u64) {
        let group = partition.group();
        let first = self.engine.status(group).map_or(0, |status| status.first_offset.get());
        if start > first && self.leading.leads(group) && self.proposals.open(group) == 0 {
            self.proposals.push(group, Body::LogStart(Offset::new(start)), Tag::Quiet);
        }
    }

    fn start_flush(&mut self) -> Result<(), HubError> {
        if !self.keeping.beside {
            return Ok(self.engine.flush_state()?);
        }
        let flush = self.engine.flush_begin()?;
        let inbox = std::sync::Arc::clone(&self.inbox);
        self.keeping.flushing = true;
        let spawned = std::thread::Builder::new().name("flush".to_owned()).spawn(move || {
            inbox.send_one(Request::Flushed(Flushing(flush.run())));
        });
        spawned.map_err(HubError::Thread)?;
        Ok(())
    }

    pub(super) fn flushed(&mut self) {
        self.keeping.flushing = false;
    }
}
