//! Drives the founding over a link: asks seeds, answers nodes, keeps records, and goes on answering afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bytes::Bytes;

use super::{Answer, Effect, Founding, FoundingError, Input, Now, Question, Setup, Start, Waiting};
use crate::link::{Frame, Incoming, Link, Reply};
use crate::{Charter, IdentityError};

/// A node's part in the founding, with its directory.
pub struct Driver {
    founding: Founding,
    dir: PathBuf,
    /// Questions under way, by the link's number.
    asked: BTreeMap<u64, String>,
    /// Where answers go, by ticket.
    replies: BTreeMap<u64, Back>,
    ticket: u64,
    effects: VecDeque<Effect>,
}

/// The way back of an answer.
enum Back {
    Reply(Reply),
    /// Taken by [`Driver::answer`].
    Here(Option<Bytes>),
}

/// What became of it.
#[derive(Debug)]
pub enum Formed {
    /// The directory belongs to a cluster of these members.
    Founded(Charter),
    /// There is a cluster, which the node is none of yet.
    Joining {
        /// A seed that belongs to it.
        through: String,
        /// UUID of the cluster.
        cluster_id: String,
        /// UUID of this node.
        uuid: String,
    },
}

/// For the operator.
#[derive(Debug)]
pub enum Notice {
    /// What it waits for; repeated while it holds.
    Waiting(Waiting),
    /// A seed's clock is that many milliseconds ahead of the one here, or behind where it is negative.
    Skewed(String, i64),
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Waiting does not cure it.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The directory cannot be written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Driver {
    /// A founding from what `dir` says.
    ///
    /// # Errors
    /// When the list of seeds is not such that it could work.
    pub fn new(setup: Setup, start: Start, dir: PathBuf) -> Result<Self, FormError> {
        Ok(Self {
            founding: Founding::new(setup, start)?,
            dir,
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            ticket: 0,
            effects: VecDeque::new(),
        })
    }

    /// Lets time pass and takes in what came over the link. To be called some ten times a second, until it gives
    /// what was formed.
    ///
    /// # Errors
    /// When waiting does not cure it.
    pub fn step(
        &mut self,
        link: &Link,
        now: Now,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Formed>, FormError> {
        let mut incoming = Vec::new();
        link.take(&mut incoming);
        self.handle(now, Input::Tick);
        let mut formed = self.perform(Some(link), notices)?;
        for one in incoming {
            match one {
                Incoming::Ask { frame: Frame::App(question), reply, .. } => {
                    self.question(now, &question, Back::Reply(reply));
                }
                Incoming::Answer { token, answer } => self.answered(now, token, answer),
                Incoming::Ask { .. }
                | Incoming::Frame { .. }
                | Incoming::Up { .. }
                | Incoming::Down { .. } => {}
            }
            formed = formed.or(self.perform(Some(link), notices)?);
        }
        Ok(formed)
    }

    /// The answer to a question of a node that is no member, once this one is. `None` where it is no question.
    pub fn answer(&mut self, now: Now, question: &Bytes) -> Option<Bytes> {
        let ticket = self.question(now, question, Back::Here(None))?;
        // A member only answers: nothing is written any more, and nothing can fail.
        let _nothing = self.perform(None, &mut Vec::new());
        match self.replies.remove(&ticket) {
            Some(Back::Here(answer)) => answer,
            _ => None,
        }
    }

    fn question(&mut self, now: Now, question: &Bytes, back: Back) -> Option<u64> {
        let question = Question::decode(question).ok()?;
        self.ticket += 1;
        self.replies.insert(self.ticket, back);
        self.handle(now, Input::Question { ticket: self.ticket, question });
        Some(self.ticket)
    }

    fn answered(&mut self, now: Now, token: u64, answer: Result<Frame, String>) {
        let Some(seed) = self.asked.remove(&token) else { return };
        let input = match answer {
            Ok(Frame::App(bytes)) => match Answer::decode(&bytes) {
                Ok(answer) => Input::Answer { seed, answer },
                Err(error) => Input::Failed { seed, reason: error.to_string() },
            },
            Ok(_) => Input::Failed { seed, reason: "it answers something else".to_owned() },
            Err(reason) => Input::Failed { seed, reason },
        };
        self.handle(now, input);
    }

    fn handle(&mut self, now: Now, input: Input) {
        let mut effects = Vec::new();
        self.founding.handle(now, input, &mut effects);
        self.effects.extend(effects);
    }

    fn perform(
        &mut self,
        link: Option<&Link>,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Formed>, FormError> {
        let mut formed = None;
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Persist(record) => record.write(&self.dir)?,
                Effect::Ask { seed, question } => self.ask(link, seed, &question),
                Effect::Reply { ticket, answer } => self.reply(ticket, Bytes::from(answer.encode())),
                Effect::Founded(charter) => formed = Some(Formed::Founded(charter)),
                Effect::Join { through, cluster_id, uuid } => {
                    formed = Some(Formed::Joining { through, cluster_id, uuid });
                }
                Effect::Waiting(waiting) => notices.push(Notice::Waiting(waiting)),
                Effect::Skewed { seed, ahead_ms } => notices.push(Notice::Skewed(seed, ahead_ms)),
                Effect::Fatal(error) => return Err(error.into()),
            }
        }
        Ok(formed)
    }

    fn ask(&mut self, link: Option<&Link>, seed: String, question: &Question) {
        let Some(link) = link else { return };
        let token = link.ask(seed.clone(), Frame::App(Bytes::from(question.encode())));
        self.asked.insert(token, seed);
    }

    fn reply(&mut self, ticket: u64, answer: Bytes) {
        match self.replies.remove(&ticket) {
            Some(Back::Reply(reply)) => reply.send(Frame::App(answer)),
            Some(Back::Here(_)) => drop(self.replies.insert(ticket, Back::Here(Some(answer)))),
            None => {}
        }
    }
}
