//! Keeping the live connection to one peer: the node with the lower id dials, the other one knocks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::info;

use super::code::Code;
use super::frame::Frame;
use super::greet::{Greeted, dial};
use super::hello::Purpose;
use super::net::Incoming;
use super::peer::PeerState;
use super::serve::{self, ANSWER, Session};
use super::shared::Shared;
use super::stream::{Broken, FrameReader};

/// An election may be waiting: the pause between attempts never grows to more than a few of them.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Keeps `peer` connected for as long as it is a peer.
pub(super) async fn keep(shared: Arc<Shared>, peer: Arc<PeerState>, mut seed: u64) {
    let mut pause = PAUSES.0;
    loop {
        if peer.generation().is_some() {
            pause = PAUSES.0;
            peer.hurry.notified().await;
            continue;
        }
        let Some((_, me)) = shared.me().identity else {
            peer.hurry.notified().await;
            continue;
        };
        let attempt =
            if me < peer.node { connect(&shared, &peer).await } else { knock(&shared, &peer).await };
        if let Err(broken) = attempt {
            say(&shared, &peer.address, &broken);
        }
        if peer.generation().is_none() {
            let _hurried = timeout(jitter(pause, &mut seed), peer.hurry.notified()).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Dialing `address` has failed.
fn say(shared: &Shared, address: &str, broken: &Broken) {
    if let Broken::Code(code) | Broken::Closed(code) = broken {
        shared.refused(address, *code);
    }
    serve::say(shared, address, broken);
}

async fn connect(shared: &Arc<Shared>, peer: &Arc<PeerState>) -> Result<(), Broken> {
    let greeted = dial(shared, &peer.address, Purpose::Live, Some(peer.node)).await?;
    enter(shared, peer, &greeted)
}

/// Tells the node that is to dial that this one is there, in this life.
async fn knock(shared: &Shared, peer: &PeerState) -> Result<(), Broken> {
    let greeted = dial(shared, &peer.address, Purpose::Knock, Some(peer.node)).await?;
    Code::Done.close(&greeted.connection);
    Ok(())
}

/// From now on this is the live connection.
pub(super) fn enter(shared: &Arc<Shared>, peer: &Arc<PeerState>, greeted: &Greeted) -> Result<(), Broken> {
    let connection = greeted.connection.clone();
    let generation = peer.enter(&connection, &greeted.hello, &shared.inbox).inspect_err(|code| {
        code.close(&connection);
    })?;
    shared.well(&peer.address);
    info!(node = %peer.node, address = %peer.address, "cluster link: connected");
    let session = Session { shared: shared.clone(), peer: peer.clone(), connection, generation };
    tokio::spawn(serve::live(session));
    Ok(())
}

/// Asks whoever is at `address`; what comes of it goes to the inbox.
pub(super) async fn ask(shared: Arc<Shared>, address: String, question: Frame, token: u64) {
    let asked = async {
        let greeted = dial(&shared, &address, Purpose::Ask, None).await?;
        let Greeted { connection, mut send, mut reader, .. } = greeted;
        send.write_all(&question.encode()?).await?;
        let answered = answered(&mut reader).await;
        match &answered {
            Err(Broken::Code(code)) => code.close(&connection),
            _ => Code::Done.close(&connection),
        }
        answered
    };
    let asked = timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(Broken::Lost("no answer".to_owned())));
    match &asked {
        Ok(_) => shared.well(&address),
        Err(broken) => say(&shared, &address, broken),
    }
    let answer = asked.map_err(|broken| broken.to_string());
    shared.inbox.push(Incoming::Answer { token, answer }, 64);
}

async fn answered(reader: &mut FrameReader) -> Result<Frame, Broken> {
    reader.set_bytes_max(super::frame::FRAME_BYTES_MAX);
    let body = reader.next().await?.ok_or(Code::Truncated)?;
    Ok(Frame::decode(body)?)
}

/// Between a half and the whole of `pause`, so that nodes that lost each other do not meet in step.
fn jitter(pause: Duration, seed: &mut u64) -> Duration {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let half = pause / 2;
    half + half.mul_f64((mixed >> 11) as f64 / (1_u64 << 53) as f64)
}
