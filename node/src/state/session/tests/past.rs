//! Earlier owners: who is not settled, for how long, and that tokens go when nobody can propose them again.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::Fence;
use crate::state::session::outbox::ForgetTokens;

const OTHER: u64 = 2;

fn on(node: u64, boot: u64, connection: u64) -> Attach {
    Attach { owner: Owner { node, ..owner(boot, connection) }, ..attach(60) }
}

fn boot(node: u64, boot: u64) -> Fence {
    Fence { node, boot }
}

impl World {
    fn unsettled(&self) -> Vec<Fence> {
        self.machine.unsettled(ID, None)
    }

    /// Takes a token for a partition, as the owner does.
    fn publishes_once(&mut self, token: u64, partition: u32) {
        let intents = vec![Intent { partition: Some(partition), ..intent(1, token, token) }];
        let epoch = self.epoch();
        assert_eq!(
            self.apply(1, Intents { client_id: ID.into(), epoch, intents, refused: vec![] }),
            Outcome::Done
        );
    }

    fn forgets(&self) -> Vec<ForgetTokens> {
        let tasks = self.machine.outbox().after(0).filter_map(|(_, entry)| entry.task.clone());
        tasks.filter_map(|task| if let Task::ForgetTokens(task) = task { Some(task) } else { None }).collect()
    }
}

#[test]
fn an_owner_that_lost_its_session_is_unsettled_until_it_says_its_end() {
    let mut world = World::new();
    let first = world.attach(0, on(NODE, 1, 1)).record.core.epoch;
    assert!(world.unsettled().is_empty());
    let second = world.attach(1, on(OTHER, 5, 1)).record.core.epoch;
    assert_eq!(world.unsettled(), [boot(NODE, 1)]);
    // The second confirms to the third, and the first has still not.
    world.attach(2, on(3, 1, 1));
    assert_eq!(world.unsettled(), [boot(NODE, 1), boot(OTHER, 5)]);
    assert_eq!(world.machine.unsettled(ID, Some(second)), [boot(NODE, 1)]);
    assert_eq!(world.apply(3, detach(second)), Outcome::Stale);
    assert_eq!(world.unsettled(), [boot(NODE, 1)]);
    world.apply(4, Confirmed { client_id: ID.into(), epoch: first });
    assert!(world.unsettled().is_empty());
    assert!(!world.rows.keys().any(|key| key[0] == b'u'), "and costs nothing");
}

#[test]
fn an_owner_that_said_its_end_in_time_is_settled() {
    let mut world = World::new();
    world.attach(0, on(NODE, 1, 1));
    world.apply(1, detach(world.epoch()));
    world.attach(2, on(OTHER, 1, 1));
    assert!(world.unsettled().is_empty());
}

#[test]
fn an_unsettled_owner_is_known_beyond_the_end_of_its_session() {
    let ends: [fn(&mut World); 2] = [
        |world| {
            world.apply(1, Forget { client_id: ID.into() });
        },
        |world| {
            world.attach(1, Attach { clean_start: true, expiry: 0, ..on(OTHER, 1, 1) });
            world.apply(2, detach(world.epoch()));
        },
    ];
    for end in ends {
        let mut world = World::new();
        world.attach(0, on(NODE, 1, 1));
        end(&mut world);
        assert!(world.machine.get(ID).is_none());
        world.attach(3, on(OTHER, 1, 2));
        assert_eq!(world.unsettled(), [boot(NODE, 1)]);
    }
}

#[test]
fn a_closed_boot_stays_to_be_shut_out_since_partitions_may_close_it_later() {
    let mut world = World::new();
    world.attach(0, on(NODE, 2, 1));
    world.attach(1, on(OTHER, 1, 1));
    world.close_boot(2, NODE, 1);
    assert_eq!(world.unsettled(), [boot(NODE, 1), boot(NODE, 2)]);
    world.close_boot(3, NODE, 2);
    assert_eq!(world.unsettled(), [boot(NODE, 2)]);
    // Also of sessions that had no other owner since.
    world.close_boot(4, OTHER, 1);
    assert_eq!(world.unsettled(), [boot(NODE, 2), boot(OTHER, 1)]);
    assert!(world.machine.past.is_empty());
    assert_eq!(world.machine.closed().collect::<Vec<_>>(), [boot(NODE, 2), boot(OTHER, 1)]);
}

#[test]
fn tokens_of_a_session_that_ends_are_owed_to_each_partition_once() {
    let mut world = World::new();
    let core = world.attach(0, on(NODE, 1, 1)).record.core;
    for (token, partition) in [(1, 7), (2, 3), (3, 7)] {
        world.publishes_once(token, partition);
    }
    world.apply(2, detach(core.epoch));
    assert_eq!(world.forgets(), []);
    world.apply(61_002, Expire {});
    assert!(world.machine.get(ID).is_none());
    let (incarnation, epoch) = (core.incarnation, core.epoch);
    let owed = [3, 7].map(|partition| ForgetTokens { incarnation, epoch, partition });
    assert_eq!(world.forgets(), owed);
}

#[test]
fn a_session_without_tokens_owes_nothing() {
    let mut world = World::new();
    world.attach(0, on(NODE, 1, 1));
    world.apply(1, Forget { client_id: ID.into() });
    world.apply(2, detach(1));
    assert_eq!(world.machine.outbox().lowest_open(), None);
}

#[test]
fn tokens_wait_for_the_owners_that_may_still_propose_them_and_for_no_others() {
    for closed in [false, true] {
        let mut world = World::new();
        let first = world.attach(0, on(NODE, 1, 1)).record.core;
        world.publishes_once(1, 0);
        // The session goes on at another node and ends there, while the first owner is not settled.
        world.attach(1, on(OTHER, 1, 1));
        world.attach(2, Attach { clean_start: true, ..on(OTHER, 1, 2) });
        let last = first.epoch + 1;
        world.apply(3, detach(last));
        assert_eq!(world.forgets(), []);
        // A later one is another session's.
        world.attach(4, on(3, 1, 1));
        if closed {
            world.close_boot(5, NODE, 1);
        } else {
            world.apply(5, detach(first.epoch));
        }
        let incarnation = first.incarnation;
        assert_eq!(world.forgets(), [ForgetTokens { incarnation, epoch: last, partition: 0 }]);
    }
}

/// A step of a few nodes that share one client.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        node: u64,
        clean: bool,
    },
    /// The owner takes a new token to a partition, or proposes an old one again.
    Publish {
        partition: u32,
        again: bool,
    },
    /// What some connection has under way arrives.
    Arrive(usize),
    /// Some connection has heard that it is over.
    Over(usize),
    /// A boot ends: it is closed for sessions now, and in each partition later.
    Crash(u64),
    ClosePartition(u32),
    Expire,
    /// Some debt is paid.
    Pay(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..64_usize;
    prop_oneof![
        4 => (1..4_u64, any::<bool>()).prop_map(|(node, clean)| Step::Connect { node, clean }),
        8 => (0..2_u32, any::<bool>()).prop_map(|(partition, again)| Step::Publish { partition, again }),
        5 => which.clone().prop_map(Step::Arrive),
        4 => which.clone().prop_map(Step::Over),
        1 => (1..4_u64).prop_map(Step::Crash),
        2 => (0..2_u32).prop_map(Step::ClosePartition),
        2 => Just(Step::Expire),
        4 => which.prop_map(Step::Pay),
    ]
}

/// A connection as its worker sees it.
#[derive(Clone, Debug)]
struct Connection {
    owner: Owner,
    epoch: u64,
    /// (partition, incarnation, token), in order in each partition.
    under_way: Vec<(u32, u64, u64)>,
    over: bool,
    told: bool,
}

/// A partition: what it has stored, what it remembers, and whom it lets in.
#[derive(Default)]
struct Partition {
    stored: Vec<(u64, u64)>,
    remembered: BTreeSet<(u64, u64)>,
    closed: BTreeMap<u64, u64>,
    fences: Vec<(Fence, u64)>,
}

impl Partition {
    fn closed(&self, fence: Fence) -> bool {
        self.closed.get(&fence.node).is_some_and(|boot| fence.boot <= *boot)
    }

    fn offer(&mut self, from: &Connection, incarnation: u64, token: u64) {
        let boot = Fence { node: from.owner.node, boot: from.owner.boot };
        let fenced = self.fences.iter().any(|(fence, epoch)| !self.closed(*fence) && from.epoch < *epoch);
        if !self.closed(boot) && !fenced && self.remembered.insert((incarnation, token)) {
            self.stored.push((incarnation, token));
        }
    }
}

struct Storm {
    world: World,
    stamp: u64,
    boots: BTreeMap<u64, u64>,
    connections: Vec<Connection>,
    partitions: [Partition; 2],
}

impl Storm {
    fn step(&mut self, step: Step) {
        self.stamp += 1;
        match step {
            Step::Connect { node, clean } => self.connect(node, clean),
            Step::Publish { partition, again } => self.publish(partition, again),
            Step::Arrive(at) => self.arrive(at),
            Step::Over(at) => {
                let count = self.connections.len().max(1);
                if let Some(connection) = self.connections.get_mut(at % count) {
                    connection.over = true;
                }
                self.tell();
            }
            Step::Crash(node) => self.crash(node),
            Step::ClosePartition(partition) => {
                let closed = self.world.machine.closed();
                let closed = closed.map(|fence| (fence.node, fence.boot)).collect();
                self.partitions[partition as usize].closed = closed;
            }
            Step::Expire => {
                self.stamp += 60_001;
                self.world.apply(self.stamp, Expire {});
            }
            Step::Pay(at) => self.pay(at),
        }
    }

    fn connect(&mut self, node: u64, clean: bool) {
        let connection = self.connections.len() as u64;
        let op = Attach { clean_start: clean, ..on(node, self.boots[&node], connection) };
        let epoch = self.world.attach(self.stamp, op.clone()).record.core.epoch;
        let (under_way, over, told) = (Vec::new(), false, false);
        self.connections.push(Connection { owner: op.owner, epoch, under_way, over, told });
    }

    fn publish(&mut self, partition: u32, again: bool) {
        let Some(connection) = self.connections.last_mut().filter(|connection| !connection.over) else {
            return;
        };
        let core = self.world.record().core.clone();
        assert_eq!(core.epoch, connection.epoch);
        let old = core.intents.first().filter(|_| again);
        let (token, partition) =
            old.map_or((core.next_token, partition), |old| (old.token, old.partition.unwrap()));
        // One Packet Identifier for each token, so that all of them may be proposed again.
        let packet_id = u32::try_from(token).unwrap();
        let intents = vec![Intent { partition: Some(partition), ..intent(packet_id, token, token) }];
        let op = Intents { client_id: ID.into(), epoch: core.epoch, intents, refused: vec![] };
        assert_eq!(self.world.apply(self.stamp, op), Outcome::Done);
        let connection = self.connections.last_mut().unwrap();
        connection.under_way.push((partition, core.incarnation, token));
    }

    fn arrive(&mut self, at: usize) {
        let busy = self.connections.iter_mut().filter(|connection| !connection.under_way.is_empty());
        let mut busy: Vec<&mut Connection> = busy.collect();
        let count = busy.len().max(1);
        if let Some(connection) = busy.get_mut(at % count) {
            let (partition, incarnation, token) = connection.under_way.remove(0);
            self.partitions[partition as usize].offer(connection, incarnation, token);
        }
        self.tell();
    }

    /// Connections that are over, and have nothing under way, say so.
    fn tell(&mut self) {
        for connection in &mut self.connections {
            if connection.over && connection.under_way.is_empty() && !connection.told {
                connection.told = true;
                self.world.apply(self.stamp, detach(connection.epoch));
            }
        }
    }

    /// What the node has under way stays so, and it never says an end again.
    fn crash(&mut self, node: u64) {
        let boot = self.boots[&node];
        self.boots.insert(node, boot + 1);
        for connection in self.connections.iter_mut().filter(|connection| connection.owner.node == node) {
            (connection.over, connection.told) = (true, true);
        }
        self.world.close_boot(self.stamp, node, boot);
    }

    fn pay(&mut self, at: usize) {
        let debts: Vec<(u64, ForgetTokens)> = self
            .world
            .machine
            .outbox()
            .after(0)
            .filter_map(|(number, entry)| match &entry.task {
                Some(Task::ForgetTokens(task)) => Some((number, *task)),
                _ => None,
            })
            .collect();
        let Some((number, task)) = debts.get(at % debts.len().max(1)) else { return };
        let partition = &mut self.partitions[task.partition as usize];
        partition.remembered.retain(|(incarnation, _)| *incarnation != task.incarnation);
        let fences: Vec<Fence> =
            self.world.machine.closed().filter(|fence| !partition.closed(*fence)).collect();
        partition.fences.extend(fences.into_iter().map(|fence| (fence, task.epoch + 1)));
        self.world.apply(self.stamp, OutboxDone { number: *number });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tokens_are_forgotten_and_no_message_is_stored_twice(steps in prop::collection::vec(step(), 1..80)) {
        let boots = (1..4).map(|node| (node, 1)).collect();
        let mut storm =
            Storm { world: World::new(), stamp: 0, boots, connections: Vec::new(), partitions: Default::default() };
        for step in steps {
            storm.step(step);
        }
        // Everybody comes to an end, and everything arrives.
        storm.connections.iter_mut().for_each(|connection| connection.over = true);
        for _ in 0..200 {
            storm.arrive(0);
        }
        storm.step(Step::Expire);
        while !storm.world.forgets().is_empty() {
            storm.pay(0);
        }
        prop_assert!(storm.world.machine.past.is_empty(), "{:?}", storm.world.machine.past);
        for partition in &storm.partitions {
            let once: BTreeSet<_> = partition.stored.iter().collect();
            prop_assert_eq!(once.len(), partition.stored.len(), "{:?}", partition.stored);
            prop_assert!(partition.remembered.is_empty(), "{:?} is remembered for ever", partition.remembered);
        }
    }
}
