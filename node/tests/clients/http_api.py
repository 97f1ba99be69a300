"""The HTTP side: health, metrics and the admin API."""

import base64
import re
import time
import urllib.parse

import pytest

pytestmark = pytest.mark.usefixtures("holdfast_only")


def get(broker, path):
    status, kind, body = broker.get(path)
    assert (status, kind.split(";")[0]) == (200, "application/json"), (path, status, body)
    return body


def test_health_and_readiness_answer(shared):
    assert shared.get("/healthz")[0] == 200
    assert shared.get("/readyz")[0] == 200


def test_metrics_are_prometheus_text_and_name_no_client(shared, connect, name):
    client = connect(name)
    client.subscribe(f"{name}/a", 1)
    client.publish(f"{name}/a", "x", 1)
    status, kind, body = shared.get("/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    names = {line.split("{")[0].split(" ")[0] for line in body.splitlines() if line and line[0] != "#"}
    assert names and all(metric.startswith("holdfast_") for metric in names), names
    assert name not in body


def backlog(broker, of):
    text = broker.get("/metrics")[2]
    return int(re.search(rf'^holdfast_backlog_messages{{of="{of}"}} (\d+)$', text, re.MULTILINE)[1])


def wait_for_backlog(broker, expected):
    """It is counted every few seconds, and cursors are committed by the clock."""
    until = time.monotonic() + 60
    while True:
        found = backlog(broker, "sessions"), backlog(broker, "shared_subscriptions")
        if found == expected:
            return
        assert time.monotonic() < until, found
        time.sleep(0.5)


def test_the_backlog_counts_what_absent_sessions_and_shared_subscriptions_have_still_to_get(own, connect, name):
    filters = [f"{name}/a", f"$share/g/{name}/a"]
    clients = [connect(f"{name}-{number}", own, session=True) for number in range(2)]
    for client, topic in zip(clients, filters):
        client.subscribe(topic, 1)
        client.disconnect()
    publisher = connect(broker=own)
    for number in range(7):
        publisher.publish(f"{name}/a", str(number), 1)
    wait_for_backlog(own, (7, 7))
    for client in clients:
        client.connect()
        client.payloads(7)
        client.disconnect()
    wait_for_backlog(own, (0, 0))


def test_the_cluster_is_described(shared):
    cluster = get(shared, "/api/v1/cluster")
    assert {"cluster_id", "node_id", "nodes", "partitions"} <= set(cluster)
    assert len(cluster["nodes"]) == 1
    assert {"id", "address", "state", "version"} <= set(cluster["nodes"][0])
    for partition in cluster["partitions"]:
        assert {"id", "leader", "term", "replicas", "first_offset", "next_offset", "committed"} <= set(partition)
        assert partition["leader"] == cluster["node_id"]


def test_the_api_describes_itself(shared):
    paths = get(shared, "/api/v1/openapi.json")["paths"]
    assert {"/healthz", "/readyz", "/metrics", "/api/v1/cluster", "/api/v1/clients/{client_id}"} <= set(paths)


def test_a_client_is_listed_while_it_is_there(shared, connect, name):
    connect(name)
    one = get(shared, f"/api/v1/clients/{name}")
    assert one["client_id"] == name
    assert name in [item["client_id"] for item in every(shared, "/api/v1/clients")]


def test_an_unknown_client_is_a_problem_document(shared, name):
    status, kind, body = shared.get(f"/api/v1/clients/{name}")
    assert (status, kind.split(";")[0]) == (404, "application/problem+json")
    assert body["status"] == 404 and body["title"]


def every(broker, path):
    """All items, page by page, two at a time."""
    cursor, items = "", []
    while True:
        page = get(broker, f"{path}?limit=2" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
        assert len(page["items"]) <= 2
        items += page["items"]
        cursor = page.get("next_cursor")
        if not cursor:
            return items


def test_pages_hold_every_client_once(shared, connect, name):
    for number in range(5):
        connect(f"{name}-{number}")
    found = [item["client_id"] for item in every(shared, "/api/v1/clients") if item["client_id"].startswith(f"{name}-")]
    assert sorted(found) == [f"{name}-{number}" for number in range(5)]


def test_subscriptions_are_listed_by_client_and_altogether(shared, connect, name):
    connect(name).subscribe(f"{name}/+/x", 1)
    body = get(shared, f"/api/v1/clients/{name}/subscriptions")
    mine = [item for item in body["items"] if item["filter"] == f"{name}/+/x"]
    assert len(mine) == 1 and mine[0]["qos"] == 1
    assert f"{name}/+/x" in [item["filter"] for item in every(shared, "/api/v1/subscriptions")]


def test_retained_messages_are_listed_with_their_payload(shared, connect, name):
    connect(name).publish(f"{name}/a", b"\0\xff", 1, retain=True)
    found = [item for item in every(shared, "/api/v1/retained") if item["topic"] == f"{name}/a"]
    assert len(found) == 1
    assert base64.b64decode(found[0]["payload"]) == b"\0\xff"


def test_a_deleted_client_is_disconnected_and_forgotten_if_asked(shared, connect, name):
    client = connect(name, session=True)
    assert shared.get(f"/api/v1/clients/{name}", "DELETE")[0] in (200, 202, 204)
    client.wait_closed()
    client.connect()
    assert client.session_present
    assert shared.get(f"/api/v1/clients/{name}?forget=true", "DELETE")[0] in (200, 202, 204)
    client.wait_closed()
    assert not client.connect().session_present


def test_sigterm_stops_with_exit_code_0_and_tells_clients(own, connect):
    client = connect(broker=own)
    assert own.stop() == 0
    assert client.wait_closed().value == 0x8B
