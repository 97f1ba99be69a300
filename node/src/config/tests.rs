//! Settings from all sources, good and bad.

use std::path::Path;

use super::*;

fn load_file(text: &str) -> Result<Config, Mistakes> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdfast.toml");
    std::fs::write(&path, text).expect("a file");
    Config::check_file(&path)
}

/// The mistakes of a file as (line, key).
fn mistakes_of(text: &str) -> Vec<(usize, String)> {
    let place = |mistake: &Mistake| match mistake.origin {
        Origin::File(_, Some(line)) => (line, mistake.key.clone()),
        _ => panic!("not of a line: {mistake}"),
    };
    load_file(text).expect_err("mistakes").0.iter().map(place).collect()
}

fn load_flags(flags: &[(&'static str, &str)]) -> Result<Config, Mistakes> {
    let flags = flags.iter().map(|(flag, text)| (*flag, (*text).to_owned())).collect();
    Config::load(&Sources { flags, ..Sources::default() })
}

#[test]
fn defaults_are_a_whole_configuration() {
    let config = Config::load(&Sources::default()).expect("defaults are good");
    assert_eq!(config.listeners.mqtt.to_string(), "127.0.0.1:1883");
    assert_eq!(config.listeners.http.to_string(), "127.0.0.1:8083");
    assert_eq!(config.listeners.cluster.to_string(), "127.0.0.1:7883");
    assert_eq!((config.partitions, config.session_groups, config.replicas), (16, 8, 3));
    assert_eq!((config.storage.fsync, config.storage.bytes_max), (Fsync::Always, None));
    assert_eq!((config.node_id, config.fault, config.workers > 0), (None, None, true));
    assert_eq!((config.mqtt.packet_bytes_max, config.shutdown_grace.as_secs()), (1 << 20, 10));
    assert!(config.warnings.is_empty() && config.allow_anonymous && config.mqtt.connections_max.is_none());
}

#[test]
fn flags_win_over_environment_over_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("holdfast.toml");
    std::fs::write(&path, "partitions = 2\nreplicas = 2\nsession_groups = 2\n").expect("a file");
    let environment =
        [("HOLDFAST_PARTITIONS", "3"), ("HOLDFAST_REPLICAS", "4"), ("HOLDFAST_MQTT_CONNECT_TIMEOUT", "2s")];
    let sources = Sources {
        flags: vec![("--partitions", "5".into())],
        environment: environment.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        file: Some(path),
    };
    let config = Config::load(&sources).expect("good settings");
    assert_eq!((config.partitions, config.replicas, config.session_groups), (5, 4, 2));
    assert_eq!(config.mqtt.connect_timeout, Duration::from_secs(2));
}

#[test]
fn a_file_may_set_every_key() {
    let text = r#"
        node_id = 4
        data_dir = "/var/lib/holdfast"
        workers = 2
        allow_anonymous = true
        log.format = "json"
        [listeners]
        mqtt = "0.0.0.0:1883"
        [cluster]
        seeds = ["127.0.0.1:7883", "[::1]:7883"]
        advertise = "localhost:7883"
        election_timeout_min = "300ms"
        tls = { ca = "ca.pem", cert = "node-4.pem", key = "node-4.key" }
        [mqtt]
        session_expiry_max = "2h"
        packet_bytes_max = "64KiB"
        inflight_max = 7
        retained_available = false
        [storage]
        fsync = "unsafe-none"
        bytes_max = "10GiB"
        reserve_bytes = 1_000
    "#;
    let config = load_file(text).expect("good settings");
    assert_eq!(
        (config.node_id.map(u64::from), config.workers, config.log_format),
        (Some(4), 2, LogFormat::Json)
    );
    assert_eq!((config.mqtt.session_expiry_max.as_secs(), config.mqtt.packet_bytes_max), (7200, 65_536));
    assert_eq!((config.storage.fsync, config.storage.bytes_max), (Fsync::UnsafeNone, Some(10 << 30)));
    assert_eq!((config.storage.reserve_bytes, config.mqtt.retained_available), (1000, false));
    assert_eq!(config.cluster.seeds, ["127.0.0.1:7883", "[::1]:7883"]);
    assert_eq!(config.cluster.advertise.as_deref(), Some("localhost:7883"));
    assert_eq!(config.cluster.tls.as_ref().map(|tls| tls.key.as_path()), Some(Path::new("node-4.key")));
    assert_eq!(config.cluster.ticks(), (2, 6..=20));
}

#[test]
fn every_mistake_of_a_file_comes_with_its_line() {
    let text = "partition = 3\nreplicas = 9\n\n[mqtt]\nconnect_timeout = 10\nkeep_alive = \"1s\"\n\
                inflight_max = \"7\"\n[listeners]\nmqtt = \"somewhere\"\nmqtts = \"127.0.0.1:8883\"\n\
                [log]\nformat = \"xml\"\n[storage]\nfsync = \"never\"\n";
    let expected = [
        (1, "partition"),
        (2, "replicas"),
        (5, "mqtt.connect_timeout"),
        (6, "mqtt.keep_alive"),
        (7, "mqtt.inflight_max"),
        (9, "listeners.mqtt"),
        (10, "listeners.mqtts"),
        (12, "log.format"),
        (14, "storage.fsync"),
    ];
    assert_eq!(mistakes_of(text), expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn a_file_that_is_not_toml_is_reported_with_its_other_mistakes() {
    let mistakes = mistakes_of("partitions = \nreplicas = 9\n");
    assert!(mistakes.iter().any(|(line, key)| *line == 1 && key.is_empty()), "{mistakes:?}");
    assert!(mistakes.contains(&(2, "replicas".into())), "{mistakes:?}");
}

#[test]
fn a_mistake_reads_file_line_key() {
    let error = load_file("x = 1\n").expect_err("no such key").to_string();
    assert!(error.ends_with("holdfast.toml:1: x: no such setting"), "{error}");
    let error =
        Config::check_file(Path::new("/nowhere/holdfast.toml")).expect_err("no such file").to_string();
    assert!(error.starts_with("/nowhere/holdfast.toml: cannot be read"), "{error}");
}

#[test]
fn other_machines_are_let_in_only_on_purpose() {
    for flag in ["--mqtt", "--http"] {
        let error = load_flags(&[(flag, "0.0.0.0:0")]).expect_err("refused").to_string();
        assert!(error.contains("--allow-anonymous"), "{error}");
        load_flags(&[(flag, "0.0.0.0:0"), ("--allow-anonymous", "true")]).expect("it is meant");
    }
    load_flags(&[("--mqtt", "[::1]:0"), ("--http", "localhost:0")]).expect("loopback is open");
    load_file("allow_anonymous = false\n").expect_err("nobody could connect");
}

#[test]
fn what_this_version_cannot_do_is_refused() {
    for flag in ["--mqtts", "--ws", "--wss"] {
        let error = load_flags(&[(flag, "127.0.0.1:0")]).expect_err("refused").to_string();
        assert!(error.contains("not available in this version"), "{error}");
    }
}

#[test]
fn seeds_are_host_and_port() {
    let seeds = |list: &str| load_flags(&[("--seeds", list)]).map(|config| config.cluster.seeds.len());
    assert_eq!(seeds("localhost:7883,kelp-2.sea:7883,127.0.0.1:7884,[::1]:7883"), Ok(4));
    for list in
        ["here", "here:", ":7883", "here:0", "here:70000", "here:+1", "a b:1", "::1:7883", "a:1,,b:1", "a:1,"]
    {
        let error = seeds(list).expect_err(list).to_string();
        assert!(error.contains("--seeds: cluster.seeds") && error.contains("is not HOST:PORT"), "{error}");
    }
    let error = seeds("a:1,b:1,a:1").expect_err("twice").to_string();
    assert!(error.contains("a:1 is named twice"), "{error}");
    let many: Vec<_> = (0..65).map(|number| format!("kelp-{number}:7883")).collect();
    let error = seeds(&many.join(",")).expect_err("too many").to_string();
    assert!(error.contains("65 seeds are too many"), "{error}");
    assert_eq!(mistakes_of("[cluster]\nadvertise = \"here\"\n"), [(2, "cluster.advertise".to_owned())]);
}

#[test]
fn other_machines_are_nodes_only_with_certificates() {
    let tls = "tls = { ca = \"a\", cert = \"b\", key = \"c\" }\n";
    for (key, text) in [
        ("listeners.cluster", "listeners.cluster = \"0.0.0.0:7883\"\n[cluster]\n"),
        ("cluster.seeds", "[cluster]\nseeds = [\"127.0.0.1:7883\", \"10.0.0.2:7883\"]\n"),
        ("cluster.advertise", "[cluster]\nadvertise = \"10.0.0.1:7883\"\n"),
    ] {
        let error = load_file(text).expect_err("no certificates").to_string();
        assert!(error.contains(key) && error.contains("holdfast cert new"), "{error}");
        load_file(&format!("{text}{tls}")).expect("with certificates");
    }
    let error = load_file("[cluster.tls]\nca = \"ca.pem\"\n").expect_err("one of three");
    assert_eq!(
        error.0.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(),
        ["cluster.tls.cert", "cluster.tls.key"]
    );
}

#[test]
fn the_times_of_a_cluster_must_fit_together() {
    for (line, key) in [
        ("election_timeout_min = \"2s\"", "cluster.election_timeout_min"),
        ("election_timeout_max = \"400ms\"", "cluster.election_timeout_max"),
        ("heartbeat = \"500ms\"", "cluster.heartbeat"),
        ("tick = \"1s\"", "cluster.election_timeout_min"),
        ("election_timeout_max = \"4s\"", "cluster.election_timeout_max"),
        ("lease = \"1s\"", "cluster.lease"),
    ] {
        let error = load_file(&format!("[cluster]\n{line}\n")).expect_err(line);
        assert_eq!(error.0.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(), [key], "{error}");
    }
    let faster = "[cluster]\ntick = \"10ms\"\nheartbeat = \"25ms\"\nelection_timeout_min = \"100ms\"\n";
    assert_eq!(load_file(faster).expect("faster").cluster.ticks(), (3, 10..=100));
}

#[test]
fn limits_must_fit_together() {
    assert_eq!(mistakes_of("[retention]\nhard_bytes = \"2MiB\"\n"), [(2, "retention.hard_bytes".to_owned())]);
    assert_eq!(
        mistakes_of("[mqtt]\nconnect_bytes_max = \"2MiB\"\n[retention]\nbytes = \"32GiB\"\n"),
        [(4, "retention.hard_bytes".to_owned()), (2, "mqtt.connect_bytes_max".to_owned())]
    );
    let config = load_file("mqtt.packet_bytes_max = \"16KiB\"\n").expect("a small limit");
    assert_eq!(config.mqtt.connect_bytes_max, 16 << 10);
}

#[test]
fn the_environment_may_hold_strange_names() {
    let environment =
        vec![("HOLDFAST_SERVICE_HOST".into(), "10.0.0.1".into()), ("HOLDFAST_LOG".into(), "debug".into())];
    let config = Config::load(&Sources { environment, ..Sources::default() }).expect("no mistake");
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("HOLDFAST_SERVICE_HOST"));
}

#[test]
fn a_fault_is_only_for_builds_with_assertions() {
    let fault = |text: &str| {
        let environment = vec![("HOLDFAST_FAULT".into(), text.into())];
        Config::load(&Sources { environment, ..Sources::default() })
    };
    let expected = cfg!(debug_assertions).then_some(Fault::AckBeforeSync);
    assert_eq!(fault("ack-before-sync").expect("a fault").fault, expected);
    let off = |text: &str| fault(text).expect("a fault").pretence.clock_ms;
    assert_eq!(off("clock-ms=-5"), if cfg!(debug_assertions) { -5 } else { 0 });
    let level = |text: &str| fault(text).expect("a fault").pretence.level;
    assert_eq!(level("feature-level=2"), cfg!(debug_assertions).then_some(2));
    assert_eq!(fault("typo").is_err(), cfg!(debug_assertions));
}

#[test]
fn units_are_read_as_written() {
    use value::{Value, read};
    let time = Kind::Time { min: Duration::ZERO, max: Duration::MAX };
    let size = Kind::Size { min: 0, max: u64::MAX };
    let millis =
        |text| read(time, text).map(|value| if let Value::Time(t) = value { t.as_millis() } else { 0 });
    assert_eq!(
        ["5ms", "10s", "2m", "3h", "7d"].map(|t| millis(t).ok()),
        [5, 10_000, 120_000, 10_800_000, 604_800_000].map(Some)
    );
    assert_eq!(
        ["512", "1B", "2KiB", "64MiB"].map(|t| read(size, t).ok()),
        [512, 1, 2048, 64 << 20].map(|n| Some(Value::Number(n)))
    );
    for text in ["10", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999s", "18446744073709551615d"] {
        assert!(millis(text).is_err(), "{text}");
    }
    for text in ["1MB", "MiB", "-1", "17179869184GiB", "_"] {
        assert!(read(size, text).is_err(), "{text}");
    }
}

#[test]
fn the_manual_has_every_key_with_its_default_and_range() {
    let manual = include_str!("../../../docs/configuration.md");
    let row = |line: &str| -> Option<Vec<String>> {
        let cells = line.strip_prefix("| `")?.trim_end_matches('|').split('|');
        Some(cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
    };
    let rows: Vec<Vec<String>> = manual.lines().filter_map(row).collect();
    for (key, row) in KEYS.iter().zip(&rows) {
        let default = if key.default.is_empty() { "unset" } else { key.default };
        let range = if key.kind == Kind::Unavailable {
            "not available in this version".into()
        } else {
            key.kind.to_string()
        };
        let expected = [key.name, key.flag.unwrap_or(""), default, &range];
        assert_eq!(row[..4], expected.map(str::to_owned), "docs/configuration.md");
        assert!(row[4].len() > 20, "{} says what it is and costs", key.name);
    }
    assert_eq!(rows.len(), KEYS.len(), "docs/configuration.md has other keys than the code");
}
