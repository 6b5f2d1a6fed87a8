"""The `sluice` command against a running broker, and against other clients."""

import json
import re
import signal
import subprocess

import pytest

from harness import paths
from harness.client import Client, eventually
from harness.scenarios import Record, mixed_records


class Command:
    """`sluice` with the broker's address filled in."""

    def __init__(self, broker):
        self.broker = broker

    def arguments(self, *arguments):
        name, *rest = arguments
        words = [name, rest.pop(0)] if name in ("topics", "configs") else [name]
        return [str(paths.BINARIES / "sluice"), *words, "-b", self.broker.bootstrap,
                *map(str, rest)]

    def attempt(self, *arguments, stdin=b""):
        return subprocess.run(self.arguments(*arguments), input=stdin, capture_output=True,
                              timeout=60)

    def __call__(self, *arguments, stdin=b""):
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


@pytest.fixture
def sluice(broker):
    return Command(broker)


@pytest.fixture(scope="module")
def confluent(shared_broker):
    with Client("confluent-newest", shared_broker.bootstrap) as running:
        yield running


def test_topics(sluice, topic):
    assert topic in sluice("topics", "create", topic, "--partitions", 4)
    assert sluice.attempt("topics", "create", topic).returncode == 1
    sluice("topics", "create", topic, "--if-not-exists")
    assert topic in sluice("topics", "list").splitlines()
    assert topic in json.loads(sluice("topics", "list", "--json"))
    [described] = json.loads(sluice("topics", "describe", topic, "--json"))
    assert [partition["partition"] for partition in described["partitions"]] == [0, 1, 2, 3]
    assert all(partition["latestOffset"] == 0 for partition in described["partitions"])
    assert "4 partitions" in sluice("topics", "describe", topic)
    sluice("topics", "delete", topic)
    eventually(lambda: topic not in sluice("topics", "list").splitlines(), "the topic is gone")
    failed = sluice.attempt("topics", "describe", topic)
    assert failed.returncode == 1 and topic in failed.stderr.decode()


def test_topic_configs(sluice, topic):
    sluice("topics", "create", topic, "--set", "retention.ms=86400000",
           "--set", "segment.bytes=1048576")
    [described] = json.loads(sluice("topics", "describe", topic, "--json"))
    assert described["configs"] == {"retention.ms": "86400000", "segment.bytes": "1048576"}
    wrong = sluice.attempt("topics", "create", topic + "-2", "--set", "retention.ms=soon")
    assert wrong.returncode == 1 and "retention.ms" in wrong.stderr.decode()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_the_command_produces_others_read(sluice, confluent, topic, codec):
    lines = [f"key-{number % 5}\tvalue {number} " + "x" * (number % 50) for number in range(500)]
    sluice("topics", "create", topic, "--partitions", 3)
    sluice("produce", topic, "--key", "--compression", codec, "--header", "from=sluice",
           stdin="\n".join(lines).encode())
    consumed = confluent.consume(topic, 500)
    assert sorted(f"{record.key.decode()}\t{record.value.decode()}" for record in consumed) \
        == sorted(lines)
    assert all(record.headers == [("from", b"sluice")] for record in consumed)
    # The partition of a key is the one that other clients choose.
    confluent.create(topic + "-java", 3)
    with Client("java", sluice.broker.bootstrap) as java:
        java.produce(topic + "-java", [Record(b"key-%d" % number, b"000000") for number in range(5)])
        wanted = {record.key: record.partition for record in java.consume(topic + "-java", 5)}
    assert {record.key: record.partition for record in consumed} == wanted


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_others_produce_the_command_prints(sluice, confluent, topic, codec):
    confluent.create(topic, 3)
    produced = mixed_records(200, binary=False)
    confluent.produce(topic, produced, codec)
    printed = sluice("consume", topic, "--from-beginning", "--exit-at-end", "--json")
    found = {record["value"]: record for record in map(json.loads, printed.splitlines())}
    assert len(found) == len(printed.splitlines()) == 200
    for record in produced:
        shown = found[record.value.decode()]
        assert shown.get("key") == (record.key.decode() if record.key is not None else None)
        assert [(header["key"], header["value"].encode()) for header in shown["headers"]] \
            == list(record.headers)


def test_formats_and_positions(sluice, topic):
    sluice("topics", "create", topic, "--partitions", 1)
    sluice("produce", topic, "-k", stdin=b"".join(b"k%d\tv%d\n" % (n, n) for n in range(10)))
    common = ["consume", topic, "--exit-at-end", "--format", r"%t %p %o %k=%v\n"]
    assert sluice(*common, "--offset", 8) == f"{topic} 0 8 k8=v8\n{topic} 0 9 k9=v9\n"
    assert sluice(*common, "--offset=-1") == f"{topic} 0 9 k9=v9\n"
    assert sluice(*common, "--from-beginning", "-n", 1) == f"{topic} 0 0 k0=v0\n"
    assert sluice(*common, "--since-ms", 1 << 50) == ""
    assert sluice(*common) == ""


def test_group_commits_what_was_printed(sluice, topic):
    sluice("topics", "create", topic, "--partitions", 2)
    sluice("produce", topic, stdin=b"".join(b"%d\n" % number for number in range(20)))
    group = ["consume", topic, "--group", "group-" + topic, "--from-beginning", "--exit-at-end"]
    first = sluice(*group, "-n", 7).split()
    second = sluice(*group).split()
    assert len(first) == 7
    assert sorted(map(int, first + second)) == list(range(20))


def test_consume_until_interrupted(sluice, topic):
    sluice("topics", "create", topic, "--partitions", 1)
    consumer = subprocess.Popen(
        sluice.arguments("consume", topic, "--from-beginning"), stdout=subprocess.PIPE)
    sluice("produce", topic, stdin=b"while it waits\n")
    assert consumer.stdout.readline() == b"while it waits\n"
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(10) == 0
    consumer.stdout.close()


def test_status(broker):
    command = [str(paths.BINARIES / "sluice"), "status", "--runtime-directory",
               str(broker.runtime)]
    shown = json.loads(subprocess.run(
        [*command, "--json"], check=True, capture_output=True).stdout)
    by_program = {}
    for process in shown:
        by_program.setdefault(process["name"].partition("@")[0], []).append(process["pid"])
        assert process["residentBytes"] > 0 and process["uptimeSeconds"] >= 0
    assert {name: sorted(pids) for name, pids in by_program.items()} == broker.family()
    table = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    assert all(name in table for name in broker.family())


def test_dump(sluice, confluent, broker, topic):
    confluent.create(topic, 1)
    for _ in range(3):
        confluent.produce(topic, mixed_records(100, binary=True), "lz4")
    directory = broker.data / f"{topic}-0"
    for name in ("00000000000000000000.log", "00000000000000000000.index",
                 "00000000000000000000.timeindex"):
        done = subprocess.run([str(paths.BINARIES / "sluice"), "dump", str(directory / name)],
                              capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        if name.endswith(".log"):
            text = done.stdout.decode()
            assert re.search(r"(?i)lz4", text) and "299" in text


def test_refusals_teach(broker):
    def run(*arguments):
        return subprocess.run([str(paths.BINARIES / "sluice"), *arguments], capture_output=True,
                              timeout=30)
    assert run("--help").returncode == 0
    assert b"produce" in run("--help").stdout
    assert b"--partitions" in run("topics", "create", "--help").stdout
    nearest = run("up", "--override", "log.dir.s=/nowhere")
    assert nearest.returncode == 100 and b"log.dirs" in nearest.stderr
    unreachable = run("topics", "list", "-b", "127.0.0.1:1")
    assert unreachable.returncode == 111 and b"127.0.0.1:1" in unreachable.stderr
    second = run("up", "--runtime-directory", str(broker.runtime),
                 "--override", f"log.dirs={broker.directory}/other")
    assert second.returncode == 111 and b"another broker" in second.stderr


def test_a_topic_that_is_partly_offline(own_broker):
    broker = own_broker()
    sluice = Command(broker)
    sluice("topics", "create", "partly", "--partitions", 2)
    for partition in (0, 1):
        sluice("produce", "partly", "--partition", partition, stdin=f"in {partition}\n".encode())
    broker.stop()
    (broker.data / "partly-1" / "partition.metadata").write_text("torn")
    broker.start()

    def described():
        [topic] = json.loads(sluice("topics", "describe", "partly", "--json"))
        return [(partition["leader"], partition["latestOffset"])
                for partition in topic["partitions"]]

    eventually(lambda: described() == [(1, 1), (-1, None)], "one partition is offline")
    assert re.search(r"1 +none .*offline", sluice("topics", "describe", "partly"))
    done = sluice.attempt("consume", "partly", "--from-beginning", "--exit-at-end")
    assert (done.returncode, done.stdout) == (1, b"in 0\n")
    assert b"partly-1 has no leader" in done.stderr
    assert sluice("consume", "partly", "--from-beginning", "--exit-at-end",
                  "--partition", 0) == "in 0\n"
    broker.stop()


def test_what_is_damaged_is_not_printed(own_broker):
    broker = own_broker()
    sluice = Command(broker)
    sluice("topics", "create", "damaged", "--partitions", 1)
    for line in (b"first\n", b"second\n"):
        sluice("produce", "damaged", stdin=line)
    broker.stop()
    log = broker.data / "damaged-0" / f"{0:020}.log"
    log.write_bytes(log.read_bytes().replace(b"second", b"sacond"))
    broker.start()
    done = sluice.attempt("consume", "damaged", "--from-beginning", "--exit-at-end")
    assert (done.returncode, done.stdout) == (1, b"first\n")
    assert b"checksum of the batch at offset 1" in done.stderr
    broker.stop()
