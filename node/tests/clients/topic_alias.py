"""Topic aliases: a number stands for a topic within one connection and direction."""

import pytest


def alias_maximum(client):
    return getattr(client.connack, "TopicAliasMaximum", 0)


def test_mqtt_3_3_2_12_an_alias_stands_for_its_topic_until_it_is_given_another(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/#", 1)
    publisher = connect()
    if alias_maximum(publisher) == 0:
        pytest.skip("this broker takes no aliases")
    for topic, payload in ((f"{name}/a", "1"), ("", "2"), (f"{name}/b", "3"), ("", "4")):
        publisher.publish(topic, payload, 1, TopicAlias=1)
    found = [subscriber.message() for _ in range(4)]
    assert [(m.topic, m.payload) for m in found] == [
        (f"{name}/a", b"1"), (f"{name}/a", b"2"), (f"{name}/b", b"3"), (f"{name}/b", b"4")]


@pytest.mark.parametrize("alias", ["unknown", "too large"])
def test_a_bad_alias_ends_the_connection(connect, name, alias):
    publisher = connect()
    maximum = alias_maximum(publisher)
    if maximum == 65535 and alias == "too large":
        pytest.skip("no alias is too large")
    number = maximum if alias == "unknown" and maximum else maximum + 1
    from client import properties
    publisher.paho.publish("" if alias == "unknown" else f"{name}/a", "x", 1,
                           properties=properties("PUBLISH", {"TopicAlias": number}))
    assert publisher.wait_closed().value in (0x82, 0x94)


def test_mqtt_3_3_2_11_the_broker_keeps_to_the_maximum_of_the_client(connect, name):
    subscriber = connect(TopicAliasMaximum=2)
    subscriber.subscribe(f"{name}/#", 1)
    publisher = connect()
    for number in range(12):
        publisher.publish(f"{name}/{number % 4}", "x", 1)
    for number in range(12):
        message = subscriber.message()
        alias = getattr(message.properties, "TopicAlias", None)
        assert alias is None or alias in (1, 2)
        assert message.topic in ("", f"{name}/{number % 4}")
        assert message.topic or alias


def test_without_a_maximum_the_broker_sends_no_alias(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    publisher = connect()
    for _ in range(3):
        publisher.publish(f"{name}/a", "x", 1)
        message = subscriber.message()
        assert message.topic == f"{name}/a" and not hasattr(message.properties, "TopicAlias")
