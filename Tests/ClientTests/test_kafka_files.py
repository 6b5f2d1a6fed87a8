"""The log on disk between Sluice and Kafka: Kafka's own reader on what Sluice wrote, Sluice on what
Kafka's own writer wrote, and the files beside the log against Kafka's documented layouts, read here
byte by byte."""

import binascii
import contextlib
import json
import random
import struct
import subprocess
import time

import crc32c
import pytest
from confluent_kafka import Consumer, TopicPartition

from harness import paths
from harness.client import EVERY_CODEC, Client
from harness.scenarios import Record, number_of
from test_compression import create


def sluice(*arguments, code=0):
    done = subprocess.run([str(paths.BINARIES / "sluice"), *map(str, arguments)],
                          capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def fill(broker):
    """Every codec from several producers into one partition of small segments, and a group."""
    create(broker, "orders", segment_bytes="1048576", index_interval_bytes="512")
    create(broker, "recompressed", compression_type="zstd")
    written = []
    # What a codec makes no smaller than half: the segments are to be many.
    generator = random.Random(4)
    with Client("confluent-newest", broker.bootstrap) as client:
        for mode in ("default", "idempotent"):
            for codec in EVERY_CODEC:
                records = [
                    Record(b"key-%d" % (number % 5), b"%06d " % number
                           + generator.randbytes(3000).hex().encode(),
                           (("h", b"v"),), 0, 1_700_000_000_000 + number)
                    for number in range(len(written), len(written) + 120)]
                for start in range(0, len(records), 30):
                    client.produce("orders", records[start:start + 30], codec, mode)
                client.produce("recompressed", records, codec, mode)
                written += records
        client.take("orders", "readers", 5)
    return written


@pytest.fixture(scope="module")
def closed_log(kafka_log):
    """A log directory after a clean stop, and what was written to it."""
    from harness.broker import Broker
    broker = Broker()
    try:
        broker.start()
        written = fill(broker)
        broker.stop()
        yield broker.data, written
    finally:
        broker.remove()


@pytest.mark.parametrize("topic", ["orders", "recompressed"])
def test_kafka_reads_what_we_wrote(kafka_log, closed_log, topic):
    data, written = closed_log
    lines = kafka_log("read", data / f"{topic}-0")
    ends = [fields for fields in lines if fields[0] == "end"]
    assert all(fields[2] == fields[3] for fields in ends), "Kafka stops before the end"
    batches = [fields for fields in lines if fields[0] == "batch"]
    codecs = {fields[4] for fields in batches}
    assert codecs == (set(EVERY_CODEC) if topic == "orders" else {"zstd"})
    assert len(ends) > 3 if topic == "orders" else len(ends) == 1
    assert {int(fields[6]) >= 0 for fields in batches} == {True, False}
    records = [fields for fields in lines if fields[0] == "record"]
    assert [int(fields[1]) for fields in records] == list(range(len(written)))
    for fields, wanted in zip(records, written):
        assert (int(fields[2]), bytes.fromhex(fields[3]), bytes.fromhex(fields[4])) == (
            wanted.timestamp, wanted.key, wanted.value)
    # The greatest timestamp of each batch is that of its records.
    greatest = {}
    for fields in lines:
        if fields[0] == "batch":
            current = greatest.setdefault(int(fields[1]), [int(fields[5]), -1])
        elif fields[0] == "record":
            current[1] = max(current[1], int(fields[2]))
    assert all(header == records for header, records in greatest.values())


def test_kafka_reads_internal_topics(kafka_log, closed_log):
    data, _ = closed_log
    found = 0
    for directory in data.glob("__consumer_offsets-*"):
        lines = kafka_log("read", directory) if any(
            path.stat().st_size for path in directory.glob("*.log")) else []
        found += sum(fields[0] == "record" for fields in lines)
    assert found > 0


def test_indexes_lead_to_batches(kafka_log, closed_log):
    """Kafka's layout: last offset of a batch and where it begins; greatest timestamp and offset."""
    data, _ = closed_log
    entries = 0
    for log in sorted((data / "orders-0").glob("*.log")):
        content, base = log.read_bytes(), int(log.stem)
        index = log.with_suffix(".index").read_bytes()
        assert len(index) % 8 == 0
        batches, position, times = {}, 0, []
        while position < len(content):
            first, length = struct.unpack_from(">qi", content, position)
            [delta] = struct.unpack_from(">i", content, position + 23)
            [greatest] = struct.unpack_from(">q", content, position + 35)
            batches[position] = first + delta
            times.append((first, first + delta, greatest))
            position += 12 + length
        for relative, at in struct.iter_unpack(">ii", index):
            assert batches[at] == base + relative
            entries += 1
        index = log.with_suffix(".timeindex").read_bytes()
        assert len(index) % 12 == 0
        for timestamp, relative in struct.iter_unpack(">qi", index):
            upto = [time for first, _, time in times if first <= base + relative]
            assert max(upto) == timestamp
        if times:
            assert struct.unpack_from(">q", index, len(index) - 12)[0] == max(
                time for _, _, time in times)
    assert entries > 10


def test_files_beside_the_log(closed_log):
    """Snapshots, epochs, checkpoints and properties as Kafka's own classes document them."""
    data, written = closed_log
    snapshots = sorted((data / "orders-0").glob("*.snapshot"))
    assert int(snapshots[-1].stem) == len(written)
    for path in snapshots:
        content = path.read_bytes()
        version, crc, count = struct.unpack_from(">hIi", content)
        assert version == 1
        assert crc == crc32c.crc32c(content[6:])
        for entry in range(count):
            producer, epoch, sequence, offset, delta, _, coordinator, transaction = (
                struct.unpack_from(">qhiqiqiq", content, 10 + 46 * entry))
            assert producer >= 0 and epoch >= 0 and sequence >= delta >= 0
            assert 0 <= offset < int(path.stem)
            assert (coordinator, transaction) == (-1, -1)
    assert (data / "orders-0/leader-epoch-checkpoint").read_text() == "0\n1\n0 0\n"
    metadata = (data / "orders-0/partition.metadata").read_text().splitlines()
    assert metadata[0] == "version: 0" and metadata[1].startswith("topic_id: ")
    assert len(binascii.a2b_base64(
        metadata[1][10:].replace("-", "+").replace("_", "/") + "==")) == 16
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        version, count, *lines = (data / name).read_text().splitlines()
        assert version == "0" and int(count) == len(lines)
        assert f"orders 0 {len(written)}" in lines
    properties = (data / "meta.properties").read_text().splitlines()
    assert "version=1" in properties
    assert (data / ".kafka_cleanshutdown").exists()


def test_verify_and_dump_agree(closed_log):
    data, written = closed_log
    assert "nothing is wrong" in sluice("verify", data, "--records")
    log = sorted((data / "orders-0").glob("*.log"))[0]
    assert "compression: gzip" in sluice("dump", log)


def header(content, position):
    """(base offset, last offset, size, leader epoch, greatest timestamp, attributes, producer, epoch,
    base sequence) of the batch at a place."""
    offset, length, epoch = struct.unpack_from(">qii", content, position)
    attributes, delta, _, greatest, producer, producer_epoch, sequence = struct.unpack_from(
        ">hiqqqhi", content, position + 21)
    return (offset, offset + delta, 12 + length, epoch, greatest, attributes, producer,
            producer_epoch, sequence)


class KafkaDirectory:
    """A partition as Kafka leaves it: batches by its own writer, the other files as its classes
    document them (OffsetIndex, TimeIndex, TransactionIndex, ProducerStateManager,
    LeaderEpochCheckpointFile)."""

    index_interval = 200

    def __init__(self, path):
        """Of the segments that are there."""
        self.path = path
        self.producers = {}
        self.coordinators = {}
        self.open = {}
        self.bases = sorted(int(log.stem) for log in path.glob("*.log"))
        for base in self.bases:
            if base > 0:
                self.snapshot(base)
            self.indexes(base)
        self.snapshot(self.end)
        (path / "leader-epoch-checkpoint").write_text("0\n1\n0 0\n")

    def indexes(self, base):
        content = (self.path / f"{base:020}.log").read_bytes()
        offsets, times, aborted = b"", b"", b""
        position, since, noted, greatest = 0, 0, -1, (-1, 0)
        while position < len(content):
            first, last, size, epoch, timestamp, attributes, *producer = header(content, position)
            assert epoch == 0
            aborted += self.take(content, position, first, last, timestamp, attributes, *producer)
            if timestamp > greatest[0]:
                greatest = (timestamp, last - base)
            if since > self.index_interval:
                offsets += struct.pack(">ii", last - base, position)
                times += struct.pack(">qi", *greatest)
                noted, since = greatest[0], 0
            since += size
            position += size
            self.end = last + 1
        if greatest[0] > noted:
            times += struct.pack(">qi", *greatest)
        stem = self.path / f"{base:020}"
        stem.with_suffix(".index").write_bytes(offsets)
        stem.with_suffix(".timeindex").write_bytes(times)
        if aborted:
            stem.with_suffix(".txnindex").write_bytes(aborted)

    def take(self, content, position, first, last, timestamp, attributes, producer, epoch, sequence):
        """Remembers producers; the entry of a transaction that is aborted."""
        if producer < 0:
            return b""
        if not attributes & 0x20:
            self.producers[producer] = (epoch, sequence + last - first, last, last - first, timestamp)
            if attributes & 0x10:
                self.open.setdefault(producer, first)
            return b""
        begun = self.open.pop(producer)
        self.coordinators[producer] = 0
        # The key of a marker: version 0, then 0 for an abort. It lies behind the header, the lengths
        # of record and key, the attributes and both deltas: a byte each.
        if content[position + 61 + 5 + 3] != 0:
            return b""
        stable = min(self.open.values(), default=last + 1)
        return struct.pack(">hqqqq", 0, producer, begun, last, stable)

    def snapshot(self, offset):
        entries = b"".join(
            struct.pack(">qhiqiqiq", producer, *state,
                        self.coordinators.get(producer, -1), self.open.get(producer, -1))
            for producer, state in self.producers.items())
        body = struct.pack(">i", len(self.producers)) + entries
        (self.path / f"{offset:020}.snapshot").write_bytes(
            struct.pack(">hI", 1, crc32c.crc32c(body)) + body)

    def preallocate(self):
        """The active segment's indexes of a Kafka that was killed are as long as they may become."""
        base = self.bases[-1]
        for kind, size in ((".index", 10 << 20), (".timeindex", 10485756)):
            with open((self.path / f"{base:020}").with_suffix(kind), "r+b") as file:
                file.truncate(size)


def leave(broker, stop, write):
    """A data directory as Kafka leaves it, with one partition; `write` makes its segments in the
    directory that it is given."""
    create(broker, "theirs")
    broker.stop()
    directory = broker.data / "theirs-0"
    for path in directory.iterdir():
        if path.name != "partition.metadata":
            path.unlink()
    write(directory)
    theirs = KafkaDirectory(directory)
    clean = broker.data / ".kafka_cleanshutdown"
    clean.write_text('{"version":0,"brokerEpoch":5}')
    recovered = theirs.end
    if stop != "clean":
        clean.unlink()
        recovered = theirs.bases[1]
        theirs.preallocate()
    if stop == "only batches left":
        recovered = 0
        for path in directory.iterdir():
            if path.suffix != ".log" and path.name != "partition.metadata":
                path.unlink()
    checkpoint = f"0\n1\ntheirs 0 {recovered}\n"
    (broker.data / "recovery-point-offset-checkpoint").write_text(checkpoint)
    (broker.data / "replication-offset-checkpoint").write_text(f"0\n1\ntheirs 0 {theirs.end}\n")
    (broker.data / "log-start-offset-checkpoint").write_text("0\n0\n")
    (broker.data / "cleaner-offset-checkpoint").write_text("0\n0\n")
    if stop != "only batches left":
        assert "nothing is wrong" in sluice("verify", broker.data, "--records")
    return theirs


def write_rounds(kafka_log, directory):
    """Three segments of records and of transactions; returns the offsets of their markers."""
    # Of one call of `KafkaLog write`: records of every codec twice, two transactions, two markers.
    per_round = 2 * 3 * len(EVERY_CODEC) + 6 + 2
    bases = range(0, 3 * per_round, per_round)
    for number, base in enumerate(bases):
        kafka_log("write", directory / f"{base:020}.log", base, number)
    return {base + per_round - back for base in bases for back in (1, 2)}


STOPS = ["clean", "killed", "only batches left"]


@pytest.mark.parametrize("stop", STOPS)
def test_we_open_what_kafka_wrote(kafka_log, own_broker, stop):
    """A partition in a directory as Kafka leaves it, after a clean stop and after a crash."""
    def write(directory):
        nonlocal markers
        markers = write_rounds(kafka_log, directory)

    markers = None
    broker = own_broker()
    theirs = leave(broker, stop, write)
    directory = theirs.path
    broker.start()
    with closing_consumer(broker) as consumer:
        found = read(consumer, "theirs", theirs.end - len(markers))
    assert [record.offset() for record in found] == [
        offset for offset in range(theirs.end) if offset not in markers]
    assert [record.value() for record in found] == [
        b"value %d" % record.offset() for record in found]
    assert [record.timestamp()[1] for record in found] == [
        1_700_000_000_000 + record.offset() for record in found]
    with Client("confluent-newest", broker.bootstrap) as client:
        # The markers of the last transactions take offsets.
        for number in range(3):
            [acknowledged] = client.produce(
                "theirs", [Record(None, b"%06d" % number, partition=0)], mode="idempotent")
            assert acknowledged == (0, theirs.end + number)
    broker.stop()
    lines = kafka_log("read", directory)
    assert all(fields[2] == fields[3] for fields in lines if fields[0] == "end")
    records = [int(fields[1]) for fields in lines if fields[0] == "record"]
    assert records == [*(record.offset() for record in found),
                       *range(theirs.end, theirs.end + 3)]
    assert "nothing is wrong" in sluice("verify", broker.data, "--records")


class Transactions:
    """Segments whose transactions overlap and go over several of them. Each step is a line of
    `KafkaLog play`; what becomes of each record is known at the end."""

    segments, steps = 7, 60

    def __init__(self, directory):
        self.generator = random.Random(11)
        self.offset = 0
        self.lines = []
        self.sequences = {}
        self.open = {}
        self.kept, self.all = set(), set()
        for number in range(self.segments):
            log = directory / f"{self.offset:020}.log"
            for _ in range(self.steps):
                self.step(log, number == self.segments - 1)
        # Two are open at the end, one of them from far back.
        self.stable = min(first for first, _ in self.open.values())

    def step(self, log, is_last):
        # The higher its number the longer are a producer's transactions.
        enders = [producer for producer in sorted(self.open)
                  if self.generator.random() < 0.3 / (producer - 10) ** 2
                  and not (is_last and len(self.open) <= 2)]
        if enders:
            producer = self.generator.choice(enders)
            end = self.generator.choice(["COMMIT", "ABORT", "ABORT"])
            _, offsets = self.open.pop(producer)
            if end == "COMMIT":
                self.kept.update(offsets)
            self.lines.append((log, self.offset, producer, end))
            self.offset += 1
            return
        producer = self.generator.choice([-1, 11, 12, 13, 14, 15])
        sequence = self.sequences.get(producer, 0) if producer >= 0 else -1
        codec = self.generator.choice(EVERY_CODEC)
        self.lines.append((log, self.offset, producer, sequence, codec))
        offsets = range(self.offset, self.offset + 3)
        self.all.update(offsets)
        if producer < 0:
            self.kept.update(offsets)
        else:
            self.sequences[producer] = sequence + 3
            self.open.setdefault(producer, (self.offset, []))[1].extend(offsets)
        self.offset += 3


@pytest.mark.parametrize("stop", STOPS)
def test_transactions_that_kafka_wrote(kafka_log, own_broker, tmp_path, stop):
    """Readers of both isolation levels get of them what Kafka would give."""
    def write(directory):
        nonlocal written
        written = Transactions(directory)
        script = tmp_path / "script"
        script.write_text("".join(
            "\t".join(map(str, line)) + "\n" for line in written.lines))
        kafka_log("play", script)

    written = None
    broker = own_broker()
    theirs = leave(broker, stop, write)
    assert theirs.end == written.offset and theirs.open
    indexes = {path.name: path.read_bytes() for path in theirs.path.glob("*.txnindex")}
    if stop != "only batches left":
        assert len(indexes) > 3
    broker.start()
    committed = sorted(offset for offset in written.kept if offset < written.stable)
    assert len(committed) > 100 and written.stable < written.offset
    for name in ("confluent-newest", "aiokafka-newest", "java"):
        with Client(name, broker.bootstrap) as client:
            for level, offsets in (("read_committed", committed),
                                   ("read_uncommitted", sorted(written.all))):
                client.ask("isolation", level)
                found = client.consume("theirs", len(offsets))
                assert [record.offset for record in found] == offsets, (name, level)
                assert all(record.value == b"value %d" % record.offset for record in found)
            if name == "java":
                assert client.offsets("theirs", -1) == {0: written.offset}
                client.ask("isolation", "read_committed")
                assert client.offsets("theirs", -1) == {0: written.stable}
    broker.stop()
    left = {path.name: path.read_bytes() for path in theirs.path.glob("*.txnindex")}
    if stop == "only batches left":
        KafkaDirectory(theirs.path)
        indexes = {path.name: path.read_bytes() for path in theirs.path.glob("*.txnindex")}
    assert left == indexes
    assert "nothing is wrong" in sluice("verify", broker.data, "--records")
    # A second start, of a directory that we have closed.
    broker.start()
    with Client("java", broker.bootstrap) as client:
        client.ask("isolation", "read_committed")
        assert client.offsets("theirs", -1) == {0: written.stable}
        found = client.consume("theirs", len(committed))
        assert [record.offset for record in found] == committed


@contextlib.contextmanager
def closing_consumer(broker):
    consumer = Consumer({
        "bootstrap.servers": broker.bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "isolation.level": "read_uncommitted"})
    try:
        yield consumer
    finally:
        consumer.close()


def read(consumer, topic, count):
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.consume(count - len(found), 1)
    assert not [record.error() for record in found if record.error()]
    return found


def test_dump_decodes_internal_topics(closed_log):
    data, _ = closed_log
    groups = set()
    for log in data.glob("__consumer_offsets-*/*.log"):
        for line in sluice("dump", log, "--records", "--json").splitlines():
            item = json.loads(line)
            if item["type"] == "record":
                groups.add((item["key"]["type"], item["key"]["group"]))
    assert ("OffsetCommitKey", "readers") in groups


def test_repair(own_broker, topic):
    """Derived files that were spoiled are made anew; batches are told and left alone."""
    broker = own_broker()
    written = fill(broker)
    assert "a process uses" in subprocess.run(
        [str(paths.BINARIES / "sluice"), "verify", str(broker.data)],
        capture_output=True, text=True).stderr
    sluice("verify", broker.data, "--repair", code=1)
    broker.stop()
    directory = broker.data / "orders-0"
    logs = sorted(directory.glob("*.log"))
    logs[0].with_suffix(".index").unlink()
    timeindex = logs[1].with_suffix(".timeindex")
    timeindex.write_bytes(bytes(reversed(timeindex.read_bytes())))
    snapshot = sorted(directory.glob("*.snapshot"))[-1]
    snapshot.write_bytes(snapshot.read_bytes()[:-1] + b"\xff")
    (directory / "leader-epoch-checkpoint").write_text("0\n1\n5 0\n")
    (broker.data / "replication-offset-checkpoint").write_text("0\n1\norders 0 999999\n")
    assert "--repair mends" in sluice("verify", broker.data, code=1)
    sluice("verify", broker.data, "--repair")
    assert "nothing is wrong" in sluice("verify", broker.data)
    broker.start()
    with Client("confluent-newest", broker.bootstrap) as client:
        found = client.consume("orders", len(written))
        assert [number_of(record.value) for record in found] == list(range(len(written)))
    broker.stop()
    spoiled = bytearray(logs[1].read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    logs[1].write_bytes(spoiled)
    told = sluice("verify", broker.data, "--repair", code=1)
    assert f"{logs[1]}: at byte" in told and "offsets" in told
    assert logs[1].read_bytes() == spoiled
