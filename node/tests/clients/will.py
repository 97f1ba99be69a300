"""A will is published once when the connection ends without a DISCONNECT, and not otherwise."""

import time

import pytest
from client import EVERY_VERSION, properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.packettypes import PacketTypes


def will(name, **options):
    return {"topic": f"{name}/will", "payload": "gone", "qos": 1, **options}


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_cut_connection_publishes_the_will_once(connect, name, version):
    witness = connect(version=version)
    witness.subscribe(f"{name}/will", 1)
    connect(name, version=version, will=will(name)).drop()
    assert witness.payload() == "gone"
    witness.nothing_before(f"{name}/will", connect().publish)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_mqtt_3_14_4_3_a_disconnect_removes_the_will(connect, name, version):
    witness = connect(version=version)
    witness.subscribe(f"{name}/will", 1)
    connect(name, version=version, will=will(name)).disconnect()
    assert not connect(name, version=version).session_present
    witness.nothing_before(f"{name}/will", connect().publish)


def test_a_disconnect_with_will_message_publishes_it(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    client = connect(name, will=will(name))
    client.paho.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
    assert witness.payload() == "gone"


def test_a_retained_will_is_kept(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    connect(name, will=will(name, retain=True)).drop()
    assert witness.payload() == "gone"
    late = connect()
    late.subscribe(f"{name}/will", 1)
    message = late.message()
    assert (message.payload, message.retain) == (b"gone", True)


def test_a_will_keeps_its_properties(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    values = properties("WILLMESSAGE", {"ContentType": "text/plain", "UserProperty": ("k", "v")})
    connect(name, will=will(name, properties=values)).drop()
    found = witness.message().properties
    assert (found.ContentType, found.UserProperty) == ("text/plain", [("k", "v")])


def delayed(name, seconds):
    return will(name, properties=properties("WILLMESSAGE", {"WillDelayInterval": seconds}))


def test_a_will_waits_for_its_delay(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    client = connect(name, session=True, will=delayed(name, 2))
    cut = time.monotonic()
    client.drop()
    assert witness.payload() == "gone"
    assert time.monotonic() - cut > 1


def test_mqtt_3_1_3_9_a_return_within_the_delay_keeps_the_will_back(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/#", 1)
    connect(name, session=True, will=delayed(name, 2)).drop()
    connect(name, session=True)
    late = connect(f"{name}late", session=True, will={**delayed(name, 4), "topic": f"{name}/late"})
    late.drop()
    assert witness.message().topic == f"{name}/late"


def test_the_end_of_the_session_ends_the_delay(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    connect(name, session=True, SessionExpiryInterval=1, will=delayed(name, 3600)).drop()
    assert witness.payload() == "gone"


def test_a_takeover_publishes_the_will_of_a_clean_session(connect, name):
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    connect(name, will=will(name))
    connect(name)
    assert witness.payload() == "gone"


def test_silence_beyond_the_keep_alive_publishes_the_will(connect, raw, name):
    import raw as mqtt
    witness = connect()
    witness.subscribe(f"{name}/will", 1)
    body = mqtt.string("MQTT") + b"\4\x06\0\1" + mqtt.string(name) + mqtt.string(f"{name}/will") + mqtt.string("gone")
    raw().send(mqtt.packet(0x10, body)).expect(mqtt.CONNACK)
    assert witness.payload() == "gone"
