//! Making a connection and saying hello on it, on both ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_log::NodeId;
use tokio::time::timeout;

use super::code::Code;
use super::frame;
use super::hello::{HELLO_BYTES_MAX, Hello, Purpose};
use super::shared::Shared;
use super::stream::{Broken, FrameReader};

/// A handshake and a hello take a few round trips; longer than this, and dialing again is better.
const GREETING: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Longer than three elections, so that a stall does not also cost a handshake.
#[cfg(not(test))]
const IDLE: Duration = Duration::from_secs(10);
/// No test waits for it: whatever is noticed is noticed otherwise.
#[cfg(test)]
const IDLE: Duration = Duration::from_secs(3_600);
/// What a LAN has. The default of a third of a second makes a lost first packet cost a second.
const RTT: Duration = Duration::from_millis(10);
/// Ten datagrams of this size, which leave in one call, stay below the 64 KiB that the kernel takes.
pub(super) const MTU_BYTES_MAX: u16 = 6_400;
/// Of each stream, under way or unread: what control may find in front of it, and a gigabyte a second at a
/// round trip of a millisecond. All streams together stay below what a connection may have under way, so that
/// a stream that nobody reads cannot keep another from being written.
const STREAM_BYTES: u32 = 1 << 20;
const CONNECTION_BYTES: u32 = 32 << 20;
/// The lanes, and some more so that a new one does not need a new protocol.
const STREAMS_MAX: u32 = 16;

/// A connection whose ends know each other.
pub(super) struct Greeted {
    pub connection: quinn::Connection,
    pub hello: Hello,
    pub send: quinn::SendStream,
    pub reader: FrameReader,
}

/// Dials `address`, `HOST:PORT`, and says hello. `expected` is who should be there, where that is known. Where a
/// name leads to several places, they are tried in turn.
pub(super) async fn dial(
    shared: &Shared,
    address: &str,
    purpose: Purpose,
    expected: Option<NodeId>,
) -> Result<Greeted, Broken> {
    let mut failed = Broken::Lost("the name leads nowhere".to_owned());
    for place in places(shared, address).await? {
        match dial_at(shared, place, purpose, expected).await {
            Ok(greeted) => return Ok(greeted),
            Err(broken) => failed = broken,
        }
    }
    Err(failed)
}

/// Where `address` leads to, as far as this link's socket can reach it.
async fn places(shared: &Shared, address: &str) -> Result<Vec<SocketAddr>, Broken> {
    if let Ok(place) = address.parse() {
        return Ok(vec![place]);
    }
    let looked_up = timeout(GREETING, tokio::net::lookup_host(address)).await;
    let found = looked_up.map_err(|_| Broken::Lost("its name is not answered for".to_owned()))?;
    let found = found.map_err(|error| Broken::Lost(format!("its name is not known: {error}")))?;
    let four = shared.endpoint.local_addr()?.is_ipv4();
    Ok(found.filter(|place| place.is_ipv4() || !four).collect())
}

async fn dial_at(
    shared: &Shared,
    address: SocketAddr,
    purpose: Purpose,
    expected: Option<NodeId>,
) -> Result<Greeted, Broken> {
    shared.certificates.check_address(address).map_err(|error| Broken::Lost(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(shared.client());
    config.transport_config(transport());
    let connecting = shared.endpoint.connect_with(config, address, "holdfast")?;
    let silent = |_| Broken::Lost("no answer".to_owned());
    let connection = timeout(GREETING, connecting).await.map_err(silent)??;
    let greeting = speak(shared, connection.clone(), purpose, expected);
    closing(&connection, timeout(GREETING, greeting).await)
}

async fn speak(
    shared: &Shared,
    connection: quinn::Connection,
    purpose: Purpose,
    expected: Option<NodeId>,
) -> Result<Greeted, Broken> {
    let me = shared.me();
    let (mut send, recv) = connection.open_bi().await?;
    send.write_all(&frame::seal(&Hello::new(&me, purpose))?).await?;
    let mut reader = FrameReader::new(recv, HELLO_BYTES_MAX);
    let hello: Hello = frame::open(reader.next().await?.ok_or(Code::Silent)?)?;
    hello.check(&me, &shared.certificates.names(&connection))?;
    if expected.is_some() && hello.node() != expected {
        return Err(Code::OtherNode.into());
    }
    Ok(Greeted { connection, hello, send, reader })
}

/// Takes a connection and reads the hello on it, which is answered with [`Greeted::answer`].
pub(super) async fn accept(shared: &Shared, incoming: quinn::Incoming) -> Result<Greeted, Broken> {
    let connecting = incoming.accept()?;
    let connection =
        timeout(GREETING, connecting).await.map_err(|_| Broken::Lost("no handshake".to_owned()))??;
    closing(&connection, timeout(GREETING, listen(shared, connection.clone())).await)
}

async fn listen(shared: &Shared, connection: quinn::Connection) -> Result<Greeted, Broken> {
    let (send, recv) = connection.accept_bi().await?;
    let mut reader = FrameReader::new(recv, HELLO_BYTES_MAX);
    let hello: Hello = frame::open(reader.next().await?.ok_or(Code::Silent)?)?;
    hello.check(&shared.me(), &shared.certificates.names(&connection))?;
    Ok(Greeted { connection, hello, send, reader })
}

/// Closes a connection on which the greeting failed, with the reason.
fn closing(
    connection: &quinn::Connection,
    greeted: Result<Result<Greeted, Broken>, tokio::time::error::Elapsed>,
) -> Result<Greeted, Broken> {
    let greeted = greeted.unwrap_or(Err(Broken::Code(Code::Silent)));
    if let Err(Broken::Code(code)) = &greeted {
        code.close(connection);
    }
    greeted
}

impl Greeted {
    /// Says hello back.
    pub(super) async fn answer(&mut self, shared: &Shared) -> Result<(), Broken> {
        let hello = Hello { purpose: self.hello.purpose, ..Hello::new(&shared.me(), Purpose::Live) };
        self.send.write_all(&frame::seal(&hello)?).await?;
        Ok(())
    }
}

/// Settings of every connection.
pub(super) fn transport() -> Arc<quinn::TransportConfig> {
    let mut mtu = quinn::MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_BYTES_MAX);
    let mut config = quinn::TransportConfig::default();
    config
        .max_idle_timeout(Some(IDLE.try_into().expect("seconds fit")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(RTT)
        .mtu_discovery_config(Some(mtu))
        .stream_receive_window(STREAM_BYTES.into())
        .receive_window(CONNECTION_BYTES.into())
        .send_window(CONNECTION_BYTES.into())
        // Without it a stream that has begun goes on to its end, whatever comes with a higher priority.
        .send_fairness(true)
        .max_concurrent_uni_streams(STREAMS_MAX.into())
        .max_concurrent_bidi_streams(1_u32.into())
        .datagram_receive_buffer_size(None);
    Arc::new(config)
}
