//! The workloads that are compared, and which of their figures are shown.

use crate::load::{LoadArgs, Workload as Shape};

/// A line of the comparison, or several.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Sets what differs from the defaults; the flag asks for small numbers.
    pub(super) adjust: fn(&mut LoadArgs, bool),
    pub(super) figures: &'static [Figure],
}

pub(super) struct Figure {
    /// Its name among the figures of the load.
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) better: Better,
}

#[derive(Clone, Copy)]
pub(super) enum Better {
    Higher,
    Lower,
}

const fn higher(key: &'static str, label: &'static str) -> Figure {
    Figure { key, label, better: Better::Higher }
}

const fn lower(key: &'static str, label: &'static str) -> Figure {
    Figure { key, label, better: Better::Lower }
}

const STEADY: &[Figure] = &[
    higher("messages_per_second", "messages/s"),
    higher("messages_per_broker_cpu_second", "messages per broker CPU second"),
    lower("latency_p99_us", "latency p99, us"),
    lower("lost_deliveries", "lost"),
];
const STEADY_ON_DISK: &[Figure] = &[
    higher("messages_per_second", "messages/s"),
    higher("messages_per_broker_cpu_second", "messages per broker CPU second"),
    lower("latency_p99_us", "latency p99, us"),
    lower("write_amplification", "bytes to disk per payload byte"),
    higher("messages_per_sync", "messages published per sync"),
];
const PACED: &[Figure] = &[
    lower("latency_p50_us", "latency p50, us"),
    lower("latency_p99_us", "latency p99, us"),
    lower("latency_p999_us", "latency p99.9, us"),
    lower("broker_cpu_seconds", "broker CPU seconds"),
];
const CONNECT: &[Figure] = &[
    higher("connects_per_second", "connects/s"),
    higher("connects_per_broker_cpu_second", "connects per broker CPU second"),
];
const IDLE: &[Figure] = &[
    lower("rss_growth_bytes_per_connection", "resident bytes per connection"),
    higher("opened_per_second", "opened/s"),
    lower("broker_cpu_seconds", "broker CPU seconds while idle"),
];
const BACKLOG: &[Figure] = &[
    higher("stored_per_second", "stored/s"),
    higher("drained_per_second", "drained/s"),
    higher("drained_per_broker_cpu_second", "drained per broker CPU second"),
    lower("stored_rss_bytes", "resident bytes with the backlog"),
    lower("write_amplification", "bytes to disk per payload byte"),
];
const RESUME: &[Figure] = &[
    lower("resume_ms", "resume in the long log, ms"),
    lower("resume_broker_cpu_ms", "its broker CPU, ms"),
    lower("compare_resume_ms", "resume in the short log, ms"),
    lower("compare_resume_broker_cpu_ms", "its broker CPU, ms"),
    higher("stored_per_second", "stored/s"),
];
const RETAINED: &[Figure] = &[
    higher("set_per_second", "set/s"),
    higher("read_per_second", "read/s"),
    lower("broker_rss_bytes", "resident bytes"),
];

pub(super) const TABLE: &[Workload] = &[
    Workload { name: "qos0 fan-in 50 to 1", shape: Shape::FanIn, adjust: |_, _| {}, figures: STEADY },
    Workload { name: "qos0 fan-out 1 to 200", shape: Shape::FanOut, adjust: |_, _| {}, figures: STEADY },
    Workload { name: "qos0 p2p 50", shape: Shape::P2p, adjust: |_, _| {}, figures: STEADY },
    Workload { name: "qos1 fan-in 50 to 1", shape: Shape::FanIn, adjust: qos1, figures: STEADY_ON_DISK },
    Workload { name: "qos1 fan-out 1 to 200", shape: Shape::FanOut, adjust: qos1, figures: STEADY_ON_DISK },
    Workload { name: "qos1 p2p 50", shape: Shape::P2p, adjust: qos1, figures: STEADY_ON_DISK },
    Workload {
        name: "qos1 p2p 50 durable",
        shape: Shape::P2p,
        adjust: |load, _| (load.qos, load.durable) = (1, true),
        figures: STEADY_ON_DISK,
    },
    Workload {
        name: "qos2 p2p 50",
        shape: Shape::P2p,
        adjust: |load, _| load.qos = 2,
        figures: STEADY_ON_DISK,
    },
    Workload {
        name: "qos0 p2p 50 at 2,000/s",
        shape: Shape::P2p,
        adjust: |load, _| load.rate = 2000,
        figures: PACED,
    },
    Workload {
        name: "qos1 p2p 50 at 2,000/s",
        shape: Shape::P2p,
        adjust: |load, _| (load.qos, load.rate) = (1, 2000),
        figures: PACED,
    },
    Workload { name: "connect clean", shape: Shape::Connect, adjust: |_, _| {}, figures: CONNECT },
    Workload { name: "idle clean 10,000", shape: Shape::Idle, adjust: idle, figures: IDLE },
    Workload {
        name: "idle durable 10,000",
        shape: Shape::Idle,
        adjust: |load, quick| {
            idle(load, quick);
            (load.qos, load.durable) = (1, true);
        },
        figures: IDLE,
    },
    Workload {
        name: "backlog 100,000",
        shape: Shape::Backlog,
        adjust: |load, quick| {
            qos1(load, quick);
            load.messages = Some(if quick { 20_000 } else { 100_000 });
            load.publishers = Some(50);
        },
        figures: BACKLOG,
    },
    Workload {
        name: "resume 1,000 of 1,000,000 (100,000)",
        shape: Shape::Resume,
        adjust: |load, quick| {
            qos1(load, quick);
            load.messages = Some(if quick { 100_000 } else { 1_000_000 });
            load.compare = if quick { 10_000 } else { 100_000 };
            load.publishers = Some(50);
        },
        figures: RESUME,
    },
    Workload { name: "retained 10,000", shape: Shape::Retained, adjust: qos1, figures: RETAINED },
];

fn qos1(load: &mut LoadArgs, _quick: bool) {
    load.qos = 1;
}

fn idle(load: &mut LoadArgs, quick: bool) {
    load.subscribers = Some(if quick { 2000 } else { 10_000 });
    load.duration = load.duration.min(5.0);
}
