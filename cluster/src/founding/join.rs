//! Being taken in by a cluster that is there: a node asks its members, one after the other, until one of them says
//! that the meta group knows it, and under which number.
//!
//! Asking again is harmless: a node is known by the UUID of its directory, which is on its disk before it asks.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use prost::Message as _;

use super::Record;
use super::record::write_asked;
use crate::link::{Frame, Incoming, Link};
use crate::{Charter, FORMAT, Identity, IdentityError, Member};

/// Version of the messages.
const VERSION: u32 = 1;
/// How often a member is asked, in milliseconds.
const ASK_EVERY_MS: u64 = 500;
/// How often the operator hears why it takes so long, in milliseconds.
const SAY_EVERY_MS: u64 = 5_000;

/// Asks to be taken in. Its tags are none of a founding question, so neither is taken for the other.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct JoinRequest {
    #[prost(uint32, tag = "20")]
    version: u32,
    /// UUID of the directory.
    #[prost(string, tag = "21")]
    pub uuid: String,
    /// The number that the node wants; 0: whichever is free.
    #[prost(uint64, tag = "22")]
    pub node: u64,
    /// `HOST:PORT` where the others reach its cluster link.
    #[prost(string, tag = "23")]
    pub address: String,
}

/// What a member answers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct JoinAnswer {
    #[prost(uint32, tag = "20")]
    version: u32,
    /// How it stands. `None` is an answer of a later version.
    #[prost(oneof = "Applied", tags = "21, 22, 23")]
    pub applied: Option<Applied>,
}

/// How a request stands.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Applied {
    /// The cluster knows the node.
    #[prost(message, tag = "21")]
    Joined(Joined),
    /// It does not yet: why.
    #[prost(string, tag = "22")]
    Wait(String),
    /// It never will: why.
    #[prost(string, tag = "23")]
    Refused(String),
}

/// What a node that was taken in has to know.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Joined {
    /// UUID of the cluster.
    #[prost(string, tag = "1")]
    pub cluster_id: String,
    /// The node's number.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// Partitions of the cluster.
    #[prost(uint32, tag = "3")]
    pub partitions: u32,
    /// Its session groups.
    #[prost(uint32, tag = "4")]
    pub session_groups: u32,
    /// Replicas that were asked for at its founding.
    #[prost(uint32, tag = "5")]
    pub replicas: u32,
    /// All nodes, this one among them.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<Member>,
}

/// Why a node is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The cluster does not want it.
    #[error("cluster {cluster_id} does not take this node in: {reason}")]
    Refused {
        /// UUID of the cluster.
        cluster_id: String,
        /// Why.
        reason: String,
    },
    /// The directory cannot be written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl JoinRequest {
    /// Asks for directory `uuid`, whose link is at `address`, for number `node` where it is given.
    pub fn new(uuid: String, node: Option<u64>, address: String) -> Self {
        Self { version: VERSION, uuid, node: node.unwrap_or_default(), address }
    }

    /// The bytes for the link.
    pub fn encode(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Reads a request; `None` where the bytes are none of this version.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let request = <Self as prost::Message>::decode(&**bytes).ok()?;
        let sound = request.version == VERSION && !request.uuid.is_empty() && !request.address.is_empty();
        sound.then_some(request)
    }
}

impl JoinAnswer {
    /// An answer.
    pub fn new(applied: Applied) -> Self {
        Self { version: VERSION, applied: Some(applied) }
    }

    /// The bytes for the link.
    pub fn encode(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// A node that asks to be taken in.
pub struct Applicant {
    cluster_id: String,
    request: JoinRequest,
    seeds: Vec<String>,
    dir: PathBuf,
    next: usize,
    /// Questions without an answer, and the last one that was asked.
    asked: BTreeSet<u64>,
    last: Option<u64>,
    ask_at: u64,
    say_at: Option<u64>,
    /// The last word that was no yes.
    heard: String,
}

impl Applicant {
    /// Begins to ask `seeds`, from `through` on. What makes the node known is on disk afterwards.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn new(
        cluster_id: String,
        request: JoinRequest,
        (seeds, through): (Vec<String>, &str),
        dir: PathBuf,
    ) -> Result<Self, JoinError> {
        write_asked(&dir, &request.uuid)?;
        let next = seeds.iter().position(|seed| seed == through).unwrap_or_default();
        let heard = "no answer yet".to_owned();
        Ok(Self {
            cluster_id,
            request,
            seeds,
            dir,
            next,
            asked: BTreeSet::new(),
            last: None,
            ask_at: 0,
            say_at: None,
            heard,
        })
    }

    /// Lets time pass, to be called some ten times a second until it gives what is on disk then: the node belongs
    /// to the cluster. `say` gets a line for the operator now and then.
    ///
    /// # Errors
    /// When the cluster refuses, or the directory cannot be written.
    pub fn step(
        &mut self,
        link: &Link,
        now_ms: u64,
        say: &mut dyn FnMut(String),
    ) -> Result<Option<Charter>, JoinError> {
        let mut incoming = Vec::new();
        link.take(&mut incoming);
        for one in incoming {
            let Incoming::Answer { token, answer } = one else { continue };
            if let Some(joined) = self.hears(token, answer)? {
                return self.join(joined).map(Some);
            }
        }
        if now_ms >= self.ask_at {
            self.ask_at = now_ms + ASK_EVERY_MS;
            let seed = self.turn().to_owned();
            self.asks(link.ask(seed, Frame::App(self.request.encode())));
        }
        let say_at = *self.say_at.get_or_insert(now_ms + SAY_EVERY_MS);
        if now_ms >= say_at {
            self.say_at = Some(now_ms + SAY_EVERY_MS);
            say(format!("joining cluster {}: {}", self.cluster_id, self.heard));
        }
        Ok(None)
    }

    /// Whose turn it is to be asked. Whoever says nothing, frozen or gone, must not be the only one.
    fn turn(&mut self) -> &str {
        if self.last.is_some_and(|last| self.asked.contains(&last)) {
            self.next += 1;
        }
        &self.seeds[self.next % self.seeds.len()]
    }

    fn asks(&mut self, token: u64) {
        self.asked.insert(token);
        self.last = Some(token);
    }

    /// An answer, maybe a late one: then others have had their turn since.
    fn hears(&mut self, token: u64, answer: Result<Frame, String>) -> Result<Option<Joined>, JoinError> {
        if !self.asked.remove(&token) {
            return Ok(None);
        }
        let next = self.next;
        let joined = self.answered(answer)?;
        if self.last != Some(token) {
            self.next = next;
        }
        Ok(joined)
    }

    fn answered(&mut self, answer: Result<Frame, String>) -> Result<Option<Joined>, JoinError> {
        let answer = match answer {
            Ok(Frame::App(bytes)) => {
                JoinAnswer::decode(bytes).ok().filter(|answer| answer.version == VERSION)
            }
            Ok(_) => None,
            Err(why) => {
                self.heard = why;
                self.next += 1;
                return Ok(None);
            }
        };
        match answer.and_then(|answer| answer.applied) {
            Some(Applied::Joined(joined)) if joined.cluster_id == self.cluster_id => return Ok(Some(joined)),
            Some(Applied::Refused(reason)) => {
                return Err(JoinError::Refused { cluster_id: self.cluster_id.clone(), reason });
            }
            // Another one may be able to do it: who is drained does not serve again by itself.
            Some(Applied::Wait(why)) => {
                self.heard = why;
                self.next += 1;
            }
            Some(Applied::Joined(_)) | None => {
                "a seed answers something else".clone_into(&mut self.heard);
                self.next += 1;
            }
        }
        Ok(None)
    }

    /// From now on the directory is the node's, for life.
    fn join(&self, joined: Joined) -> Result<Charter, JoinError> {
        let strange = |what: &str| JoinError::Refused {
            cluster_id: self.cluster_id.clone(),
            reason: format!("it answers with {what} that cannot be"),
        };
        let narrow = |number: u32, what| u16::try_from(number).map_err(|_| strange(what));
        let identity = Identity {
            format: FORMAT,
            cluster_id: joined.cluster_id,
            node_id: joined.node,
            node_uuid: self.request.uuid.clone(),
            partitions: narrow(joined.partitions, "a number of partitions")?,
            session_groups: narrow(joined.session_groups, "a number of session groups")?,
            former: Vec::new(),
        };
        if !joined.members.iter().any(|member| member.node == joined.node) {
            return Err(strange("a list of nodes"));
        }
        let replicas = narrow(joined.replicas, "a number of replicas")?;
        let charter = Charter { identity, replicas, members: joined.members, joined: true };
        Record::Charter(charter.clone()).write(&self.dir)?;
        Ok(charter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::founding::{Question, Start};

    #[test]
    fn a_request_is_no_founding_question_and_comes_back() {
        let request = JoinRequest::new("u".to_owned(), None, "a:1".to_owned());
        let bytes = request.encode();
        assert_eq!(JoinRequest::decode(&bytes), Some(request));
        assert!(Question::decode(&bytes).is_err());
        assert_eq!(JoinRequest::decode(&Bytes::from_static(b"\xff\xff")), None);
    }

    #[test]
    fn whoever_cannot_take_a_node_in_is_not_the_only_one_that_is_asked() {
        let dir = tempfile::tempdir().expect("a folder");
        let request = JoinRequest::new("kelp".to_owned(), None, "a:9".to_owned());
        let seeds = ["a:1", "a:2", "a:3"].map(str::to_owned).to_vec();
        let dir = dir.path().join("data");
        let mut applicant = Applicant::new("reef".to_owned(), request, (seeds, "a:2"), dir).expect("written");
        let says = |applied| Ok(Frame::App(JoinAnswer::new(applied).encode()));
        assert_eq!(applicant.next, 1, "it begins with who told of the cluster");
        let wait = applicant.answered(says(Applied::Wait("drained".to_owned()))).expect("no refusal");
        assert_eq!((wait, applicant.next, applicant.heard.as_str()), (None, 2, "drained"));
        applicant.answered(Err("away".to_owned())).expect("no refusal");
        assert_eq!(applicant.next, 3);
        let no = applicant.answered(says(Applied::Refused("taken".to_owned()))).expect_err("a refusal");
        assert!(no.to_string().contains("reef") && no.to_string().contains("taken"), "{no}");
    }

    #[test]
    fn each_seed_has_its_turn_whoever_says_nothing_or_speaks_late() {
        let dir = tempfile::tempdir().expect("a folder");
        let request = JoinRequest::new("kelp".to_owned(), None, "a:9".to_owned());
        let seeds = ["frozen", "drained", "late", "well"].map(str::to_owned).to_vec();
        let data = dir.path().join("data");
        let mut applicant =
            Applicant::new("reef".to_owned(), request, (seeds, "drained"), data).expect("written");
        let wait = || Ok(Frame::App(JoinAnswer::new(Applied::Wait("wait".to_owned())).encode()));
        let (mut asked, mut late) = (Vec::new(), None);
        for token in 0..8 {
            asked.push(applicant.turn().to_owned());
            applicant.asks(token);
            if let Some(late) = late.take() {
                applicant.hears(late, wait()).expect("no refusal");
            }
            match asked.last().map(String::as_str) {
                Some("drained" | "well") => drop(applicant.hears(token, wait()).expect("no refusal")),
                Some("late") => late = Some(token),
                _ => {}
            }
        }
        assert_eq!(asked, ["drained", "late", "well", "frozen", "drained", "late", "well", "frozen"]);
        assert_eq!(applicant.asked, BTreeSet::from([3, 7]), "the frozen one has not answered");
    }

    #[test]
    fn who_asked_once_asks_again_under_the_same_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("data");
        write_asked(&dir, "kelp").expect("written");
        assert_eq!(Start::read(&dir).expect("read"), Start::Blank { uuid: "kelp".to_owned() });
    }
}
