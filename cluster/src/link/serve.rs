//! What runs on a connection after the hello: one writer per lane, one reader per stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::code::Code;
use super::frame::{FRAME_BYTES_MAX, Frame};
use super::greet::{Greeted, dial};
use super::hello::Purpose;
use super::lane::{BULK, Lane, PRIORITIES, SLOTS, UNREAD_BYTES_MAX};
use super::net::{Incoming, Reply};
use super::peer::PeerState;
use super::shared::Shared;
use super::stream::{Broken, FrameReader};

/// How long an answer may take, and its question is of use.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// A bulk connection on which nothing was sent for this long is closed.
const BULK_IDLE: Duration = Duration::from_secs(30);
/// Between attempts to make a bulk connection.
const BULK_AGAIN: Duration = Duration::from_millis(500);

/// A peer's connection, as its tasks know it.
#[derive(Clone)]
pub(super) struct Session {
    pub shared: Arc<Shared>,
    pub peer: Arc<PeerState>,
    pub connection: quinn::Connection,
    pub generation: u64,
}

/// Carries all lanes until the connection is gone.
pub(super) async fn live(session: Session) {
    let mut tasks = JoinSet::new();
    for slot in (0..SLOTS).filter(|slot| *slot != BULK) {
        tasks.spawn(write(session.clone(), slot));
    }
    tasks.spawn(bulk(session.clone()));
    receive(&session, &mut tasks, |slot| slot != BULK).await;
    session.peer.leave(session.generation, &session.shared.inbox);
    let why = session.connection.close_reason().map(|reason| reason.to_string());
    info!(node = %session.peer.node, why, "cluster link: connection ended");
}

/// Reads what the peer sends in bulk, until either connection is gone.
pub(super) async fn bulk_in(session: Session) {
    receive(&session, &mut JoinSet::new(), |slot| slot == BULK).await;
}

async fn receive(session: &Session, tasks: &mut JoinSet<()>, allowed: fn(usize) -> bool) {
    loop {
        tokio::select! {
            stream = session.connection.accept_uni() => match stream {
                Ok(stream) => {
                    let session = session.clone();
                    tasks.spawn(async move {
                        let read = read(&session, stream, allowed).await;
                        session.broken(read);
                    });
                }
                Err(error) => return session.broken(Err(error.into())),
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn read(
    session: &Session,
    stream: quinn::RecvStream,
    allowed: fn(usize) -> bool,
) -> Result<(), Broken> {
    let Session { shared, peer, generation, .. } = session;
    let mut reader = FrameReader::new(stream, FRAME_BYTES_MAX);
    let slot = usize::from(reader.byte().await?);
    if slot >= SLOTS || !allowed(slot) {
        return Err(Code::Lane.into());
    }
    while let Some(body) = reader.next().await? {
        let bytes = body.len();
        let frame = Frame::decode(body)?;
        shared.inbox.room(UNREAD_BYTES_MAX[slot]).await;
        if peer.generation() != Some(*generation) {
            return Err(Code::NotUp.into());
        }
        peer.count_received(bytes);
        shared.inbox.push(Incoming::Frame { from: peer.node, frame }, bytes);
    }
    Ok(())
}

async fn write(session: Session, slot: usize) {
    let queue = &session.peer.queues[slot];
    let mut batch = Vec::new();
    queue.next(&mut batch).await;
    let written = async {
        let mut stream = open(&session.connection, slot).await?;
        loop {
            flush(&session.peer, &mut stream, &mut batch).await?;
            queue.next(&mut batch).await;
        }
    };
    let broken: Result<(), Broken> = written.await;
    session.broken(broken);
}

async fn open(connection: &quinn::Connection, slot: usize) -> Result<quinn::SendStream, Broken> {
    let mut stream = connection.open_uni().await?;
    stream.set_priority(PRIORITIES[slot]).map_err(|_| Broken::Lost("the stream is closed".to_owned()))?;
    stream.write_all(&[u8::try_from(slot).expect("few slots")]).await?;
    Ok(stream)
}

async fn flush(
    peer: &PeerState,
    stream: &mut quinn::SendStream,
    batch: &mut Vec<Bytes>,
) -> Result<(), Broken> {
    let bytes = batch.iter().map(Bytes::len).sum();
    stream.write_all_chunks(batch).await?;
    peer.count_sent(bytes);
    batch.clear();
    Ok(())
}

/// Sends in bulk, on a connection that is made when there is something to send.
async fn bulk(session: Session) {
    let Session { shared, peer, .. } = &session;
    let queue = &peer.queues[BULK];
    let mut batch = Vec::new();
    loop {
        queue.next(&mut batch).await;
        match dial(shared, &peer.address, Purpose::Bulk, Some(peer.node)).await {
            Ok(greeted) => {
                let bulk = Session { connection: greeted.connection.clone(), ..session.clone() };
                let sent = bulk_out(peer, &greeted.connection, &mut batch).await;
                bulk.broken(sent);
                queue.count_dropped(batch.len());
            }
            Err(broken) => {
                session.say(&broken);
                queue.count_dropped(batch.len());
                sleep(BULK_AGAIN).await;
            }
        }
        batch.clear();
    }
}

async fn bulk_out(
    peer: &PeerState,
    connection: &quinn::Connection,
    batch: &mut Vec<Bytes>,
) -> Result<(), Broken> {
    let mut stream = open(connection, BULK).await?;
    loop {
        flush(peer, &mut stream, batch).await?;
        if timeout(BULK_IDLE, peer.queues[BULK].next(batch)).await.is_err() {
            stream.finish().map_err(|_| Broken::Lost("the stream is closed".to_owned()))?;
            let _all_arrived = timeout(BULK_IDLE, stream.stopped()).await;
            Code::Done.close(connection);
            return Ok(());
        }
    }
}

/// Reads one question, hands it up and sends the answer.
pub(super) async fn answer(shared: &Shared, mut greeted: Greeted) -> Result<(), Broken> {
    greeted.reader.set_bytes_max(FRAME_BYTES_MAX);
    let body = greeted.reader.next().await?.ok_or(Code::Truncated)?;
    let bytes = body.len();
    let frame = Frame::decode(body)?;
    shared.inbox.room(UNREAD_BYTES_MAX[Lane::Rpc.slot()]).await;
    let (send, answer) = oneshot::channel();
    let reply = Reply::new(move |frame| {
        let _gone = send.send(frame);
    });
    let from_address = greeted.connection.remote_address();
    shared.inbox.push(Incoming::Ask { from_address, frame, reply }, bytes);
    let Ok(frame) = answer.await else {
        return Err(Code::Done.into());
    };
    greeted.send.write_all(&frame.encode()?).await?;
    // The asking end closes when it has the answer.
    greeted.connection.closed().await;
    Ok(())
}

impl Session {
    /// Ends the connection where the other end broke a rule.
    fn broken(&self, result: Result<(), Broken>) {
        let Err(broken) = result else { return };
        self.say(&broken);
        if let Broken::Code(code) = broken {
            code.close(&self.connection);
        }
    }

    fn say(&self, broken: &Broken) {
        say(&self.shared, &self.peer.address, broken);
    }
}

/// Says once what is worth it: what somebody has to see to, and not that a node went away.
pub(super) fn say(shared: &Shared, address: &str, broken: &Broken) {
    match broken {
        Broken::Code(Code::NotUp | Code::Done) | Broken::Closed(Code::Done | Code::Leaving) => {}
        Broken::Closed(Code::Replaced | Code::NotUp) => {}
        // It is about to learn who it is.
        Broken::Code(Code::Blank) | Broken::Closed(Code::Blank) => {}
        broken => shared.say(address, &broken.to_string()),
    }
}
