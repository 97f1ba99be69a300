"""QoS 2: exactly once, over repeated packets, reconnects and kill -9."""

import pytest
import raw as mqtt


def session(raw, client_id, broker=None):
    socket = raw(broker)
    socket.send(mqtt.connect(client_id, clean=False))
    socket.expect(mqtt.CONNACK)
    return socket


def finish(socket, packet_id):
    socket.send(mqtt.acknowledge(mqtt.PUBREL, packet_id)).expect(mqtt.PUBCOMP, packet_id)


@pytest.mark.usefixtures("holdfast_only")
def test_a_repeated_publish_is_delivered_once(connect, raw, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/#", 2)
    sender = session(raw, name)
    for dup in (False, True, True):
        sender.send(mqtt.publish(f"{name}/a", b"once", 2, 7, dup)).expect(mqtt.PUBREC, 7)
    finish(sender, 7)
    assert subscriber.payload() == "once"
    subscriber.nothing_before(f"{name}/a", connect().publish)


def test_a_publish_repeated_after_a_reconnect_is_delivered_once(connect, raw, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/#", 2)
    sender = session(raw, name)
    sender.send(mqtt.publish(f"{name}/a", b"once", 2, 7)).expect(mqtt.PUBREC, 7)
    sender.close()
    sender = session(raw, name)
    sender.send(mqtt.publish(f"{name}/a", b"once", 2, 7, True)).expect(mqtt.PUBREC, 7)
    finish(sender, 7)
    assert subscriber.payload() == "once"
    subscriber.nothing_before(f"{name}/a", connect().publish)


def test_a_publish_repeated_after_kill_9_is_delivered_once(connect, own, raw, name):
    subscriber = connect(f"{name}s", own, session=True)
    subscriber.subscribe(f"{name}/#", 2)
    subscriber.disconnect()
    sender = session(raw, name, own)
    sender.send(mqtt.publish(f"{name}/a", b"once", 2, 7)).expect(mqtt.PUBREC, 7)
    own.restart()
    sender = session(raw, name, own)
    sender.send(mqtt.publish(f"{name}/a", b"once", 2, 7, True)).expect(mqtt.PUBREC, 7)
    finish(sender, 7)
    subscriber.connect()
    assert subscriber.payload() == "once"
    subscriber.nothing_before(f"{name}/a", connect(broker=own).publish)


def test_an_identifier_is_free_again_after_pubcomp(connect, raw, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/#", 2)
    sender = session(raw, name)
    for payload in (b"one", b"two"):
        sender.send(mqtt.publish(f"{name}/a", payload, 2, 7)).expect(mqtt.PUBREC, 7)
        finish(sender, 7)
    assert subscriber.payloads(2) == ["one", "two"]


def test_a_pubrel_for_an_unknown_identifier_is_answered(raw, name):
    finish(session(raw, name), 99)


def test_mqtt311_4_4_0_1_an_unanswered_publish_comes_again_with_dup(connect, raw, name):
    receiver = session(raw, name)
    receiver.send(mqtt.subscribe(f"{name}/a", 2)).expect(mqtt.SUBACK, 1)
    connect().publish(f"{name}/a", "again", 2)
    kind, flags, body = receiver.receive()
    assert (kind, flags & 8) == (mqtt.PUBLISH, 0)
    packet_id = body[-7:-5]
    receiver.close()
    receiver = session(raw, name)
    kind, flags, body = receiver.receive()
    assert (kind, flags & 8, body[-7:-5]) == (mqtt.PUBLISH, 8, packet_id)
    assert body.endswith(b"again")


@pytest.mark.parametrize("crash", [False, True])
def test_after_pubrec_only_the_pubrel_comes_again(connect, own, raw, name, crash):
    receiver = session(raw, name, own)
    receiver.send(mqtt.subscribe(f"{name}/a", 2)).expect(mqtt.SUBACK, 1)
    connect(broker=own).publish(f"{name}/a", "x", 2)
    identifier = int.from_bytes(receiver.expect(mqtt.PUBLISH)[-3:-1], "big")
    receiver.send(mqtt.acknowledge(mqtt.PUBREC, identifier)).expect(mqtt.PUBREL, identifier)
    receiver.close()
    if crash:
        own.restart()
    receiver = session(raw, name, own)
    receiver.expect(mqtt.PUBREL, identifier)
    receiver.send(mqtt.acknowledge(mqtt.PUBCOMP, identifier))
    receiver.send(mqtt.PING).expect(mqtt.PINGRESP)


def test_many_qos_2_messages_arrive_once_each_and_in_order(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 2)
    publisher = connect()
    sent = [publisher.paho.publish(f"{name}/a", str(number), 2) for number in range(200)]
    for info in sent:
        info.wait_for_publish(10)
    assert subscriber.payloads(200) == [str(number) for number in range(200)]
    subscriber.nothing_before(f"{name}/a", publisher.publish)
