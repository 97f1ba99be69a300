"""Retained messages: the last one of a topic greets new subscribers, also after kill -9."""

import pytest
from client import EVERY_VERSION, V5
from paho.mqtt.subscribeoptions import SubscribeOptions


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_3_3_1_5_a_new_subscriber_gets_the_last_retained_message(connect, name, version, qos):
    publisher = connect(version=version)
    publisher.publish(f"{name}/a", "old", qos, retain=True)
    publisher.publish(f"{name}/a", "new", qos, retain=True)
    publisher.publish(f"{name}/a", "passing", 1)
    subscriber = connect(version=version)
    subscriber.subscribe(f"{name}/+", qos)
    message = subscriber.message()
    assert (message.payload, message.retain, message.qos) == (b"new", True, qos)
    subscriber.nothing_before(f"{name}/a", publisher.publish)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_mqtt_3_3_1_12_an_established_subscription_sees_no_retain_flag(connect, name, version):
    subscriber = connect(version=version)
    subscriber.subscribe(f"{name}/a", 1)
    connect(version=version).publish(f"{name}/a", "x", 1, retain=True)
    assert not subscriber.message().retain


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_mqtt_3_3_1_6_an_empty_payload_removes_the_retained_message(connect, name, version):
    publisher = connect(version=version)
    publisher.publish(f"{name}/a", "x", 1, retain=True)
    publisher.publish(f"{name}/a", "", 1, retain=True)
    subscriber = connect(version=version)
    subscriber.subscribe(f"{name}/a", 1)
    subscriber.nothing_before(f"{name}/a", publisher.publish)


def test_retained_messages_outlive_kill_9(connect, own, name):
    publisher = connect(broker=own)
    for number in range(20):
        publisher.publish(f"{name}/{number}", str(number), 1, retain=True)
    publisher.publish(f"{name}/3", "", 1, retain=True)
    own.restart()
    subscriber = connect(broker=own)
    subscriber.subscribe(f"{name}/#", 1)
    found = set(subscriber.payloads(19))
    assert found == {str(number) for number in range(20)} - {"3"}
    subscriber.nothing_before(f"{name}/3", connect(broker=own).publish)


def test_mqtt_3_3_1_10_retain_handling_0_sends_at_every_subscribe_and_1_only_at_a_new_one(connect, name):
    connect().publish(f"{name}/a", "kept", 1, retain=True)
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", options=SubscribeOptions(1, retainHandling=0))
    subscriber.subscribe(f"{name}/a", options=SubscribeOptions(1, retainHandling=0))
    assert subscriber.payloads(2) == ["kept", "kept"]
    subscriber.subscribe(f"{name}/a", options=SubscribeOptions(1, retainHandling=1))
    subscriber.nothing_before(f"{name}/a", connect().publish)
    other = connect()
    other.subscribe(f"{name}/a", options=SubscribeOptions(1, retainHandling=1))
    assert other.payload() == "kept"


def test_mqtt_3_3_1_11_retain_handling_2_sends_none(connect, name):
    connect().publish(f"{name}/a", "kept", 1, retain=True)
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", options=SubscribeOptions(1, retainHandling=2))
    subscriber.nothing_before(f"{name}/a", connect().publish)


def test_mqtt_3_3_1_13_retain_as_published_keeps_the_flag(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", options=SubscribeOptions(1, retainAsPublished=True))
    publisher = connect()
    publisher.publish(f"{name}/a", "x", 1, retain=True)
    assert subscriber.message().retain
    publisher.publish(f"{name}/a", "y", 1)
    assert not subscriber.message().retain


def test_retained_messages_keep_their_properties(connect, name):
    connect(version=V5).publish(f"{name}/a", "x", 1, retain=True, ContentType="text/plain", UserProperty=("k", "v"))
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    found = subscriber.message().properties
    assert (found.ContentType, found.UserProperty) == ("text/plain", [("k", "v")])
