"""Order per publisher and topic, with many messages in flight, and over reconnects of the subscriber."""

import pytest


def publish_all(client, topic, numbers, qos):
    sent = [client.paho.publish(topic, str(number), qos) for number in numbers]
    for info in sent:
        info.wait_for_publish(20)
        assert info.is_published()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_burst_arrives_in_order(connect, name, qos):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", qos)
    publish_all(connect(), f"{name}/a", range(500), qos)
    assert subscriber.payloads(500) == [str(number) for number in range(500)]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_long_backlog_arrives_in_order_and_runs_over_into_live_messages(connect, name, qos):
    subscriber = connect(name, session=True, ReceiveMaximum=7)
    subscriber.subscribe(f"{name}/a", qos)
    subscriber.disconnect()
    publisher = connect()
    publish_all(publisher, f"{name}/a", range(900), qos)
    subscriber.connect()
    publish_all(publisher, f"{name}/a", range(900, 1000), qos)
    assert subscriber.payloads(1000) == [str(number) for number in range(1000)]


def test_first_deliveries_stay_in_order_while_the_subscriber_comes_and_goes(connect, name):
    subscriber = connect(name, session=True)
    subscriber.subscribe(f"{name}/a", 1)
    publisher = connect()
    firsts = []
    for round_number in range(5):
        publish_all(publisher, f"{name}/a", range(round_number * 100, round_number * 100 + 100), 1)
        while len(firsts) < round_number * 100 + 30:
            number = int(subscriber.payload())
            firsts += [number] if number not in firsts else []
        subscriber.drop()
        while not subscriber.inbox.empty():
            number = int(subscriber.payload())
            firsts += [number] if number not in firsts else []
        subscriber.connect()
    while len(firsts) < 500:
        number = int(subscriber.payload())
        firsts += [number] if number not in firsts else []
    assert firsts == list(range(500))
