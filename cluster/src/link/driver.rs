//! The task of a link: takes connections and follows the certificates, until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info};

use super::code::Code;
use super::greet::{self, Greeted};
use super::hello::Purpose;
use super::keep;
use super::peer::PeerState;
use super::serve::{self, ANSWER, Session};
use super::shared::{GUESTS_MAX, Shared};
use super::stream::Broken;
use super::tls::{Credentials, Marks};

/// How long stopping waits for the other ends to have heard of it.
const GOODBYE: Duration = Duration::from_millis(500);

/// Runs until `stop` is told. `marks` are those of the certificates that are in use.
pub(super) async fn run(shared: Arc<Shared>, stop: Arc<Notify>, check: Duration, mut marks: Marks) {
    let mut checks = interval(check);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            incoming = shared.endpoint.accept() => match incoming {
                Some(incoming) => take(&shared, incoming),
                None => break,
            },
            _ = checks.tick() => rotate(&shared, &mut marks),
            () = stop.notified() => break,
        }
    }
    #[cfg(test)]
    if shared.killed.load(std::sync::atomic::Ordering::Relaxed) {
        return;
    }
    shared.endpoint.close(quinn::VarInt::from_u32(Code::Leaving as u32), b"the node stops");
    let _heard = timeout(GOODBYE, shared.endpoint.wait_idle()).await;
}

/// The settings for connections that others make.
pub(super) fn server(credentials: &Credentials) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(credentials.server.clone());
    config.transport_config(greet::transport()).migration(false);
    config
}

fn rotate(shared: &Shared, marks: &mut Marks) {
    let now = shared.certificates.marks();
    if now == *marks {
        return;
    }
    *marks = now;
    match shared.certificates.load() {
        Ok(credentials) => {
            shared.endpoint.set_server_config(Some(server(&credentials)));
            shared.set_client(credentials.client);
            info!("cluster link: new certificates are in use");
        }
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cluster link: the old certificates stay")
        }
    }
}

fn take(shared: &Arc<Shared>, incoming: quinn::Incoming) {
    let Ok(permit) = shared.guests.clone().try_acquire_owned() else {
        return incoming.refuse();
    };
    if !incoming.remote_address_validated() && shared.guests.available_permits() < GUESTS_MAX / 2 {
        // A sender that is where it says it is comes again with the token; one that cannot be changes nothing.
        let _sent = incoming.retry();
        return;
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        let _permit = permit;
        let mut address = incoming.remote_address();
        let welcomed = async {
            let greeted = greet::accept(&shared, incoming).await?;
            address = greeted.connection.remote_address();
            let connection = greeted.connection.clone();
            let welcomed = welcome(&shared, greeted).await;
            if let Err(Broken::Code(code)) = &welcomed {
                code.close(&connection);
            }
            welcomed
        };
        if let Err(broken) = welcomed.await {
            if matches!(broken, Broken::Lost(_)) {
                // A stranger's port changes with every attempt, and is worth no new line.
                address.set_port(0);
            }
            serve::say(&shared, &address.to_string(), &broken);
        }
    });
}

async fn welcome(shared: &Arc<Shared>, mut greeted: Greeted) -> Result<(), Broken> {
    let purpose = Purpose::try_from(greeted.hello.purpose).map_err(|_| Code::Kind)?;
    if purpose == Purpose::Ask {
        greeted.answer(shared).await?;
        // One that asks and never reads does not keep its place.
        return timeout(ANSWER, serve::answer(shared, greeted)).await.unwrap_or(Err(Code::Silent.into()));
    }
    let (peer, above) = member(shared, &greeted)?;
    match purpose {
        Purpose::Live if above => return Err(Code::Direction.into()),
        Purpose::Live => {
            keep::enter(shared, &peer, &greeted)?;
            greeted.answer(shared).await?;
        }
        Purpose::Bulk => {
            let generation = peer.generation_of(greeted.hello.incarnation).ok_or(Code::NotUp)?;
            greeted.answer(shared).await?;
            let connection = greeted.connection;
            tokio::spawn(serve::bulk_in(Session { shared: shared.clone(), peer, connection, generation }));
        }
        Purpose::Knock | Purpose::Ask => {
            peer.outlive(&greeted.hello, &shared.inbox)?;
            greeted.answer(shared).await?;
            let _closed = timeout(ANSWER, greeted.connection.closed()).await;
        }
    }
    Ok(())
}

/// The peer that speaks, and whether its id is above this node's.
fn member(shared: &Shared, greeted: &Greeted) -> Result<(Arc<PeerState>, bool), Code> {
    let (_, me) = shared.me().identity.ok_or(Code::Blank)?;
    let node = greeted.hello.node().ok_or(Code::Blank)?;
    if node == me {
        return Err(Code::SameId);
    }
    let peer = shared.peer(node).ok_or(Code::UnknownNode)?;
    Ok((peer, node > me))
}
