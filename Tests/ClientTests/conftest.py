"""Fixtures: one broker for all tests that do not disturb it, and brokers of one's own."""

import os
import re

import pytest

from harness.broker import Broker, External
from harness.client import KINDS, Client


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
