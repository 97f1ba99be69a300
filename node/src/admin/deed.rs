//! `holdfast drain` and `holdfast remove`: ask for it, then watch until it is done.

use std::time::{Duration, Instant};

use super::answer::{Node, NodeState};
use super::call::{CallError, call, cluster};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why a deed is not done.
#[derive(Debug, thiserror::Error)]
pub enum DeedError {
    /// It was refused, or nobody answers.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It was begun, and takes longer than somebody wants to wait.
    #[error("it is not done after {} s and goes on without being watched; see `holdfast status`. So far: {state}", wait.as_secs())]
    Late {
        /// How long it was watched.
        wait: Duration,
        /// How it stood.
        state: String,
    },
}

/// Has `node` drained by asking the node at `address`, and watches it for `wait` at most; `say` gets a line for
/// every step. The last word is returned.
///
/// # Errors
/// When it is refused, nobody answers, or it takes too long.
pub fn drain(
    address: &str,
    node: u64,
    wait: Duration,
    say: &mut dyn FnMut(&str),
) -> Result<String, DeedError> {
    call(address, "POST", &format!("/api/v1/cluster/nodes/{node}/drain"))?;
    watch(address, node, wait, say, |node, others, replicas| {
        let node = node?;
        // Whether the others are too few to take its votes over.
        let kept = node.votes > 0 && others < replicas;
        (node.state == NodeState::Draining && node.leads == 0 && (node.votes == 0 || kept)).then(|| {
            if kept {
                format!(
                    "node {} is drained: it leads nothing and serves nobody; its {} votes stay, as {others} other \
                     nodes cannot hold {replicas} replicas. It may be stopped for a while; before it is removed \
                     another node should join",
                    node.id, node.votes
                )
            } else {
                format!("node {} is drained: it may be stopped, and removed", node.id)
            }
        })
    })
}

/// Lets `node` take its part again.
///
/// # Errors
/// When it is refused or nobody answers.
pub fn undrain(address: &str, node: u64) -> Result<String, DeedError> {
    call(address, "DELETE", &format!("/api/v1/cluster/nodes/{node}/drain"))?;
    Ok(format!("node {node} takes its part again"))
}

/// Takes `node` out, and watches until no group has a replica of it.
///
/// # Errors
/// When it is refused, nobody answers, or it takes too long.
pub fn remove(
    address: &str,
    node: u64,
    (force, wait): (bool, Duration),
    say: &mut dyn FnMut(&str),
) -> Result<String, DeedError> {
    call(address, "DELETE", &format!("/api/v1/cluster/nodes/{node}?force={force}"))?;
    watch(address, node, wait, say, |seen, _, _| {
        let gone = || format!("node {node} is removed; its number and its directory are never used again");
        seen.is_none().then(gone)
    })
}

/// Looks until `done` says what to say. It sees the node, how many others have their full part, and how many
/// replicas each group wants.
fn watch(
    address: &str,
    number: u64,
    wait: Duration,
    say: &mut dyn FnMut(&str),
    done: impl Fn(Option<&Node>, usize, usize) -> Option<String>,
) -> Result<String, DeedError> {
    let end = Instant::now() + wait;
    let mut state = String::new();
    loop {
        let seen = cluster(address)?;
        let full =
            |node: &&Node| matches!(node.state, NodeState::Alive | NodeState::Dead | NodeState::Joining);
        let others = seen.nodes.iter().filter(full).filter(|node| node.id != number).count();
        let node = seen.nodes.iter().find(|node| node.id == number);
        if let Some(word) = done(node, others, seen.replicas as usize) {
            return Ok(word);
        }
        if let Some(node) = node {
            let now = format!(
                "node {number} is {}: leads {}, votes in {}, keeps {} replicas",
                super::status::name(node.state),
                node.leads,
                node.votes,
                node.replicas
            );
            if now != state {
                say(&now);
                state = now;
            }
        }
        if Instant::now() > end {
            return Err(DeedError::Late { wait, state });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
