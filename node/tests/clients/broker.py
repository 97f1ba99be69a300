"""Starts the broker under test: holdfast, or mosquitto (BROKER=mosquitto) to try the tests themselves."""

import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.request

READY_SECONDS = 30
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Broker:
    """A process and its data directory. Ports are chosen at the first start and kept afterwards."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.is_mosquitto = os.environ.get("BROKER") == "mosquitto"
        self.process = None
        self.host, self.port = "127.0.0.1", 0
        self.http = self.cluster = "127.0.0.1:0"
        self.lines = []

    def start(self):
        self._ready = threading.Event()
        command = self._mosquitto() if self.is_mosquitto else self._holdfast()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_SECONDS) or self.process.poll() is not None:
            self.process.kill()
            raise RuntimeError("the broker did not get ready:\n" + "".join(self.lines[-40:]))

    def stop(self):
        """Asks it to stop, as an operator does; returns its exit code."""
        return self._end(self.process.terminate)

    def kill(self):
        """kill -9. Mosquitto would lose what it has not saved, and is stopped instead."""
        self._end(self.process.terminate if self.is_mosquitto else self.process.kill)

    def restart(self):
        self.kill()
        self.start()

    def _end(self, how):
        if self.process.poll() is None:
            how()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self._reader.join()
        return self.process.returncode

    def _holdfast(self):
        target = os.environ.get("CARGO_TARGET_DIR", str(pathlib.Path(__file__).parents[3] / "target"))
        binary = os.environ.get("HOLDFAST_BIN", target + "/debug/holdfast")
        return [binary, "start", "--data-dir", str(self.directory / "data"),
                "--mqtt", f"{self.host}:{self.port}", "--http", self.http, "--cluster", self.cluster]

    def _mosquitto(self):
        if not self.port:
            with socket.socket() as free:
                free.bind((self.host, 0))
                self.port = free.getsockname()[1]
        config = self.directory / "mosquitto.conf"
        config.write_text(f"listener {self.port} {self.host}\nallow_anonymous true\nuser root\n"
                          f"persistence true\npersistence_location {self.directory}/\nlog_dest stderr\n")
        return ["/usr/sbin/mosquitto", "-c", str(config)]

    def _read(self, stream):
        for line in stream:
            line = ANSI.sub("", line)
            self.lines.append(line)
            if self.is_mosquitto and " running" in line:
                self._ready.set()
            elif not self.is_mosquitto and "ready" in line and "mqtt=" in line:
                self._addresses(line)
                self._ready.set()
        stream.close()
        self._ready.set()

    def _addresses(self, line):
        found = dict(re.findall(r'\b(mqtt|http|cluster)="?([0-9.]+:\d+)', line))
        self.port = int(found["mqtt"].rsplit(":", 1)[1])
        self.http = found.get("http", self.http)
        self.cluster = found.get("cluster", self.cluster)

    def get(self, path, method="GET"):
        """Status, content type and body (parsed where it is JSON) of an HTTP request."""
        request = urllib.request.Request(f"http://{self.http}{path}", method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            kind = answer.headers.get("content-type", "")
            body = answer.read()
            return answer.status, kind, json.loads(body) if "json" in kind else body.decode()
