//! What is committed: into the machines, and on to whoever waits for it.

use std::sync::Arc;

use holdfast_log::Committed;

use super::Hub;
use super::machine::Applied;
use super::tag::{OpTag, Part, Tag, runs};
use super::turn::HubError;
use crate::mail::{Event, From, Refused};
use crate::record::fenced_ordinals;
use crate::route::Partition;
use crate::state::session::Outcome;
use crate::state::session::op::{Kind, OutboxDone};

impl Hub {
    pub(super) fn apply(&mut self, committed: &Committed) -> Result<(), HubError> {
        let entry = committed.entry();
        let (group, index) = (entry.group, entry.index);
        self.time.applied(entry.stamp.get(), self.clock.monotonic());
        let (applied, changes) = self.machines.apply(committed)?;
        self.engine.persist(group, index, changes)?;
        let (tag, behind) = match self.proposals.committed(committed, self.clock.monotonic()) {
            Some(Tag::Behind(tag, parts)) => (Some(*tag), parts),
            tag => (tag, Vec::new()),
        };
        match applied {
            Applied::Records(partition) => {
                for post in self.workers.iter_mut().filter(|post| post.feeding) {
                    post.events.push(Event::Entry(partition, Arc::clone(entry)));
                }
                self.keeping.counted(entry.payload.len());
                if let Some(Tag::Publishes(parts)) = tag {
                    let fenced: Vec<u32> = fenced_ordinals(&entry.payload).collect();
                    self.settle_parts(partition, parts, &fenced);
                }
            }
            Applied::Settled(partition, fenced) => {
                if let Some(Tag::Publishes(parts)) = tag {
                    self.settle_parts(partition, parts, &fenced);
                }
            }
            Applied::Ops(outcomes) => {
                let mut tags = if let Some(Tag::Ops(tags)) = tag { tags } else { Vec::new() }.into_iter();
                for (op, outcome) in outcomes {
                    self.witness(&op, &outcome);
                    if let Some(tag) = tags.next() {
                        self.done(&op, outcome, tag);
                    }
                }
                self.send_outbox(group);
            }
            Applied::Meta(verdict) => self.verdict(verdict, tag),
            Applied::Closed(node, boot) => {
                self.boot_closed(group, node, boot);
                self.send_outbox(group);
            }
            Applied::Quiet => match (tag, Partition::of_group(group)) {
                (Some(Tag::Outbox(group, numbers)), _) => {
                    for number in numbers {
                        self.accept_op(group, Kind::OutboxDone(OutboxDone { number }), OpTag::Quiet);
                    }
                }
                (Some(Tag::Fences(fenced)), Some(partition)) => self.fences_stand(partition, fenced),
                _ => {}
            },
        }
        if let Some(partition) = Partition::of_group(group) {
            self.settle_parts(partition, behind, &[]);
        }
        Ok(())
    }

    /// What every node does about an operation, whoever proposed it.
    fn witness(&mut self, op: &Kind, outcome: &Outcome) {
        match (op, outcome) {
            (Kind::Attach(op), Outcome::Attached(attached)) => self.taken_over(op.owner.node, attached),
            (Kind::Forget(op), Outcome::Removed(Some(owner))) => {
                self.fence(*owner, &op.client_id, false);
            }
            (_, Outcome::WillsOut(client_id)) => self.answer(client_id),
            (Kind::ShareLeave(op), Outcome::Done) => self.share_left(op),
            _ => {}
        }
    }

    /// The records of an entry of this node are settled: those that stand behind a fence, by their place in it, as
    /// refused.
    pub(super) fn settle_parts(&mut self, partition: Partition, parts: Vec<Part>, fenced: &[u32]) {
        let mut first = 0;
        for part in parts {
            match part {
                Part::Worker { worker, count } => {
                    let post = self.post(worker);
                    if fenced.is_empty() {
                        post.settled.push(Event::Settled { partition, count, refused: None });
                    } else {
                        let behind = (first..first + count).map(|place| fenced.contains(&place));
                        post.settled.extend(runs(behind).into_iter().map(|(count, fenced)| {
                            let refused = fenced.then_some(Refused::Fenced);
                            Event::Settled { partition, count, refused }
                        }));
                    }
                    first += count;
                }
                Part::Apart { worker, count, refused } => {
                    self.post(worker).settled.push(Event::Settled { partition, count, refused });
                }
                Part::Will { group, number } => {
                    self.accept_op(group, Kind::OutboxDone(OutboxDone { number }), OpTag::Quiet);
                    first += 1;
                }
            }
        }
    }

    fn done(&mut self, op: &Kind, outcome: Outcome, tag: OpTag) {
        match (tag, outcome) {
            (OpTag::Attach { from, waited }, Outcome::Attached(attached)) => {
                self.attached(from, attached, waited);
            }
            (OpTag::HandedOver, _) => self.handed_over(op),
            (OpTag::Detach, Outcome::Stale) => self.late_detach(op),
            (OpTag::Reply(From { worker, connection, tag }), outcome) => {
                let outcome = Ok(outcome);
                self.post(worker).events.push(Event::SessionDone { connection, tag, outcome });
            }
            (OpTag::ShareFlush { worker, tag }, _) => {
                if let Kind::ShareWindow(window) = op {
                    self.share_flushed(window, worker, tag);
                }
            }
            (OpTag::Outbox { group, number }, _) => {
                self.accept_op(group, Kind::OutboxDone(OutboxDone { number }), OpTag::Quiet);
            }
            (OpTag::Forget(reply), Outcome::Removed(_)) => {
                // The caller may have gone away meanwhile.
                let _ = reply.send(true);
            }
            _ => {}
        }
    }
}
