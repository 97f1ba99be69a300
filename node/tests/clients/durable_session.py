"""A durable session keeps subscriptions and messages over connections, restarts and kill -9."""

import pytest
from client import EVERY_VERSION, V311, V5


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("qos", [1, 2])
def test_messages_wait_for_an_absent_client_in_order(connect, name, version, qos):
    client = connect(name, version=version, session=True)
    assert client.subscribe(f"{name}/#", qos) == qos
    client.disconnect()
    publisher = connect(version=version)
    for number in range(20):
        publisher.publish(f"{name}/a", str(number), qos)
    client.connect()
    assert version == 3 or client.session_present
    assert client.payloads(20) == [str(number) for number in range(20)]


@pytest.mark.parametrize("version", [V311, V5])
def test_session_present_says_whether_there_was_one(connect, name, version):
    client = connect(name, version=version, session=True)
    assert not client.session_present
    client.disconnect()
    assert client.connect().session_present


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_acknowledged_outlives_kill_9(connect, own, name, version, qos):
    client = connect(name, own, version=version, session=True)
    client.subscribe(f"{name}/#", qos)
    client.disconnect()
    publisher = connect(broker=own, version=version)
    for number in range(10):
        publisher.publish(f"{name}/a", str(number), qos)
    own.restart()
    client.connect()
    assert client.session_present
    assert client.payloads(10) == [str(number) for number in range(10)]
    publisher = connect(broker=own, version=version)
    publisher.publish(f"{name}/a", "after", qos)
    assert client.payload() == "after"


def test_several_restarts_lose_nothing_and_keep_the_order(connect, own, name):
    client = connect(name, own, session=True)
    client.subscribe(f"{name}/a", 1)
    client.disconnect()
    for round_number in range(3):
        publisher = connect(broker=own)
        for number in range(5):
            publisher.publish(f"{name}/a", f"{round_number}.{number}", 1)
        own.restart()
    client.connect()
    assert client.payloads(15) == [f"{r}.{n}" for r in range(3) for n in range(5)]


def test_an_unsubscribe_outlives_kill_9(connect, own, name):
    client = connect(name, own, session=True)
    client.subscribe(f"{name}/a", 1)
    client.subscribe(f"{name}/b", 1)
    client.unsubscribe(f"{name}/a")
    client.disconnect()
    own.restart()
    publisher = connect(broker=own)
    publisher.publish(f"{name}/a", "no", 1)
    publisher.publish(f"{name}/b", "yes", 1)
    assert client.connect().payload() == "yes"


def test_a_session_ends_when_its_expiry_has_passed(connect, name):
    client = connect(name, session=True, SessionExpiryInterval=1)
    client.subscribe(f"{name}/a", 1)
    client.disconnect()
    import time
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(1.5)  # longer than the expiry: connecting sooner would renew the session
        client.connect()
        if not client.session_present:
            return
        client.disconnect()
    raise AssertionError("the session outlived its expiry")


def test_qos_0_and_unmatched_topics_do_not_disturb_the_backlog(connect, name):
    client = connect(name, session=True)
    client.subscribe(f"{name}/a", 1)
    client.disconnect()
    publisher = connect()
    publisher.publish(f"{name}/b", "other", 1)
    publisher.publish(f"{name}/a", "one", 1)
    assert client.connect().payload() == "one"
    client.nothing_before(f"{name}/a", publisher.publish)
