//! One HTTP question at a time, for the few that are asked of a node.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Asks for `path`: the status and the body. `patience` is for the connection and for each read.
pub(crate) fn get(address: SocketAddr, path: &str, patience: Duration) -> io::Result<(u16, String)> {
    ask(address, &format!("GET {path}"), patience)
}

/// The same with another method: `what` is the method and the path.
pub(crate) fn ask(address: SocketAddr, what: &str, patience: Duration) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // Version 1.0, so that the answer comes in one piece and the connection ends with it.
    write!(stream, "{what} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}
