"""A real Prometheus reads three nodes under load: every query of every panel and rule of `grafana/` finds series."""

import json
import pathlib
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from client import Client
from cluster import Cluster

GRAFANA = pathlib.Path(__file__).parents[3] / "grafana"
PATIENCE = 90
# A comparison hides what is well; with `bool` it shows it as 0.
COMPARISON = re.compile(r" (==|!=|<=|>=|<|>) (?!bool)")


class Prometheus:
    """A process that scrapes each second, with the configuration and the rules of the source tree."""

    def __init__(self, directory, targets):
        config = (GRAFANA / "prometheus.yml").read_text()
        config, targets_found = re.subn(r"targets: \[.*\]", "targets: " + json.dumps(targets), config)
        config, intervals = re.subn(r"scrape_interval: \w+", "scrape_interval: 1s\n  evaluation_interval: 1s", config)
        assert targets_found == 1 and intervals == 1
        (directory / "prometheus.yml").write_text(config)
        shutil.copy(GRAFANA / "alerts.yml", directory)
        self.address = None
        self.lines = []
        self.listening = threading.Event()
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/series",
             "--web.listen-address=127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        assert self.listening.wait(30) and self.address, "".join(self.lines)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r'msg="Listening on" address=(\S+)', line)
            if found:
                self.address = found[1]
                self.listening.set()
        self.listening.set()

    def get(self, path, **query):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def finds(self, expression):
        return bool(self.get("query", query=expression)["result"])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Load:
    """Clients on every node, of every kind that a panel shows, for as long as it runs."""

    def __init__(self, nodes, name):
        self.name = name
        self.clients = []
        for number, node in enumerate(nodes):
            listener = self._client(node, f"{name}-listens-{number}")
            for qos in range(3):
                assert listener.subscribe(f"{name}/{qos}/#", qos) == qos
            self._client(node, f"{name}-speaks-{number}")
        self.speakers = self.clients[1::2]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _client(self, node, client_id):
        self.clients.append(Client(node, client_id).connect())
        return self.clients[-1]

    def _run(self):
        count = 0
        while not self.ended.wait(0.05):
            for speaker in self.speakers:
                for qos in range(3):
                    count += 1
                    topic = f"{self.name}/{qos}/{count % 64}"
                    speaker.paho.publish(topic, b"x" * 64, qos=qos, retain=count % 10 == 0)

    def stop(self):
        self.ended.set()
        self.thread.join()
        for client in self.clients:
            client.close()


def queries():
    """(where, expression) of every panel and rule."""
    for file in sorted(GRAFANA.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.name}: {panel['title']}", target["expr"]
    rules = (GRAFANA / "alerts.yml").read_text()
    for name, expression in re.findall(r"- alert: (\w+)\n +expr: (.*)\n", rules):
        yield f"alerts.yml: {name}", expression


def shown(expression):
    for variable, value in (("$instance", ".*"), ("$__rate_interval", "15s")):
        expression = expression.replace(variable, value)
    return COMPARISON.sub(r" \1 bool ", expression)


@pytest.fixture
def cluster(tmp_path, holdfast_only):
    cluster = Cluster(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.timeout(300)
def test_every_query_of_every_panel_and_rule_finds_series(cluster, tmp_path, name):
    wanted = [(where, shown(expression)) for where, expression in queries()]
    assert len(wanted) > 50
    load = Load(cluster.nodes, name)
    prometheus = Prometheus(tmp_path, [node.http for node in cluster.nodes])
    try:
        until = time.monotonic() + PATIENCE
        missing = wanted
        while missing and time.monotonic() < until:
            time.sleep(2)
            missing = [(where, expression) for where, expression in missing if not prometheus.finds(expression)]
        assert not missing
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert len(rules) == (GRAFANA / "alerts.yml").read_text().count("- alert:")
        assert {rule["health"] for rule in rules} == {"ok"}
        # A cluster that is well rings no bell.
        critical = [rule["name"] for rule in rules
                    if rule["labels"]["severity"] == "critical" and rule["state"] == "firing"]
        assert not critical
    finally:
        prometheus.stop()
        load.stop()
