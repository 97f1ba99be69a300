//! Every workload of the driver runs to its end against holdfast, and nothing is lost that was acknowledged.

use std::time::Duration;

use holdfast_chaos::broker::{Broker, Place, Recipe};
use holdfast_chaos::load::{Figures, LoadArgs, Workload};

mod binary;

const PATIENCE: Duration = Duration::from_secs(120);

fn start() -> (Place, Broker) {
    let place = Place::new(None).expect("there is room for a directory");
    let mut broker = Recipe::Holdfast(binary::holdfast()).start(&place).expect("holdfast can be started");
    broker.wait_until_ready(&place, PATIENCE).expect("holdfast serves");
    (place, broker)
}

fn run(workload: Workload, adjust: fn(&mut LoadArgs)) -> Figures {
    let (place, broker) = start();
    let mut load = LoadArgs::new(workload, place.address(), broker.pid());
    (load.duration, load.warmup) = (1.0, 0.2);
    adjust(&mut load);
    let figures = load.measure().unwrap_or_else(|error| panic!("{error}\n{}", place.last_words()));
    let status = broker.stop(PATIENCE).expect("a signal can be sent");
    assert!(status.success(), "holdfast ended with {status}:\n{}", place.last_words());
    figures
}

#[track_caller]
fn nothing_lost(figures: &Figures) {
    assert!(figures.get("delivered") > Some(0.0), "{}", figures.json());
    assert_eq!(figures.get("lost_deliveries"), Some(0.0), "{}", figures.json());
}

#[test]
fn qos_0_in_a_bounded_window_loses_nothing() {
    nothing_lost(&run(Workload::FanIn, |_| {}));
    nothing_lost(&run(Workload::FanOut, |load| load.subscribers = Some(50)));
    nothing_lost(&run(Workload::P2p, |load| load.mqtt = 5));
}

#[test]
fn qos_1_and_2_lose_nothing() {
    nothing_lost(&run(Workload::FanIn, |load| load.qos = 1));
    nothing_lost(&run(Workload::FanOut, |load| (load.qos, load.subscribers) = (1, Some(50))));
    nothing_lost(&run(Workload::P2p, |load| (load.qos, load.mqtt, load.durable) = (2, 5, true)));
}

#[test]
fn clients_come_and_go_and_stay() {
    assert!(run(Workload::Connect, |_| {}).get("connects") > Some(0.0));
    assert_eq!(run(Workload::Idle, |load| load.subscribers = Some(200)).get("connections"), Some(200.0));
}

#[test]
fn what_is_stored_comes_back() {
    let backlog = run(Workload::Backlog, |load| load.messages = Some(2000));
    assert_eq!(backlog.get("messages"), Some(2000.0));
    let resume = run(Workload::Resume, |load| {
        (load.messages, load.compare, load.matching) = (Some(5000), 1000, 100);
    });
    assert_eq!(resume.get("matching"), Some(100.0));
    let retained = run(Workload::Retained, |load| load.messages = Some(500));
    assert_eq!(retained.get("messages"), Some(500.0));
}
