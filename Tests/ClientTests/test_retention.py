"""Deleting: records by a client, segments by retention, topics while they are read; and what happens
when the disk gets full on the way."""

import os
import subprocess

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness.broker import executable
from harness.client import eventually


def create(broker, topic, **config):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    names = {name.replace("_", "."): str(value) for name, value in config.items()}
    for future in admin.create_topics([NewTopic(topic, 1, 1, config=names)]).values():
        future.result(30)
    return admin


def produce(broker, topic, values, timestamp=None):
    """Errors by value, in order."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5,
                         "batch.num.messages": 100})
    errors = []
    for value in values:
        stamp = {} if timestamp is None else {"timestamp": timestamp}
        producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error), **stamp)
        producer.poll(0)
    assert producer.flush(60) == 0
    return errors


def watermarks(broker, topic):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "watermarks"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
    finally:
        consumer.close()


def delete_before(admin, topic, offset):
    futures = admin.delete_records([TopicPartition(topic, 0, offset)])
    return next(iter(futures.values())).result(30).low_watermark


def test_delete_records(broker):
    admin = create(broker, "delete-records")
    assert produce(broker, "delete-records", [b"%d" % n for n in range(100)]) == [None] * 100
    assert delete_before(admin, "delete-records", 40) == 40
    assert watermarks(broker, "delete-records") == (40, 100)
    with pytest.raises(KafkaException) as refused:
        delete_before(admin, "delete-records", 101)
    assert refused.value.args[0].code() == KafkaError.OFFSET_OUT_OF_RANGE
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "deleted",
                         "auto.offset.reset": "earliest"})
    try:
        # Below the start: reset to the earliest record that is left.
        consumer.assign([TopicPartition("delete-records", 0, 3)])
        first = eventually(lambda: consumer.poll(0.2), "a record")
        assert (first.offset(), first.value()) == (40, b"40")
    finally:
        consumer.close()
    assert delete_before(admin, "delete-records", -1) == 100
    assert watermarks(broker, "delete-records") == (100, 100)


def test_a_compacted_topic_keeps_its_records(broker):
    admin = create(broker, "compacted-only", cleanup_policy="compact")
    with pytest.raises(KafkaException) as refused:
        delete_before(admin, "compacted-only", 0)
    assert refused.value.args[0].code() == KafkaError.POLICY_VIOLATION


def test_retention_survives_a_crash(own_broker):
    broker = own_broker({"log.retention.check.interval.ms": 100, "log.initial.task.delay.ms": 0,
                         "log.segment.delete.delay.ms": 0})
    create(broker, "short", retention_ms=60_000, segment_bytes=1_048_576)
    assert produce(broker, "short", [b"old"] * 50, timestamp=1_000_000) == [None] * 50
    eventually(lambda: watermarks(broker, "short") == (50, 50), "the old records are gone")
    assert produce(broker, "short", [b"new"] * 5) == [None] * 5
    broker.kill("sluice-logwriter")
    eventually(lambda: watermarks(broker, "short") == (50, 55), "the same after the crash")
    files = os.listdir(broker.data / "short-0")
    assert [name for name in files if name.endswith((".log", ".deleted"))] == [
        "00000000000000000050.log"]
    broker.stop()


def deleted_files_held(broker):
    """Files of the log that are deleted and still open somewhere."""
    held = []
    for pids in broker.family().values():
        for pid in pids:
            for entry in os.scandir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(entry.path)
                except OSError:
                    continue
                if target.endswith(".log (deleted)") or ".log.deleted (deleted)" in target:
                    held.append((executable(pid), target))
    return held


def test_a_deleted_topic_frees_the_disk(own_broker):
    broker = own_broker()
    admin = create(broker, "doomed")
    assert produce(broker, "doomed", [b"x" * 1000] * 1000) == [None] * 1000
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader",
                         "auto.offset.reset": "earliest"})
    consumer.subscribe(["doomed"])
    try:
        eventually(lambda: consumer.poll(0.2), "a record")
        for future in admin.delete_topics(["doomed"]).values():
            future.result(30)
        # The consumer stays and asks on; nobody keeps the files.
        eventually(lambda: not any(name.startswith("doomed-") for name in os.listdir(broker.data)),
                   "the directory is gone")
        eventually(lambda: deleted_files_held(broker) == [], "nobody holds its files")
    finally:
        consumer.close()
    broker.stop()


def test_a_full_disk(own_broker):
    may_mount = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    if may_mount.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {may_mount.stderr.decode().strip()}")
    broker = own_broker({"log.segment.bytes": 1_048_576, "log.retention.check.interval.ms": 1000,
                         "offsets.topic.num.partitions": 1}, disk_size="64m")
    admin = create(broker, "filling")
    chunk = [os.urandom(10_000) for _ in range(100)]
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 3000})
    errors, written = [], 0
    while not errors and written < 80:
        for value in chunk:
            producer.produce("filling", value, on_delivery=lambda error, _: (
                errors.append(error) if error else None))
        producer.flush(60)
        written += 1
    assert errors and written > 40, f"{written} MB were taken"
    eventually(lambda: "LOG_DIR_LOW" in broker.log() or "low on space" in broker.log(), "it is told")
    data = broker.mounted(broker.data)
    space = os.statvfs(data)
    # The rest is not the producers'.
    assert space.f_bavail * space.f_frsize > 1_000_000

    # Somebody else takes the rest: groups and deletions go on, by the ballast.
    with open(data / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError:
            pass
    start, end = watermarks(broker, "filling")
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe(["filling"])
    try:
        first = eventually(lambda: consumer.poll(0.5), "a record")
        assert first.error() is None and first.offset() == start
        consumer.commit(offsets=[TopicPartition("filling", 0, 7)], asynchronous=False)
        committed = consumer.committed([TopicPartition("filling", 0)], timeout=20)
        assert committed[0].offset == 7
    finally:
        consumer.close()
    assert delete_before(admin, "filling", end) == end
    # By itself it goes on.
    eventually(lambda: produce(broker, "filling", [b"again"]) == [None], "records are taken again")
    assert watermarks(broker, "filling")[0] == end
    broker.stop()
