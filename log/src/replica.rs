//! One replica of one group: Raft, the ledger, and admission.
//!
//! ```text
//!            election won                    first entry of its term applied
//! follower --------------> leader, not ready ------------------------------> leader, admits
//!     ^                            |                                               |
//!     '----------------------------+------------ a higher term, or no quorum ------'
//! any of them -- a committed entry that it must not skip --> stopped
//! ```
//!
//! Raft's `Ready` never leaves this module, and neither does its hidden random election timeout.

mod admit;
mod change;
mod status;
mod peers;
mod sabotage;
mod storage;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{self, MessageType};
use raft::{GetEntriesContext, ProgressState, RawNode, Ready, SnapshotStatus, StateRole};

use crate::config::{Config, Sabotage};
use crate::effects::{Effects, ReadReady, Role};
use crate::error::LogError;
use crate::group::{Contacts, GroupSpec};
use crate::id::{GroupId, Index, NodeId, ReplicaId, Term};
use crate::journal::Journal;
use crate::key::{self, history::History, vote::Vote};
use crate::ledger::Ledger;
use crate::logged::Logged;
use crate::message::{Message, Sender};
use crate::progress::{Kept, Progress};
use crate::store::{Batch, Space};
use peers::Peers;
use storage::GroupStorage;

/// One replica. It reads the journal and writes batches; it does no other IO.
pub(crate) struct Replica {
    spec: GroupSpec,
    raft: RawNode<GroupStorage>,
    journal: Arc<Journal>,
    pub(crate) progress: Progress,
    /// The ledger as it will be when everything proposed here is applied, and the term it holds for.
    /// Only a leader that admits has one.
    ahead: Option<(Term, Ledger)>,
    /// The role that the driver knows.
    role: Option<Role>,
    stopped: bool,
    /// Whether the commit index on disk is behind. It rides along with the next synced batch.
    stale_commit: bool,
    /// What `collect` has taken and `persisted` will finish.
    turn: Option<Turn>,
    draw: Draw,
    uncommitted_max: u64,
    /// Every voter has the log on disk up to here, as far as this replica has heard.
    shared: Index,
    /// Ticks since a follower that takes a snapshot was last heard to be at it.
    taking: BTreeMap<ReplicaId, u32>,
    peers: Peers,
    /// This node, as far as the members have ever told.
    home: Option<NodeId>,
    /// The commit index on disk.
    durable: Index,
    /// The members have changed, and no record says so yet.
    shifted: bool,
    sabotage: Option<Sabotage>,
}

struct Turn {
    ready: Ready,
    after: Vec<eraftpb::Message>,
    committed: Option<Index>,
}

/// Where election timeouts come from: a number that depends on seed, group, replica and term alone.
struct Draw {
    seed: u64,
    ticks: RangeInclusive<u32>,
}

/// What a replica starts from.
pub(crate) struct Start {
    pub(crate) spec: GroupSpec,
    pub(crate) vote: Vote,
    pub(crate) progress: Progress,
    pub(crate) stale_commit: bool,
    /// The copy of the history that is to be finished.
    pub(crate) history: Option<History>,
}

impl Start {
    /// Everyone who may be asked.
    pub(crate) fn contacts(&self) -> Contacts {
        self.progress.members.all().map(|(replica, node, _)| (replica, node)).collect()
    }
}

impl Replica {
    /// Starts a replica that has applied everything up to its commit index: Raft would read all of the
    /// rest into memory at its first election.
    pub(crate) fn new(
        start: Start,
        journal: Arc<Journal>,
        config: &Config,
        seed: u64,
    ) -> Result<Self, LogError> {
        let Start { spec, vote, progress, stale_commit, .. } = start;
        assert_eq!(progress.applied, vote.commit, "everything committed is replayed before the start");
        let members = progress.members.conf_state();
        let storage = GroupStorage::new(Arc::clone(&journal), &spec, &vote, members);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raft = RawNode::new(&raft_config(config, spec.replica, vote.commit), storage, &logger)
            .map_err(|error| raft_error(spec.id, &error))?;
        let draw = Draw { seed, ticks: config.election_ticks.clone() };
        let mut replica = Self {
            home: progress.members.node(spec.replica),
            peers: Peers::new(*config.election_ticks.start()),
            durable: vote.commit,
            shifted: true,
            spec,
            raft,
            journal,
            progress,
            ahead: None,
            role: None,
            stopped: false,
            stale_commit,
            turn: None,
            draw,
            uncommitted_max: config.uncommitted_bytes_max,
            shared: Index::default(),
            taking: BTreeMap::new(),
            sabotage: config.sabotage,
        };
        replica.pin_timeout();
        Ok(replica)
    }

    pub(crate) fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Stands for election now.
    pub(crate) fn campaign(&mut self) -> Result<(), LogError> {
        if self.stopped {
            return Ok(());
        }
        let result = self.raft.campaign().map_err(|error| raft_error(self.spec.id, &error));
        self.pin_timeout();
        result
    }

    /// Hands leadership over, if this replica has it.
    pub(crate) fn transfer(&mut self, to: ReplicaId) {
        if !self.stopped && self.raft.raft.state == StateRole::Leader {
            self.raft.transfer_leader(to.get());
        }
    }

    /// Asks the leader, which asks a majority whether it still is one.
    pub(crate) fn read_index(&mut self, token: u64) {
        if !self.stopped {
            // Two nodes may use the same token, and Raft must keep their reads apart.
            let unique = [self.spec.replica.get().to_le_bytes(), token.to_le_bytes()].concat();
            self.raft.read_index(unique);
        }
    }

    /// Takes a message from a peer. Raft's refusals are what a lossy network would do as well. Returns who
    /// says that this replica needs a snapshot, and of which index at least.
    pub(crate) fn step(&mut self, message: Message) -> Option<(ReplicaId, Index)> {
        if self.stopped || message.to() != self.spec.replica || self.is_gone(message.from()) {
            return None;
        }
        let (from, offer, sender) = (message.from(), message.offer(), message.sender());
        self.peers.hear(from, sender);
        self.shared = self.shared.max(sender.shared);
        let mut raft = message.into_raft();
        if raft.get_msg_type() == MessageType::MsgPropose {
            return None;
        }
        if let Some((index, term)) = offer {
            if !self.has(index, term) {
                return Some((from, index));
            }
            // Raft finds that it has all of it and says so, which is what the leader wants to hear.
            let metadata = raft.mut_snapshot().mut_metadata();
            (metadata.index, metadata.term) = (index.get(), term.get());
            metadata.set_conf_state(self.raft.raft.prs().conf().to_conf_state());
        }
        self.spoil(&mut raft);
        let _refused = self.raft.step(raft);
        self.spoil_answers();
        self.pin_timeout();
        None
    }

    fn has(&self, index: Index, term: Term) -> bool {
        let log = &self.raft.raft.raft_log;
        index.get() < log.committed || log.match_term(index.get(), term.get())
    }

    /// A follower is at work on a snapshot, or done with it.
    pub(crate) fn snapshot_heard(&mut self, peer: ReplicaId) {
        if let Some(ticks) = self.taking.get_mut(&peer) {
            *ticks = 0;
        }
    }

    /// A follower has its snapshot in place, or gave up: Raft goes on with it.
    pub(crate) fn report_snapshot(&mut self, peer: ReplicaId, success: bool) {
        if !self.stopped {
            self.taking.remove(&peer);
            let status = if success { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
            self.raft.report_snapshot(peer.get(), status);
        }
    }

    /// Gives up on followers that were sent for a snapshot and are not heard of: Raft asks them again.
    fn tick_snapshots(&mut self) {
        let raft = &self.raft.raft;
        let leads = raft.state == StateRole::Leader;
        let taking =
            raft.prs().iter().filter(|(_, progress)| leads && progress.state == ProgressState::Snapshot);
        let taking: Vec<_> = taking.map(|(id, _)| ReplicaId::new(*id)).collect();
        self.taking.retain(|peer, _| taking.contains(peer));
        for peer in taking {
            let ticks = self.taking.entry(peer).or_default();
            *ticks += 1;
            if *ticks > SNAPSHOT_STALL_TICKS {
                self.report_snapshot(peer, false);
            }
        }
    }

    /// A peer could not be reached: Raft stops streaming to it and probes instead.
    pub(crate) fn unreachable(&mut self, peer: ReplicaId) {
        if !self.stopped {
            self.raft.report_unreachable(peer.get());
        }
    }

    pub(crate) fn tick(&mut self) {
        if !self.stopped {
            self.raft.tick();
            self.pin_timeout();
            self.tick_snapshots();
            self.peers.tick();
            self.step_aside();
        }
    }

    /// What was wanted for a follower may be read now.
    pub(crate) fn read_again(&mut self, context: GetEntriesContext) {
        if !self.stopped {
            self.raft.on_entries_fetched(context);
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.stopped
            && (self.raft.has_ready() || self.role != Some(self.role_now()) || self.next_step().is_some())
    }

    /// First half of a turn: what has to be written goes to the batch, what may be sent at once to the
    /// effects. Returns whether the batch has to be synced.
    pub(crate) fn collect(&mut self, batch: &mut Batch, effects: &mut Effects) -> Result<bool, LogError> {
        assert!(self.turn.is_none(), "every collect is followed by a commit");
        self.note_role(effects);
        self.go_on();
        if self.stopped || !self.raft.has_ready() {
            return Ok(false);
        }
        let hold = self.must_hold();
        self.stale_commit |= hold;
        let mut ready = self.raft.ready();
        if !ready.snapshot().is_empty() {
            return Err(LogError::Raft {
                group: self.spec.id,
                detail: "a snapshot that is not in place".into(),
            });
        }
        let sync = ready.must_sync() || hold;
        let items =
            ready.take_entries().into_iter().map(|entry| Logged::from_raft(self.spec.id, entry)).collect();
        self.journal.append(self.spec.id, items, batch);
        self.stale_commit |= ready.hs().is_some();
        let mut after = ready.take_messages();
        if !hold {
            self.send(std::mem::take(&mut after), &mut effects.send_now);
        }
        effects.reads.extend(ready.take_read_states().iter().filter_map(|read| self.read_ready(read)));
        let committed = ready.take_committed_entries().last().map(|entry| Index::new(entry.index));
        after.extend(ready.take_persisted_messages());
        self.turn = Some(Turn { ready, after, committed });
        self.note_role(effects);
        Ok(sync)
    }

    fn read_ready(&self, read: &raft::ReadState) -> Option<ReadReady> {
        let token = read.request_ctx.get(8..16)?.try_into().expect("eight bytes were taken");
        let (token, index) = (u64::from_le_bytes(token), Index::new(read.index));
        Some(ReadReady { group: self.spec.id, token, index })
    }

    /// Adds term, vote and commit to a batch that will be synced, where the disk is behind.
    pub(crate) fn write_vote(&mut self, batch: &mut Batch) {
        if self.stale_commit {
            let vote = self.vote();
            batch.put(Space::Meta, &key::vote::key(self.spec.id), vote.encode());
            self.durable = vote.commit;
            self.stale_commit = vote.commit.get() < self.raft.raft.raft_log.committed;
        }
    }

    /// The group's record with the log beginning at `origin`.
    pub(crate) fn origin(&self, (index, term): (Index, Term)) -> key::origin::Origin {
        let GroupSpec { history, replica, ref voters, .. } = self.spec;
        key::origin::Origin { history, replica, index, term, voters: voters.clone(), joins: false }
    }

    /// Second half of a turn: the batch is on disk. Returns whether the commit index has to be there as well
    /// before `effects.send_after` leaves.
    pub(crate) fn persisted(&mut self, effects: &mut Effects) -> bool {
        let Some(turn) = self.turn.take() else { return false };
        self.send(turn.after, &mut effects.send_after);
        let mut light = self.raft.advance_append(turn.ready);
        self.stale_commit |= light.commit_index().is_some();
        // What is sent here follows from this node's own sync, so it comes after it.
        self.send(light.take_messages(), &mut effects.send_after);
        let hold = self.must_hold() && self.durable < Index::new(self.raft.raft.pending_conf_index);
        self.stale_commit |= hold;
        let committed = light.committed_entries().last().map(|entry| Index::new(entry.index));
        if let Some(last) = committed.max(turn.committed) {
            self.hand_out(last, effects);
            self.raft.advance_apply_to(self.progress.applied.get());
        }
        self.pin_timeout();
        self.note_role(effects);
        hold
    }

    /// Applies everything up to `last`, in memory, and lets readers see it.
    fn hand_out(&mut self, last: Index, effects: &mut Effects) {
        let range = (self.progress.applied.next(), last.next());
        let items: Vec<_> = {
            let tail = self.journal.tail(self.spec.id);
            let held = |index: u64| tail.get(Index::new(index)).cloned();
            (range.0.get()..range.1.get())
                .map(|i| held(i).expect("what is not applied is in memory"))
                .collect()
        };
        let result = self.progress.hand_out(&items, &mut effects.committed);
        let result = result.and_then(|shifts| self.follow(shifts, effects));
        self.journal.publish(self.spec.id, self.progress.applied, &self.progress.ledger);
        if let Err(fault) = result {
            self.stopped = true;
            self.ahead = None;
            effects.stopped.push((self.spec.id, fault));
        }
    }

    fn send(&mut self, messages: Vec<eraftpb::Message>, out: &mut Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        self.shared = self.shared_now();
        let sender = Sender { node: self.home, whole: self.is_whole(), shared: self.shared };
        for message in messages {
            let node = self.node_of(ReplicaId::new(message.to));
            out.push(Message::new(self.spec.id, node, sender, message));
        }
    }

    /// Whether it leads and admits.
    pub(crate) fn leads(&self) -> bool {
        self.role_now().leads
    }

    fn role_now(&self) -> Role {
        let raft = &self.raft.raft;
        let term = Term::new(raft.term);
        let leads = raft.state == StateRole::Leader && self.progress.applied_term == term && !self.stopped;
        Role { leads, term, leader: Some(raft.leader_id).filter(|id| *id != 0).map(ReplicaId::new) }
    }

    /// Tells the driver of a new role, and begins or ends admission with it.
    fn note_role(&mut self, effects: &mut Effects) {
        let role = self.role_now();
        if role.leads && self.ahead.as_ref().is_none_or(|(term, _)| *term != role.term) {
            let last = self.raft.raft.raft_log.last_index();
            assert_eq!(last, self.progress.applied.get(), "nothing was admitted in this term yet");
            self.ahead = Some((role.term, self.progress.ledger.clone()));
        }
        if !role.leads {
            self.ahead = None;
        }
        if self.role != Some(role) {
            self.role = Some(role);
            effects.roles.push((self.spec.id, role));
        }
    }

    fn vote(&self) -> Vote {
        let raft = &self.raft.raft;
        Vote {
            term: Term::new(raft.term),
            vote: Some(raft.vote).filter(|id| *id != 0).map(ReplicaId::new),
            // A commit index on disk must never run ahead of the entries that it speaks of. In a turn they
            // are in the same batch, and it must not be behind a change of members that is followed by
            // another one: who has the second entry after a crash knows that the first is committed.
            commit: Index::new(if self.turn.is_some() {
                raft.raft_log.committed
            } else {
                raft.raft_log.committed.min(raft.raft_log.persisted)
            }),
        }
    }

    /// Replaces whatever timeout Raft has drawn from the machine's own randomness.
    fn pin_timeout(&mut self) {
        let ticks = self.draw.timeout((self.spec.id, self.spec.replica), self.raft.raft.term);
        self.raft.raft.set_randomized_election_timeout(ticks);
    }
}

impl Draw {
    fn timeout(&self, (group, replica): (GroupId, ReplicaId), term: u64) -> usize {
        let mut mixed = self.seed;
        for part in [u64::from(group.get()), replica.get(), term] {
            mixed = mix(mixed ^ part);
        }
        let span = u64::from(self.ticks.end() - self.ticks.start()) + 1;
        let ticks = u64::from(*self.ticks.start()) + mixed % span;
        usize::try_from(ticks).expect("a number of ticks fits")
    }
}

/// SplitMix64's finish: every bit of the input moves every bit of the output.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn raft_config(config: &Config, replica: ReplicaId, applied: Index) -> raft::Config {
    let ticks = |number: u32| usize::try_from(number).expect("a number of ticks fits");
    let (first, last) = (*config.election_ticks.start(), *config.election_ticks.end());
    raft::Config {
        id: replica.get(),
        election_tick: ticks(first),
        heartbeat_tick: ticks(config.heartbeat_ticks),
        applied: applied.get(),
        // The library's default of 0 would send every entry alone.
        max_size_per_msg: config.message_bytes_max,
        max_inflight_msgs: ticks(config.inflight_messages_max),
        // Both or neither: without check-quorum, pre-vote does not refuse by lease.
        check_quorum: true,
        pre_vote: true,
        min_election_tick: ticks(first),
        max_election_tick: ticks(last) + 1,
        max_uncommitted_size: config.uncommitted_bytes_max,
        max_committed_size_per_ready: config.committed_bytes_max,
        ..raft::Config::default()
    }
}

/// Two seconds at the default tick: a follower at work asks for more much more often.
const SNAPSHOT_STALL_TICKS: u32 = 40;

fn raft_error(group: GroupId, error: &raft::Error) -> LogError {
    LogError::Raft { group, detail: error.to_string() }
}
