"""Compacted topics: what clients see before and after, and that nothing is lost when a cleaner dies."""

import hashlib
import json
import os
import re
import signal
import struct
import subprocess

import pytest

from harness import paths, wire
from harness.broker import children
from harness.client import Client, eventually
from harness.scenarios import Record

INVALID_RECORD = 87


def value(number, key):
    """Hardly to be compressed: otherwise nothing would fill a segment."""
    return hashlib.sha256(f"{number} {key}".encode()).hexdigest()


class Compacted:
    """A broker that compacts at once, and one topic of small segments."""

    def __init__(self, broker, topic="compacted", *configs):
        self.broker = broker
        self.topic = topic
        self.sluice("topics", "create", topic, "--partitions", "1", "--set",
                    "cleanup.policy=compact", "--set", "internal.segment.bytes=20000", "--set",
                    "min.cleanable.dirty.ratio=0.01", "--set", "file.delete.delay.ms=0",
                    *(word for config in configs for word in ("--set", config)))

    def sluice(self, *arguments):
        done = subprocess.run(
            [str(paths.BINARIES / "sluice"), *arguments, "-b", self.broker.bootstrap],
            capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def records(self):
        """(offset, key, value) of everything there is, from the beginning."""
        lines = self.sluice("consume", self.topic, "--from-beginning", "--exit-at-end",
                            "--json").splitlines()
        return [(record["offset"], record["key"], record["value"])
                for record in map(json.loads, lines)]

    def orders(self):
        """How many the cleaner has been given; 0 as long as it has not told of itself."""
        status = json.loads(subprocess.run(
            [str(paths.BINARIES / "sluice"), "status", "--json", "--runtime-directory",
             str(self.broker.runtime)], capture_output=True, check=True).stdout)
        return sum(entry["counters"]["orders"] for entry in status
                   if entry["name"] == "sluice-cleaner@1")

    def size(self):
        directory = self.broker.data / f"{self.topic}-0"
        return sum(path.stat().st_size for path in directory.glob("*.log"))

    def check(self, latest):
        """Order is kept, every key has its last value, and a deleted one none after it."""
        records = self.records()
        offsets = [offset for offset, _, _ in records]
        assert offsets == sorted(set(offsets))
        seen = {}
        for _, key, value in records:
            seen[key] = value
        assert {key: value for key, value in seen.items() if value is not None} == {
            key: value for key, value in latest.items() if value is not None}
        return records


@pytest.fixture
def compacting(own_broker):
    return own_broker({"log.cleaner.backoff.ms": "200"})


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_latest_values_are_consumed(compacting, codec):
    compacted = Compacted(compacting, "compacted", "delete.retention.ms=0")
    latest = {}
    with Client("confluent-newest", compacting.bootstrap) as client:
        for number in range(40):
            records = []
            for key in range(60):
                text = None if key < 10 and number == 39 else value(number, key)
                latest[f"key-{key}"] = text
                records.append(Record(
                    f"key-{key}".encode(), None if text is None else text.encode(), partition=0))
            client.produce(compacted.topic, records, codec)
    # All but what the active segment holds is one record for each key.
    eventually(lambda: len(compacted.records()) < 1000, "superseded values are gone")
    records = compacted.check(latest)
    assert records[-1][0] == 40 * 60 - 1
    if codec == "none":
        assert compacted.size() < 80_000
    compacting.stop()
    compacting.start()
    compacted.check(latest)
    compacting.stop()


def test_records_without_keys_are_refused(compacting):
    Compacted(compacting)
    with wire.Connection(compacting.port) as connection:
        assert connection.produce("compacted", wire.record_batch([b"x"]))[0] == INVALID_RECORD
    with Client("confluent-newest", compacting.bootstrap) as client:
        client.produce("compacted", [Record(b"k", b"v", partition=0)])
    compacting.stop()


def test_a_cleaner_that_is_killed_leaves_nothing(own_broker):
    broker = own_broker({
        "log.cleaner.backoff.ms": "50", "log.cleaner.io.max.bytes.per.second": "400000"})
    compacted = Compacted(broker)
    latest = {f"key-{key}": value(number, key) for number in range(60) for key in range(50)}
    with Client("confluent-newest", broker.bootstrap) as client:
        for number in range(60):
            client.produce(compacted.topic, [
                Record(f"key-{key}".encode(), value(number, key).encode(), partition=0)
                for key in range(50)])
            if number % 15 == 14:
                eventually(lambda: compacted.orders() > 0, "the cleaner is at work")
                broker.kill("sluice-cleaner")
                compacted.check({f"key-{key}": value(number, key) for key in range(50)})
    eventually(lambda: len(compacted.records()) < 700, "superseded values are gone")
    compacted.check(latest)
    eventually(lambda: not [path for path in (broker.data / "compacted-0").iterdir()
                            if re.search(r"\.(cleaned|swap|deleted)$", path.name)], "nothing is left")
    broker.stop()


def test_the_rate_is_changed_while_it_runs(compacting):
    """With a byte a second a compaction rests for days after its first window."""
    compacted = Compacted(compacting)
    rate = "log.cleaner.io.max.bytes.per.second"
    compacted.sluice("configs", "alter", "--set", f"{rate}=1")
    # What was set reaches a process that comes later, too.
    compacting.kill("sluice-cleaner")
    latest = {f"key-{key}": value(39, key) for key in range(60)}
    with Client("confluent-newest", compacting.bootstrap) as client:
        for number in range(40):
            client.produce(compacted.topic, [
                Record(f"key-{key}".encode(), value(number, key).encode(), partition=0)
                for key in range(60)])
    eventually(lambda: compacted.orders() > 0, "the cleaner has an order")
    assert len(compacted.records()) == 40 * 60
    compacted.sluice("configs", "alter", "--unset", rate)
    eventually(lambda: len(compacted.records()) < 1000, "superseded values are gone")
    compacted.check(latest)
    compacting.stop()


def commit(connection, group, offset, metadata):
    body = wire.string(group) + struct.pack(">i", -1) + wire.string("") + struct.pack(">q", -1)
    body += wire.array([wire.string("numbers") + wire.array([
        struct.pack(">iq", 0, offset) + wire.string(metadata)])])
    reader = connection.ask(wire.request(8, 2, body))
    reader.take("i")
    reader.string()
    _, _, error = reader.take("iih")
    return error


def committed(connection, group):
    body = wire.string(group) + wire.array([
        wire.string("numbers") + wire.array([struct.pack(">i", 0)])])
    reader = connection.ask(wire.request(9, 1, body))
    reader.take("i")
    reader.string()
    _, _, offset = reader.take("iiq")
    return offset


def test_what_a_crash_left_is_compacted(own_broker):
    """Recovery takes back closed segments that nobody has synced; no other one is ever closed."""
    broker = own_broker({"log.cleaner.enable": "false"})
    compacted = Compacted(broker)
    with Client("confluent-newest", broker.bootstrap) as client:
        for number in range(40):
            client.produce(compacted.topic, [
                Record(f"key-{key}".encode(), value(number, key).encode(), partition=0)
                for key in range(50)])
    family = [broker.process.pid, *children(broker.process.pid)]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    broker.process.wait()
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), "all are gone")
    # As if the system had not written anything down.
    checkpoint = broker.data / "recovery-point-offset-checkpoint"
    checkpoint.write_text("0\n1\ncompacted 0 0\n")
    broker.overrides["log.cleaner.enable"] = "true"
    broker.start()
    eventually(lambda: len(compacted.records()) < 700, "superseded values are gone")
    compacted.check({f"key-{key}": value(39, key) for key in range(50)})
    broker.stop()


def test_committed_offsets_are_compacted_and_survive(own_broker):
    broker = own_broker({
        "log.cleaner.backoff.ms": "200", "offsets.topic.num.partitions": "1",
        "log.cleaner.min.cleanable.ratio": "0.01", "log.segment.delete.delay.ms": "0",
        "offsets.topic.segment.bytes": "1048576"})
    directory = broker.data / "__consumer_offsets-0"

    def size():
        return sum(path.stat().st_size for path in directory.glob("*.log"))

    with wire.Connection(broker.port) as connection:
        while connection.metadata("numbers")["numbers"][0] != wire.NONE:
            pass
        # FindCoordinator makes the topic of the groups.
        connection.ask(wire.request(10, 0, wire.string("group-0")))
        eventually(lambda: commit(connection, "group-0", 0, "") == wire.NONE, "the group is there")
        grown = 0
        for number in range(1, 900):
            assert commit(connection, f"group-{number % 7}", number, "m" * 4000) == wire.NONE
            grown += 4000
        assert grown > 3_000_000
        eventually(lambda: size() < 1_500_000, lambda: f"commits are compacted: {size()}")
        wanted = {f"group-{number % 7}": number for number in range(893, 900)}
        assert {group: committed(connection, group) for group in wanted} == wanted
    broker.stop()
    broker.start()
    with wire.Connection(broker.port) as connection:
        def found():
            return {group: committed(connection, group) for group in wanted} == wanted
        eventually(found, "the groups are loaded")
    broker.stop()
