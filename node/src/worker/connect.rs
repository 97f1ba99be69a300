//! CONNECT and its answer. MQTT 5.0, 3.1 and 3.2.

use std::sync::atomic::Ordering;

use holdfast_codec::{
    ConnAck, ConnAckProperties, Connect, Qos, ReasonCode, Version, Violation, connect_version,
    topic_name_valid,
};

use super::conn::Hello;
use super::live::Since;
use super::{Close, Conn, Phase, Worker};
use crate::config::Fault;
use crate::mail::{ConnectionKey, From, Request};
use crate::metrics::Connect as Connected;
use crate::route::hash;
use crate::session::{AliasesOut, Fencing, Inbound, Outbound, Session};
use crate::state::session::Attached;
use crate::state::session::op::{Attach, Kind};
use crate::state::session::record::{Owner, Will};

impl Worker {
    /// Takes in an accepted connection.
    pub fn accept(&mut self, peer: std::net::SocketAddr) -> ConnectionKey {
        let second = self.second();
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.conns.insert(Conn::new(generation, peer, second, 2 * self.settings.out_bytes_max));
        let slot = u32::try_from(slot).expect("fewer connections than 2^32");
        let key = ConnectionKey { slot, generation };
        let wait = u32::try_from(self.settings.connect_timeout_ms.div_ceil(1_000)).unwrap_or(10);
        // The wheel counts whole seconds, and this one has begun.
        self.wheel.set(key, second + wait + 1);
        key
    }

    pub(super) fn second(&self) -> u32 {
        u32::try_from(self.now.monotonic / 1_000).unwrap_or(u32::MAX)
    }

    pub(super) fn connect(&mut self, key: ConnectionKey, connect: &Connect<'_>) -> Result<(), Close> {
        if let Err(reason) = self.acceptable(connect) {
            return self.refuse(key, connect.version, reason);
        }
        if self.place.greeted.fetch_add(1, Ordering::Relaxed) >= self.settings.connections_max {
            self.place.greeted.fetch_sub(1, Ordering::Relaxed);
            return self.refuse(key, connect.version, ReasonCode::QuotaExceeded);
        }
        let (hello, attach) = self.hello(key, connect);
        let group = self.place.route.session_group(&attach.client_id);
        let from = From { worker: self.place.worker, connection: key, tag: 0 };
        let op = Kind::Attach(attach);
        self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
        let since = Since::now(self.now);
        let conn = self.conn(key).expect("it is being read");
        conn.phase = Phase::Attaching(Box::new(hello));
        conn.since = since;
        Ok(())
    }

    fn acceptable(&self, connect: &Connect<'_>) -> Result<(), ReasonCode> {
        if self.stopping || self.place.boot == 0 {
            return Err(ReasonCode::ServerUnavailable);
        }
        if !connect.client_id_acceptable() {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        if connect.properties.auth_method.is_some() {
            return Err(ReasonCode::BadAuthenticationMethod);
        }
        let Some(will) = &connect.will else { return Ok(()) };
        if !topic_name_valid(will.topic, &self.settings.limits) || will.topic.starts_with('$') {
            return Err(ReasonCode::TopicNameInvalid);
        }
        if will.retain && !self.settings.retained_available {
            // [MQTT-3.2.2-13]
            return Err(ReasonCode::RetainNotSupported);
        }
        Ok(())
    }

    fn hello(&mut self, key: ConnectionKey, connect: &Connect<'_>) -> (Hello, Attach) {
        let settings = &self.settings;
        let properties = &connect.properties;
        let wanted_expiry = match connect.version {
            Version::V5 => properties.session_expiry.unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        let expiry = wanted_expiry.min(settings.session_expiry_max);
        let keep_alive = match (settings.keep_alive_max, connect.version) {
            (0, _) | (_, Version::V3 | Version::V4) => connect.keep_alive,
            (max, Version::V5) if connect.keep_alive == 0 || connect.keep_alive > max => max,
            _ => connect.keep_alive,
        };
        let assigned = connect.client_id.is_empty();
        let client_id = if assigned { self.assigned_client_id(key) } else { connect.client_id.to_owned() };
        let conn = &self.conns[key.slot as usize];
        let attach = Attach {
            client_id,
            owner: Owner {
                node: self.place.node,
                boot: self.place.boot,
                worker: self.place.worker,
                connection: key.get(),
            },
            clean_start: connect.clean_start,
            expiry,
            will: connect.will.as_ref().map(will),
            level: u32::from(connect.version.level()),
            keep_alive: u32::from(keep_alive),
            peer: conn.peer.to_string(),
            username: connect.username.unwrap_or_default().to_owned(),
        };
        let hello = Hello {
            version: connect.version,
            keep_alive,
            assigned,
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, std::num::NonZero::get),
            packet_max: properties.maximum_packet_size.map_or(u32::MAX, std::num::NonZero::get),
            topic_alias_maximum: properties.topic_alias_maximum,
            server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
            server_expiry: (expiry != wanted_expiry).then_some(expiry),
            response_information: properties.request_response_information,
        };
        (hello, attach)
    }

    /// Unique in the cluster: no boot epoch and no connection key of a boot is given out twice.
    fn assigned_client_id(&self, key: ConnectionKey) -> String {
        let place = &self.place;
        format!("auto-{}-{}-{}-{:x}", place.node, place.boot, place.worker, key.get())
    }

    fn refuse(&mut self, key: ConnectionKey, version: Version, reason: ReasonCode) -> Result<(), Close> {
        self.counters.refused(reason);
        self.write(key, |out| ConnAck::new(false, reason).encode(version, out));
        Err(Close::Lost)
    }

    /// Answers bytes that are no acceptable CONNECT, as far as it can be seen what their sender understands.
    pub(super) fn refuse_malformed(&mut self, key: ConnectionKey, violation: Violation, bytes: &[u8]) {
        let version = match connect_version(bytes, &self.settings.limits) {
            Some(version) => version,
            // An unknown level: CONNACK 0x01 is understood by all before 5.0 [MQTT-3.1.2-2].
            None if violation.reason() == ReasonCode::UnsupportedProtocolVersion => Version::V4,
            None => return,
        };
        if version == Version::V5 || violation.reason() == ReasonCode::UnsupportedProtocolVersion {
            self.write(key, |out| ConnAck::new(false, violation.reason()).encode(version, out));
        }
        self.counters.refused(violation.reason());
    }

    /// The CONNECT is committed: the session is ours.
    pub(super) fn attached(&mut self, key: ConnectionKey, attached: &Attached) {
        let Some(Conn { phase: Phase::Attaching(_), .. }) = self.conn(key) else {
            // The client has gone meanwhile.
            let core = &attached.record.core;
            self.detach_unseen(&core.client_id, core.epoch);
            return;
        };
        let second = self.second();
        let conn = &mut self.conns[key.slot as usize];
        let Phase::Attaching(hello) = std::mem::replace(&mut conn.phase, Phase::Closing) else {
            unreachable!("just seen")
        };
        let session = self.session_of(&hello, attached);
        let keep_alive = u32::from(hello.keep_alive);
        let durable = session.durable();
        let conn = &mut self.conns[key.slot as usize];
        conn.phase = Phase::Open(Box::new(session));
        conn.silence_max = keep_alive + keep_alive.div_ceil(2);
        conn.heard_at = second;
        if conn.silence_max > 0 {
            self.wheel.set(key, second + conn.silence_max);
        }
        if let Some(waker) = self.conns[key.slot as usize].waker.take() {
            waker.wake();
        }
        self.counters.connect(Connected::Accepted);
        self.connack(key, &hello, attached);
        if durable {
            let at = self.group_index(key);
            self.durables[at] += 1;
            self.resume(key, attached);
        }
    }

    fn session_of(&self, hello: &Hello, attached: &Attached) -> Session {
        let core = &attached.record.core;
        let window = hello.receive_maximum.min(self.settings.inflight_max);
        let durable = core.durable() || attached.session_present;
        let outbound =
            if durable { Outbound::resume(window, &attached.record.window) } else { Outbound::clean(window) };
        let aliases = hello.topic_alias_maximum.min(self.settings.topic_alias_out_max);
        Session {
            client_id: core.client_id.as_str().into(),
            publisher: hash(core.client_id.as_bytes()),
            group: self.place.route.session_group(&core.client_id),
            epoch: core.epoch,
            incarnation: core.incarnation,
            version: hello.version,
            expiry: core.expiry,
            fencing: Fencing::new(&attached.fences),
            resumed: attached.session_present,
            packet_max: hello.packet_max,
            subscriptions: Vec::new(),
            asking: 0,
            inbound: Inbound::resume(core, hello.version == Version::V5),
            outbound,
            resuming: None,
            aliases_in: Default::default(),
            aliases_out: AliasesOut::new(aliases),
        }
    }

    fn connack(&mut self, key: ConnectionKey, hello: &Hello, attached: &Attached) {
        let settings = std::sync::Arc::clone(&self.settings);
        let client_id = &attached.record.core.client_id;
        let deny = Fault::DenySession.is_in(settings.fault) && attached.record.core.epoch.is_multiple_of(5);
        let session_present = attached.session_present && !deny;
        let response = format!("response/{client_id}/");
        let properties = ConnAckProperties {
            session_expiry: hello.server_expiry,
            receive_maximum: std::num::NonZero::new(settings.receive_maximum),
            maximum_qos: Qos::ExactlyOnce,
            retain_available: settings.retained_available,
            maximum_packet_size: std::num::NonZero::new(settings.limits.packet_bytes_max),
            assigned_client_id: hello.assigned.then_some(client_id.as_str()),
            topic_alias_maximum: settings.topic_alias_maximum,
            server_keep_alive: hello.server_keep_alive,
            response_information: hello.response_information.then_some(response.as_str()),
            ..ConnAckProperties::default()
        };
        let connack = ConnAck { session_present, reason: ReasonCode::Success, properties };
        self.write(key, |out| connack.encode(hello.version, out));
    }

    /// Index of a connection's session group in tables of one row per group.
    pub(super) fn group_index(&mut self, key: ConnectionKey) -> usize {
        let session = self.conn(key).and_then(Conn::session).expect("it has a session");
        session.group.get() as usize - 1
    }
}

fn will(will: &holdfast_codec::Will<'_>) -> Will {
    Will {
        topic: will.topic.to_owned(),
        payload: bytes::Bytes::copy_from_slice(will.payload),
        properties: bytes::Bytes::copy_from_slice(&will.forward),
        qos: u32::from(will.qos.get()),
        retain: will.retain,
        delay: will.delay,
        expiry: will.message_expiry,
    }
}
