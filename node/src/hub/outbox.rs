//! Doing what session groups owe to other groups: publishing wills, leaving shared subscriptions, removing the
//! tokens of ended sessions.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_codec::Qos;
use holdfast_log::{Body, GroupId};
use prost::Message as _;

use super::Hub;
use super::machine::Machines;
use super::tag::{OpTag, Tag};
use crate::config::Fault;
use crate::record::{Fences, Record, Token, low_epoch};
use crate::route::{Partition, Route, hash};
use crate::state::partition::{Boot, Command, CommandKind, Ended, Forget};
use crate::state::session::op::{Kind, OutboxDone, ShareLeave};
use crate::state::session::outbox::{Entry, ForgetTokens, Task};

/// Sessions that one entry tells a partition of, at most.
pub(super) const FORGOTTEN_MAX: usize = 2_048;

impl Hub {
    /// Starts what is new in the outbox of a session group that this node leads.
    pub(super) fn send_outbox(&mut self, group: GroupId) {
        if self.boot == 0 || !self.leading.leads(group) || Partition::of_group(group).is_some() {
            return;
        }
        let at = Machines::session_index(group);
        let outbox = self.machines.sessions[at].outbox();
        let Some(lowest_open) = outbox.lowest_open() else { return };
        let new: Vec<(u64, Entry)> =
            outbox.after(self.outbox_sent[at]).map(|(number, entry)| (number, entry.clone())).collect();
        let mut forgets: BTreeMap<u32, Vec<(u64, Ended)>> = BTreeMap::new();
        for (number, entry) in new {
            self.outbox_sent[at] = number;
            match entry.task {
                Some(Task::Will(_)) if Fault::DropWill.is_in(self.fault) && number % 3 == 0 => {
                    self.accept_op(group, Kind::OutboxDone(OutboxDone { number }), OpTag::Quiet);
                }
                Some(Task::Will(will)) => {
                    let token =
                        Token { incarnation: u64::from(group.get()) << 48, token: number, lowest_open };
                    let record = Record {
                        qos: u8::try_from(will.qos).ok().and_then(Qos::from_u8).unwrap_or(Qos::AtMostOnce),
                        retain: will.retain,
                        slot: Route::slot(&will.topic),
                        publisher: hash(entry.client_id.as_bytes()),
                        epoch: 0,
                        expiry: will.expiry,
                        token: Some(token),
                        fences: Fences::default(),
                        topic: &will.topic,
                        properties: &will.properties,
                        payload: &will.payload,
                    };
                    self.accept_will(&record, group, number);
                    if Fault::WillTwice.is_in(self.fault) {
                        self.accept_will(&Record { token: None, ..record }, group, number);
                    }
                }
                Some(Task::LeaveShare(leave)) => {
                    let to = self.route.session_group(&leave.share);
                    let op = ShareLeave { share: leave.share, client_id: entry.client_id, at: leave.at };
                    self.accept_op(to, Kind::ShareLeave(op), OpTag::Outbox { group, number });
                }
                Some(Task::ForgetTokens(task)) => {
                    let ended = self.ended(group, &entry.client_id, &task);
                    forgets.entry(task.partition).or_default().push((number, ended));
                }
                None => unreachable!("an entry of a future version stops the replica at decode"),
            }
        }
        for (partition, ended) in forgets {
            for ended in ended.chunks(FORGOTTEN_MAX) {
                let (numbers, sessions) = ended.iter().cloned().unzip();
                self.propose_forget(self.partition(partition), sessions, Tag::Outbox(group, numbers));
            }
        }
    }

    /// Tells a partition of sessions that have ended, or of owners that have lost them.
    pub(super) fn propose_forget(&mut self, partition: Partition, sessions: Vec<Ended>, tag: Tag) {
        let kind = Some(CommandKind::Forget(Forget { sessions }));
        let body = Body::Command(Bytes::from(Command { kind }.encode_to_vec()));
        self.proposals.push(partition.group(), body, tag);
    }

    fn partition(&self, number: u32) -> Partition {
        let mut partitions = self.route.all_partitions();
        partitions.find(|one| u32::from(one.get()) == number).expect("a worker wrote the number of one")
    }

    /// What the partition is told of an ended session. A boot that is closed for sessions need not be closed there.
    fn ended(&self, group: GroupId, client_id: &str, task: &ForgetTokens) -> Ended {
        let there = &self.machines.partitions[self.partition(task.partition).index()];
        let closed = self.machines.sessions_of(group).closed().filter(|boot| !there.is_closed(*boot));
        let fences = closed.map(Boot::from).collect();
        Ended {
            incarnation: task.incarnation,
            publisher: hash(client_id.as_bytes()),
            epoch: low_epoch(task.epoch + 1),
            fences,
        }
    }
}
