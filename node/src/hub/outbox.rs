//! Doing what session groups owe to other groups: publishing wills, leaving shared subscriptions.

use holdfast_codec::Qos;
use holdfast_log::GroupId;

use super::Hub;
use super::machine::Machines;
use super::tag::OpTag;
use crate::record::{Fences, Record, Token};
use crate::route::{Partition, Route, hash};
use crate::state::session::op::{Kind, ShareLeave};
use crate::state::session::outbox::{Entry, Task};

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
        for (number, entry) in new {
            self.outbox_sent[at] = number;
            match entry.task {
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
                }
                Some(Task::LeaveShare(leave)) => {
                    let to = self.route.session_group(&leave.share);
                    let op = ShareLeave {
                        share: leave.share,
                        client_id: entry.client_id,
                        incarnation: leave.incarnation,
                    };
                    self.accept_op(to, Kind::ShareLeave(op), OpTag::Outbox { group, number });
                }
                None => unreachable!("an entry of a future version stops the replica at decode"),
            }
        }
    }
}
