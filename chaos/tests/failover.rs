//! The death of a leader is felt for a bounded time.

use holdfast_chaos::failover::FailoverArgs;

mod binary;

#[test]
fn messages_flow_again_after_the_leader_was_killed() {
    let measure = FailoverArgs {
        holdfast: binary::holdfast(),
        nodes: 3,
        kills: 2,
        rate: 50,
        seed: 1,
        // A machine that does many other things may be slow; how fast it is on one of its own is in docs/benchmarks.md.
        patience: 60,
        dir: None,
        json: None,
    };
    let felt = measure.run(&mut std::io::stderr()).expect("messages flow again");
    assert_eq!(felt.acknowledged_ms.each.len(), 2);
    assert!(felt.acknowledged_ms.each.iter().chain(&felt.delivered_ms.each).all(|ms| *ms > 0.0), "{felt:?}");
}
