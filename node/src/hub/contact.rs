//! Contact with the session groups: whether what this node knows of them is young enough to serve by.
//!
//! A node that does not apply a takeover would serve the old owner on, and its lease does not end that: it is renewed
//! in the meta group, whose leader may be heard where another is not. So a leader says with its pulse how far the
//! session groups that it leads are committed, and a replica that has applied that much is as young as that pulse.
//! Where nothing is younger than a lease less a tenth, the clients of the group are sent away, and who comes waits.

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_log::{GroupId, Index};

use super::Hub;
use super::machine::Machines;
use super::word::{Mark, Marks};
use crate::mail::Event;

/// Marks of a group that are remembered; of those beyond, the youngest alone.
const MARKS_MAX: usize = 16;

/// How young this node's session groups are.
#[derive(Debug)]
pub(super) struct Contact {
    /// How old a group may be.
    age_max: Duration,
    groups: Vec<View>,
    /// None of them is too old before then.
    look_at: Duration,
}

#[derive(Debug, Default)]
struct View {
    /// Everything that was committed by then is applied here.
    fresh: Duration,
    /// What was committed when, and is not applied here as far as was looked.
    marks: VecDeque<(Index, Duration)>,
    /// It is too old.
    lost: bool,
}

impl Contact {
    pub(super) fn new(lease: Duration, session_groups: u16) -> Self {
        let groups = std::iter::repeat_with(View::default).take(usize::from(session_groups)).collect();
        Self { age_max: lease * 9 / 10, groups, look_at: Duration::ZERO }
    }

    /// Nobody is served yet who could have lost anything.
    pub(super) fn restart(&mut self, now: Duration) {
        let young = || View { fresh: now, ..View::default() };
        self.groups.iter_mut().for_each(|view| *view = young());
        self.look_at = now + self.age_max;
    }

    /// Is what this node knows of the session group too old to serve by?
    pub(super) fn is_lost(&self, group: GroupId) -> bool {
        self.groups[Machines::session_index(group)].lost
    }
}

impl View {
    fn heard(&mut self, committed: Index, now: Duration) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_back();
        }
        self.marks.push_back((committed, now));
    }

    fn applied(&mut self, applied: Index) {
        while let Some((_, heard)) = self.marks.pop_front_if(|(committed, _)| *committed <= applied) {
            self.fresh = self.fresh.max(heard);
        }
    }
}

impl Hub {
    /// How far the session groups that this node leads are committed.
    pub(super) fn marks(&self) -> Marks {
        let led = self.route.all_session_groups().filter(|group| self.leading.leads(*group));
        let mark = |group: GroupId| {
            let committed = self.engine.status(group)?.committed;
            Some(Mark { group: group.get(), committed: committed.get() })
        };
        Marks { marks: led.filter_map(mark).collect() }
    }

    /// A leader has said how far its session groups are. `None`: its version does not say, so that it is heard of
    /// is all there is.
    pub(super) fn marks_heard(&mut self, from: holdfast_log::NodeId, marks: Option<Marks>) {
        let now = self.clock.monotonic();
        let Some(Marks { marks }) = marks else {
            let led = self.leading.led_by(from);
            let led: Vec<GroupId> = led.into_iter().filter(|group| self.is_session_group(*group)).collect();
            for group in led {
                self.contact.groups[Machines::session_index(group)].fresh = now;
            }
            return;
        };
        for Mark { group, committed } in marks {
            let group = GroupId::new(group);
            if self.is_session_group(group) {
                self.catch_up(group, now);
                self.contact.groups[Machines::session_index(group)].heard(Index::new(committed), now);
            }
        }
    }

    fn is_session_group(&self, group: GroupId) -> bool {
        (1..=u32::from(self.route.session_groups())).contains(&group.get())
    }

    /// Looks how far a session group has come meanwhile.
    fn catch_up(&mut self, group: GroupId, now: Duration) {
        let applied = self.engine.status(group).map_or(Index::default(), |status| status.applied);
        let view = &mut self.contact.groups[Machines::session_index(group)];
        view.applied(applied);
        if self.leading.leads(group) {
            // A majority follows it, or it would have given up its office.
            view.fresh = now;
        }
    }

    /// Sends the clients of groups away of which this node has heard nothing for too long.
    pub(super) fn keep_contact(&mut self) {
        let now = self.clock.monotonic();
        if self.peers.alone() || !self.boarding.serving() || now < self.contact.look_at {
            return;
        }
        let (mut look_at, mut found) = (now + self.contact.age_max, false);
        for group in self.route.all_session_groups() {
            self.catch_up(group, now);
            let view = &mut self.contact.groups[Machines::session_index(group)];
            let old_at = view.fresh + self.contact.age_max;
            let was = std::mem::replace(&mut view.lost, now >= old_at);
            found |= was && !view.lost;
            look_at = look_at.min(if view.lost { now + super::TICK } else { old_at });
            if view.lost && !was {
                tracing::warn!(%group, "nothing was heard of a session group for a lease: its clients are sent away");
                for post in &mut self.workers {
                    post.events.push(Event::GroupLost(group));
                }
            }
        }
        self.contact.look_at = look_at;
        if found {
            self.attach_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_group_is_as_young_as_the_last_word_that_is_applied() {
        let mut view = View { fresh: second(1), ..View::default() };
        for (committed, at) in [(10, 2), (15, 3), (15, 4), (20, 5)] {
            view.heard(Index::new(committed), second(at));
        }
        let mut applied = |index| {
            view.applied(Index::new(index));
            view.fresh
        };
        assert_eq!(applied(9), second(1));
        assert_eq!(applied(10), second(2));
        assert_eq!(applied(16), second(4));
        assert_eq!(applied(20), second(5));
        assert_eq!(applied(30), second(5), "nothing says how young the rest is");
    }

    #[test]
    fn of_words_beyond_the_bound_the_first_and_the_last_are_kept() {
        let mut view = View::default();
        for at in 1..=100 {
            view.heard(Index::new(10 * at), second(at));
        }
        assert_eq!(view.marks.len(), MARKS_MAX);
        view.applied(Index::new(10));
        assert_eq!(view.fresh, second(1));
        view.applied(Index::new(1_000));
        assert_eq!(view.fresh, second(100));
    }

    #[test]
    fn who_begins_to_serve_is_young() {
        let mut contact = Contact::new(second(10), 2);
        contact.groups[1].lost = true;
        contact.groups[1].heard(Index::new(5), second(7));
        contact.restart(second(20));
        assert!(!contact.is_lost(GroupId::new(1)) && !contact.is_lost(GroupId::new(2)));
        assert_eq!((contact.groups[1].fresh, contact.look_at), (second(20), second(29)));
        assert!(contact.groups[1].marks.is_empty());
    }
}
