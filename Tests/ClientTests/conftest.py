"""Fixtures: one broker for all tests that do not disturb it, brokers of one's own, Kafka's own code."""

import os
import re
import subprocess

import pytest

from harness import paths
from harness.broker import Broker, External
from harness.client import KINDS, Client, java


@pytest.fixture(scope="session")
def shared_broker():
    """The broker that most tests share; it must stop cleanly after all of them."""
    external = os.environ.get("SLUICE_TEST_BOOTSTRAP")
    if external:
        yield External(external)
        return
    running = Broker()
    try:
        yield running.start()
        running.stop()
    finally:
        running.remove()


@pytest.fixture
def broker(shared_broker):
    """The shared broker; what it logged during the test is shown when the test fails."""
    mark = len(shared_broker.log())
    yield shared_broker
    logged = shared_broker.log()[mark:]
    if logged:
        print("broker's log:\n" + logged[-20000:])


@pytest.fixture
def own_broker():
    """Makes brokers that a test may stop, kill and start again."""
    if os.environ.get("SLUICE_TEST_BOOTSTRAP"):
        pytest.skip("needs processes of its own")
    made = []

    def make(overrides=None, **options):
        made.append(Broker(overrides, **options))
        return made[-1].start()

    yield make
    for one in made:
        print(f"broker's log:\n{one.log()[-20000:]}")
        one.remove()


@pytest.fixture(scope="module", params=list(KINDS))
def client(request, shared_broker):
    """A driver of each kind in turn; tests with the same kind run one after the other."""
    with Client(request.param, shared_broker.bootstrap) as running:
        yield running


@pytest.fixture
def topic(request):
    """A topic name that no other test uses and that says which test it was."""
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")
    return f"{name}-{os.getpid()}" if os.environ.get("SLUICE_TEST_BOOTSTRAP") else name


@pytest.fixture(scope="module")
def kafka_log():
    """Runs drivers/KafkaLog.java; returns its lines as lists of fields."""
    jars = str(paths.DEPENDENCIES / "java/*")
    classes = paths.built(
        "KafkaLog.java", "java-log", ["javac", "-cp", jars, "-d", "{target}", "{source}"])
    start = [*java()[:4], "-cp", f"{classes}:{jars}", "KafkaLog"]

    def run(*arguments):
        done = subprocess.run([*start, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return [line.split("\t") for line in done.stdout.splitlines()]
    return run
