"""Message expiry: what has outlived its interval is not delivered, and what is delivered says what is left."""

import time


def test_mqtt_3_3_2_5_an_expired_message_is_not_delivered(connect, name):
    client = connect(name, session=True)
    client.subscribe(f"{name}/a", 1)
    client.disconnect()
    publisher = connect()
    publisher.publish(f"{name}/a", "short", 1, MessageExpiryInterval=1)
    publisher.publish(f"{name}/a", "long", 1, MessageExpiryInterval=1000)
    time.sleep(2.1)  # the interval is in whole seconds of real time
    message = client.connect().message()
    assert message.payload == b"long"
    assert 0 < message.properties.MessageExpiryInterval <= 998
    client.nothing_before(f"{name}/a", publisher.publish)


def test_an_expired_retained_message_greets_nobody(connect, name):
    publisher = connect()
    publisher.publish(f"{name}/a", "short", 1, retain=True, MessageExpiryInterval=1)
    time.sleep(2.1)  # as above
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    subscriber.nothing_before(f"{name}/a", publisher.publish)


def test_mqtt_3_3_2_6_a_connected_subscriber_sees_the_interval(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    connect().publish(f"{name}/a", "x", 1, MessageExpiryInterval=100)
    assert 98 <= subscriber.message().properties.MessageExpiryInterval <= 100
