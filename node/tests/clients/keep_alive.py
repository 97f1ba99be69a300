"""Keep alive: silence of one and a half times the interval closes, pings keep open."""

import time

import pytest
import raw as mqtt


@pytest.mark.parametrize("version", [3, 4, 5])
def test_mqtt_3_1_2_22_silence_of_one_and_a_half_keep_alives_closes(raw, name, version):
    socket = raw()
    socket.send(mqtt.connect(name, version=version, keep_alive=1)).expect(mqtt.CONNACK)
    begin = time.monotonic()
    socket.expect_closed({0x8D})
    assert 1.3 < time.monotonic() - begin < 8


def test_mqtt_3_12_4_1_pings_are_answered_and_keep_the_connection(raw, name):
    socket = raw()
    socket.send(mqtt.connect(name, keep_alive=1)).expect(mqtt.CONNACK)
    for _ in range(5):
        time.sleep(0.7)  # the pace of a client: half of what the broker allows
        socket.send(mqtt.PING).expect(mqtt.PINGRESP)


def test_keep_alive_zero_never_closes(raw, name):
    socket = raw()
    socket.send(mqtt.connect(name, keep_alive=0)).expect(mqtt.CONNACK)
    time.sleep(3)  # twice what an interval of one second would allow
    socket.send(mqtt.PING).expect(mqtt.PINGRESP)
