//! Admission: by hand, and in any interleaving of proposers, leaders and closed boots.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::record::{Fence, epoch_below, fenced_ordinals};

fn plain() -> Record<'static> {
    Record { retain: false, publisher: 1, epoch: 2, ..retained("a", b"1") }
}

fn payload(records: &[Record<'_>]) -> (u32, Bytes) {
    let mut flags = EntryFlags::default();
    let mut bytes = vec![0];
    for record in records {
        flags = flags.or(record.entry_flags());
        record.encode(&mut bytes);
    }
    bytes[0] = flags.get();
    (u32::try_from(records.len()).unwrap(), bytes.into())
}

fn admit(admission: &mut Admission, world: &World, records: &[Record<'_>]) -> Admitted {
    let (count, payload) = payload(records);
    admission.admit(&world.machine, count, payload)
}

/// The payload of what was admitted.
fn kept(admitted: Admitted) -> Bytes {
    match admitted {
        Admitted::Records { count, payload } => {
            assert_eq!(records(&payload).count(), count as usize);
            payload
        }
        Admitted::Nothing { fenced } => panic!("nothing is left, and {fenced:?} are fenced"),
    }
}

fn once(number: u64) -> Record<'static> {
    Record { token: Some(token(1, number, 1)), ..plain() }
}

#[test]
fn a_plain_proposal_is_let_in_untouched() {
    let (mut admission, world) = (Admission::default(), World::default());
    let (count, bytes) = payload(&[plain(), plain()]);
    let same = kept(admission.admit(&world.machine, count, bytes.clone()));
    assert_eq!(same.as_ptr(), bytes.as_ptr(), "not even copied");
    // Nor is it walked: what is no record would be seen.
    let unread = Bytes::from_static(&[0, 1, 2, 3]);
    assert_eq!(kept_unread(admission.admit(&world.machine, 1, unread.clone())), unread);
    admission.applied(&unread);
}

fn kept_unread(admitted: Admitted) -> Bytes {
    let Admitted::Records { payload, .. } = admitted else { panic!("left out") };
    payload
}

#[test]
fn a_token_that_is_applied_or_pending_is_left_out() {
    let (mut admission, mut world) = (Admission::default(), World::default());
    let first = kept(admit(&mut admission, &world, &[once(1), once(1), plain(), once(2)]));
    assert_eq!(records(&first).collect::<Vec<_>>(), [once(1), plain(), once(2)]);
    assert_eq!(fenced_ordinals(&first).count(), 0);
    assert_eq!(admit(&mut admission, &world, &[once(2)]), Admitted::Nothing { fenced: vec![] }, "pending");
    world.publish(0, 0, &records(&first).collect::<Vec<_>>());
    admission.applied(&first);
    assert_eq!(admit(&mut admission, &world, &[once(2)]), Admitted::Nothing { fenced: vec![] }, "applied");
    let rest = kept(admit(&mut admission, &world, &[once(2), once(3)]));
    assert_eq!(records(&rest).collect::<Vec<_>>(), [once(3)]);
}

#[test]
fn what_the_engine_did_not_take_is_let_in_again() {
    let (mut admission, world) = (Admission::default(), World::default());
    let packed = Fences::pack(&[Fence { node: 1, boot: 1 }]);
    let fencing = Record { fences: Fences::of(&packed), epoch: 5, ..once(1) };
    let entry = kept(admit(&mut admission, &world, &[fencing]));
    assert_eq!(admit(&mut admission, &world, &[plain()]), Admitted::Nothing { fenced: vec![0] });
    admission.applied(&entry);
    assert_eq!(records(&kept(admit(&mut admission, &world, &[plain(), fencing]))).count(), 2);
    admission.clear();
    assert_eq!(records(&kept(admit(&mut admission, &world, &[plain(), fencing]))).count(), 2);
}

#[test]
fn an_owner_behind_a_fence_is_left_out_and_named() {
    let (mut admission, mut world) = (Admission::default(), World::default());
    let packed = Fences::pack(&[Fence { node: 9, boot: 3 }]);
    let fencing = Record { fences: Fences::of(&packed), epoch: 5, ..plain() };
    let other = Record { publisher: 2, ..plain() };
    for applied in [false, true] {
        if applied {
            world.publish(0, 0, &[fencing]);
        }
        // Before the fence it is let in, behind it only if it comes from the new owner or from another client.
        let before = if applied { vec![] } else { vec![plain()] };
        let new = Record { epoch: 5, ..plain() };
        let proposed = [&before[..], &[fencing, plain(), new, once(1), other, once(2)]].concat();
        let entry = kept(admit(&mut admission, &world, &proposed));
        let wanted = [&before[..], &[fencing, new, other]].concat();
        assert_eq!(records(&entry).collect::<Vec<_>>(), wanted);
        let at = u32::try_from(before.len()).unwrap();
        assert_eq!(fenced_ordinals(&entry).collect::<Vec<_>>(), [at + 1, at + 3, at + 5]);
        let left = admit(&mut admission, &world, &[once(1), plain()]);
        assert_eq!(left, Admitted::Nothing { fenced: vec![0, 1] });
        admission.applied(&entry);
    }
    // Also what is stored already is not acknowledged to an owner who lost its session.
    world.publish(1, 0, &[Record { epoch: 5, ..once(3) }]);
    assert_eq!(admit(&mut admission, &world, &[once(3)]), Admitted::Nothing { fenced: vec![0] });
    world.close_boot(9, 3);
    assert_eq!(records(&kept(admit(&mut admission, &world, &[plain(), once(1), once(3)]))).count(), 2);
}

#[test]
fn a_will_passes_a_fence() {
    let (mut admission, mut world) = (Admission::default(), World::default());
    let packed = Fences::pack(&[Fence { node: 9, boot: 3 }]);
    world.publish(0, 0, &[Record { fences: Fences::of(&packed), epoch: 5, ..plain() }]);
    let will = Record { epoch: 0, token: Some(token(3 << 48, 8, 8)), ..plain() };
    assert_eq!(records(&kept(admit(&mut admission, &world, &[will]))).count(), 1);
    assert_eq!(admit(&mut admission, &world, &[will]), Admitted::Nothing { fenced: vec![] });
}

#[test]
fn late_owners_of_a_session_whose_tokens_are_about_to_go_are_left_out() {
    let (mut admission, mut world) = (Admission::default(), World::default());
    world.publish(0, 0, &[once(1)]);
    let fences = vec![Boot { node: 9, boot: 3 }];
    let forget = Forget { sessions: vec![Ended { incarnation: 1, publisher: 1, epoch: 3, fences }] };
    admission.admit_forget(&forget);
    let fenced = Admitted::Nothing { fenced: vec![0, 1] };
    assert_eq!(admit(&mut admission, &world, &[once(1), once(2)]), fenced, "pending");
    world.forget(forget.sessions[0].clone());
    admission.applied_forget(&forget);
    assert_eq!(admission.pending(), (0, 0));
    assert_eq!(admit(&mut admission, &world, &[once(1), once(2)]), fenced, "applied");
    let new = Record { epoch: 3, ..plain() };
    assert_eq!(records(&kept(admit(&mut admission, &world, &[new]))).count(), 1);
}

#[test]
fn a_settled_proposal_is_a_command_that_changes_nothing() {
    let mut world = World::default();
    let command = Command { kind: Some(CommandKind::Settle(Settle { fenced: vec![0, 3] })) };
    let bytes = prost::Message::encode_to_vec(&command);
    let read: Command = prost::Message::decode(&bytes[..]).unwrap();
    assert_eq!(read, command);
    let mut changes = Changes::default();
    world.machine.command(7, read.kind.unwrap(), &mut changes);
    assert!(changes.rows.is_empty());
}

/// A record as the storm makes it.
#[derive(Clone, Debug)]
struct Made {
    publisher: u64,
    epoch: u32,
    token: Option<(u64, u64)>,
    fences: Vec<Fence>,
}

impl Made {
    fn with<R>(&self, act: impl FnOnce(Record<'_>) -> R) -> R {
        let packed = Fences::pack(&self.fences);
        let token = self.token.map(|(number, open)| token(self.publisher, number, open.min(number)));
        let (publisher, epoch, fences) = (self.publisher, self.epoch, Fences::of(&packed));
        act(Record { publisher, epoch, token, fences, ..plain() })
    }
}

fn made() -> impl Strategy<Value = Made> {
    let fence = (1..3_u64, 1..4_u64).prop_map(|(node, boot)| Fence { node, boot });
    let fences = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(fence, 1..3)];
    let token = prop::option::of((1..7_u64, 1..4_u64));
    // Epochs around the wrap, so that the low half alone must do.
    let epoch = (0..4_u32).prop_map(|epoch| epoch.wrapping_sub(2));
    let made = (1..3_u64, epoch, token, fences);
    made.prop_map(|(publisher, epoch, token, fences)| Made { publisher, epoch, token, fences })
}

#[derive(Clone, Debug)]
enum Step {
    /// One of two proposers offers this; both use the same few tokens, so repeats are common.
    Propose(Vec<Made>),
    Close(u64, u64),
    /// So many entries are committed and applied.
    Apply(usize),
    /// So many entries survive a change of leaders.
    Elect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec(made(), 1..5).prop_map(Step::Propose),
        1 => (1..3_u64, 1..4_u64).prop_map(|(node, boot)| Step::Close(node, boot)),
        3 => (1..4_usize).prop_map(Step::Apply),
        1 => (0..4_usize).prop_map(Step::Elect),
    ]
}

#[derive(Clone, Debug)]
enum Logged {
    Records { proposed: Vec<Made>, payload: Bytes },
    Settle { proposed: Vec<Made>, fenced: Vec<u32> },
    Close(u64, u64),
}

/// A partition, its leader, and a log of which the front is applied.
#[derive(Default)]
struct Storm {
    world: World,
    admission: Admission,
    log: Vec<Logged>,
    applied: usize,
}

impl Storm {
    fn step(&mut self, step: Step) {
        match step {
            Step::Propose(proposed) => self.propose(proposed),
            Step::Close(node, boot) => self.log.push(Logged::Close(node, boot)),
            Step::Apply(count) => self.apply(count),
            Step::Elect(survive) => {
                self.log.truncate(self.applied + survive);
                self.admission.clear();
                self.apply(usize::MAX);
                self.world.machine = self.world.reloaded();
            }
        }
    }

    fn propose(&mut self, proposed: Vec<Made>) {
        let mut flags = EntryFlags::default();
        let mut bytes = vec![0];
        for made in &proposed {
            made.with(|record| {
                flags = flags.or(record.entry_flags());
                record.encode(&mut bytes);
            });
        }
        bytes[0] = flags.get();
        let count = u32::try_from(proposed.len()).unwrap();
        self.log.push(match self.admission.admit(&self.world.machine, count, bytes.into()) {
            Admitted::Records { count, payload } => {
                assert_eq!(records(&payload).count(), count as usize);
                Logged::Records { proposed, payload }
            }
            Admitted::Nothing { fenced } => Logged::Settle { proposed, fenced },
        });
    }

    fn apply(&mut self, count: usize) {
        let until = self.applied.saturating_add(count).min(self.log.len());
        for at in self.applied..until {
            let mut changes = Changes::default();
            match &self.log[at] {
                Logged::Records { payload, .. } => {
                    self.world.machine.apply(at as u64 * 10, 0, payload, &mut changes);
                    self.admission.applied(payload);
                }
                Logged::Settle { .. } => {}
                Logged::Close(node, boot) => self.world.machine.close_boot(*node, *boot, &mut changes),
            }
            self.world.keep(changes);
        }
        self.applied = until;
    }
}

/// Reads a log as the promises do.
#[derive(Default)]
struct Reader {
    tokens: BTreeSet<(u64, u64)>,
    /// Below this everything is settled, by publisher.
    open: BTreeMap<u64, u64>,
    fences: BTreeMap<(u64, Fence), u32>,
    closed: BTreeSet<Fence>,
    /// Epochs of all fences that ever stood before, by publisher.
    ever: Vec<(u64, u32)>,
}

impl Reader {
    fn read(&mut self, entry: &Logged) {
        match entry {
            Logged::Close(node, boot) => {
                self.closed.extend((0..=*boot).map(|boot| Fence { node: *node, boot }));
                self.fences.retain(|at, _| !self.closed.contains(&at.1));
            }
            Logged::Settle { proposed, fenced } => self.judge(proposed, fenced, &mut std::iter::empty()),
            Logged::Records { proposed, payload } => {
                let fenced: Vec<u32> = fenced_ordinals(payload).collect();
                let mut stored = records(payload);
                self.judge(proposed, &fenced, &mut stored);
                assert!(stored.next().is_none(), "nothing is added");
            }
        }
    }

    /// Each record that was proposed is stored, or fenced, or a repeat of one that is stored, in this order.
    fn judge<'a>(&mut self, proposed: &[Made], fenced: &[u32], stored: &mut dyn Iterator<Item = Record<'a>>) {
        let mut next = stored.next();
        let mut fenced = fenced.iter().copied().peekable();
        for (ordinal, made) in (0..).zip(proposed) {
            if fenced.next_if_eq(&ordinal).is_some() {
                let lost =
                    |fence: &&(u64, u32)| fence.0 == made.publisher && epoch_below(made.epoch, fence.1);
                assert!(self.ever.iter().find(lost).is_some(), "{made:?} is fenced by nobody");
                continue;
            }
            let is = made.with(|record| next.filter(|next| *next == record).is_some());
            let open = self.open.get(&made.publisher).copied().unwrap_or_default();
            let first = made.token.is_none_or(|token| !self.tokens.contains(&(made.publisher, token.0)));
            let settled = made.token.is_some_and(|token| token.0 < open);
            if is && first {
                self.stored(made);
                next = stored.next();
            } else {
                assert!(!first || settled, "{made:?} is lost");
            }
        }
        assert!(fenced.next().is_none() && next.is_none(), "{next:?} is a repeat or was never proposed");
    }

    fn stored(&mut self, made: &Made) {
        let lower = |((publisher, _), epoch): (&(u64, Fence), &u32)| {
            *publisher == made.publisher && epoch_below(made.epoch, *epoch)
        };
        assert!(!self.fences.iter().any(lower), "{made:?} stands behind a higher fence");
        if let Some((number, open)) = made.token {
            let lowest = self.open.entry(made.publisher).or_default();
            *lowest = open.min(number).max(*lowest);
            assert!(self.tokens.insert((made.publisher, number)), "{made:?} stands twice");
        }
        for fence in &made.fences {
            self.ever.push((made.publisher, made.epoch));
            if !self.closed.contains(fence) {
                self.fences.insert((made.publisher, *fence), made.epoch);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_log_holds_each_token_once_and_nothing_behind_its_fence(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut storm = Storm::default();
        for step in steps {
            storm.step(step);
        }
        storm.apply(usize::MAX);
        prop_assert!(storm.admission.pending() == (0, 0), "everything is applied, so nothing is pending");
        let mut reader = Reader::default();
        for entry in &storm.log {
            reader.read(entry);
        }
        prop_assert_eq!(storm.world.machine.has_fences(), !reader.fences.is_empty());
    }
}
