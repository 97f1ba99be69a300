//! The machine: who this node is, how far it is, and what it makes of what it hears.

use std::collections::BTreeMap;

use super::message::{Phase, Status, VERSION};
use super::{Answer, Effect, FoundingError, Input, Now, Promise, Proposal, Question, Record, SEEDS_MAX};
use super::{Setup, Start};

/// How often seeds are asked, in milliseconds: a start is held up by no more than that, and a question is
/// small.
pub const ASK_EVERY_MS: u64 = 500;
/// How often the operator hears what is missing, in milliseconds.
pub const SAY_EVERY_MS: u64 = 5_000;

/// How far this node is. See the drawing above the module.
#[derive(Clone, Debug)]
pub(super) enum State {
    Blank,
    Promised(Proposal),
    Founded(String),
    Joining(String),
    Failed,
}

/// One node's part in the founding. When it has founded or joined it goes on answering, for those that have
/// not.
#[derive(Debug)]
pub struct Founding {
    pub(super) setup: Setup,
    pub(super) uuid: String,
    pub(super) state: State,
    /// The seed that this node is.
    pub(super) own: Option<String>,
    /// The last answer of every other seed.
    pub(super) heard: BTreeMap<String, Status>,
    /// What seeds said of themselves when they asked, while this node did not know which seed it is. It may
    /// speak against them and for nothing: who stands behind an address only its answer shows.
    pub(super) claims: BTreeMap<String, Status>,
    pub(super) failures: BTreeMap<String, String>,
    pub(super) skewed: Vec<String>,
    pub(super) ids_drawn: u64,
    ask_at: u64,
    say_at: Option<u64>,
}

impl Founding {
    /// A founding from what the directory says.
    ///
    /// # Errors
    /// When the list of seeds is empty or too long, or is not the one under which the directory has promised.
    pub fn new(setup: Setup, start: Start) -> Result<Self, FoundingError> {
        let found = setup.terms.seeds.len();
        let (uuid, state, own) = match start {
            Start::Founded(charter) => {
                (charter.identity.node_uuid, State::Founded(charter.identity.cluster_id), None)
            }
            _ if !(1..=SEEDS_MAX).contains(&found) => return Err(FoundingError::SeedCount { found }),
            Start::Blank { uuid } => (uuid, State::Blank, None),
            Start::Promised(promise) => {
                let own = promised_as(&setup, &promise)?;
                (promise.node_uuid, State::Promised(promise.proposal), Some(own))
            }
        };
        Ok(Self {
            setup,
            uuid,
            state,
            own,
            heard: BTreeMap::new(),
            claims: BTreeMap::new(),
            failures: BTreeMap::new(),
            skewed: Vec::new(),
            ids_drawn: 0,
            ask_at: 0,
            say_at: None,
        })
    }

    /// Whether this node has nothing more to do but to answer.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Founded(_) | State::Joining(_))
    }

    /// Takes in what happened; what is to be done is appended to `effects`.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        if matches!(self.state, State::Failed) {
            return;
        }
        match input {
            Input::Tick => self.on_tick(now, effects),
            Input::Answer { seed, answer } => self.on_answer(now, seed, answer.status, effects),
            Input::Failed { seed, reason } => {
                self.failures.insert(seed, reason);
            }
            Input::Question { ticket, question } => {
                self.on_question(now, ticket, &question.status, effects);
            }
        }
    }

    fn on_tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_settled() {
            return;
        }
        self.advance(now, effects);
        if self.is_settled() || matches!(self.state, State::Failed) {
            return;
        }
        if now.ms >= self.ask_at {
            self.ask(now, effects);
        }
        let say_at = *self.say_at.get_or_insert(now.ms + SAY_EVERY_MS);
        if now.ms >= say_at {
            self.say_at = Some(now.ms + SAY_EVERY_MS);
            effects.push(Effect::Waiting(self.waiting()));
        }
    }

    fn on_answer(&mut self, now: Now, seed: String, status: Status, effects: &mut Vec<Effect>) {
        if self.is_settled() || !self.setup.terms.seeds.contains(&seed) {
            return;
        }
        self.failures.remove(&seed);
        self.claims.remove(&seed);
        if status.nonce == self.setup.nonce {
            match &self.own {
                Some(own) if *own != seed => {
                    let seeds = [own.clone(), seed];
                    return self.fail(FoundingError::SameNode { seeds }, effects);
                }
                _ => {
                    self.heard.remove(&seed);
                    self.own = Some(seed);
                }
            }
        } else {
            self.compare_clocks(now, &seed, &status, effects);
            if let Some(Phase::Founded(cluster_id)) = &status.phase {
                return self.learn(now, seed, cluster_id.clone(), effects);
            }
            self.heard.insert(seed, status);
        }
        match self.objection() {
            Some(error) => self.object(now, error, effects),
            None => self.advance(now, effects),
        }
    }

    fn on_question(&mut self, now: Now, ticket: u64, status: &Status, effects: &mut Vec<Effect>) {
        let from_seed = status.nonce != self.setup.nonce && self.setup.terms.seeds.contains(&status.seed);
        match &status.phase {
            Some(Phase::Promised(proposal)) if self.may_promise(status, proposal) => {
                self.promise(proposal.clone(), effects);
            }
            Some(Phase::Founded(cluster_id)) if from_seed && !self.is_settled() => {
                self.learn(now, status.seed.clone(), cluster_id.clone(), effects);
            }
            _ => {}
        }
        if matches!(self.state, State::Failed) {
            return;
        }
        effects.push(Effect::Reply { ticket, answer: Answer { status: self.status(now) } });
        if from_seed && !self.is_settled() {
            self.compare_clocks(now, &status.seed, status, effects);
            if self.own.is_none() {
                self.claims.insert(status.seed.clone(), status.clone());
            } else if let Some(error) = self.objection_to(&status.seed, status) {
                self.object(now, error, effects);
            }
        }
    }

    /// Whether this node promises `proposal` to the one that says it has it: only to its own proposer, only
    /// as the member it is, and once promised only what replaces it.
    fn may_promise(&self, from: &Status, proposal: &Proposal) -> bool {
        let proposer = proposal.proposer();
        let own = proposal.member(&self.uuid);
        let free = match &self.state {
            State::Blank => true,
            State::Promised(former) => {
                former.proposer().uuid == proposer.uuid && former.round < proposal.round
            }
            State::Founded(_) | State::Joining(_) | State::Failed => false,
        };
        free && proposer.uuid == from.uuid
            && proposer.uuid != self.uuid
            && proposal.terms() == self.setup.terms
            && own.is_some_and(|own| self.setup.node_id.is_none_or(|wanted| wanted == own.node))
    }

    pub(super) fn promise(&mut self, proposal: Proposal, effects: &mut Vec<Effect>) {
        let own = proposal.member(&self.uuid).expect("a node promises only what it is a member of");
        self.own = Some(own.address.clone());
        self.heard.remove(&own.address);
        effects.push(Effect::Persist(Record::Promise(Promise::new(self.uuid.clone(), proposal.clone()))));
        self.state = State::Promised(proposal);
    }

    /// A seed belongs to a cluster: the one that was promised, or one to join.
    fn learn(&mut self, now: Now, seed: String, cluster_id: String, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Promised(proposal) if proposal.cluster_id == cluster_id => self.found(now, effects),
            State::Promised(proposal) => {
                let promised = proposal.cluster_id.clone();
                self.fail(FoundingError::OtherCluster { seed, founded: cluster_id, promised }, effects);
            }
            _ => {
                self.state = State::Joining(cluster_id.clone());
                effects.push(Effect::Join { through: seed, cluster_id, uuid: self.uuid.clone() });
            }
        }
    }

    /// The promised cluster is founded. Everybody is told; who does not hear it asks.
    pub(super) fn found(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let State::Promised(proposal) = &self.state else { return };
        let charter = proposal.charter(&self.uuid).expect("a node promises only what it is a member of");
        self.state = State::Founded(proposal.cluster_id.clone());
        effects.push(Effect::Persist(Record::Charter(charter.clone())));
        effects.push(Effect::Founded(charter));
        self.ask(now, effects);
    }

    pub(super) fn ask(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.ask_at = now.ms + ASK_EVERY_MS;
        let question = Question { status: self.status(now) };
        let asks = self.others().map(|seed| Effect::Ask { seed: seed.clone(), question: question.clone() });
        effects.extend(asks);
    }

    /// Ends, and tells those who may have heard too little of this node to end as well.
    fn object(&mut self, now: Now, error: FoundingError, effects: &mut Vec<Effect>) {
        self.ask(now, effects);
        self.fail(error, effects);
    }

    pub(super) fn fail(&mut self, error: FoundingError, effects: &mut Vec<Effect>) {
        self.state = State::Failed;
        effects.push(Effect::Fatal(error));
    }

    /// All seeds but this node.
    pub(super) fn others(&self) -> impl Iterator<Item = &String> {
        self.setup.terms.seeds.iter().filter(|seed| self.own.as_ref() != Some(seed))
    }

    pub(super) fn phase_of(&self, seed: &str) -> Option<&Phase> {
        self.heard.get(seed).and_then(|status| status.phase.as_ref())
    }

    pub(super) fn status(&self, now: Now) -> Status {
        let phase = match &self.state {
            State::Blank => Phase::Blank(true),
            State::Promised(proposal) => Phase::Promised(proposal.clone()),
            State::Founded(cluster_id) => Phase::Founded(cluster_id.clone()),
            State::Joining(cluster_id) => Phase::Joining(cluster_id.clone()),
            State::Failed => unreachable!("a failed founding says nothing more"),
        };
        Status {
            version: VERSION,
            nonce: self.setup.nonce.clone(),
            uuid: self.uuid.clone(),
            seed: self.own.clone().unwrap_or_default(),
            node_id: self.setup.node_id.unwrap_or_default(),
            terms: self.setup.terms.clone(),
            wall_ms: now.wall_ms,
            phase: Some(phase),
        }
    }
}

/// The seed as which `promise` was given, if the node is started as it was then.
fn promised_as(setup: &Setup, promise: &Promise) -> Result<String, FoundingError> {
    let differences = setup.terms.differences(&promise.proposal.terms());
    if !differences.is_empty() {
        return Err(FoundingError::PromisedOtherwise { differences });
    }
    let own = promise.proposal.member(&promise.node_uuid).expect("checked where the promise was read");
    match setup.node_id {
        Some(wanted) if wanted != own.node => {
            Err(FoundingError::PromisedNumber { promised: own.node, wanted })
        }
        _ => Ok(own.address.clone()),
    }
}
