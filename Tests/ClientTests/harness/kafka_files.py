"""Kafka's files written and read here by their documented layouts, without anything of Sluice: record
batches, the records of `__consumer_offsets`, and what a log directory has beside its partitions."""

import base64
import gzip
import json
import re
import struct

import crc32c


def varint(value):
    """A signed number as Kafka's records have it: zigzag, seven bits a byte."""
    number = (value << 1) ^ (value >> 63)
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def record(delta, key, value):
    def sized(data):
        return varint(-1) if data is None else varint(len(data)) + data
    body = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + varint(0)
    return varint(len(body)) + body


def batch(offset, records, timestamp, compressed=False, control=False, epoch=0):
    """A batch of format 2 without a producer; `records` are pairs of key and value."""
    body = b"".join(record(delta, *pair) for delta, pair in enumerate(records))
    if compressed:
        body = gzip.compress(body)
    attributes = (1 if compressed else 0) | (0x20 if control else 0)
    checked = struct.pack(
        ">hiqqqhii", attributes, len(records) - 1, timestamp, timestamp, -1, -1, -1,
        len(records)) + body
    return struct.pack(">qiibI", offset, 9 + len(checked), epoch, 2,
                       crc32c.crc32c(checked)) + checked


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def offset_commit(group, topic, partition, offset, timestamp):
    """OffsetCommitKey 1 and OffsetCommitValue 3."""
    return (struct.pack(">h", 1) + text(group) + text(topic) + struct.pack(">i", partition),
            struct.pack(">hqi", 3, offset, -1) + text("") + struct.pack(">q", timestamp))


def empty_group(group, timestamp):
    """GroupMetadataKey 2 and GroupMetadataValue 3 of a group that all members have left."""
    return (struct.pack(">h", 2) + text(group),
            struct.pack(">h", 3) + text("consumer") + struct.pack(">i", 4)
            + struct.pack(">hh", -1, -1) + struct.pack(">qi", timestamp, 0))


def group_partition(group, partitions):
    """`Utils.abs(groupId.hashCode) % partitions`."""
    code = 0
    for unit in group:
        code = (31 * code + ord(unit)) & 0xFFFFFFFF
    if code >= 1 << 31:
        code -= 1 << 32
    return (0 if code == -(1 << 31) else abs(code)) % partitions


def uuid(seed):
    """An id as Kafka writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(bytes([seed]) * 16).decode().rstrip("=")


def partition(directory, topic_id):
    directory.mkdir()
    (directory / "partition.metadata").write_text(f"version: 0\ntopic_id: {topic_id}\n")
    return directory


def segment(directory, base, content):
    """A segment whose batches are too few for entries of the offset index."""
    stem = directory / f"{base:020}"
    stem.with_suffix(".log").write_bytes(content)
    stem.with_suffix(".index").write_bytes(b"")
    times = b""
    if content:
        first, delta, greatest = struct.unpack_from(">q15xi8xq", content)
        times = struct.pack(">qi", greatest, first + delta - base)
    stem.with_suffix(".timeindex").write_bytes(times)


def checkpoint(offsets):
    lines = [f"{topic} {number} {offset}" for (topic, number), offset in offsets.items()]
    return "\n".join(["0", str(len(lines)), *lines]) + "\n"


# MARK: Reading

DIRECTORY = re.compile(r"(\S+)-(\d+)")
MARKED_DIRECTORY = re.compile(r"(\S+)-(\S+)\.(\S+)-(delete|future|stray)")


def properties(path):
    lines = [line for line in path.read_text().splitlines() if line and line[0] not in "#!"]
    return dict(line.split("=", 1) for line in lines)


def read_checkpoint(path):
    """OffsetCheckpointFile: what it does not expect ends Kafka's start."""
    version, count, *lines = path.read_text().splitlines()
    assert version == "0" and int(count) == len(lines), path
    entries = {}
    for line in lines:
        topic, number, offset = re.fullmatch(r"(\S+) (\d+) (\d+)", line).groups()
        entries[topic, int(number)] = int(offset)
    assert len(entries) == len(lines), path
    return entries


def read_epochs(path):
    version, count, *lines = path.read_text().splitlines()
    assert version == "0" and int(count) == len(lines), path
    entries = [tuple(map(int, re.fullmatch(r"(\d+) (\d+)", line).groups())) for line in lines]
    assert entries == sorted(entries) and len(set(entries)) == len(entries), path
    return entries


def read_snapshot(path):
    """ProducerStateManager: version, checksum of what follows, entries; returns the producers' ids."""
    content = path.read_bytes()
    version, crc, count = struct.unpack_from(">hIi", content)
    assert version == 1 and crc == crc32c.crc32c(content[6:]), path
    return [struct.unpack_from(">q", content, 10 + 46 * entry)[0] for entry in range(count)]


def read_partition(directory):
    """What Kafka's LogLoader asks of a partition after a clean stop; returns topic id and end."""
    version, line = (directory / "partition.metadata").read_text().splitlines()
    assert version == "version: 0", directory
    topic_id = re.fullmatch(r"topic_id: ([A-Za-z0-9_-]{22})", line)[1]
    logs = sorted(directory.glob("*.log"))
    assert logs, directory
    end = None
    for log in logs:
        base, content, position = int(log.stem), log.read_bytes(), 0
        assert end is None or base >= end, log
        end = base
        ends = []
        while position < len(content):
            first, length, epoch, magic, crc, _, delta = struct.unpack_from(
                ">qiibIhi", content, position)
            assert magic == 2 and first >= end, log
            assert crc == crc32c.crc32c(content[position + 21:position + 12 + length]), log
            ends.append((first + delta, position))
            position += 12 + length
            end = first + delta + 1
        assert position == len(content), log
        index = log.with_suffix(".index").read_bytes()
        times = log.with_suffix(".timeindex").read_bytes()
        assert len(index) % 8 == 0 and len(times) % 12 == 0, log
        for relative, at in struct.iter_unpack(">ii", index):
            assert (base + relative, at) in ends, log
        assert bool(times) == bool(ends), log
    epochs = directory / "leader-epoch-checkpoint"
    if end > int(logs[0].stem):
        assert read_epochs(epochs)[-1][1] <= end, epochs
    for snapshot in directory.glob("*.snapshot"):
        read_snapshot(snapshot)
        assert int(snapshot.stem) <= end, snapshot
    return topic_id, end


def read_directory(data, besides=()):
    """What Kafka's LogManager and MetaPropertiesEnsemble ask of a log directory after a clean stop.
    Returns meta.properties, and topic id and end of each partition. `besides` are directories that had
    been there and had kept Kafka from starting, too."""
    partitions = {}
    for path in data.iterdir():
        if not path.is_dir() or path.name in besides or MARKED_DIRECTORY.fullmatch(path.name):
            continue
        # Any other directory ends Kafka's start: "not in the form of topic-partition".
        topic, number = DIRECTORY.fullmatch(path.name).groups()
        if topic != "__cluster_metadata":
            partitions[topic, int(number)] = read_partition(path)
    points = read_checkpoint(data / "recovery-point-offset-checkpoint")
    assert points == {name: end for name, (_, end) in partitions.items()}
    marks = read_checkpoint(data / "replication-offset-checkpoint")
    assert all(marks[name] <= end for name, (_, end) in partitions.items())
    starts = read_checkpoint(data / "log-start-offset-checkpoint")
    assert all(start <= partitions[name][1] for name, start in starts.items())
    if (data / "cleaner-offset-checkpoint").exists():
        read_checkpoint(data / "cleaner-offset-checkpoint")
    clean = json.loads((data / ".kafka_cleanshutdown").read_text())
    # Kafka passes over what it does not know.
    assert clean == {"version": 0, "brokerEpoch": -1, "openTransactions": False}
    return properties(data / "meta.properties"), partitions
