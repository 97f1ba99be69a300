//! Holdfast is killed again and again under load, and keeps its promises.
//!
//! `KILL_ROUNDS` (default 20) says how often, `KILL_SEED` (default 1) when. The binary is `HOLDFAST_BIN`, or the
//! one beside this test in the target directory, which is built if it is missing.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_chaos::broker::Recipe;
use holdfast_chaos::kill::{Storm, Verdict};

mod binary;

fn storm(recipe: Recipe, rounds: u32, seed: u64) -> Storm {
    Storm {
        recipe,
        rounds,
        seed,
        round: Duration::from_millis(2000),
        rate: 200,
        directory: None,
        patience: Duration::from_secs(120),
    }
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let rounds = number("KILL_ROUNDS", 20) as u32;
    let seed = number("KILL_SEED", 1);
    let storm = storm(Recipe::Holdfast(binary::holdfast()), rounds, seed);
    let verdict = storm.run().expect("this machine can run a broker");
    println!("{}", verdict.summary());
    assert!(
        verdict.passed(),
        "again with: KILL_SEED={seed} KILL_ROUNDS={rounds} cargo test -p holdfast-chaos"
    );
    assert_eq!(verdict.kills, rounds);
    assert!(verdict.acked > u64::from(rounds), "the storm was too quiet to prove anything");
}

/// The harness against a node that acknowledges before the disk has it: proof that it can fail. The switch exists in
/// debug builds alone.
#[test]
fn a_node_that_acknowledges_before_the_sync_is_caught() {
    let holdfast = binary::holdfast().display().to_string();
    let start = "start --data-dir {dir} --mqtt 127.0.0.1:{port} --http 127.0.0.1:0 --cluster 127.0.0.1:0";
    let words = ["env", "HOLDFAST_FAULT=ack-before-sync", &holdfast].into_iter().chain(start.split(' '));
    let verdict = storm(Recipe::Command(words.map(str::to_owned).collect()), 4, 1).run().expect("it runs");
    caught(verdict, &["acked_is_delivered"]);
}

/// The harness against a broker that is known to forget, and against the same one while it lives: proof that it can
/// fail and pass with a broker that we did not write.
#[test]
fn a_broker_without_persistence_is_caught_and_one_that_lives_is_not() {
    let Some(mosquitto) = mosquitto() else {
        eprintln!("mosquitto is not installed: nothing to compare with");
        return;
    };
    let verdict = storm(Recipe::Mosquitto(mosquitto.clone()), 4, 1).run().expect("it runs");
    caught(verdict, &["session_present_is_honest", "acked_is_delivered"]);
    let verdict = storm(Recipe::Mosquitto(mosquitto), 0, 1).run().expect("it runs");
    assert!(verdict.passed(), "{}", verdict.summary());
}

#[track_caller]
fn caught(verdict: Verdict, promises: &[&str]) {
    let broken = |name: &&str| verdict.promises.iter().any(|p| p.name == *name && p.violations > 0);
    assert!(promises.iter().all(broken), "{}", verdict.summary());
    let evidence = verdict.evidence.expect("a broken promise leaves evidence");
    std::fs::remove_dir_all(evidence).expect("it can be removed");
}

fn mosquitto() -> Option<PathBuf> {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].iter().map(PathBuf::from).find(|path| path.exists())
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("the variable holds a number"),
        Err(_) => default,
    }
}
