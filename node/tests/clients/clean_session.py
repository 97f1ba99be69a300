"""A clean session begins empty and leaves nothing behind."""

import pytest
import raw as mqtt
from client import EVERY_VERSION, V311, V5


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_clean_session_is_forgotten_when_it_ends(connect, name, version):
    first = connect(name, version=version)
    assert not first.session_present
    first.subscribe(f"{name}/a", 1)
    first.disconnect()
    again = connect(name, version=version, session=True)
    assert not again.session_present
    connect().publish(f"{name}/a", "lost", 1)
    again.subscribe(f"{name}/fence", 1)
    again.nothing_before(f"{name}/fence", connect().publish)


@pytest.mark.parametrize("version", [V311, V5])
def test_mqtt_3_1_2_4_clean_start_discards_an_existing_session(connect, name, version):
    first = connect(name, version=version, session=True)
    first.subscribe(f"{name}/a", 1)
    first.disconnect()
    connect().publish(f"{name}/a", "waits", 1)
    clean = connect(name, version=version)
    assert not clean.session_present
    clean.subscribe(f"{name}/fence", 1)
    clean.nothing_before(f"{name}/fence", connect().publish)


def test_session_expiry_zero_at_disconnect_forgets_the_session(connect, name):
    first = connect(name, session=True)
    first.subscribe(f"{name}/a", 1)
    first.disconnect(SessionExpiryInterval=0)
    assert not connect(name, session=True).session_present


def test_a_disconnect_is_heard_before_the_connect_that_follows_on_another_connection(raw, name):
    """Nothing waits between the two, so that it is the broker's threads that race."""
    hour, never = b"\x11\0\0\x0e\x10", b"\x11\0\0\0\0"
    for turn in range(200):
        hello = mqtt.connect(f"{name}-{turn}", version=5, clean=False, props=hour)
        first = raw().send(hello)
        first.expect(mqtt.CONNACK)
        second = raw()
        first.send(mqtt.packet(0xE0, b"\0" + mqtt.packet(0, never)[1:]))
        assert second.send(hello).expect(mqtt.CONNACK)[:2] == b"\0\0", f"turn {turn}"
        first.close()
        second.close()


def test_mqtt_3_1_3_6_a_client_without_id_gets_one_assigned(connect):
    first, second = connect(), connect()
    assert first.connack.AssignedClientIdentifier
    assert first.connack.AssignedClientIdentifier != second.connack.AssignedClientIdentifier


def test_mqtt311_3_1_3_8_an_empty_id_with_a_kept_session_is_refused(raw):
    socket = raw()
    socket.send(mqtt.connect("", clean=False))
    assert socket.expect(mqtt.CONNACK) == b"\0\x02"
    assert socket.receive() is None
