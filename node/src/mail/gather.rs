//! Collecting one answer from several threads: whoever adds the last part finishes it.

use std::sync::{Mutex, PoisonError};

use crate::admin::Subscription;

type Finish = Box<dyn FnOnce(Vec<Subscription>) + Send>;

/// An answer in the making.
pub struct Gather {
    state: Mutex<State>,
}

struct State {
    left: usize,
    found: Vec<Subscription>,
    finish: Option<Finish>,
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

impl Gather {
    /// Waits for `parts` more parts; `found` is there already.
    pub fn new(
        parts: usize,
        found: Vec<Subscription>,
        finish: impl FnOnce(Vec<Subscription>) + Send + 'static,
    ) -> Self {
        Self { state: Mutex::new(State { left: parts, found, finish: Some(Box::new(finish)) }) }
    }

    /// Adds one part.
    pub fn add(&self, part: Vec<Subscription>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.found.extend(part);
        state.left = state.left.saturating_sub(1);
        if state.left == 0
            && let Some(finish) = state.finish.take()
        {
            let found = std::mem::take(&mut state.found);
            drop(state);
            finish(found);
        }
    }
}
