"""A clean session begins empty and leaves nothing behind."""

import pytest
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


def test_mqtt_3_1_3_6_a_client_without_id_gets_one_assigned(connect):
    first, second = connect(), connect()
    assert first.connack.AssignedClientIdentifier
    assert first.connack.AssignedClientIdentifier != second.connack.AssignedClientIdentifier


def test_mqtt311_3_1_3_8_an_empty_id_with_a_kept_session_is_refused(raw):
    import raw as bytes_of
    socket = raw()
    socket.send(bytes_of.connect("", clean=False))
    assert socket.expect(bytes_of.CONNACK) == b"\0\x02"
    assert socket.receive() is None
