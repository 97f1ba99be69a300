"""MQTT as hand-written bytes, so that no client library's view of the protocol stands between test and broker."""

import socket
import struct

WAIT_SECONDS = 10
CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 5, 6, 7, 9, 13, 14


def string(text):
    body = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(body)) + body


def packet(first, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | 0x80 if rest else digit])
        if not rest:
            return bytes([first]) + length + body


def connect(client_id, version=4, clean=True, keep_alive=60, props=b""):
    """`props` of 5.0 without their length."""
    protocol = string("MQIsdp" if version == 3 else "MQTT") + bytes([version, 2 if clean else 0])
    middle = packet(0, props)[1:] if version == 5 else b""
    return packet(0x10, protocol + struct.pack(">H", keep_alive) + middle + string(client_id))


def publish(topic, payload, qos=0, packet_id=None, dup=False, version=4):
    identifier = struct.pack(">H", packet_id) if qos else b""
    middle = b"\0" if version == 5 else b""
    return packet(0x30 | dup << 3 | qos << 1, string(topic) + identifier + middle + payload)


def subscribe(topic, qos=0, packet_id=1, version=4):
    middle = b"\0" if version == 5 else b""
    return packet(0x82, struct.pack(">H", packet_id) + middle + string(topic) + bytes([qos]))


def acknowledge(kind, packet_id):
    return packet(kind << 4 | (2 if kind == PUBREL else 0), struct.pack(">H", packet_id))


PING = b"\xc0\0"


class Raw:
    """A socket that sends bytes and takes whole packets off."""

    def __init__(self, broker):
        self.socket = socket.create_connection((broker.host, broker.port), WAIT_SECONDS)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def receive(self):
        """(type, flags, body) of the next packet; None when the broker has closed."""
        first = self._take(1)
        if first is None:
            return None
        length = shift = 0
        while True:
            digit = self._take(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first[0] >> 4, first[0] & 15, self._take(length)

    def expect(self, kind, packet_id=None):
        """The body of the next packet, which is of this kind."""
        received = self.receive()
        assert received is not None and received[0] == kind, (kind, received)
        if packet_id is not None:
            assert struct.unpack(">H", received[2][:2])[0] == packet_id
        return received[2]

    def expect_closed(self, reason=None):
        """The broker closes; in 5.0 a DISCONNECT (or refusing CONNACK) with one of the reasons may come first."""
        received = self.receive()
        if received is not None:
            code = {DISCONNECT: 0, CONNACK: 1}.get(received[0])
            assert code is not None, received
            if reason is not None:
                assert received[2][code] in reason, hex(received[2][code])
            assert self.receive() is None

    def close(self):
        self.socket.close()

    def _take(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            data += piece
        return data
