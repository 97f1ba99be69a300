//! The settings of a simulated node, drawn from the seed: small ones, so that every limit is met.

use std::sync::Arc;
use std::time::Duration;

use holdfast_node::cluster::{FORMAT, Identity, Member};
use holdfast_node::codec::Limits as PacketLimits;
use holdfast_node::config::Fault;
use holdfast_node::hub::Limits;
use holdfast_node::worker::Settings;

use crate::seed::Seed;

/// What a node is made of at each of its starts.
#[derive(Clone)]
pub(super) struct Build {
    pub(super) identity: Identity,
    pub(super) log: holdfast_node::log::Config,
    pub(super) limits: Limits,
    pub(super) settings: Arc<Settings>,
    pub(super) workers: u32,
    pub(super) fault: Option<Fault>,
    /// The nodes of the cluster; none where there is one.
    pub(super) members: Vec<Member>,
    pub(super) lease: Duration,
}

impl Build {
    pub(super) fn draw(seed: &mut Seed, fault: Option<Fault>) -> Build {
        let identity = Identity {
            format: FORMAT,
            cluster_id: uuid(1),
            node_id: 1,
            node_uuid: uuid(2),
            partitions: 1 + seed.below(4) as u16,
            session_groups: 1 + seed.below(3) as u16,
            former: Vec::new(),
        };
        let log = holdfast_node::log::Config {
            tail_cache_bytes: [0, 4_096, 1 << 20][seed.below(3) as usize],
            mark_bytes: [512, 4_096][seed.below(2) as usize],
            state_flush_bytes: [2_048, 16_384, 1 << 20][seed.below(3) as usize],
            keep_entries: [0, 16, 1_024][seed.below(3) as usize],
            ..Default::default()
        };
        let limits = Limits {
            age: Duration::from_secs([1, 5, 3_600][seed.below(3) as usize]),
            bytes: 1 << 30,
            hard_bytes: 1 << 34,
            store_bytes_max: 0,
            reserve_bytes: 1 << 20,
        };
        let settings = Settings {
            limits: PacketLimits::default(),
            connect_bytes_max: 65_536,
            connect_timeout_ms: 10_000,
            receive_maximum: 100,
            topic_alias_maximum: 4,
            topic_alias_out_max: 4,
            keep_alive_max: u16::MAX,
            session_expiry_max: u32::MAX - 1,
            inflight_max: [1, 3, 10, 100][seed.below(4) as usize],
            out_bytes_max: [1_024, 65_536][seed.below(2) as usize],
            subscriptions_max: 100,
            connections_max: usize::MAX,
            retained_available: true,
            outstanding_bytes_max: [4_096, 1 << 20][seed.below(2) as usize],
            share_window: [1, 4, 64][seed.below(3) as usize],
            fault,
        };
        let workers = 1 + seed.below(3) as u32;
        let (members, lease) = (Vec::new(), Duration::from_secs(6));
        Build { identity, log, limits, settings: Arc::new(settings), workers, fault, members, lease }
    }

    /// The same for each node of a cluster.
    pub(super) fn of_cluster(self, nodes: usize, seed: &mut Seed) -> Vec<Build> {
        let member = |node: u64| Member { node, uuid: uuid(1 + node), address: format!("node-{node}:7883") };
        let members: Vec<Member> = (1..=nodes as u64).map(member).collect();
        let lease = Duration::from_millis([2_500, 4_000, 6_000][seed.below(3) as usize]);
        let build = |member: &Member| {
            let (node_id, node_uuid) = (member.node, member.uuid.clone());
            let identity = Identity { node_id, node_uuid, ..self.identity.clone() };
            Build { identity, members: members.clone(), lease, ..self.clone() }
        };
        members.iter().map(build).collect()
    }
}

fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}
