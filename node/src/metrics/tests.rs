//! What a scrape shows.

use std::collections::BTreeSet;

use holdfast_cluster::link::{PeerFigures, SLOTS};
use holdfast_log::NodeId;
use metrics::Unit;

use super::*;

/// Runs `record` against a recorder of its own and renders it.
fn scrape(record: impl FnOnce()) -> String {
    let recorder = recorder().expect("good buckets");
    let metrics = Metrics { handle: recorder.handle() };
    metrics::with_local_recorder(&recorder, || {
        table::describe();
        record();
    });
    metrics.upkeep();
    metrics.render()
}

#[test]
fn counters_of_workers_add_up_and_start_again() {
    let text = scrape(|| {
        let (mut one, mut two) = (Counters::new(), Counters::new());
        one.packets_in[3] += 2;
        one.bytes_in[3] += 77;
        one.messages_in[1] += 2;
        one.opened += 3;
        one.publish();
        one.publish();
        two.packets_in[3] += 1;
        two.drop_message(Dropped::OutgoingFull);
        two.drop_messages(Dropped::RetentionGap, 9);
        two.connect(Connect::Accepted);
        two.close(Closed::KeepAlive);
        two.drop_message(Dropped::Disconnected);
        two.connect(Connect::Other);
        two.opened += 1;
        two.close(Closed::Shutdown);
        two.publish();
    });
    for line in [
        "holdfast_packets_total{type=\"publish\",direction=\"in\"} 3",
        "holdfast_packets_total{type=\"publish\",direction=\"out\"} 0",
        "holdfast_packet_bytes_total{type=\"publish\",direction=\"in\"} 77",
        "holdfast_messages_total{qos=\"1\",direction=\"in\"} 2",
        "holdfast_messages_dropped_total{reason=\"outgoing_full\"} 1",
        "holdfast_messages_dropped_total{reason=\"retention_gap\"} 9",
        "holdfast_connects_total{result=\"accepted\"} 1",
        "holdfast_disconnects_total{reason=\"keep_alive\"} 1",
        "holdfast_connections 2",
        "holdfast_messages_dropped_total{reason=\"disconnected\"} 1",
        "holdfast_connects_total{result=\"other\"} 1",
        "holdfast_disconnects_total{reason=\"shutdown\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_scrape_has_every_series_of_the_table_and_no_other() {
    let text = scrape(|| {
        Counters::new().publish();
        let latencies = Latencies::new();
        for histogram in
            [latencies.append, latencies.commit, latencies.apply, latencies.fsync, latencies.deliver]
        {
            histogram.record(Duration::from_micros(150));
        }
        set_partition(
            3,
            &PartitionLevels { term: 2, leads: true, committed: 9, applied: 7, ..Default::default() },
        );
        set_levels(&Levels { sessions_connected: 4, ..Levels::default() });
        let mut traffic = Traffic::new();
        traffic.raft("append", Direction::In, 100);
        traffic.raft("append", Direction::In, 20);
        traffic.forwarded(Direction::Out, 3);
        traffic.election_won(GroupKind::Session);
        let mut standing = Standing { lease_seconds: Some(4.5), alive: 2, ..Standing::default() };
        standing.count(GroupKind::Partition, false, false);
        set_standing(&standing);
        set_peer(&PeerFigures {
            node: NodeId::new(2),
            up: true,
            rtt: Some(Duration::from_millis(2)),
            window_bytes: 14_000,
            sent_packets: 90,
            lost_packets: 1,
            congestion_events: 1,
            sent_bytes: 7,
            received_bytes: 8,
            queued_bytes: [1; SLOTS],
            dropped: [2; SLOTS],
        });
        gauge!("holdfast_build_info", "version" => "0").set(1);
    });
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let served: BTreeSet<&str> = typed.collect();
    let listed: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(served, listed);
    for line in [
        "holdfast_partition_lag_entries{partition=\"3\"} 2",
        "holdfast_partition_leader{partition=\"3\"} 1",
        "holdfast_sessions{state=\"connected\"} 4",
        "holdfast_raft_messages_total{kind=\"append\",direction=\"in\"} 2",
        "holdfast_raft_bytes_total{kind=\"append\",direction=\"in\"} 120",
        "holdfast_forwarded_messages_total{direction=\"out\"} 3",
        "holdfast_elections_won_total{group=\"session\"} 1",
        "holdfast_groups_without_leader{group=\"partition\"} 1",
        "holdfast_peer_rtt_seconds{peer=\"2\"} 0.002",
        "holdfast_peer_queue_bytes{peer=\"2\",lane=\"append\"} 2",
        "holdfast_peer_frames_dropped_total{peer=\"2\",lane=\"live\"} 2",
        "holdfast_peer_bytes_total{peer=\"2\",direction=\"out\"} 7",
        "holdfast_fsync_seconds_bucket{le=\"0.0001\"} 0",
        "holdfast_fsync_seconds_bucket{le=\"0.0002\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_follow_the_rules() {
    for metric in METRICS {
        assert!(metric.name.starts_with("holdfast_") && metric.help.ends_with('.'), "{}", metric.name);
        assert_eq!(metric.sort == Sort::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        let time = matches!(metric.unit, Unit::Seconds);
        assert_eq!(time, metric.name.ends_with("_seconds") || metric.name.ends_with("_seconds_total"));
        assert!(time || metric.sort != Sort::Histogram, "{}", metric.name);
    }
}

#[test]
fn figures_of_the_process_are_real() {
    let value = |text: &str, name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("served");
        line.parse().expect("a number")
    };
    let text = scrape(|| {});
    assert!(value(&text, "holdfast_process_resident_bytes") > 1e5);
    assert!(value(&text, "holdfast_process_open_fds") >= 3.0);
    assert!(value(&text, "holdfast_process_max_fds") >= 64.0);
    assert!(value(&text, "holdfast_process_cpu_seconds_total") >= 0.0);
}
