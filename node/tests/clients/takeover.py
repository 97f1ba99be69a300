"""One owner per client id: the newer connection takes over, the older one is closed."""

import pytest
import raw as mqtt
from client import EVERY_VERSION


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_the_older_connection_is_closed(connect, name, version):
    old = connect(name, version=version)
    connect(name, version=version)
    old.wait_closed()


@pytest.mark.usefixtures("holdfast_only")
def test_mqtt_3_1_4_3_the_older_connection_of_5_0_hears_why(raw, name):
    old, new = raw(), raw()
    for socket in (old, new):
        socket.send(mqtt.connect(name, 5)).expect(mqtt.CONNACK)
    assert old.expect(mqtt.DISCONNECT)[0] == 0x8E
    assert old.receive() is None


def test_the_session_moves_with_its_messages(connect, name):
    old = connect(name, session=True)
    old.subscribe(f"{name}/a", 1)
    new = connect(name, session=True)
    assert new.session_present
    connect().publish(f"{name}/a", "x", 1)
    assert new.payload() == "x"
    assert old.inbox.empty()


def test_versions_share_one_name_space_of_clients(connect, name):
    old = connect(name, version=4)
    connect(name, version=5)
    old.wait_closed()


def test_many_takeovers_in_a_row_leave_one_owner(connect, name):
    clients = [connect(name, session=True) for _ in range(10)]
    clients[-1].subscribe(f"{name}/a", 1)
    for old in clients[:-1]:
        old.wait_closed()
    connect().publish(f"{name}/a", "x", 1)
    assert clients[-1].payload() == "x"
    assert not clients[-1].closed.is_set()
