//! One node of a fleet, or the place where one may join.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::hook::Hooked;
use super::process::Process;
use super::shim::Weather;
use super::view::View;
use crate::{client, http};

/// For one question to a node that may be frozen.
pub(super) const ASK: Duration = Duration::from_millis(500);

/// One node.
pub struct Node {
    mqtt: SocketAddr,
    http: Option<SocketAddr>,
    body: Body,
    /// The number by which the others call it, where it is known.
    id: Mutex<Option<u64>>,
    /// Whether it takes part; the place of one that is to join does not.
    member: AtomicBool,
    /// It has begun to join and has not served yet.
    joins: AtomicBool,
}

enum Body {
    Own(Process),
    Hooked(Hooked),
}

impl Node {
    /// A process of this storm. It founds the cluster under this number, or waits to join.
    pub(super) fn own((mqtt, http): (SocketAddr, SocketAddr), process: Process, id: Option<u64>) -> Node {
        let (http, member) = (Some(http), AtomicBool::new(id.is_some()));
        Node {
            mqtt,
            http,
            body: Body::Own(process),
            id: Mutex::new(id),
            member,
            joins: AtomicBool::new(false),
        }
    }

    /// A node that somebody else runs.
    pub(super) fn hooked(
        (mqtt, http): (SocketAddr, Option<SocketAddr>),
        hooked: Hooked,
        id: Option<u64>,
    ) -> Node {
        let member = AtomicBool::new(true);
        Node {
            mqtt,
            http,
            body: Body::Hooked(hooked),
            id: Mutex::new(id),
            member,
            joins: AtomicBool::new(false),
        }
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number by which the others call it, where it is known.
    pub fn id(&self) -> Option<u64> {
        *self.number()
    }

    /// Whether it takes part in the cluster.
    pub fn is_member(&self) -> bool {
        self.member.load(Ordering::SeqCst)
    }

    /// A node with an empty directory is to join here, and faults may meet it from now on. It is not started.
    pub fn take_part(&self) -> io::Result<()> {
        let Body::Own(process) = &self.body else { return Err(io::ErrorKind::Unsupported.into()) };
        process.begin_anew()?;
        *self.number() = None;
        self.joins.store(true, Ordering::SeqCst);
        self.member.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// It has served: from now on it has everything that it says it has.
    pub fn has_joined(&self) {
        self.joins.store(false, Ordering::SeqCst);
    }

    /// Whether its copies may still be in the making.
    pub fn is_joining(&self) -> bool {
        self.joins.load(Ordering::SeqCst)
    }

    /// It is to leave the cluster for good: its end is expected, and it is started no more.
    pub fn take_leave(&self) {
        self.member.store(false, Ordering::SeqCst);
        if let Body::Own(process) = &self.body {
            process.take_leave();
        }
    }

    /// Where its clients come in.
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Its HTTP listener, where it is known.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Starts it, unless it runs or has left the cluster.
    pub fn start(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.start(),
            Body::Hooked(hooked) => hooked.start(),
        }
    }

    /// Ends it without a word. One that is down stays down.
    pub fn kill(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.kill(),
            Body::Hooked(hooked) => hooked.kill(),
        }
    }

    /// Asks it to stop and waits; an error when it does not, or stops with another code than 0.
    pub fn stop(&self, patience: Duration) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.stop(patience),
            Body::Hooked(hooked) => hooked.stop(),
        }
    }

    /// Freezes it.
    pub fn pause(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.pause(),
            Body::Hooked(hooked) => hooked.pause(),
        }
    }

    /// Thaws it. One that is not frozen goes on.
    pub fn resume(&self) -> io::Result<()> {
        match &self.body {
            Body::Own(process) => process.resume(),
            Body::Hooked(hooked) => hooked.resume(),
        }
    }

    /// Whether it was started and not stopped.
    pub fn is_up(&self) -> bool {
        match &self.body {
            Body::Own(process) => process.is_up(),
            Body::Hooked(hooked) => hooked.is_up(),
        }
    }

    /// How it ended, if it did so without being asked, and nothing excuses it. It is down then.
    pub fn ended(&self) -> Option<String> {
        match &self.body {
            Body::Own(process) => process.ended(),
            Body::Hooked(_) => None,
        }
    }

    /// Its end is expected from now on, or no more.
    pub fn excuse(&self, excused: bool) {
        if let Body::Own(process) = &self.body {
            process.excuse(excused);
        }
    }

    /// Its clock and disk, where they can be changed.
    pub fn weather(&self) -> Option<&Weather> {
        match &self.body {
            Body::Own(process) => process.weather(),
            Body::Hooked(_) => None,
        }
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Own(process) => process.pid(),
            Body::Hooked(_) => None,
        }
    }

    /// Counts its starts.
    pub fn lives(&self) -> u32 {
        match &self.body {
            Body::Own(process) => process.lives(),
            Body::Hooked(hooked) => hooked.lives(),
        }
    }

    /// The program of a process of our own.
    pub fn binary(&self) -> Option<&Path> {
        match &self.body {
            Body::Own(process) => Some(process.binary()),
            Body::Hooked(_) => None,
        }
    }

    /// The data directories of all that were here, of processes of our own.
    pub fn data(&self) -> Vec<PathBuf> {
        match &self.body {
            Body::Own(process) => process.data(),
            Body::Hooked(_) => Vec::new(),
        }
    }

    /// Whether it can be killed, stopped and started; frozen.
    pub fn obeys(&self) -> (bool, bool) {
        match &self.body {
            Body::Own(_) => (true, true),
            Body::Hooked(hooked) => hooked.obeys(),
        }
    }

    /// Whether it says that it serves, and greets a client.
    pub fn serves(&self) -> bool {
        let ready = |http| http::get(http, "/readyz", ASK).is_ok_and(|(status, _)| status == 200);
        self.http.is_none_or(ready) && client::answers(self.mqtt, ASK)
    }

    /// Why it says that it does not serve.
    pub fn reasons(&self) -> String {
        let Some(http) = self.http else { return "no client is greeted".to_owned() };
        match http::get(http, "/readyz", ASK) {
            Ok((status, body)) => format!("/readyz says {status} {}", body.trim()),
            Err(error) => format!("/readyz does not answer: {error}"),
        }
    }

    /// Asks it to do something through its HTTP API: the status and the body of its answer.
    pub fn ask(&self, what: &str, patience: Duration) -> io::Result<(u16, String)> {
        http::ask(self.http.ok_or(io::ErrorKind::Unsupported)?, what, patience)
    }

    /// The last lines that it wrote.
    pub fn last_words(&self) -> String {
        match &self.body {
            Body::Own(process) => process.last_words(),
            Body::Hooked(_) => String::new(),
        }
    }

    /// The cluster as it sees it.
    pub fn view(&self) -> io::Result<View> {
        let view = View::of(self.http.ok_or(io::ErrorKind::Unsupported)?, ASK)?;
        *self.number() = Some(view.node_id);
        Ok(view)
    }
}
