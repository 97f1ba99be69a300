"""Subscription identifiers come back with the messages that matched."""


def test_mqtt_3_3_4_3_a_message_carries_the_identifier_of_its_subscription(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1, SubscriptionIdentifier=1)
    subscriber.subscribe(f"{name}/b", 1, SubscriptionIdentifier=268435455)
    publisher = connect()
    publisher.publish(f"{name}/a", "x", 1)
    assert subscriber.message().properties.SubscriptionIdentifier == [1]
    publisher.publish(f"{name}/b", "x", 1)
    assert subscriber.message().properties.SubscriptionIdentifier == [268435455]


def test_overlapping_subscriptions_are_all_named(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/+", 1, SubscriptionIdentifier=1)
    subscriber.subscribe(f"{name}/a", 1, SubscriptionIdentifier=2)
    publisher = connect()
    publisher.publish(f"{name}/a", "x", 1)
    found = list(subscriber.message().properties.SubscriptionIdentifier)
    if len(found) == 1:  # a broker may also send one copy for each subscription
        found += subscriber.message().properties.SubscriptionIdentifier
    assert sorted(found) == [1, 2]
    publisher.publish(f"{name}/b", "fence", 1)
    assert subscriber.message().topic == f"{name}/b"


def test_a_new_subscribe_replaces_the_identifier(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1, SubscriptionIdentifier=1)
    subscriber.subscribe(f"{name}/a", 1, SubscriptionIdentifier=2)
    connect().publish(f"{name}/a", "x", 1)
    assert subscriber.message().properties.SubscriptionIdentifier == [2]


def test_an_identifier_outlives_kill_9(connect, own, name):
    client = connect(name, own, session=True)
    client.subscribe(f"{name}/a", 1, SubscriptionIdentifier=77)
    client.disconnect()
    own.restart()
    client.connect()
    connect(broker=own).publish(f"{name}/a", "x", 1)
    assert client.message().properties.SubscriptionIdentifier == [77]
