//! `holdfast status`: asks a node's door for the cluster and lays it out as a table.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::answer::{Cluster, NodeState, Partition};

/// For the connection, and for each read of the answer.
const WAIT: Duration = Duration::from_secs(5);

/// The most that is read of an answer; a cluster of a thousand partitions needs a tenth of it.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The node cannot be reached or does not answer.
    #[error("no answer from http://{address}")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The node answers with something else than a cluster.
    #[error("http://{address} answers with \"{status}\"")]
    Refused {
        /// Who was asked.
        address: String,
        /// The first line of the answer.
        status: String,
    },
    /// What answers there is no node, or one of another version.
    #[error("http://{address} answers with something else than a cluster")]
    Strange {
        /// Who was asked.
        address: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// The cluster that the node at `address` (`HOST:PORT`) sees, as a table.
pub fn status(address: &str) -> Result<String, StatusError> {
    let answer =
        ask(address).map_err(|source| StatusError::Unreachable { address: address.into(), source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(StatusError::Refused { address: address.into(), status: status.into() });
    }
    let cluster = serde_json::from_str(body);
    Ok(table(&cluster.map_err(|source| StatusError::Strange { address: address.into(), source })?))
}

fn ask(address: &str) -> io::Result<String> {
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let socket = address.to_socket_addrs()?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&socket, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    // Version 1.0, so that the answer comes in one piece and the connection ends with it.
    write!(stream, "GET /api/v1/cluster HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn table(cluster: &Cluster) -> String {
    let mut text = format!("cluster {}, seen by node {}", cluster.cluster_id, cluster.node_id);
    if cluster.fsync != "always" {
        let _ = write!(text, ", storage.fsync = {}", cluster.fsync);
    }
    text.push_str("\n\n");
    let nodes = cluster.nodes.iter().map(|node| {
        let state = match node.state {
            NodeState::Alive => "alive",
            NodeState::Dead => "dead",
            NodeState::Draining => "draining",
        };
        vec![node.id.to_string(), node.address.clone(), state.into(), node.version.clone()]
    });
    text.push_str(&columns(&["node", "address", "state", "version"], nodes.collect()));
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
    let replicas =
        partition.replicas.iter().map(|replica| format!("{} ({})", replica.node, lag(replica.r#match)));
    vec![
        partition.id.to_string(),
        partition.leader.map_or("none".into(), |node| node.to_string()),
        partition.term.to_string(),
        partition.next_offset.saturating_sub(partition.first_offset).to_string(),
        partition.committed.to_string(),
        replicas.collect::<Vec<_>>().join(", "),
    ]
}

fn columns(head: &[&str], rows: Vec<Vec<String>>) -> String {
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
