"""Bad input gets the reason code that the specification names, or a close, and touches nobody else."""

import pytest
import raw as mqtt

BAD_PACKETS = {
    "a second CONNECT": (mqtt.connect("x", 5), {0x82}),
    "a wildcard in the topic of a PUBLISH": (mqtt.publish("a/+", b"", version=5), {0x81, 0x82, 0x90}),
    "a topic that is not UTF-8": (mqtt.publish(b"\xc3\x28", b"", version=5), {0x81, 0x90}),
    "a null character in a topic": (mqtt.publish("a\0b", b"", version=5), {0x81, 0x90}),
    "QoS 3": (mqtt.packet(0x36, mqtt.string("a") + b"\0\1\0"), {0x81}),
    "packet id 0": (mqtt.publish("a", b"", 1, 0, version=5), {0x81, 0x82}),
    "packet type 0": (b"\0\0", {0x81, 0x82}),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x7f", {0x81, 0x82}),
    "SUBSCRIBE with wrong flags": (b"\x80" + mqtt.subscribe("a", version=5)[1:], {0x81, 0x82}),
    "SUBSCRIBE without a filter": (mqtt.packet(0x82, b"\0\1\0"), {0x81, 0x82}),
    "a property twice": (mqtt.packet(0x30, mqtt.string("a") + b"\4\1\0\1\0"), {0x81, 0x82}),
    "an unknown property": (mqtt.packet(0x30, mqtt.string("a") + b"\2\x7f\0"), {0x81, 0x82}),
    "a CONNACK from a client": (mqtt.packet(0x20, b"\0\0\0"), {0x81, 0x82}),
    "an empty topic without an alias": (mqtt.publish("", b"", version=5), {0x81, 0x82, 0x90}),
}


@pytest.mark.parametrize("what", BAD_PACKETS)
def test_bad_packets_close_with_their_reason(connect, raw, name, what):
    neighbour = connect()
    neighbour.subscribe(f"{name}/a", 1)
    data, reasons = BAD_PACKETS[what]
    socket = raw()
    socket.send(mqtt.connect(name, 5)).expect(mqtt.CONNACK)
    socket.send(data).expect_closed(reasons)
    neighbour.publish(f"{name}/a", "well", 1)
    assert neighbour.payload() == "well"


@pytest.mark.parametrize("version", [3, 4])
def test_bad_packets_of_3_x_close(raw, name, version):
    socket = raw()
    socket.send(mqtt.connect(name, version)).expect(mqtt.CONNACK)
    socket.send(mqtt.publish("a/#", b""))
    assert socket.receive() is None


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", mqtt.PING, mqtt.publish("a", b""), b"\x10\0"])
def test_mqtt_3_1_0_1_the_first_packet_must_be_a_connect(raw, data):
    raw().send(data).expect_closed()


def test_mqtt_3_1_2_2_an_unknown_version_is_refused(raw, name):
    socket = raw()
    socket.send(mqtt.connect(name, version=9))
    socket.expect_closed({1, 0x84})


def test_half_a_packet_and_then_silence_disturbs_nobody(connect, raw, name):
    raw().send(mqtt.connect(name)[:5])
    client = connect()
    client.subscribe(f"{name}/a", 1)
    client.publish(f"{name}/a", "well", 1)
    assert client.payload() == "well"


def test_a_packet_in_single_bytes_is_understood(raw, name):
    socket = raw()
    for byte in mqtt.connect(name):
        socket.send(bytes([byte]))
    assert socket.expect(mqtt.CONNACK) == b"\0\0"
