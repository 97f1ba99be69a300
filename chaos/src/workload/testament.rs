//! A will that is made anew for each connection.

use super::payload;
use super::recorder::Recorder;
use crate::history::{Message, What};
use crate::wire::Will;

/// The will of a client.
pub(crate) struct Testament {
    /// Its publisher in the history.
    pub(super) publisher: u16,
    /// Its topic.
    pub(super) topic: u16,
    /// The name of the topic.
    pub(super) name: String,
    /// Will Delay Interval, in seconds.
    pub(super) delay: u32,
    seq: u64,
    payload: Vec<u8>,
}

impl Testament {
    pub(super) fn new(publisher: u16, topic: u16, name: &str, delay: u32) -> Testament {
        Testament { publisher, topic, name: name.to_owned(), delay, seq: 0, payload: Vec::new() }
    }

    /// For the next connection.
    pub(super) fn renew(&mut self, recorder: &mut Recorder) {
        self.seq += 1;
        self.payload = payload::encode(self.message(), &self.name);
        recorder.record(What::Sent(self.message()));
    }

    pub(super) fn will(&self) -> Will<'_> {
        Will { topic: &self.name, payload: &self.payload, delay: self.delay }
    }

    /// The connection has ended, and its client said no goodbye. `last`: it does not come back.
    pub(super) fn open(&self, last: bool, recorder: &mut Recorder) {
        // A will that waits is taken back when its client returns in time.
        if self.delay == 0 || last {
            recorder.record(What::WillDue(self.message()));
        }
    }

    fn message(&self) -> Message {
        Message { publisher: self.publisher, topic: self.topic, seq: self.seq }
    }
}
