"""Fixtures: a broker to share, and a broker of one's own that can be killed and started again."""

import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
collect_ignore = ["conftest.py", "broker.py", "client.py", "cluster.py", "raw.py"]

from broker import Broker  # noqa: E402
from client import Client  # noqa: E402
from raw import Raw  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One broker for all tests that do not stop it. Tests keep apart by names: see `name`."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own(tmp_path):
    """A broker of the test's own: `kill`, `stop` and `start` keep its data directory and ports."""
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def name():
    """A word that no other test uses: the root of a test's topics and client ids."""
    return f"t{os.getpid()}x{next(numbers)}"


@pytest.fixture
def connect(shared):
    """Makes connected paho clients, of the shared broker unless told otherwise; ends them with the test."""
    clients = []

    def make(client_id="", broker=None, **options):
        client = Client(broker or shared, client_id, **options)
        clients.append(client)
        return client.connect()

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def raw(shared):
    """Opens sockets that speak hand-written bytes; closes them with the test."""
    sockets = []

    def make(broker=None):
        sockets.append(Raw(broker or shared))
        return sockets[-1]

    yield make
    for socket in sockets:
        socket.close()


@pytest.fixture
def holdfast_only(shared):
    """Skips what mosquitto 2.0 has no counterpart for, or does otherwise than specified."""
    if shared.is_mosquitto:
        pytest.skip("mosquitto does otherwise")
