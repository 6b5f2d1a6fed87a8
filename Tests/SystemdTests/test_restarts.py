"""Nothing is dropped on a restart: each unit is restarted and killed under load from real clients,
which count their own connections."""

import contextlib
import re
import struct
import time

import pytest

from harness.box import eventually
from harness.network import RawClient, string
from harness.watched import WatchedConsumer, WatchedProducer

FRONTENDS = ["sluice-frontend@1.service", "sluice-frontend@2.service"]
FETCHERS = ["sluice-fetcher@1.service", "sluice-fetcher@2.service"]
LOGWRITER = "sluice-logwriter.service"
COORDINATOR = "sluice-coordinator.service"
NAMES = iter(f"restarts-{number}" for number in range(1000))


@pytest.fixture
def broker(box):
    box.systemctl("start", "sluice.target", FRONTENDS[0], FETCHERS[0], FETCHERS[1])
    yield box


@pytest.fixture
def topic(broker):
    name = next(NAMES)
    broker.run("sluice", "topics", "create", "-b", "127.0.0.1:9092", name)
    return name


@pytest.fixture
def raw(broker):
    """Makes raw clients that are closed after the test."""
    made = []

    def make():
        client = RawClient(broker)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def restart(box, unit, how="restart"):
    before = box.main_pid(unit)
    if how == "restart":
        box.systemctl("restart", unit)
        assert box.show(unit, "Result") == "success"
    else:
        box.systemctl("kill", "--signal=KILL", unit)
        eventually(lambda: box.main_pid(unit) not in (0, before), "another process")
    box.wait_active(unit)


def is_told(box, text):
    eventually(lambda: text in box.journal("sluice-frontend@*"), f"a line: {text}")


@contextlib.contextmanager
def load(box, topics, idempotent=(True,), **options):
    """Producers, each with its topic and a consumer; at the end nothing is missing, twice or out of
    order, and no group has changed."""
    producers = [
        WatchedProducer(box, topic, **{
            "enable.idempotence": is_idempotent, "acks": "all" if is_idempotent else "1",
            "max.in.flight.requests.per.connection": 5 if is_idempotent else 1, **options})
        for topic, is_idempotent in zip(topics, idempotent)]
    consumers = [WatchedConsumer(box, topic, f"{topic}-group") for topic in topics]
    everyone = producers + consumers
    try:
        for one in everyone:
            one.start()
        for one in everyone:
            one.goes_on()
        yield producers, consumers
        for one in everyone:
            one.goes_on()
    finally:
        for producer in producers:
            producer.stop()
        try:
            for producer, consumer in zip(producers, consumers):
                eventually(lambda: len(consumer.values) >= len(producer.acknowledged),
                           lambda: f"{len(producer.acknowledged)} records, not "
                           f"{len(consumer.values)}", 30)
        finally:
            for consumer in consumers:
                consumer.stop()
    for producer, consumer in zip(producers, consumers):
        assert producer.failed == []
        assert producer.acknowledged == list(range(producer.sent))
        assert consumer.values == producer.acknowledged
        assert consumer.message_errors == []
        assert [what for what, _ in consumer.rebalances] in (["assigned"], ["assigned", "revoked"])


def heard_of(consumer):
    return [str(error) for error in consumer.errors]


# The frontend


@pytest.mark.parametrize("count", [1, 2])
def test_frontend_restarts_keep_every_connection(broker, raw, count):
    """Idle, producing, long-polling and half-received connections: zero reconnects."""
    units = FRONTENDS[:count]
    broker.systemctl("start", *units)
    names = [next(NAMES) for _ in range(4)]
    for name in names:
        broker.run("sluice", "topics", "create", "-b", "127.0.0.1:9092", name)
    idle = [raw() for _ in range(20)]
    for client in idle:
        client.send(client.api_versions())
        client.receive()
    halves = [raw() for _ in range(8)]
    polling = [raw() for _ in range(4)]
    with load(broker, names[:2], idempotent=(True, False)) as (producers, consumers):
        everyone = producers + consumers
        before = [one.connections() for one in everyone]
        poll_offset = 0
        for turn in range(5):
            rest = []
            for number, client in enumerate(halves):
                whole = client.api_versions()
                cut = (1, 3, 4, 5, 9, 12, len(whole) - 2, len(whole) - 1)[number]
                client.send(whole[:cut])
                rest.append(whole[cut:])
            for client in polling:
                client.send(client.fetch(names[3], poll_offset, max_wait_ms=60_000))
            time.sleep(0.05)
            restart(broker, units[turn % count])
            for client, half in zip(halves, rest):
                client.send(half)
                client.receive()
            broker.run("sluice", "produce", names[3], "-b", "127.0.0.1:9092", stdin=f"{turn}\n")
            poll_offset += 1
            for client in polling:
                assert str(turn).encode() in client.receive_fetched()
            for one in everyone:
                one.goes_on()
        assert [one.connections() for one in everyone] == before
        assert [heard_of(one) for one in everyone] == [[]] * len(everyone)
    for client in idle:
        client.send(client.api_versions())
        client.receive()
    for unit in units:
        assert broker.show(unit, "NRestarts") == "0"
        assert broker.show(unit, "NFileDescriptorStore") == "0"
    assert "are closed" not in broker.journal("sluice-frontend@*")


def test_a_slow_reader_gets_every_byte(broker, raw, topic):
    """A response that is half written when the frontend goes is written to its end."""
    value = "x" * 900_000
    broker.run("sluice", "produce", topic, "-b", "127.0.0.1:9092", stdin=f"{value}\n" * 12)
    slow = raw()
    slow.send(slow.fetch(topic, 0, max_bytes=40 << 20))
    time.sleep(0.2)
    restart(broker, FRONTENDS[0])
    records = slow.receive_fetched()
    assert records.count(b"x") == 12 * len(value)
    slow.send(slow.api_versions())
    slow.receive()


def test_a_thousand_connections_are_kept(broker, raw):
    clients = [raw() for _ in range(1000)]
    for client in clients:
        client.send(client.api_versions())
    for client in clients:
        client.receive()
    restart(broker, FRONTENDS[0])
    for client in clients:
        client.send(client.api_versions())
    for client in clients:
        client.receive()
    # Those of clients that just end may be among them.
    kept = eventually(lambda: re.search(r"went on with (\d+) of (\d+)", broker.journal(FRONTENDS[0])),
                      "a line")
    assert kept[1] == kept[2] and int(kept[1]) >= 1000


def test_restarting_everything_keeps_connections(broker, raw, topic):
    """As a package's upgrade does: all at once."""
    client = raw()
    client.send(client.api_versions())
    client.receive()
    with load(broker, [topic]) as (producers, consumers):
        before = [one.connections() for one in producers + consumers]
        broker.systemctl("try-restart", "sluice-*.service")
        for one in producers + consumers:
            one.goes_on()
        assert [one.connections() for one in producers + consumers] == before
    client.send(client.api_versions())
    client.receive()


def test_stopping_closes_connections(broker, raw):
    client = raw()
    client.send(client.api_versions())
    client.receive()
    broker.systemctl("stop", FRONTENDS[0])
    assert client.is_ended()
    assert broker.show(FRONTENDS[0], "NFileDescriptorStore") == "0"


@pytest.mark.parametrize("signal", ["KILL", "ABRT"])
def test_a_killed_frontend_leaves_nothing_behind(broker, raw, signal):
    client = raw()
    client.send(client.api_versions())
    client.receive()
    before = broker.main_pid(FRONTENDS[0])
    broker.systemctl("kill", f"--signal={signal}", FRONTENDS[0])
    eventually(lambda: broker.main_pid(FRONTENDS[0]) not in (0, before), "another process")
    broker.wait_active(FRONTENDS[0])
    assert client.is_ended()
    assert broker.show(FRONTENDS[0], "NFileDescriptorStore") == "0"
    other = raw()
    other.send(other.api_versions())
    other.receive()


def test_without_a_store_connections_are_closed(broker, raw, drop_in):
    drop_in("sluice-frontend@.service", "[Service]\nFileDescriptorStoreMax=0\n")
    restart(broker, FRONTENDS[0])
    client = raw()
    client.send(client.api_versions())
    client.receive()
    restart(broker, FRONTENDS[0])
    assert client.is_ended()
    is_told(broker, "there is no store for them")
    other = raw()
    other.send(other.api_versions())
    other.receive()


# Leaves something under the connections' name in the store, before the frontend starts.
JUNK = """
import array, os, socket
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
inner.send(b"junk")
notify.sendmsg([b"FDSTORE=1\\nFDNAME=client-connections\\nFDPOLL=0"],
               [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [outer.fileno()]))])
"""


def test_junk_in_the_store_is_thrown_away(broker, raw, drop_in):
    broker.write("/usr/libexec/sluice/junk.py", JUNK)
    drop_in("sluice-frontend@.service", (
        "[Service]\nNotifyAccess=all\nBindReadOnlyPaths=/usr/bin /usr/libexec\n"
        "ExecStartPre=/usr/bin/python3 /usr/libexec/sluice/junk.py\n"))
    try:
        restart(broker, FRONTENDS[0])
    finally:
        broker.host_path("/usr/libexec/sluice/junk.py").unlink()
    client = raw()
    client.send(client.api_versions())
    client.receive()
    is_told(broker, "cannot be taken over and are closed")
    assert broker.show(FRONTENDS[0], "NFileDescriptorStore") == "0"


# The others


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_fetchers_come_and_go(broker, topic, how):
    """Another one takes over; consumers see no error, and none of them connects again."""
    with load(broker, [topic]) as (producers, consumers):
        before = [one.connections() for one in producers + consumers]
        for turn in range(4):
            restart(broker, FETCHERS[turn % 2], how)
            for one in producers + consumers:
                one.goes_on()
        if how == "restart":
            assert [one.connections() for one in producers + consumers] == before
        assert [heard_of(one) for one in producers] == [[]]
        if how == "restart":
            assert [heard_of(one) for one in consumers] == [[]]


class Member:
    """The only member of a group, in raw requests."""

    def __init__(self, client, group):
        self.client = client
        self.group = group
        metadata = struct.pack(">hi", 0, 0) + struct.pack(">i", -1)
        self.id = ""
        # The first question for a coordinator creates the topic of the groups.
        eventually(lambda: struct.unpack_from(">ih", client.ask(10, 1, string(group) + b"\0"))[1]
                   == 0, "a coordinator")
        # MEMBER_ID_REQUIRED, or the groups are being loaded: a client tries again.
        eventually(lambda: self.join(metadata) == 0, "a member")
        assignment = struct.pack(">i", 1) + string(self.id) + struct.pack(">i", 1) + b"a"
        synced = client.ask(14, 1, string(group) + struct.pack(">i", self.generation)
                            + string(self.id) + assignment)
        assert struct.unpack_from(">ih", synced)[1] == 0

    def join(self, metadata):
        body = string(self.group) + struct.pack(">ii", 10_000, 10_000) + string(self.id)
        body += string("consumer") + struct.pack(">i", 1) + string("range")
        body += struct.pack(">i", len(metadata)) + metadata
        answer = self.client.ask(11, 4, body)
        _, error, self.generation = struct.unpack_from(">ihi", answer)
        at = 10
        for _ in range(3):  # protocol, leader, member id
            size, = struct.unpack_from(">h", answer, at)
            text = answer[at + 2:at + 2 + max(size, 0)].decode()
            at += 2 + max(size, 0)
        self.id = text
        return error

    def heartbeat(self):
        """The error of a Heartbeat in the member's generation."""
        answer = self.client.ask(12, 1, string(self.group) + struct.pack(">i", self.generation)
                                 + string(self.id))
        return struct.unpack_from(">ih", answer)[1]


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_groups_outlive_the_coordinator(broker, raw, topic, how):
    """No rebalance, no other generation, no other member; nobody connects again."""
    member = Member(raw(), f"{topic}-raw")
    with load(broker, [topic]) as (producers, consumers):
        before = [one.connections() for one in producers + consumers]
        for _ in range(3):
            restart(broker, COORDINATOR, how)
            assert member.heartbeat() == 0
            for one in producers + consumers:
                one.goes_on()
        assert [one.connections() for one in producers + consumers] == before
        assert [consumer.statistics["cgrp"]["rebalance_cnt"] for consumer in consumers] == [1]
    assert member.heartbeat() == 0


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_records_outlive_the_logwriter(broker, topic, how):
    """What was acknowledged is there, once and in order, and nobody connects again."""
    with load(broker, [topic]) as (producers, consumers):
        before = [one.connections() for one in producers + consumers]
        for _ in range(3):
            restart(broker, LOGWRITER, how)
            for one in producers + consumers:
                one.goes_on()
        assert [one.connections() for one in producers + consumers] == before
