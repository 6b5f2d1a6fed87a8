"""The whole broker under systemd: started, scaled, restarted piece by piece, stopped."""

import re

import pytest

from harness.box import eventually

FRONTEND = "sluice-frontend@1.service"
FETCHERS = ["sluice-fetcher@1.service", "sluice-fetcher@2.service"]
LOGWRITER = "sluice-logwriter.service"
COORDINATOR = "sluice-coordinator.service"
BOOTSTRAP = "127.0.0.1:9092"


class Broker:
    """What a test does with a broker in a box."""

    def __init__(self, box):
        self.box = box

    def sluice(self, *arguments, stdin=None):
        words, rest = [arguments[0]], list(arguments[1:])
        if words == ["topics"]:
            words.append(rest.pop(0))
        return self.box.run("sluice", *words, "-b", BOOTSTRAP, *rest, stdin=stdin).stdout

    def produce(self, topic, values):
        self.sluice("produce", topic, stdin="".join(f"{value}\n" for value in values))

    def consume(self, topic):
        return self.sluice("consume", topic, "--from-beginning", "--exit-at-end").splitlines()

    def works(self, topic):
        """Records go in and come back."""
        before = self.consume(topic)
        values = [f"{len(before) + number}" for number in range(10)]
        self.produce(topic, values)
        assert self.consume(topic) == before + values


@pytest.fixture
def broker(box):
    """A broker as an operator starts it, gone again after the test."""
    box.systemctl("enable", "--now", "sluice.target")
    yield Broker(box)
    box.systemctl("disable", "sluice.target")


@pytest.fixture
def topic(broker, request):
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")
    broker.sluice("topics", "create", name)
    yield name
    broker.sluice("topics", "delete", name)


def test_enable_starts_a_working_broker(box, broker, topic):
    """What is asked for is ready when `systemctl` returns; the rest comes with its first use."""
    for unit in (FRONTEND, LOGWRITER, COORDINATOR):
        assert box.show(unit, "ActiveState") == "active", unit
        assert box.show(unit, "NRestarts") == "0", box.journal(unit)
    broker.works(topic)
    assert "active" in [box.show(unit, "ActiveState") for unit in FETCHERS]
    assert BOOTSTRAP in box.show(FRONTEND, "StatusText")
    assert box.systemctl("list-units", "--failed", "--no-legend", "sluice*").stdout == ""
    for line in box.journal("sluice-*").splitlines():
        assert "refused" not in line and "Permission" not in line, line


def test_everyone_is_in_the_slice(box, broker):
    for unit in (FRONTEND, LOGWRITER, COORDINATOR):
        assert box.show(unit, "ControlGroup") == f"/sluice.slice/{unit}"


@pytest.mark.parametrize("how", ["restart", "kill"])
@pytest.mark.parametrize("unit", [FRONTEND, LOGWRITER, COORDINATOR, FETCHERS[0]])
def test_restart_of_each_unit(box, broker, topic, unit, how):
    broker.works(topic)
    box.systemctl("start", unit)
    before = box.main_pid(unit)
    if how == "restart":
        box.systemctl("restart", unit)
        assert box.show(unit, "Result") == "success"
    else:
        box.systemctl("kill", "--signal=KILL", unit)
    eventually(lambda: box.main_pid(unit) not in (0, before), "another process")
    box.wait_active(unit)
    broker.works(topic)
    others = {FRONTEND, LOGWRITER, COORDINATOR} - {unit}
    assert [other for other in others if box.show(other, "NRestarts") != "0"] == []


def test_restart_of_everything(box, broker, topic):
    broker.works(topic)
    box.systemctl("restart", "sluice.target")
    broker.works(topic)


def test_stop_and_start_keep_the_records(box, broker, topic):
    broker.works(topic)
    box.systemctl("stop", "sluice.target")
    # The target is gone at once, its parts when they have finished what they had begun.
    eventually(lambda: not box.systemctl(
        "list-units", "--no-legend", "--state=active,deactivating", "sluice-*").stdout, "an end")
    for unit in (FRONTEND, LOGWRITER, COORDINATOR):
        assert box.show(unit, "Result") == "success", box.journal(unit)
        assert box.show(unit, "ExecMainStatus") == "0", box.journal(unit)
    assert [path.name for path in box.host_path("/run/sluice").iterdir()] == []
    box.systemctl("start", "sluice.target")
    broker.works(topic)


def test_one_more_fetcher(box, broker, topic):
    """Its socket is all it takes; frontends see it and it goes when it is stopped."""
    broker.works(topic)
    box.systemctl("stop", "sluice-fetcher@1.socket", "sluice-fetcher@2.socket")
    for unit in FETCHERS:
        assert box.show(unit, "ActiveState") == "inactive"
    box.systemctl("start", "sluice-fetcher@3.socket")
    broker.works(topic)
    assert box.show("sluice-fetcher@3.service", "ActiveState") == "active"
    assert box.host_path("/run/sluice/fetcher-3.sock").exists()
    box.systemctl("start", "sluice-fetcher@1.socket")
    box.systemctl("stop", "sluice-fetcher@3.socket")
    assert box.show("sluice-fetcher@3.service", "Result") == "success"
    assert not box.host_path("/run/sluice/fetcher-3.sock").exists()
    broker.works(topic)
    assert box.show("sluice-fetcher@1.service", "ActiveState") == "active"


def test_one_more_frontend(box, broker, topic):
    """It serves the same address, also when it is alone."""
    box.systemctl("start", "sluice-frontend@2.service")
    broker.works(topic)
    box.systemctl("stop", FRONTEND)
    broker.works(topic)
    box.systemctl("start", FRONTEND)
    box.systemctl("stop", "sluice-frontend@2.service")
    broker.works(topic)


def test_another_address(box, drop_in):
    drop_in("sluice-frontend.socket", "[Socket]\nListenStream=\nListenStream=127.0.0.1:9093\n")
    box.systemctl("start", "sluice.target", FRONTEND)
    listed = box.run("sluice", "topics", "create", "-b", "127.0.0.1:9093", "elsewhere")
    assert "elsewhere" in listed.stdout
    assert "127.0.0.1:9093" in box.show(FRONTEND, "StatusText")
    box.run("sluice", "topics", "delete", "-b", "127.0.0.1:9093", "elsewhere")


def test_a_second_address(box, drop_in):
    """As operations.md says: one more socket unit, named in the frontends' Sockets=."""
    box.write("/etc/systemd/system/sluice-internal.socket", """
[Socket]
ListenStream=127.0.0.1:9094
FileDescriptorName=INTERNAL
Service=sluice-frontend@1.service
""")
    drop_in("sluice-frontend@.service", "[Service]\nSockets=sluice-internal.socket\n")
    try:
        box.systemctl("start", "sluice.target", FRONTEND)
        for address in (BOOTSTRAP, "127.0.0.1:9094"):
            assert address in box.show(FRONTEND, "StatusText")
            box.run("sluice", "topics", "list", "-b", address)
        box.systemctl("stop", "sluice.target", "sluice-internal.socket", FRONTEND)
    finally:
        box.host_path("/etc/systemd/system/sluice-internal.socket").unlink()
