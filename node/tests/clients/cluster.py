"""Three holdfast nodes that are one cluster."""

import concurrent.futures
import pathlib
import socket

from broker import Broker


class Node(Broker):
    """One of them."""

    def __init__(self, directory, number, links):
        super().__init__(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.cluster = links[number]
        self.arguments = ["--seeds", ",".join(links)]

    def _holdfast(self):
        return super()._holdfast() + self.arguments


class Cluster:
    """All of them. Addresses of the link are free a moment before they are used."""

    def __init__(self, directory, count=3):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        links = sorted("127.0.0.1:%d" % one.getsockname()[1] for one in sockets)
        for one in sockets:
            one.close()
        self.nodes = [Node(pathlib.Path(directory) / f"node-{number}", number, links) for number in range(count)]

    def start(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, self.nodes))

    def stop(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.process and node.stop(), self.nodes))
