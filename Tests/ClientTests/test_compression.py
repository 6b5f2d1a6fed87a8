"""Batches that the broker opens: recompressed where a topic wants another codec, and refused where
what is inside is wrong. Produced by real clients, or byte by byte where no client would."""

import gzip
import os
import pathlib
import random
import signal
import struct

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from harness import wire
from harness.broker import executable
from harness.client import EVERY_CODEC, Client, eventually
from harness.load import Writer, check_acknowledged
from harness.scenarios import Record, check_consumed, mixed_records

CLIENTS = ("java", "confluent-newest", "kafka-python-newest", "sarama")
# `compression.type` and the codec number of the batches that are stored.
TARGETS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
COMPRESSED = {codec: number for number, codec in enumerate(EVERY_CODEC) if number > 0}


def create(broker, topic, partitions=1, **config):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {name.replace("_", "."): value for name, value in config.items()}
    [future] = admin.create_topics([NewTopic(topic, partitions, 1, config=config)]).values()
    future.result(30)


def stored_batches(broker, topic, partition=0):
    """The headers of a partition's batches: (codec, records, greatest timestamp)."""
    found, offset = [], 0
    with wire.Connection(broker.port) as connection:
        while True:
            reader = connection.ask(wire.fetch(topic, offset, partition))
            reader.take("ii")
            reader.string()
            reader.take("i")
            _, error, end, _, _ = reader.take("ihqqi")
            assert error == wire.NONE
            size = reader.take("i")
            records = reader.payload[reader.at:reader.at + size]
            while len(records) >= 61:
                base, length = struct.unpack_from(">qi", records)
                attributes, delta, _, greatest = struct.unpack_from(">hiqq", records, 21)
                found.append((attributes & 7, struct.unpack_from(">i", records, 57)[0], greatest))
                offset, records = base + delta + 1, records[12 + length:]
            if offset >= end:
                return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CLIENTS)
def test_every_codec_into_every_topic(broker, topic, name, target):
    """Each client's codecs one after the other into one topic: everything comes back equal."""
    create(broker, topic, 3, compression_type=target)
    with Client(name, broker.bootstrap) as client:
        produced, acknowledged = [], []
        for codec in client.kind.codecs:
            records = [Record(record.key, b"%06d " % (len(produced) + number) + record.value[7:],
                              record.headers)
                       for number, record in enumerate(mixed_records(60, binary=True))]
            produced += records
            acknowledged += client.produce(topic, records, codec)
        check_consumed(produced, client.consume(topic, len(produced)), acknowledged, ordered=True)
    codecs = {codec for partition in range(3)
              for codec, _, _ in stored_batches(broker, topic, partition)}
    assert codecs == {TARGETS[target]}


@pytest.mark.parametrize("codec", COMPRESSED)
def test_producers_choice_is_kept(broker, topic, codec):
    create(broker, topic, compression_type="producer")
    with Client("confluent-newest", broker.bootstrap) as client:
        client.produce(topic, [Record(None, b"%06d" % number * 20, partition=0)
                               for number in range(50)], codec)
    assert {found for found, _, _ in stored_batches(broker, topic)} == {COMPRESSED[codec]}


@pytest.mark.parametrize("target", ["zstd", "uncompressed", "producer"])
@pytest.mark.parametrize("name", ["java", "confluent-newest"])
def test_idempotent_with_requests_in_flight(broker, topic, name, target):
    """Many small batches, five requests at a time: none overtakes another one."""
    create(broker, topic, compression_type=target)
    source = random.Random(2)
    produced = [Record(None, b"%06d " % number + source.randbytes(100).hex().encode(), partition=0)
                for number in range(5000)]
    with Client(name, broker.bootstrap) as client:
        acknowledged = client.produce(topic, produced, "gzip", "idempotent")
        check_consumed(produced, client.consume(topic, len(produced)), acknowledged, ordered=True)


def test_levels(broker, topic):
    """A higher level makes smaller batches of the same records."""
    value = pathlib.Path(__file__).read_bytes() + pathlib.Path(wire.__file__).read_bytes()
    sizes = []
    for level in (1, 9):
        create(broker, f"{topic}-{level}", compression_type="gzip",
               compression_gzip_level=str(level))
        with wire.Connection(broker.port) as connection:
            assert connection.produce(f"{topic}-{level}", wire.record_batch([value]))[0] == wire.NONE
            sizes.append(connection.fetch_size(f"{topic}-{level}"))
    assert sizes[1] < sizes[0] < len(value)


def test_greatest_timestamp_is_corrected(broker, topic):
    """Where a header does not say it, or says it wrong, the records count."""
    create(broker, topic)
    with wire.Connection(broker.port) as connection:
        for codec, pack in (("none", bytes), ("gzip", gzip.compress)):
            batch = wire.record_batch([b"a", b"b"], attributes=EVERY_CODEC.index(codec),
                                      pack=pack, max_timestamp=-1)
            assert connection.produce(topic, batch)[0] == wire.NONE
    assert [greatest for _, _, greatest in stored_batches(broker, topic)] == [1_700_000_000_000] * 2


@pytest.mark.parametrize("codec", COMPRESSED)
def test_garbage_inside(broker, topic, codec):
    create(broker, topic)
    source = random.Random(4)
    with wire.Connection(broker.port) as connection:
        for size in (0, 1, 50, 5000):
            batch = wire.record_batch([], attributes=COMPRESSED[codec], last_offset_delta=999_999,
                                      count=1_000_000, payload=source.randbytes(size))
            assert connection.produce(topic, batch)[0] == wire.INVALID_RECORD
        assert connection.produce(topic, wire.record_batch([b"fine"])) == (wire.NONE, 0)


def test_a_count_that_lies(broker, topic):
    create(broker, topic)
    with wire.Connection(broker.port) as connection:
        for count in (1, 3, 2_000_000_000):
            batch = wire.record_batch([b"a", b"b"], attributes=1, pack=gzip.compress, count=count,
                                      last_offset_delta=count - 1)
            assert connection.produce(topic, batch)[0] == wire.INVALID_RECORD
    assert stored_batches(broker, topic) == []


def test_a_bomb(broker, topic):
    """200 MiB in 200 KB: refused, and the memory is given back."""
    create(broker, topic)
    bomb = gzip.compress(bytes(200 << 20))
    batch = wire.record_batch([], attributes=1, last_offset_delta=0, count=1, payload=bomb)
    with wire.Connection(broker.port) as connection:
        for _ in range(2):
            assert connection.produce(topic, batch)[0] == wire.MESSAGE_TOO_LARGE
        assert connection.produce(topic, wire.record_batch([b"fine"])) == (wire.NONE, 0)
    if hasattr(broker, "memory"):
        eventually(lambda: broker.memory() < 100 << 20, lambda: f"{broker.memory()} bytes remain")


def test_records_that_grow_too_large(broker, topic):
    """What is within max.message.bytes compressed and is not any more without."""
    create(broker, topic, compression_type="uncompressed", max_message_bytes="10000")
    batch = wire.record_batch([bytes(20_000)], attributes=1, pack=gzip.compress)
    assert len(batch) < 1000
    with wire.Connection(broker.port) as connection:
        assert connection.produce(topic, batch)[0] == wire.MESSAGE_TOO_LARGE


def test_a_codec_that_dies(own_broker):
    """Killed again and again under load: nothing is lost, doubled or out of order."""
    broker = own_broker()
    create(broker, "load", 3, compression_type="zstd")
    assert broker.pids("sluice-codec") == [], "started without need"
    writer = Writer(broker.bootstrap, "load", idempotent=True, compression="lz4")
    writer.wait_for_progress()
    others = {name: pids for name, pids in broker.family().items() if name != "sluice-codec"}
    for _ in range(5):
        for pid in broker.pids("sluice-codec"):
            os.kill(pid, signal.SIGKILL)
            eventually(lambda gone=pid: executable(gone) is None, "its end")
        writer.wait_for_progress()
    writer.stop()
    check_acknowledged(broker.bootstrap, writer)
    assert {name: broker.pids(name) for name in others} == others, "another process died as well"
    assert {codec for codec, _, _ in stored_batches(broker, "load")} == {4}
    broker.stop()


def test_without_checks(own_broker):
    """`sluice.compressed.records.check=false`: compressed batches are stored as they come."""
    broker = own_broker({"sluice.compressed.records.check": "false"})
    create(broker, "unchecked")
    with wire.Connection(broker.port) as connection:
        batch = wire.record_batch([b"a"], attributes=4, payload=b"garbage")
        assert connection.produce("unchecked", batch) == (wire.NONE, 0)
        assert connection.fetch_size("unchecked") == len(batch)
    assert broker.pids("sluice-codec") == []
    broker.stop()
