"""A whole log directory as a Kafka broker leaves it, opened by Sluice as its operator would, and what
Sluice leaves, as Kafka's loader would read it."""

import hashlib
import json
import subprocess
import time

import pytest
from confluent_kafka import (
    Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition)
from confluent_kafka.admin import AdminClient, ConfigResource

from harness import kafka_files, paths
from harness.broker import Broker
from harness.client import Client, eventually
from harness.scenarios import Record
from test_kafka_files import KafkaDirectory, write_rounds

CLUSTER = "5L6g3nShT-eMCtK--X86sw"
DIRECTORY = kafka_files.uuid(0x21)
IDS = {"orders": kafka_files.uuid(1), "empty": kafka_files.uuid(2),
       "__consumer_offsets": kafka_files.uuid(3)}
GROUPS = {"billing": 40, "audit": 3}
OFFSETS_PARTITIONS = 3
NODE = 3


class KafkaData:
    """The directory of broker 3 of a cluster, whose controller it may have been (`kraft`)."""

    def __init__(self, kafka_log, data, kraft, clean):
        self.data = data
        self.nowMs = int(time.time() * 1000)
        data.mkdir()
        (data / ".lock").touch()
        self.meta(kraft)
        self.ends = {}
        self.topics(kafka_log, clean)
        self.offsets()
        self.leftovers(kraft)
        self.checkpoints(clean)

    def meta(self, kraft):
        lines = ["#", "#Fri Nov 27 09:00:00 UTC 2026"]
        if kraft:
            lines += [f"node.id={NODE}", f"directory.id={DIRECTORY}", "version=1"]
        else:
            lines += [f"broker.id={NODE}", "version=0"]
        lines.append(f"cluster.id={CLUSTER}")
        (self.data / "meta.properties").write_text("\n".join(lines) + "\n")

    def topics(self, kafka_log, clean):
        first = kafka_files.partition(self.data / "orders-0", IDS["orders"])
        self.markers = write_rounds(kafka_log, first)
        self.orders = KafkaDirectory(first)
        if not clean:
            self.orders.preallocate()
        self.ends["orders", 0] = self.orders.end
        # Records 0 to 4 were deleted by DeleteRecords; 0 to 1 are in the segment still.
        second = kafka_files.partition(self.data / "orders-1", IDS["orders"])
        kafka_files.segment(second, 2, kafka_files.batch(
            2, [(b"k", b"value %d" % number) for number in range(2, 8)], 1_700_000_000_000))
        (second / "leader-epoch-checkpoint").write_text("0\n1\n0 2\n")
        self.ends["orders", 1] = 8
        for number in range(2):
            empty = kafka_files.partition(self.data / f"empty-{number}", IDS["empty"])
            kafka_files.segment(empty, 0, b"")
            (empty / "leader-epoch-checkpoint").write_text("0\n0\n")
            self.ends["empty", number] = 0

    def offsets(self):
        for number in range(OFFSETS_PARTITIONS):
            here = [group for group in GROUPS
                    if kafka_files.group_partition(group, OFFSETS_PARTITIONS) == number]
            content, end = b"", 0
            for group in here:
                for committed in (GROUPS[group] - 1, GROUPS[group]):
                    records = [
                        kafka_files.offset_commit(group, "orders", 0, committed, self.nowMs),
                        kafka_files.empty_group(group, self.nowMs)]
                    content += kafka_files.batch(
                        end, records, self.nowMs, compressed=group == "audit")
                    end += len(records)
            directory = kafka_files.partition(
                self.data / f"__consumer_offsets-{number}", IDS["__consumer_offsets"])
            kafka_files.segment(directory, 0, content)
            epochs = "0\n1\n0 0\n" if end else "0\n0\n"
            (directory / "leader-epoch-checkpoint").write_text(epochs)
            self.ends["__consumer_offsets", number] = end

    def leftovers(self, kraft):
        """What is no partition of a topic: `kept` must not be touched."""
        log = kafka_files.batch(0, [(b"k", b"v")], 1_600_000_000_000)
        unique = "0123456789abcdef" * 2
        for name in (f"orders-0.{unique}-future", f"lost-4.{unique}-stray",
                     f"gone-1.{unique}-delete"):
            kafka_files.segment(
                kafka_files.partition(self.data / name, kafka_files.uuid(9)), 0, log)
        self.gone = self.data / f"gone-1.{unique}-delete"
        self.kept = [self.data / f"orders-0.{unique}-future",
                     self.data / f"lost-4.{unique}-stray", self.data / "notes"]
        (self.data / "notes").mkdir()
        (self.data / "notes/todo").write_text("not Kafka's")
        if not kraft:
            return
        quorum = kafka_files.partition(
            self.data / "__cluster_metadata-0", "AAAAAAAAAAAAAAAAAAAAAQ")
        # The frame of a record is its version, the kind of record and that one's version.
        kafka_files.segment(quorum, 0, kafka_files.batch(
            0, [(None, b"\x01\x0c\x00")], 1_600_000_000_000)
            + kafka_files.batch(1, [(b"\0\0\0\2", b"\0\0")], 1_600_000_000_000, control=True))
        (quorum / "00000000000000000000-0000000000.checkpoint").write_bytes(kafka_files.batch(
            0, [(b"\0\0\0\3", b"\0\0")], 1_600_000_000_000, control=True))
        (quorum / "leader-epoch-checkpoint").write_text("0\n1\n1 0\n")
        (quorum / "quorum-state").write_text(json.dumps(
            {"leaderId": NODE, "leaderEpoch": 1, "votedId": -1, "data_version": 1}))
        (self.data / "bootstrap.checkpoint").write_bytes(log)
        self.kept += [quorum, self.data / "bootstrap.checkpoint"]

    def checkpoints(self, clean):
        points = self.ends if clean else {name: 0 for name in self.ends}
        if not clean:
            points["orders", 0] = self.orders.bases[1]
        (self.data / "recovery-point-offset-checkpoint").write_text(kafka_files.checkpoint(points))
        (self.data / "replication-offset-checkpoint").write_text(
            kafka_files.checkpoint(self.ends))
        (self.data / "log-start-offset-checkpoint").write_text(
            kafka_files.checkpoint({("orders", 1): 5}))
        (self.data / "cleaner-offset-checkpoint").write_text(kafka_files.checkpoint({}))
        if clean:
            (self.data / ".kafka_cleanshutdown").write_text('{"version":0,"brokerEpoch":12}')

    def digest(self):
        """Every byte that must not be touched."""
        files = [file for path in self.kept
                 for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
                 if file.is_file()]
        assert files
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def made():
    """Brokers that are not started yet."""
    brokers = []

    def make(node=NODE, **overrides):
        brokers.append(Broker({"node.id": str(node), **overrides}))
        return brokers[-1]

    yield make
    for broker in brokers:
        print(f"broker's log:\n{broker.log()[-20000:]}")
        broker.remove()


def described_topic(broker, name):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def found():
        [future] = admin.describe_topics(TopicCollection([name])).values()
        try:
            return future.result(30)
        except KafkaException as error:
            # The broker may answer before its log has told it of the topics.
            assert error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            return None
    return eventually(found, lambda: f"{name} is found")


def config(broker, name):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    [future] = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
    return {entry.name: entry.value for entry in future.result(30).values()}


def goes_on(broker, group, offset):
    """A consumer of the group begins at what Kafka had committed."""
    consumer = Consumer({
        "bootstrap.servers": broker.bootstrap, "group.id": group,
        "auto.offset.reset": "error", "enable.auto.commit": False,
        "isolation.level": "read_uncommitted"})
    try:
        [committed] = consumer.committed([TopicPartition("orders", 0)], 30)
        assert committed.offset == offset
        consumer.subscribe(["orders"])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            record = consumer.poll(1)
            if record is not None and not record.error() and record.partition() == 0:
                assert record.offset() == offset
                return
        raise AssertionError(f"{group} gets nothing")
    finally:
        consumer.close()


@pytest.mark.parametrize("kraft", [True, False], ids=["kraft", "zookeeper"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "unclean"])
def test_there_and_back(kafka_log, made, kraft, clean):
    broker = made()
    theirs = KafkaData(kafka_log, broker.data, kraft, clean)
    untouched = theirs.digest()
    broker.start()
    for topic, partitions in (("orders", 2), ("empty", 2), ("__consumer_offsets", 3)):
        found = described_topic(broker, topic)
        assert (str(found.topic_id), len(found.partitions)) == (IDS[topic], partitions)
    # What Kafka was told of topics is not known: nothing is deleted for want of it.
    assert config(broker, "orders")["retention.ms"] == "-1"
    assert config(broker, "__consumer_offsets")["cleanup.policy"] == "compact"

    wanted = {(0, offset) for offset in range(theirs.orders.end) if offset not in theirs.markers}
    wanted |= {(1, offset) for offset in range(5, 8)}
    for kind in ("confluent-newest", "java", "kafka-python-newest"):
        with Client(kind, broker.bootstrap) as client:
            # One of the transactions of each segment was aborted. librdkafka leaves out such
            # records unless it is told otherwise.
            if kind == "confluent-newest":
                client.ask("isolation", "read_uncommitted")
            records = client.consume("orders", len(wanted))
            assert {(record.partition, record.offset) for record in records} == wanted
            assert all(record.value == b"value %d" % record.offset for record in records)
    for group, offset in GROUPS.items():
        goes_on(broker, group, offset)
    with Client("confluent-newest", broker.bootstrap) as client:
        for topic, number in (("orders", 0), ("orders", 1), ("empty", 1)):
            [acknowledged] = client.produce(
                topic, [Record(b"k", b"%06d" % 1, partition=number)], mode="idempotent")
            assert acknowledged == (number, theirs.ends[topic, number])
    eventually(lambda: not theirs.gone.exists(), lambda: "what Kafka had deleted is removed")
    log = broker.log()
    for path in theirs.kept:
        told = [line for line in log.splitlines() if f"left alone: {path}" in line]
        assert len(told) == path.is_dir(), (path, told)
    broker.stop()

    assert theirs.digest() == untouched
    properties, partitions = kafka_files.read_directory(broker.data, besides=["notes"])
    assert properties["cluster.id"] == CLUSTER
    # The version stays, for a Kafka that knows no other.
    assert properties["version"] == ("1" if kraft else "0")
    assert properties["node.id" if kraft else "broker.id"] == str(NODE)
    assert len(properties) == 4
    if kraft:
        assert properties["directory.id"] == DIRECTORY
    for (topic, number), end in theirs.ends.items():
        assert partitions[topic, number][0] == IDS[topic]
        assert partitions[topic, number][1] >= end
    assert partitions["orders", 0][1] == theirs.orders.end + 1
    assert kafka_files.read_checkpoint(
        broker.data / "log-start-offset-checkpoint") == {("orders", 1): 5}
    producers = kafka_files.read_snapshot(
        broker.data / f"orders-0/{theirs.orders.end + 1:020}.snapshot")
    # Kafka's three and ours.
    assert {7, 8, 9} < set(producers) and len(producers) == 4
    verified = subprocess.run(
        [str(paths.BINARIES / "sluice"), "verify", str(broker.data), "--records"],
        capture_output=True, text=True)
    assert "nothing is wrong" in verified.stdout, verified.stdout + verified.stderr
    # Once more: there is nothing new to say, and nothing was lost on the way.
    broker.start()
    goes_on(broker, "billing", GROUPS["billing"])
    broker.stop()
    assert theirs.digest() == untouched


def refusal(broker):
    """Starts a broker that must refuse; returns the lines that say why."""
    with pytest.raises(AssertionError, match="exited with 100"):
        broker.start()
    return [line for line in broker.log().splitlines() if "belongs to" in line or "copy" in line]


def contents(data):
    return {str(path): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def test_the_directory_of_another_node(kafka_log, made):
    broker = made(node=4)
    KafkaData(kafka_log, broker.data, kraft=True, clean=True)
    before = contents(broker.data)
    [line] = refusal(broker)
    assert "it belongs to node.id=3, this is node.id=4" in line and str(broker.data) in line
    after = contents(broker.data)
    assert {path: after[path] for path in before} == before
    assert (broker.data / ".kafka_cleanshutdown").exists()


def test_directories_of_two_clusters(made):
    broker = made()
    other = broker.directory / "other"
    broker.overrides["log.dirs"] = f"{broker.data},{other}"
    for path, cluster in ((broker.data, CLUSTER), (other, "bXVjaCBmdW4gd2l0aCBpZA")):
        path.mkdir()
        (path / "meta.properties").write_text(
            f"version=1\nnode.id={NODE}\ncluster.id={cluster}\n")
    [line] = refusal(broker)
    assert "belongs to cluster.id=bXVjaCBmdW4gd2l0aCBpZA, " in line
    assert f"the others to cluster.id={CLUSTER}" in line


def test_a_copy_of_a_directory(made):
    broker = made()
    other = broker.directory / "other"
    broker.overrides["log.dirs"] = f"{broker.data},{other}"
    for path in (broker.data, other):
        path.mkdir()
        (path / "meta.properties").write_text(
            f"version=1\nnode.id={NODE}\ncluster.id={CLUSTER}\ndirectory.id={DIRECTORY}\n")
    [line] = refusal(broker)
    assert f"it has the directory.id of {broker.data}" in line


def test_a_new_directory_joins_the_cluster_of_the_others(made):
    """Also when it comes first in `log.dirs`; and a file of ZooKeeper's time may lack everything."""
    broker = made()
    old = broker.directory / "old"
    older = broker.directory / "older"
    broker.overrides["log.dirs"] = f"{broker.data},{old},{older}"
    for path, content in ((old, f"version=1\nnode.id={NODE}\ncluster.id={CLUSTER}\n"),
                          (older, f"broker.id={NODE}\n")):
        path.mkdir()
        (path / "meta.properties").write_text(content)
    broker.start()
    broker.stop()
    found = [kafka_files.properties(path / "meta.properties")
             for path in (broker.data, old, older)]
    assert [each["cluster.id"] for each in found] == [CLUSTER] * 3
    assert len({each["directory.id"] for each in found}) == 3
    assert [each["version"] for each in found] == ["1", "1", "0"]
    assert found[2]["broker.id"] == str(NODE)


def test_what_a_new_broker_leaves(made):
    """Kafka could start on it: no directory that is no partition, nothing missing beside them."""
    broker = made()
    broker.start()
    with Client("confluent-newest", broker.bootstrap) as client:
        client.create("mine", 2)
        client.produce("mine", [Record(None, b"%06d" % number) for number in range(50)],
                       mode="idempotent")
        client.take("mine", "readers", 50)
    broker.stop()
    properties, partitions = kafka_files.read_directory(broker.data)
    assert set(properties) == {"version", "node.id", "cluster.id", "directory.id"}
    assert sum(end for (topic, _), (_, end) in partitions.items() if topic == "mine") == 50
    assert sum(topic == "__consumer_offsets" for topic, _ in partitions) == 50
