//! Reads that must be current: where a group stands after everything that was acknowledged anywhere before.
//!
//! A round asks the leaders of some groups for their commit index, which a majority confirms, and is over when this
//! node has applied all of it. Whoever asks in the same turn shares a round.

use std::sync::Arc;
use std::time::Duration;

use holdfast_log::{GroupId, Index, ReadReady};

use super::Hub;
use crate::config::Fault;
use crate::mail::{Event, From};
use crate::route::{Cover, Partition};

/// A question or an answer may be lost with a leader.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// A group without a leader for so long fails the read. SUBACK then says 0x80.
const GIVE_UP: Duration = Duration::from_secs(5);

/// The rounds under way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    token: u64,
    rounds: Vec<Round>,
    /// Who asked in this turn.
    asked: Vec<(From, Cover)>,
}

#[derive(Debug)]
struct Round {
    token: u64,
    began: Duration,
    asked: Duration,
    /// What the other nodes have to know of this node's interest.
    interest: u64,
    /// What each group has to have applied; `None`: its leader has not said.
    wait: Vec<(GroupId, Option<Index>)>,
    then: Then,
}

/// Who waits for a round.
#[derive(Debug)]
enum Then {
    /// Workers, which are told the next offsets.
    Start(Vec<From>),
    /// Retention, which needs the sessions as they are.
    Retention,
}

impl Hub {
    /// A worker wants to know where the partitions that `cover` reads stand.
    pub(super) fn accept_barrier(&mut self, from: From, cover: Cover) {
        self.reads.asked.push((from, cover));
    }

    /// Opens a round for everybody who asked in this turn.
    pub(super) fn ask_barriers(&mut self) {
        if self.reads.asked.is_empty() {
            return;
        }
        let asked = std::mem::take(&mut self.reads.asked);
        let covered = |partition: &Partition| asked.iter().any(|(_, cover)| cover.contains(*partition));
        let groups = self.route.all_partitions().filter(covered).map(Partition::group).collect();
        let from = asked.into_iter().map(|(from, _)| from).collect();
        self.open_round(groups, Then::Start(from));
    }

    /// Reads all session groups, and goes on with retention.
    pub(super) fn read_for_retention(&mut self) {
        if self.reads.rounds.iter().all(|round| !matches!(round.then, Then::Retention)) {
            let groups = self.route.all_session_groups().collect();
            self.open_round(groups, Then::Retention);
        }
    }

    fn open_round(&mut self, groups: Vec<GroupId>, then: Then) {
        let now = self.clock.monotonic();
        self.reads.token += 1;
        let token = self.reads.token;
        for group in &groups {
            self.engine.read_index(*group, token);
        }
        let skip = Fault::SkipReadIndex.is_in(self.fault);
        let wait = groups.into_iter().filter(|_| !skip).map(|group| (group, None)).collect();
        let interest = match then {
            Then::Start(_) => self.exchange.interest.version(),
            Then::Retention => 0,
        };
        self.reads.rounds.push(Round { token, began: now, asked: now, interest, wait, then });
    }

    /// A leader has answered.
    pub(super) fn read_ready(&mut self, ready: ReadReady) {
        let round = self.reads.rounds.iter_mut().find(|round| round.token == ready.token);
        let Some(round) = round else { return };
        for (_, index) in round.wait.iter_mut().filter(|(group, _)| *group == ready.group) {
            // Any of several answers will do, and the lowest comes soonest.
            *index = Some(index.map_or(ready.index, |index| index.min(ready.index)));
        }
    }

    /// Ends the rounds whose groups are applied here, asks again where nobody answers, and gives up in the end.
    pub(super) fn pass_reads(&mut self) {
        let now = self.clock.monotonic();
        for mut round in std::mem::take(&mut self.reads.rounds) {
            let engine = &self.engine;
            round.wait.retain(|(group, index)| {
                let applied = || engine.status(*group).map(|status| status.applied);
                index.is_none_or(|index| applied().is_none_or(|applied| applied < index))
            });
            if round.wait.is_empty() && self.is_known(round.interest, now.saturating_sub(round.began)) {
                self.end_round(round.then);
            } else if now > round.began + GIVE_UP {
                self.fail_round(round.then);
            } else {
                if now > round.asked + ASK_AGAIN {
                    round.asked = now;
                    for (group, _) in round.wait.iter().filter(|(_, index)| index.is_none()) {
                        self.engine.read_index(*group, round.token);
                    }
                }
                self.reads.rounds.push(round);
            }
        }
    }

    fn end_round(&mut self, then: Then) {
        let Then::Start(waiting) = then else { return self.cut_all() };
        let starts: Arc<[u64]> = self.machines.next.as_slice().into();
        for From { worker, connection, tag } in waiting {
            self.feed(worker);
            let started = Event::Started { connection, tag, starts: Arc::clone(&starts) };
            self.post(worker).events.push(started);
        }
    }

    fn fail_round(&mut self, then: Then) {
        let Then::Start(waiting) = then else { return };
        for From { worker, connection, tag } in waiting {
            self.post(worker).events.push(Event::NotStarted { connection, tag });
        }
    }

    /// Nobody waits any more.
    pub(super) fn forget_reads(&mut self) {
        self.reads.rounds.clear();
        self.reads.asked.clear();
    }
}
