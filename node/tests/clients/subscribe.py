"""SUBSCRIBE and UNSUBSCRIBE: one answer for each filter, in order."""

import pytest
import raw as mqtt


def session(raw, name, version):
    socket = raw()
    socket.send(mqtt.connect(name, version)).expect(mqtt.CONNACK)
    return socket


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_filter_gets_its_own_answer(raw, name, version):
    socket = session(raw, name, version)
    middle = b"\0" if version == 5 else b""
    filters = b"".join(mqtt.string(f"{name}/{qos}") + bytes([qos]) for qos in (2, 0, 1))
    socket.send(mqtt.packet(0x82, b"\0\7" + middle + filters))
    assert socket.expect(mqtt.SUBACK, 7)[2 + len(middle):] == b"\2\0\1"


def test_mqtt_3_11_3_1_unsubscribe_says_whether_there_was_a_subscription(raw, name):
    socket = session(raw, name, 5)
    socket.send(mqtt.subscribe(f"{name}/a", version=5)).expect(mqtt.SUBACK)
    socket.send(mqtt.packet(0xA2, b"\0\2\0" + mqtt.string(f"{name}/b") + mqtt.string(f"{name}/a")))
    assert socket.expect(11, 2)[3:] == b"\x11\0"


@pytest.mark.parametrize("bad", ["a/#/b", "a#", "+a", "a/b+", ""])
def test_a_malformed_filter_is_not_granted(connect, raw, name, bad):
    socket = session(raw, name, 5)
    kind, _, body = socket.send(mqtt.subscribe(bad, version=5)).receive() or (None, 0, b"")
    assert kind in (mqtt.SUBACK, mqtt.DISCONNECT)
    assert body[-1] >= 0x80 if kind == mqtt.SUBACK else body[0] in (0x81, 0x82, 0x8F)


def test_a_subscribe_again_changes_the_qos(connect, name):
    client = connect()
    publisher = connect()
    for qos in (0, 2, 1):
        client.subscribe(f"{name}/a", qos)
        publisher.publish(f"{name}/a", str(qos), 2)
        assert client.message().qos == qos
