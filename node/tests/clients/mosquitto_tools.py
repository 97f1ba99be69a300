"""mosquitto_pub and mosquitto_sub, in every version of the protocol and every QoS."""

import subprocess

import pytest

VERSIONS = ["31", "311", "5"]


def tool(kind, broker, *arguments):
    return [f"mosquitto_{kind}", "-h", broker.host, "-p", str(broker.port), *map(str, arguments)]


def run(kind, broker, *arguments):
    done = subprocess.run(tool(kind, broker, *arguments), capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_travels_from_pub_to_sub(shared, name, version, qos):
    run("pub", shared, "-V", version, "-q", qos, "-r", "-t", f"{name}/a", "-m", "hello")
    assert run("sub", shared, "-V", version, "-q", qos, "-t", f"{name}/#", "-C", 1, "-W", 10, "-v") == f"{name}/a hello\n"


@pytest.mark.parametrize("publisher", VERSIONS)
@pytest.mark.parametrize("subscriber", VERSIONS)
def test_versions_understand_each_other(shared, name, publisher, subscriber):
    arguments = ("-V", subscriber, "-q", 1, "-t", f"{name}/a", "-C", 3, "-W", 10, "-d")
    sub = subprocess.Popen(["stdbuf", "-oL", *tool("sub", shared, *arguments)], stdout=subprocess.PIPE, text=True, bufsize=1)
    for line in sub.stdout:
        if "SUBACK" in line:
            break
    for word in ("one", "two", "three"):
        run("pub", shared, "-V", publisher, "-q", 1, "-t", f"{name}/a", "-m", word)
    rest = [line.strip() for line in sub.stdout]
    assert sub.wait(20) == 0
    assert [line for line in rest if line in ("one", "two", "three")] == ["one", "two", "three"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_durable_subscriber_catches_up(shared, name, version):
    keep = ["-x", "3600"] if version == "5" else []
    run("sub", shared, "-V", version, "-i", name, "-c", "-q", 1, "-t", f"{name}/a", "-E", *keep)
    for number in range(5):
        run("pub", shared, "-V", version, "-q", 1, "-t", f"{name}/a", "-m", number)
    arguments = ("-V", version, "-i", name, "-c", "-q", 1, "-t", f"{name}/a", "-C", 5, "-W", 10, *keep)
    assert run("sub", shared, *arguments) == "0\n1\n2\n3\n4\n"
