//! The verdict on a storm, for a terminal, for a program, and as one page for a browser.

mod draw;

use std::io;

use serde::Serialize;
use serde_json::Value;

use self::draw::{Gap, Leading, Series};
use crate::check;
use crate::history::{History, What};
use crate::verdict::{self, Kept};

/// The page; the report goes where the mark is.
const PAGE: &str = include_str!("report/page.html");
const MARK: &str = "@REPORT@";
/// Lines of history that are shown with a broken promise.
const EXCERPT_MAX: usize = 80;

/// What the storm itself has to tell.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    /// The words that start it again.
    pub(crate) command: String,
    pub(crate) seed: u64,
    /// Its length.
    pub(crate) seconds: f64,
    /// What went wrong beside broken promises.
    pub(crate) failures: Vec<String>,
    /// Faults that were not tried, and why.
    pub(crate) not_tried: Vec<(String, String)>,
    pub(crate) turns: Vec<Turn>,
    /// Faults, as long as they lasted.
    pub(crate) spans: Vec<Value>,
    /// The most memory that each node took.
    pub(crate) rss_bytes_max: Vec<u64>,
}

/// Faults that struck together. Times are seconds since the start.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Turn {
    pub(crate) names: String,
    pub(crate) from: f64,
    /// When all of them were over.
    pub(crate) healed: f64,
    /// When everybody was served again.
    pub(crate) recovered: Option<f64>,
}

/// A broken promise with what happened around it.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    promise: &'static str,
    witness: String,
    history: Vec<String>,
}

/// What happened how often.
#[derive(Clone, Copy, Debug, Serialize)]
struct Counts {
    connections: u64,
    kills: u64,
    sent: u64,
    acked: u64,
    delivered: u64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    passed: bool,
    nodes: u16,
    #[serde(flatten)]
    told: Told,
    counts: Counts,
    promises: Vec<Kept>,
    violations: Vec<Shown>,
    leaders: Vec<Leading>,
    series: Series,
    gaps: Vec<Gap>,
    /// From the first PUBLISH to its acknowledgement: median, 99 of 100, the longest; in milliseconds.
    ack_ms: [f64; 3],
    clients: Vec<String>,
}

impl Report {
    pub(crate) fn new(told: Told, history: &History) -> Report {
        let promises = verdict::judge(history);
        let shown = |kept: &Kept| {
            let promise = kept.name;
            let shown = |witness: &String| Shown {
                promise,
                witness: witness.clone(),
                history: check::excerpt(history, witness, EXCERPT_MAX),
            };
            kept.witnesses.iter().map(shown).collect::<Vec<_>>()
        };
        let count =
            |wanted: fn(&What) -> bool| history.events.iter().filter(|e| wanted(&e.what)).count() as u64;
        let (gaps, clients) = draw::gaps(history);
        Report {
            passed: told.failures.is_empty() && promises.iter().all(|kept| kept.violations == 0),
            nodes: history.nodes,
            counts: Counts {
                connections: count(|what| matches!(what, What::Connected { .. })),
                kills: count(|what| matches!(what, What::Killed(_))),
                sent: count(|what| matches!(what, What::Sent(_))),
                acked: count(|what| matches!(what, What::Acked(_))),
                delivered: count(|what| matches!(what, What::Delivered { .. })),
            },
            violations: promises.iter().flat_map(shown).collect(),
            leaders: draw::leaders(history),
            series: draw::series(history, told.seconds),
            gaps,
            ack_ms: draw::ack_ms(history),
            clients,
            promises,
            told,
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.passed
    }

    pub(crate) fn violations(&self, promise: &str) -> usize {
        self.promises.iter().filter(|kept| kept.name == promise).map(|kept| kept.violations).sum()
    }

    pub(crate) fn summary(&self) -> String {
        let Counts { connections, kills, sent, acked, delivered } = self.counts;
        let [median, p99, longest] = self.ack_ms;
        let recovered = self.told.turns.iter().filter_map(|turn| Some(turn.recovered? - turn.healed));
        let slowest = recovered.fold(0.0, f64::max);
        let mut text = format!(
            "{} nodes, {:.0} s, seed {}: {} rounds of faults, {kills} kills, everybody served again within {slowest:.1} s\n\
             {connections} connections, {sent} messages sent, {acked} acknowledged (median {median:.1} ms, p99 \
             {p99:.1} ms, longest {longest:.0} ms), {delivered} deliveries\n",
            self.nodes,
            self.told.seconds,
            self.told.seed,
            self.told.turns.len(),
        );
        for (name, why) in &self.told.not_tried {
            text += &format!("  {name} was not tried: {why}\n");
        }
        text += &verdict::lines(&self.promises);
        for failure in &self.told.failures {
            text += &format!("  FAILED: {failure}\n");
        }
        text += if self.passed { "every promise was kept\n" } else { "not all was well\n" };
        if !self.passed {
            text += &format!("again with: {}\n", self.told.command);
        }
        text
    }

    pub(crate) fn json(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(crate) fn page(&self) -> io::Result<String> {
        // Nothing in a string may end the element that it lies in.
        let json = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(MARK, &json, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_report_and_loads_nothing() {
        let told = Told {
            command: "again </script>".into(),
            seed: 1,
            seconds: 2.0,
            failures: vec!["it fell".into()],
            not_tried: Vec::new(),
            turns: Vec::new(),
            spans: Vec::new(),
            rss_bytes_max: Vec::new(),
        };
        let report = Report::new(told, &History::default());
        let page = report.page().unwrap();
        assert!(!report.passed() && page.contains("it fell") && page.contains("again \\u003c/script>"));
        assert!(
            !page.contains(MARK) && !page.contains("src=") && !page.contains("http"),
            "it needs a network"
        );
        let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["counts"]["sent"], 0);
    }
}
