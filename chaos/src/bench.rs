//! Two brokers on one machine, one after the other, over the same table of workloads.
//!
//! Rounds alternate between the brokers, so that whatever else the machine does falls on both. Each run has
//! a new process and an empty directory; each figure is the median of its rounds.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use crate::broker::{self, Place};
use crate::load::{Figures, LoadArgs};
use table::{Better, TABLE, Workload};

mod table;
mod machine;
mod syncs;
mod cluster;

/// A broker has this long to serve, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which brokers are compared, and how thoroughly.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Path of the holdfast binary (a release build)
    #[arg(long)]
    pub holdfast: Option<PathBuf>,
    /// Path of the mosquitto binary
    #[arg(long)]
    pub mosquitto: Option<PathBuf>,
    /// Compare with a cluster of so many nodes of holdfast too, whose connections go round them
    #[arg(long, value_parser = clap::value_parser!(u16).range(3..=7))]
    pub nodes: Option<u16>,
    /// Runs of each workload and broker
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Measured seconds of a steady workload
    #[arg(long, default_value_t = 8.0)]
    pub duration: f64,
    /// One short round with small numbers: a look, not a measurement
    #[arg(long)]
    pub quick: bool,
    /// Only workloads whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Where data directories are made (removed after each run)
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Write all figures of all rounds as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

struct Contender {
    name: String,
    recipe: Recipe,
}

enum Recipe {
    /// One process.
    One(broker::Recipe),
    /// The `holdfast` binary at this path, as so many nodes that are one cluster.
    Cluster(PathBuf, u16),
}

/// What each round of a workload gave for one broker, or why it gave nothing.
type Rounds = Vec<Result<Figures, String>>;

impl BenchArgs {
    /// Runs everything and returns a Markdown report.
    pub fn run(&self) -> io::Result<String> {
        let contenders = self.contenders()?;
        let mut report = machine::describe(self, contenders.iter().map(|c| &c.recipe))?;
        header(&mut report, &contenders);
        let mut raw = Map::new();
        for workload in TABLE.iter().filter(|w| self.only.as_ref().is_none_or(|o| w.name.contains(o))) {
            let results = self.compare(workload, &contenders);
            rows(&mut report, workload, &results);
            raw.insert(workload.name.to_owned(), json(&contenders, &results)?);
            if let Some(path) = &self.json {
                std::fs::write(path, serde_json::to_vec_pretty(&raw)?)?;
            }
        }
        Ok(report)
    }

    fn contenders(&self) -> io::Result<Vec<Contender>> {
        let mut contenders = Vec::new();
        if let Some(path) = &self.holdfast {
            contenders.push(Contender {
                name: "holdfast".to_owned(),
                recipe: Recipe::One(broker::Recipe::Holdfast(path.clone())),
            });
        }
        if let (Some(path), Some(nodes)) = (&self.holdfast, self.nodes) {
            let name = format!("holdfast, {nodes} nodes");
            contenders.push(Contender { name, recipe: Recipe::Cluster(path.clone(), nodes) });
        }
        if let Some(path) = &self.mosquitto {
            contenders.push(Contender {
                name: "mosquitto".to_owned(),
                recipe: Recipe::One(broker::Recipe::Mosquitto(path.clone())),
            });
        }
        if contenders.is_empty() {
            return Err(io::Error::other("at least one of --holdfast and --mosquitto is needed"));
        }
        Ok(contenders)
    }

    fn compare(&self, workload: &Workload, contenders: &[Contender]) -> Vec<Rounds> {
        let mut results: Vec<Rounds> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.rounds() {
            for (contender, rounds) in contenders.iter().zip(&mut results) {
                let result = self.measure(workload, &contender.recipe).map_err(|error| error.to_string());
                let outcome = match &result {
                    Ok(figures) => figures.json(),
                    Err(error) => error.clone(),
                };
                eprintln!("{}, round {round}, {}: {outcome}", workload.name, contender.name);
                rounds.push(result);
            }
        }
        results
    }

    fn measure(&self, workload: &Workload, recipe: &Recipe) -> io::Result<Figures> {
        match recipe {
            Recipe::One(recipe) => self.measure_one(workload, recipe),
            Recipe::Cluster(path, nodes) => cluster::measure(self, workload, (path, *nodes)),
        }
    }

    /// The workload as it is measured on a broker.
    fn load(&self, workload: &Workload, address: SocketAddr, pid: u32) -> LoadArgs {
        let mut load = LoadArgs::new(workload.shape, address, pid);
        load.duration = if self.quick { self.duration.min(3.0) } else { self.duration };
        load.warmup = if self.quick { 1.0 } else { 2.0 };
        (workload.adjust)(&mut load, self.quick);
        load
    }

    fn measure_one(&self, workload: &Workload, recipe: &broker::Recipe) -> io::Result<Figures> {
        let place = Place::new(self.dir.as_deref())?;
        let mut broker = recipe.start(&place)?;
        broker.wait_until_ready(&place, PATIENCE)?;
        let load = self.load(workload, place.address(), broker.pid());
        let mut figures = load.measure().map_err(|error| match broker.exited() {
            Ok(Some(status)) => {
                io::Error::other(format!("the broker ended ({status}): {}", place.last_words()))
            }
            _ => error,
        })?;
        if let broker::Recipe::Holdfast(_) = recipe
            && let Some(messages) = syncs::messages_per_sync(place.http())?
        {
            figures.set_round("messages_per_sync", messages);
        }
        broker.stop(PATIENCE)?;
        Ok(figures)
    }

    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }
}

fn header(report: &mut String, contenders: &[Contender]) {
    report.push_str("| workload | figure |");
    contenders.iter().for_each(|contender| *report += &format!(" {} |", contender.name));
    report.push_str(" ratio |\n|---|---|");
    contenders.iter().for_each(|_| report.push_str("---:|"));
    report.push_str("---:|\n");
}

/// One line a figure; the ratio says how many times better the first broker is.
fn rows(report: &mut String, workload: &Workload, results: &[Rounds]) {
    for figure in workload.figures {
        let medians: Vec<Option<f64>> = results.iter().map(|rounds| median(rounds, figure.key)).collect();
        *report += &format!("| {} | {} |", workload.name, figure.label);
        for (median, rounds) in medians.iter().zip(results) {
            let failed = rounds.iter().filter(|round| round.is_err()).count();
            let mut cell = median.map(number).unwrap_or("-".to_owned());
            if failed > 0 {
                // Writing to a string does not fail.
                let _ = write!(cell, " ({failed} failed)");
            }
            *report += &format!(" {cell} |");
        }
        let ratio =
            match (medians.first().copied().flatten(), medians.get(1).copied().flatten(), figure.better) {
                (Some(first), Some(second), Better::Higher) if second > 0.0 => {
                    format!("{:.2}", first / second)
                }
                (Some(first), Some(second), Better::Lower) if first > 0.0 => format!("{:.2}", second / first),
                _ => "-".to_owned(),
            };
        *report += &format!(" {ratio} |\n");
    }
}

fn median(rounds: &Rounds, key: &str) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().flatten().filter_map(|figures| figures.get(key)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// A number with its thousands apart, or with three digits where it is small.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{:.*}", if value.fract() == 0.0 { 0 } else { 2 }, value);
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

fn json(contenders: &[Contender], results: &[Rounds]) -> io::Result<Value> {
    let mut all = Map::new();
    for (contender, rounds) in contenders.iter().zip(results) {
        let rounds = rounds.iter().map(|round| match round {
            Ok(figures) => serde_json::from_str(&figures.json()),
            Err(error) => Ok(Value::from(error.as_str())),
        });
        all.insert(contender.name.clone(), Value::Array(rounds.collect::<Result<_, _>>()?));
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let texts: Vec<String> = [0.0, 7.256, 99.0, 123.4, 1234567.8, -4096.0].map(number).into();
        assert_eq!(texts, ["0", "7.26", "99", "123", "1,234,568", "-4,096"]);
    }

    #[test]
    fn every_workload_has_its_own_name_and_a_figure() {
        let mut names: Vec<_> = TABLE.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert!(TABLE.iter().all(|workload| !workload.figures.is_empty()));
    }
}
