//! How the promises were kept, for people and for programs.

use serde::Serialize;

use crate::check::{self, PROMISES, Violation};
use crate::history::History;

/// How a promise was kept.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Whether the storm went on for long enough to judge it.
    pub judged: bool,
    /// How often it was broken.
    pub violations: usize,
    /// The first witnesses.
    pub witnesses: Vec<String>,
}

/// Witnesses for each promise: enough to see a pattern.
const WITNESSES_MAX: usize = 5;

/// All promises, checked.
pub(crate) fn judge(history: &History) -> Vec<Kept> {
    let violations = check::all(history);
    let kept = |promise: &check::Promise| {
        let mine: Vec<&Violation> = violations.iter().filter(|v| v.promise == promise.name).collect();
        let witnesses = mine.iter().take(WITNESSES_MAX).map(|violation| violation.witness.clone());
        Kept {
            name: promise.name,
            says: promise.says,
            judged: promise.is_judged_by(history),
            violations: mine.len(),
            witnesses: witnesses.collect(),
        }
    };
    PROMISES.iter().map(kept).collect()
}

/// A line for each promise, and its witnesses.
pub(crate) fn lines(promises: &[Kept]) -> String {
    let mut text = String::new();
    for kept in promises {
        let how = match kept.violations {
            0 if !kept.judged => "not judged, as not everything could arrive".to_owned(),
            0 => "kept".to_owned(),
            n => format!("BROKEN {n} times"),
        };
        text += &format!("  {:<28}{how}: {}\n", kept.name, kept.says);
        for witness in &kept.witnesses {
            text += &format!("      {witness}\n");
        }
    }
    text
}
