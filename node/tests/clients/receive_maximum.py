"""Receive Maximum: the broker has no more unacknowledged packets under way than the client takes."""

import struct

import raw as mqtt

RECEIVE_MAXIMUM_2 = b"\x21\0\2"


def identifier(body):
    length = struct.unpack(">H", body[:2])[0]
    return struct.unpack(">H", body[2 + length:4 + length])[0]


def test_mqtt_3_3_4_9_the_broker_stops_at_the_receive_maximum(connect, raw, name):
    socket = raw()
    socket.send(mqtt.connect(name, version=5, props=RECEIVE_MAXIMUM_2)).expect(mqtt.CONNACK)
    socket.send(mqtt.subscribe(f"{name}/a", 1, version=5)).expect(mqtt.SUBACK)
    witness = connect()
    witness.subscribe(f"{name}/a", 1)
    publisher = connect()
    for number in range(5):
        publisher.publish(f"{name}/a", str(number), 1)
    assert len(witness.payloads(5)) == 5
    under_way = [identifier(socket.expect(mqtt.PUBLISH)) for _ in range(2)]
    socket.send(mqtt.PING).expect(mqtt.PINGRESP)
    seen = 2
    while under_way:
        socket.send(mqtt.acknowledge(mqtt.PUBACK, under_way.pop(0)))
        if seen < 5:
            under_way.append(identifier(socket.expect(mqtt.PUBLISH)))
            seen += 1
    socket.send(mqtt.PING).expect(mqtt.PINGRESP)
