//! Makes packets of every kind and version for property tests.
//!
//! Packets borrow; what they borrow from is leaked, which a test can afford.

use std::num::{NonZeroU16, NonZeroU32};

use holdfast_codec::{
    Ack, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, Forward, Limits, Packet,
    PacketId, PacketKind, Property, Publish, PublishProperties, Qos, ReasonCode, RetainHandling, Side,
    SubAck, Subscribe, SubscribeOptions, TopicFilter, UnsubAck, Unsubscribe, Version, Will,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// A packet, the version it is in and who receives it.
pub(crate) type Sent = (Packet<'static>, Version, Side);

fn text() -> impl Strategy<Value = &'static str> {
    "[^\0]{0,12}".prop_map(|text| &*text.leak())
}

fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..200).prop_map(|bytes| &*bytes.leak())
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[^\0+#]{1,12}".prop_map(|text| &*text.leak())
}

fn filter() -> impl Strategy<Value = Result<TopicFilter<'static>, &'static str>> {
    let text = prop_oneof!["[a-c+#/]{0,6}", r"\$share/[a-c]{0,2}/[a-c+/]{0,4}"];
    text.prop_map(|text| &*text.leak()).prop_map(|text| TopicFilter::parse(text, &Limits::WIDEST).ok_or(text))
}

fn qos() -> impl Strategy<Value = Qos> {
    (0_u8..3).prop_map(|bits| Qos::from_u8(bits).expect("below three"))
}

fn id() -> impl Strategy<Value = PacketId> {
    (1_u16..).prop_map(|id| PacketId::new(id).expect("not zero"))
}

fn reason(kind: PacketKind, side: Side) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<_> =
        ReasonCode::ALL.iter().copied().filter(|reason| reason.allowed_in(kind, side)).collect();
    proptest::sample::select(allowed)
}

fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(vec![Version::V3, Version::V4, Version::V5])
}

fn forward(properties: &[Property<'_>]) -> Forward<'static> {
    let mut out = Vec::new();
    for property in properties {
        property.encode(&mut out);
    }
    Forward::new(out)
}

fn user() -> impl Strategy<Value = Forward<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| {
        let properties: Vec<_> =
            pairs.into_iter().map(|(name, value)| Property::UserProperty(name, value)).collect();
        forward(&properties)
    })
}

fn message() -> impl Strategy<Value = Forward<'static>> {
    let parts = (of(any::<bool>()), of(text()), of(topic()), of(bytes()), user());
    parts.prop_map(|(format, content, response, correlation, user)| {
        let properties: Vec<_> = [
            format.map(Property::PayloadFormatIndicator),
            content.map(Property::ContentType),
            response.map(Property::ResponseTopic),
            correlation.map(Property::CorrelationData),
        ]
        .into_iter()
        .flatten()
        .chain(user.iter())
        .collect();
        forward(&properties)
    })
}

fn will() -> impl Strategy<Value = Will<'static>> {
    (qos(), any::<bool>(), topic(), bytes(), any::<u32>(), of(any::<u32>()), message()).prop_map(
        |(qos, retain, topic, payload, delay, message_expiry, forward)| Will {
            qos,
            retain,
            topic,
            payload,
            delay,
            message_expiry,
            forward,
        },
    )
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let numbers = (of(any::<u32>()), of(any::<NonZeroU16>()), of(any::<NonZeroU32>()), any::<u16>());
    let rest = (any::<(bool, bool)>(), of((text(), of(bytes()))), user());
    (numbers, rest).prop_map(|((expiry, receive, size, alias), (requests, auth, user))| ConnectProperties {
        session_expiry: expiry,
        receive_maximum: receive,
        maximum_packet_size: size,
        topic_alias_maximum: alias,
        request_response_information: requests.0,
        request_problem_information: requests.1,
        auth_method: auth.map(|(method, _)| method),
        auth_data: auth.and_then(|(_, data)| data),
        user,
    })
}

fn connect() -> impl Strategy<Value = Sent> {
    let head = (version(), any::<bool>(), any::<u16>(), text());
    let tail = (of(will()), of(text()), of(bytes()), connect_properties());
    (head, tail).prop_map(
        |((version, clean_start, keep_alive, client_id), (will, name, password, properties))| {
            let mut connect = Connect::new(version, client_id);
            connect.clean_start = clean_start;
            connect.keep_alive = keep_alive;
            connect.username = name;
            connect.will = will;
            if version == Version::V5 {
                connect.properties = properties;
            } else if let Some(will) = &mut connect.will {
                (will.delay, will.message_expiry, will.forward) = (0, None, Forward::EMPTY);
            }
            if version == Version::V5 || name.is_some() {
                connect.password = password;
            }
            (Packet::Connect(Box::new(connect)), version, Side::Server)
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties<'static>> {
    let numbers = (
        of(any::<u32>()),
        of(any::<NonZeroU16>()),
        qos(),
        of(any::<NonZeroU32>()),
        any::<u16>(),
        of(any::<u16>()),
    );
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()), of(bytes()), user());
    (numbers, texts, any::<[bool; 4]>()).prop_map(|(numbers, texts, flags)| ConnAckProperties {
        session_expiry: numbers.0,
        receive_maximum: numbers.1,
        maximum_qos: numbers.2,
        retain_available: flags[0],
        maximum_packet_size: numbers.3,
        assigned_client_id: texts.0,
        topic_alias_maximum: numbers.4,
        reason_string: texts.1,
        wildcard_available: flags[1],
        subscription_ids_available: flags[2],
        shared_available: flags[3],
        server_keep_alive: numbers.5,
        response_information: texts.2,
        server_reference: texts.3,
        auth_method: texts.4,
        auth_data: texts.5,
        user: texts.6,
    })
}

fn connack() -> impl Strategy<Value = Sent> {
    let reason = reason(PacketKind::ConnAck, Side::Client);
    (version(), any::<bool>(), reason, connack_properties()).prop_map(
        |(version, present, reason, properties)| {
            let present = present && version > Version::V3 && !reason.is_error();
            let mut connack = ConnAck::new(present, reason);
            if version == Version::V5 {
                connack.properties = properties;
            } else {
                let code = reason.connect_return_code();
                connack.reason = ReasonCode::from_connect_return_code(code).expect("a return code");
            }
            (Packet::ConnAck(Box::new(connack)), version, Side::Client)
        },
    )
}

fn publish() -> impl Strategy<Value = Sent> {
    let head = (version(), any::<bool>(), any::<bool>(), any::<bool>(), qos(), topic(), id());
    let ids = vec(1_u32..=268_435_455, 0..3);
    let properties = (of(any::<NonZeroU16>()), of(any::<u32>()), ids, message());
    (head, properties, bytes(), any::<bool>()).prop_map(|(head, properties, payload, to_server)| {
        let (version, dup, retain, nameless, qos, topic, id) = head;
        let side = if to_server { Side::Server } else { Side::Client };
        let mut publish = Publish {
            dup: dup && qos > Qos::AtMostOnce,
            qos,
            retain,
            topic,
            packet_id: (qos > Qos::AtMostOnce).then_some(id),
            properties: PublishProperties::default(),
            payload,
        };
        if version == Version::V5 {
            let (topic_alias, message_expiry, subscription_ids, forward) = properties;
            let subscription_ids = if to_server { Vec::new() } else { subscription_ids };
            publish.properties = PublishProperties { topic_alias, message_expiry, subscription_ids, forward };
            if nameless && topic_alias.is_some() {
                publish.topic = "";
            }
        }
        (Packet::Publish(publish), version, side)
    })
}

fn ack(kind: PacketKind, wrap: fn(Ack<'static>) -> Packet<'static>) -> impl Strategy<Value = Sent> {
    let fields = (id(), reason(kind, Side::Server), of(text()), user());
    (version(), fields).prop_map(move |(version, (packet_id, reason, reason_string, user))| {
        let ack = if version == Version::V5 {
            Ack { packet_id, reason, reason_string, user }
        } else {
            Ack::new(packet_id, ReasonCode::Success)
        };
        (wrap(ack), version, Side::Server)
    })
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    let handling = proptest::sample::select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<(bool, bool)>(), handling).prop_map(|(qos, flags, retain_handling)| SubscribeOptions {
        qos,
        no_local: flags.0,
        retain_as_published: flags.1,
        retain_handling,
    })
}

fn subscribe() -> impl Strategy<Value = Sent> {
    let filters = vec((filter(), options()), 1..5);
    (version(), id(), of(1_u32..=268_435_455), filters, user()).prop_map(
        |(version, packet_id, subscription_id, filters, user)| {
            let mut subscribe = Subscribe { packet_id, subscription_id, filters, user };
            for (filter, options) in &mut subscribe.filters {
                if version < Version::V5 {
                    *options = SubscribeOptions::new(options.qos);
                }
                if filter.is_ok_and(|filter| filter.share().is_some()) {
                    options.no_local = false;
                }
            }
            if version < Version::V5 {
                (subscribe.subscription_id, subscribe.user) = (None, Forward::EMPTY);
            }
            (Packet::Subscribe(Box::new(subscribe)), version, Side::Server)
        },
    )
}

fn suback() -> impl Strategy<Value = Sent> {
    let reasons = vec(reason(PacketKind::SubAck, Side::Client), 1..5);
    (version(), id(), reasons, of(text()), user()).prop_map(
        |(version, packet_id, reasons, reason_string, user)| {
            let mut suback = SubAck { packet_id, reasons, reason_string, user };
            if version < Version::V5 {
                suback.reasons.iter_mut().filter(|reason| reason.is_error()).for_each(|reason| {
                    *reason = ReasonCode::UnspecifiedError;
                });
                (suback.reason_string, suback.user) = (None, Forward::EMPTY);
            }
            (Packet::SubAck(Box::new(suback)), version, Side::Client)
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Sent> {
    (version(), id(), vec(text(), 1..5), user()).prop_map(|(version, packet_id, filters, user)| {
        let user = if version < Version::V5 { Forward::EMPTY } else { user };
        (Packet::Unsubscribe(Box::new(Unsubscribe { packet_id, filters, user })), version, Side::Server)
    })
}

fn unsuback() -> impl Strategy<Value = Sent> {
    let reasons = vec(reason(PacketKind::UnsubAck, Side::Client), 1..5);
    (version(), id(), reasons, of(text()), user()).prop_map(
        |(version, packet_id, reasons, reason_string, user)| {
            let unsuback = if version < Version::V5 {
                UnsubAck::new(packet_id, Vec::new())
            } else {
                UnsubAck { packet_id, reasons, reason_string, user }
            };
            (Packet::UnsubAck(Box::new(unsuback)), version, Side::Client)
        },
    )
}

fn disconnect(side: Side) -> impl Strategy<Value = Sent> {
    let fields = (reason(PacketKind::Disconnect, side), of(any::<u32>()), of(text()), of(text()), user());
    (version(), fields).prop_map(move |(version, (reason, expiry, reason_string, reference, user))| {
        let version = if side == Side::Client { Version::V5 } else { version };
        let mut disconnect = Disconnect::default();
        if version == Version::V5 {
            disconnect = Disconnect {
                reason,
                session_expiry: expiry.filter(|_| side == Side::Server),
                reason_string,
                server_reference: reference.filter(|_| side == Side::Client),
                user,
            };
        }
        (Packet::Disconnect(Box::new(disconnect)), version, side)
    })
}

fn auth(side: Side) -> impl Strategy<Value = Sent> {
    (reason(PacketKind::Auth, side), text(), of(bytes()), of(text()), user()).prop_map(
        move |(reason, method, auth_data, reason_string, user)| {
            let auth = Auth { reason, auth_method: Some(method), auth_data, reason_string, user };
            (Packet::Auth(Box::new(auth)), Version::V5, side)
        },
    )
}

fn ping() -> impl Strategy<Value = Sent> {
    (version(), any::<bool>()).prop_map(|(version, answer)| {
        if answer {
            (Packet::PingResp, version, Side::Client)
        } else {
            (Packet::PingReq, version, Side::Server)
        }
    })
}

/// Any packet that a peer may send.
pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        connect(),
        connack(),
        publish(),
        ack(PacketKind::PubAck, Packet::PubAck),
        ack(PacketKind::PubRec, Packet::PubRec),
        ack(PacketKind::PubRel, Packet::PubRel),
        prop_oneof![ack(PacketKind::PubComp, Packet::PubComp), ping()],
        subscribe(),
        prop_oneof![suback(), unsuback()],
        prop_oneof![unsubscribe(), disconnect(Side::Server), disconnect(Side::Client)],
        prop_oneof![auth(Side::Server), auth(Side::Client)],
    ]
}
