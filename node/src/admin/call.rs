//! One request to a node's door, for the commands that ask a running node.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::answer::Cluster;

/// For the connection, and for each read of the answer.
const WAIT: Duration = Duration::from_secs(5);

/// The most that is read of an answer; a cluster of a thousand partitions needs a tenth of it.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node cannot be reached or does not answer.
    #[error("no answer from http://{address}")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The node does not do it.
    #[error("http://{address} answers with \"{status}\"{detail}")]
    Refused {
        /// Who was asked.
        address: String,
        /// The first line of the answer.
        status: String,
        /// Its own words, with a colon before them.
        detail: String,
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

/// The cluster that the node at `address` (`HOST:PORT`) sees.
pub(super) fn cluster(address: &str) -> Result<Cluster, CallError> {
    let body = call(address, "GET", "/api/v1/cluster")?;
    serde_json::from_str(&body).map_err(|source| CallError::Strange { address: address.into(), source })
}

/// The body of the answer, where the answer is yes.
pub(super) fn call(address: &str, method: &str, path: &str) -> Result<String, CallError> {
    let answer = ask(address, method, path)
        .map_err(|source| CallError::Unreachable { address: address.into(), source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        return Ok(body.to_owned());
    }
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let detail = problem["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
    Err(CallError::Refused { address: address.into(), status: status.into(), detail })
}

fn ask(address: &str, method: &str, path: &str) -> io::Result<String> {
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let socket = address.to_socket_addrs()?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&socket, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    // Version 1.0, so that the answer comes in one piece and the connection ends with it.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
