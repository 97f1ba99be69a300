//! `holdfast status`: the cluster as a table.

use std::fmt::Write as _;

use super::answer::{Cluster, NodeState, Partition, ReplicaState};
use super::call::{CallError, cluster};

/// The cluster that the node at `address` (`HOST:PORT`) sees, as a table.
pub fn status(address: &str) -> Result<String, CallError> {
    Ok(table(&cluster(address)?))
}

/// A state as people read it.
pub(super) fn name(state: NodeState) -> &'static str {
    match state {
        NodeState::Alive => "alive",
        NodeState::Dead => "dead",
        NodeState::Joining => "joining",
        NodeState::Draining => "draining",
        NodeState::Removed => "removed",
    }
}

fn table(cluster: &Cluster) -> String {
    let Cluster { cluster_id, node_id, feature_level, .. } = cluster;
    let mut text = format!("cluster {cluster_id}, seen by node {node_id}, feature level {feature_level}");
    if cluster.fsync != "always" {
        let _ = write!(text, ", storage.fsync = {}", cluster.fsync);
    }
    text.push_str("\n\n");
    let nodes = cluster.nodes.iter().map(|node| {
        let counts = [node.leads, node.votes, node.replicas].map(|count| count.to_string());
        let mut row = vec![node.id.to_string(), node.address.clone(), name(node.state).to_owned()];
        row.extend(counts);
        row.extend([node.version.clone(), node.feature_level.to_string()]);
        row
    });
    let head = ["node", "address", "state", "leads", "votes", "replicas", "version", "knows level"];
    text.push_str(&columns(&head, nodes.collect()));
    text.push('\n');
    let partitions = cluster.partitions.iter().map(partition_row).collect();
    text.push_str(&columns(
        &["partition", "leader", "term", "messages", "committed", "replicas (lag)"],
        partitions,
    ));
    text
}

fn partition_row(partition: &Partition) -> Vec<String> {
    let lag = |matched: Option<u64>| match matched {
        Some(matched) => partition.committed.saturating_sub(matched).to_string(),
        None => "?".to_owned(),
    };
    let replicas = partition.replicas.iter().map(|replica| {
        let learner = if replica.state == ReplicaState::Learner { " learner" } else { "" };
        format!("{}{learner} ({})", replica.node, lag(replica.r#match))
    });
    vec![
        partition.id.to_string(),
        partition.leader.map_or("none".into(), |node| node.to_string()),
        partition.term.to_string(),
        partition.next_offset.saturating_sub(partition.first_offset).to_string(),
        partition.committed.to_string(),
        replicas.collect::<Vec<_>>().join(", "),
    ]
}

/// A table with a head.
pub(crate) fn columns(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
