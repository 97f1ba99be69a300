"""paho-mqtt as a synchronous client: every call returns when the broker has answered."""

import queue
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5
EVERY_VERSION = [V31, V311, V5]
WAIT_SECONDS = 10


def properties(kind, values):
    """`values` by the names of paho, e.g. MessageExpiryInterval."""
    result = Properties(getattr(PacketTypes, kind))
    for key, value in values.items():
        setattr(result, key, value)
    return result


class Client:
    """One connection. `session` keeps the session when it ends: clean start off, and in 5.0 an expiry of an hour."""

    def __init__(self, broker, client_id="", version=V5, session=False, will=None, keep_alive=60, **connect_properties):
        self.broker, self.version, self.session, self.keep_alive = broker, version, session, keep_alive
        self.connect_properties = dict(connect_properties)
        options = {} if version == V5 else {"clean_session": not session}
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version,
                                reconnect_on_failure=False, **options)
        if will:
            self.paho.will_set(**will)
        self.inbox, self.answers = queue.Queue(), queue.Queue()
        self.closed = threading.Event()
        self.close_reason = None
        self.paho.on_connect = lambda _, __, flags, reason, props: self.answers.put((flags, reason, props))
        self.paho.on_message = lambda _, __, message: self.inbox.put(message)
        self.paho.on_subscribe = lambda _, __, mid, reasons, props: self.answers.put((mid, reasons))
        self.paho.on_unsubscribe = lambda _, __, mid, reasons, props: self.answers.put((mid, reasons))
        self.paho.on_disconnect = self._on_disconnect

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties):
        self.close_reason = reason
        self.closed.set()

    def connect(self):
        """Connects and waits for CONNACK, which is kept in `flags`, `reason` and `connack`."""
        self.closed.clear()
        extra = {}
        if self.version == V5:
            if self.session:
                self.connect_properties.setdefault("SessionExpiryInterval", 3600)
            extra = {"clean_start": not self.session, "properties": properties("CONNECT", self.connect_properties)}
        self.paho.connect(self.broker.host, self.broker.port, self.keep_alive, **extra)
        self.paho.loop_start()
        self.flags, self.reason, self.connack = self.answers.get(timeout=WAIT_SECONDS)
        return self

    @property
    def session_present(self):
        return bool(self.flags.session_present)

    def subscribe(self, topic, qos=0, options=None, **values):
        """Returns the reason code of the one filter."""
        if self.version == V5:
            options = options or SubscribeOptions(qos=qos)
            sent, mid = self.paho.subscribe(topic, options=options, properties=properties("SUBSCRIBE", values))
        else:
            sent, mid = self.paho.subscribe(topic, qos)
        assert sent == paho.MQTT_ERR_SUCCESS
        answered, reasons = self.answers.get(timeout=WAIT_SECONDS)
        assert answered == mid
        return reasons[0].value

    def unsubscribe(self, topic):
        _, mid = self.paho.unsubscribe(topic)
        assert self.answers.get(timeout=WAIT_SECONDS)[0] == mid

    def publish(self, topic, payload="", qos=0, retain=False, **values):
        """Waits until a QoS 1 or 2 publish has been acknowledged to its end."""
        extra = {"properties": properties("PUBLISH", values)} if self.version == V5 else {}
        sent = self.paho.publish(topic, payload, qos, retain, **extra)
        sent.wait_for_publish(WAIT_SECONDS)
        assert sent.is_published()

    def message(self):
        return self.inbox.get(timeout=WAIT_SECONDS)

    def payload(self):
        return self.message().payload.decode()

    def payloads(self, count):
        return [self.payload() for _ in range(count)]

    def nothing_before(self, fence, publish):
        """Nothing has come for us up to now: the next message is the one that `publish` sends to topic `fence`."""
        publish(fence, "fence", 1)
        message = self.message()
        assert (message.topic, message.payload) == (fence, b"fence")

    def wait_closed(self):
        assert self.closed.wait(WAIT_SECONDS), "the broker did not close the connection"
        return self.close_reason

    def disconnect(self, **values):
        extra = {"properties": properties("DISCONNECT", values)} if self.version == V5 and values else {}
        self.paho.disconnect(**extra)
        self.wait_closed()
        self.paho.loop_stop()

    def drop(self):
        """Cuts the connection without a DISCONNECT."""
        self.paho.loop_stop()
        self.paho.socket().close()

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()
