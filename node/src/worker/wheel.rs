//! Timers of a worker: one wheel of seconds, looked at once a second. A connection has one place in it.

use crate::mail::ConnectionKey;

/// Seconds around the wheel; longer waits go around again.
const SLOTS: usize = 512;

/// The wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<ConnectionKey>>,
    /// Second that was turned to last.
    at: u32,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], at: 0 }
    }
}

impl Wheel {
    /// Asks to be told of `key` at `second`, or after one turn of the wheel if that is later.
    pub(super) fn set(&mut self, key: ConnectionKey, second: u32) {
        let wait = second.saturating_sub(self.at).clamp(1, 511);
        self.slots[(self.at + wait) as usize % SLOTS].push(key);
    }

    /// Turns to `second`; all that are due come out.
    pub(super) fn turn(&mut self, second: u32, due: &mut Vec<ConnectionKey>) {
        let steps = second.saturating_sub(self.at).min(512);
        for _ in 0..steps {
            self.at += 1;
            due.append(&mut self.slots[self.at as usize % SLOTS]);
        }
        self.at = second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_once() {
        let mut wheel = Wheel::default();
        let key = |slot| ConnectionKey { slot, generation: 0 };
        wheel.set(key(1), 3);
        wheel.set(key(2), 600);
        let mut due = Vec::new();
        wheel.turn(2, &mut due);
        assert!(due.is_empty());
        wheel.turn(3, &mut due);
        assert_eq!(due, [key(1)]);
        wheel.turn(510, &mut due);
        assert_eq!(due.len(), 1);
        wheel.turn(511, &mut due);
        assert_eq!(due, [key(1), key(2)], "a long wait comes out early and is set again by its owner");
    }
}
