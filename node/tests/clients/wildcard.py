"""Topic filters: which topics + and # match, and what several matching filters bring."""

import pytest
from client import EVERY_VERSION
from paho.mqtt.subscribeoptions import SubscribeOptions

CASES = [
    ("+", ["a", ""], ["a/b"]),
    ("a/#", ["a", "a/b", "a/b/c", "a/"], ["b", "ab"]),
    ("a/+", ["a/b", "a/"], ["a", "a/b/c"]),
    ("+/b/#", ["a/b", "/b/c", "x/b/c/d"], ["b", "a/c/b"]),
    ("a//b", ["a//b"], ["a/b"]),
    ("A", ["A"], ["a"]),
]


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("filter_, matches, others", CASES)
def test_filters_match_as_specified(connect, name, version, filter_, matches, others):
    subscriber = connect(version=version)
    subscriber.subscribe(f"{name}/{filter_}", 1)
    subscriber.subscribe(f"{name}fence", 1)
    publisher = connect(version=version)
    for topic in others + matches:
        publisher.publish(f"{name}/{topic}", topic, 1)
    assert sorted(subscriber.payloads(len(matches))) == sorted(matches)
    subscriber.nothing_before(f"{name}fence", publisher.publish)


def test_mqtt_4_7_2_1_leading_wildcards_do_not_match_dollar_topics(connect, raw, name):
    subscriber = connect()
    subscriber.subscribe(f"+/{name}", 1)
    publisher = connect()
    publisher.publish(f"$x/{name}", "hidden", 0)
    subscriber.nothing_before(f"a/{name}", publisher.publish)


def test_mqtt_3_8_3_3_no_local_keeps_a_client_from_hearing_itself(connect, name):
    client = connect()
    client.subscribe(f"{name}/#", options=SubscribeOptions(1, noLocal=True))
    client.publish(f"{name}/a", "own", 1)
    client.nothing_before(f"{name}/a", connect().publish)


def test_mqtt_3_8_4_8_the_lower_of_the_two_qos_wins(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/1", 1)
    subscriber.subscribe(f"{name}/0", 0)
    publisher = connect()
    for topic, qos, expected in (("1", 2, 1), ("1", 0, 0), ("0", 2, 0)):
        publisher.publish(f"{name}/{topic}", "x", qos)
        assert subscriber.message().qos == expected


def test_an_unsubscribe_stops_the_messages(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    subscriber.subscribe(f"{name}/b", 1)
    subscriber.unsubscribe(f"{name}/a")
    publisher = connect()
    publisher.publish(f"{name}/a", "x", 1)
    subscriber.nothing_before(f"{name}/b", publisher.publish)
