//! From values to a `Config`: what each key alone cannot know is checked here.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

mod cluster;

use super::layers::Layers;
use super::mistake::{Mistakes, Origin};
use super::value::Value;
use super::{Config, Fault, Fsync, Listeners, LogFormat, Mqtt, Pretence, Retention, Sources, Storage};

/// The finished configuration; `None` if a key has no value because it was given badly.
pub(super) fn finish(layers: &Layers, sources: &Sources, mistakes: &mut Mistakes) -> Option<Config> {
    check_doors(layers, mistakes);
    cluster::check(layers, mistakes);
    check_retention(layers, mistakes);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let (fault, pretence) = fault(sources, mistakes);
    Some(Config {
        node_id: NonZeroU64::new(layers.number_or_zero("node_id")?),
        data_dir: PathBuf::from(layers.text("data_dir")?),
        listeners: listeners(layers)?,
        cluster: cluster::finish(layers)?,
        partitions: narrow(layers.number("partitions")?),
        session_groups: narrow(layers.number("session_groups")?),
        replicas: narrow(layers.number("replicas")?),
        // Other addresses than loopback have been refused unless it is allowed.
        allow_anonymous: true,
        workers: Some(wide(layers.number("workers")?)).filter(|n| *n > 0).unwrap_or_else(cores),
        log_format: if layers.text("log.format")? == "json" { LogFormat::Json } else { LogFormat::Human },
        shutdown_grace: layers.time("shutdown.grace")?,
        mqtt: mqtt(layers)?,
        retention: retention(layers)?,
        storage: storage(layers)?,
        metrics: layers.switch("metrics.enabled")?,
        fault,
        pretence,
        warnings: layers.warnings.clone(),
    })
}

fn listeners(layers: &Layers) -> Option<Listeners> {
    Some(Listeners {
        mqtt: layers.address("listeners.mqtt")?,
        http: layers.address("listeners.http")?,
        cluster: layers.address("listeners.cluster")?,
    })
}

fn mqtt(layers: &Layers) -> Option<Mqtt> {
    Some(Mqtt {
        packet_bytes_max: narrow(layers.number("mqtt.packet_bytes_max")?),
        connect_bytes_max: narrow(
            layers.number("mqtt.connect_bytes_max")?.min(layers.number("mqtt.packet_bytes_max")?),
        ),
        connect_timeout: layers.time("mqtt.connect_timeout")?,
        receive_maximum: short(layers.number("mqtt.receive_maximum")?),
        topic_alias_max: short(layers.number("mqtt.topic_alias_max")?),
        keep_alive_max: short(layers.time("mqtt.keep_alive_max")?.as_secs()),
        session_expiry_max: layers.time("mqtt.session_expiry_max")?,
        inflight_max: short(layers.number("mqtt.inflight_max")?),
        client_id_bytes_max: wide(layers.number("mqtt.client_id_bytes_max")?),
        topic_levels_max: wide(layers.number("mqtt.topic_levels_max")?),
        outgoing_bytes_max: wide(layers.number("mqtt.outgoing_bytes_max")?),
        subscriptions_max: wide(layers.number("mqtt.subscriptions_max")?),
        connections_max: Some(wide(layers.number("mqtt.connections_max")?)).filter(|max| *max > 0),
        retained_available: layers.switch("mqtt.retained_available")?,
    })
}

fn retention(layers: &Layers) -> Option<Retention> {
    Some(Retention {
        age: layers.time("retention.age")?,
        bytes: layers.number("retention.bytes")?,
        hard_bytes: layers.number("retention.hard_bytes")?,
    })
}

fn storage(layers: &Layers) -> Option<Storage> {
    let always = layers.text("storage.fsync")? == "always";
    Some(Storage {
        bytes_max: Some(layers.number("storage.bytes_max")?).filter(|max| *max > 0),
        reserve_bytes: layers.number("storage.reserve_bytes")?,
        tail_cache_bytes: wide(layers.number("storage.tail_cache_bytes")?),
        memtable_bytes: wide(layers.number("storage.memtable_bytes")?),
        fsync: if always { Fsync::Always } else { Fsync::UnsafeNone },
    })
}

/// Nobody may reach this node from another machine without being asked who he is, unless that is wanted.
fn check_doors(layers: &Layers, mistakes: &mut Mistakes) {
    let anonymous = layers.switch("allow_anonymous");
    if anonymous == Some(false) {
        let text =
            "without anonymous clients there must be users, and those are not available in this version";
        mistakes.add(layers.origin("allow_anonymous"), "allow_anonymous", text);
        return;
    }
    for key in ["listeners.mqtt", "listeners.http"] {
        let Some(address) = layers.address(key) else { continue };
        if !address.ip().is_loopback() && anonymous.is_none() {
            let text = format!(
                "{address} is open to other machines and no authentication is configured; \
                                say so with --allow-anonymous (allow_anonymous = true) if it is meant"
            );
            mistakes.add(layers.origin(key), key, text);
        }
    }
}

fn check_retention(layers: &Layers, mistakes: &mut Mistakes) {
    let (Some(soft), Some(hard)) = (layers.number("retention.bytes"), layers.number("retention.hard_bytes"))
    else {
        return;
    };
    if hard < soft {
        let text = format!(
            "{hard} bytes is less than retention.bytes ({soft}), so that nothing would wait for anybody"
        );
        let origin = match layers.origin("retention.hard_bytes") {
            Origin::Default => layers.origin("retention.bytes"),
            given => given,
        };
        mistakes.add(origin, "retention.hard_bytes", text);
    }
    let (Some(packet), Some(connect)) =
        (layers.number("mqtt.packet_bytes_max"), layers.number("mqtt.connect_bytes_max"))
    else {
        return;
    };
    if packet > soft {
        let text = format!("{packet} bytes is more than a whole partition keeps (retention.bytes, {soft})");
        mistakes.add(layers.origin("mqtt.packet_bytes_max"), "mqtt.packet_bytes_max", text);
    }
    if connect > packet && layers.origin("mqtt.connect_bytes_max") != Origin::Default {
        let text = format!("{connect} bytes is more than mqtt.packet_bytes_max ({packet})");
        mistakes.add(layers.origin("mqtt.connect_bytes_max"), "mqtt.connect_bytes_max", text);
    }
}

fn fault(sources: &Sources, mistakes: &mut Mistakes) -> (Option<Fault>, Pretence) {
    let none = (None, Pretence::default());
    let given = sources.environment.iter().find(|(name, _)| name == "HOLDFAST_FAULT");
    let Some((name, text)) = given.filter(|_| cfg!(debug_assertions)) else { return none };
    if let Some(fault) = Fault::named(text) {
        return (Some(fault), none.1);
    }
    let pretence = Pretence::named(text);
    if pretence.is_none() {
        mistakes.add(Origin::Environment(name.clone()), "", format!("no fault is called `{text}`"));
    }
    (None, pretence.unwrap_or_default())
}

/// Typed access; `None` where the key was given badly or is unset. The kinds are fixed by `KEYS`.
impl Layers {
    fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    fn number(&self, key: &str) -> Option<u64> {
        if let Value::Number(number) = self.value(key)? { Some(*number) } else { None }
    }

    fn number_or_zero(&self, key: &str) -> Option<u64> {
        if *self.value(key)? == Value::Unset { Some(0) } else { self.number(key) }
    }

    fn text(&self, key: &str) -> Option<&str> {
        if let Value::Text(text) = self.value(key)? { Some(text) } else { None }
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::List(list) => Some(list.clone()),
            Value::Unset => Some(Vec::new()),
            _ => None,
        }
    }

    fn switch(&self, key: &str) -> Option<bool> {
        if let Value::Switch(switch) = self.value(key)? { Some(*switch) } else { None }
    }

    fn time(&self, key: &str) -> Option<Duration> {
        if let Value::Time(time) = self.value(key)? { Some(*time) } else { None }
    }

    fn address(&self, key: &str) -> Option<std::net::SocketAddr> {
        if let Value::Address(address) = self.value(key)? { Some(*address) } else { None }
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("KEYS keeps it below 2^32")
}

fn short(number: u64) -> u16 {
    u16::try_from(number).expect("KEYS keeps it below 2^16")
}

fn wide(number: u64) -> usize {
    usize::try_from(number).expect("a node has 64 bits")
}
