"""Maximum Packet Size: neither side sends more than the other takes."""

import pytest


def test_mqtt_3_1_2_24_a_message_too_large_for_the_client_is_not_sent(connect, name):
    small = connect(MaximumPacketSize=100)
    small.subscribe(f"{name}/a", 1)
    large = connect()
    large.subscribe(f"{name}/a", 1)
    publisher = connect()
    publisher.publish(f"{name}/a", "x" * 200, 1)
    assert len(large.payload()) == 200
    small.nothing_before(f"{name}/a", publisher.publish)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_large_message_arrives_whole(connect, name, qos):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", qos)
    body = bytes(range(256)) * 1000
    connect().publish(f"{name}/a", body, qos)
    assert subscriber.message().payload == body


def test_a_packet_beyond_the_limit_of_the_broker_ends_the_connection(connect, raw, name):
    import raw as mqtt
    maximum = getattr(connect().connack, "MaximumPacketSize", None)
    if maximum is None or maximum > 1 << 27:
        pytest.skip("this broker names no limit")
    socket = raw()
    socket.send(mqtt.connect(name, version=5)).expect(mqtt.CONNACK)
    header = mqtt.packet(0x30, b"")[:1]
    length, rest = b"", maximum + 1
    while rest:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | 0x80 if rest else digit])
    socket.send(header + length)
    socket.expect_closed({0x95})
