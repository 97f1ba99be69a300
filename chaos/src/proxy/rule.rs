//! How datagrams fare on one way between two nodes.

use std::time::Duration;

/// A rule that was laid, to be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laid {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) number: u64,
}

/// What is done to datagrams; the default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rule {
    /// Nothing passes, and what is under way is lost.
    pub cut: bool,
    /// Each waits so long...
    pub delay: Duration,
    /// ...and up to so much longer, evenly by chance; what waits shorter overtakes.
    pub jitter: Duration,
    /// Lost, in parts of a thousand.
    pub loss: u32,
    /// Sent twice, in parts of a thousand.
    pub twice: u32,
    /// Held back for ten milliseconds, so that others overtake it, in parts of a thousand.
    pub late: u32,
    /// Bytes in a second; 0 is no limit. What does not get through in half a second is lost.
    pub rate: u64,
}

impl Rule {
    /// Nothing passes.
    pub const CUT: Rule = Rule {
        cut: true,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0,
        twice: 0,
        late: 0,
        rate: 0,
    };

    /// Both at once.
    pub(super) fn and(self, other: Rule) -> Rule {
        let rates = [self.rate, other.rate];
        Rule {
            cut: self.cut || other.cut,
            delay: self.delay + other.delay,
            jitter: self.jitter + other.jitter,
            loss: self.loss.max(other.loss),
            twice: self.twice.max(other.twice),
            late: self.late.max(other.late),
            rate: rates.into_iter().filter(|rate| *rate > 0).min().unwrap_or(0),
        }
    }
}
