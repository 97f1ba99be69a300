//! A storm of all faults over real nodes, and a storm over nodes that lie.

use std::time::Duration;

use holdfast_chaos::fleet::{Fleet, Hooks, Plan};
use holdfast_chaos::seed::Seed;
use holdfast_chaos::storm::{Outcome, Storm};

mod binary;

fn plan(nodes: usize) -> Plan {
    let environment = Vec::new();
    Plan { binary: binary::holdfast(), nodes, spares: 0, directory: None, environment, proxied: true }
}

fn rage(fleet: Fleet, seed: u64, names: &[&str], seconds: u64) -> Outcome {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut storm = Storm::new(fleet, seed, &names).expect("the faults are known");
    storm.duration = Duration::from_secs(seconds);
    // Others may use this machine as well.
    storm.patience = Duration::from_secs(60);
    storm.run(&mut std::io::stderr()).expect("this machine can run a storm")
}

#[track_caller]
fn well(outcome: &Outcome) {
    assert!(outcome.passed(), "{}", outcome.summary());
}

#[test]
fn one_node_in_a_storm_keeps_every_promise() {
    let fleet = Fleet::own(&plan(1), &mut Seed::new(1)).expect("there is room for a node");
    let outcome = rage(fleet, number("STORM_SEED", 1), &[], number("STORM_SECONDS", 20));
    well(&outcome);
    let page = outcome.page().expect("a report");
    assert!(page.contains("disk-full") && outcome.json().expect("a report").contains("\"passed\": true"));
}

/// Clock and disk can be changed only where the node is ours; a fault that was named and cannot be tried is no success.
#[test]
fn a_fault_that_was_asked_for_and_cannot_be_tried_is_a_failure() {
    let fleet = Fleet::own(&plan(1), &mut Seed::new(2)).expect("there is room for a node");
    let outcome = rage(fleet, 2, &["stampede", "partition"], 1);
    assert!(
        !outcome.passed() && outcome.summary().contains("one node has no links"),
        "{}",
        outcome.summary()
    );
    remove(outcome);
}

/// The storm can fail: a node that acknowledges before the disk has it is caught. The switch exists in debug builds.
#[test]
fn a_node_that_acknowledges_before_the_sync_is_caught_in_a_storm() {
    let mut plan = plan(1);
    plan.environment = vec![("HOLDFAST_FAULT".to_owned(), "ack-before-sync".to_owned())];
    let fleet = Fleet::own(&plan, &mut Seed::new(3)).expect("there is room for a node");
    let outcome = rage(fleet, 3, &["kill"], 10);
    assert!(outcome.violations("acked_is_delivered") > 0, "{}", outcome.summary());
    remove(outcome);
}

/// Somebody's own cluster: addresses and commands are all that is known of it.
#[test]
fn a_running_node_is_stormed_through_hooks() {
    let own = Fleet::own(&plan(1), &mut Seed::new(4)).expect("there is room for a node");
    own.settle(Duration::from_secs(60)).expect("the node serves");
    let node = &own.nodes()[0];
    let pid = node.pid().expect("it runs");
    let hooks = Hooks {
        pause: Some(format!("test {{node}} = 1 && kill -STOP {pid}")),
        resume: Some(format!("kill -CONT {pid}")),
        ..Hooks::default()
    };
    let fleet = Fleet::foreign(&[node.mqtt()], &[node.http().expect("it has one")], &hooks);
    let outcome = rage(fleet.expect("it answers"), 4, &["pause", "stampede"], 8);
    well(&outcome);
}

fn remove(outcome: Outcome) {
    let evidence = outcome.evidence.expect("what went wrong leaves evidence");
    std::fs::remove_dir_all(evidence).expect("it can be removed");
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("the variable holds a number"),
        Err(_) => default,
    }
}
