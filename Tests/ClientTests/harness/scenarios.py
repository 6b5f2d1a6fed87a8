"""What every client must be able to do, once for all clients. Each scenario gets a driver and a
topic name of its own, and leaves nothing behind that another one would notice."""

import collections
import random

from harness.client import Client, eventually

Record = collections.namedtuple(
    "Record", "key value headers partition timestamp", defaults=((), None, None))

# What the default limits of every client let through: librdkafka counts a record's overhead
# towards its 1,000,000 bytes.
MEGABYTE = 999_000


def mixed_records(count, binary):
    """Keyed and unkeyed, with and without headers, short and long; each value starts with the
    record's number, so that order can be checked. The same records for every client and codec."""
    source = random.Random(count)
    records = []
    for number in range(count):
        filler = b"sluice " * (number % 40)
        if binary:
            filler += source.randbytes(number * 7 % 300)
        headers = ()
        if number % 3 == 0:
            headers = (("trace", b"abc"), ("trace", b""), ("n", b"\x00\xff" if binary else b"7"))
        key = b"key-%d" % (number % 7) if number % 2 else None
        records.append(Record(key, b"%06d " % number + filler, headers))
    return records


def number_of(value):
    return int(value[:6])


def check_consumed(produced, consumed, acknowledged, ordered):
    """Everything is back once, equal and in order, where the acknowledgements said."""
    assert len(consumed) == len(produced)
    by_partition = collections.defaultdict(list)
    for record in consumed:
        by_partition[record.partition].append(record)
    for records in by_partition.values():
        assert [record.offset for record in records] == list(range(len(records)))
        alike = collections.defaultdict(list)
        for record in records:
            # Without acks it is kcat, which sends in one run what has the same headers.
            alike[None if ordered else (record.key, not record.headers)].append(
                number_of(record.value))
        for numbers in alike.values():
            assert numbers == sorted(numbers), "records of a partition changed their order"
    by_number = {number_of(record.value): record for record in consumed}
    partition_of_key = {}
    for number, wanted in enumerate(produced):
        found = by_number[number]
        assert found.key == wanted.key
        assert found.value == wanted.value
        assert found.headers == list(wanted.headers)
        if wanted.key is not None:
            assert partition_of_key.setdefault(wanted.key, found.partition) == found.partition
        if wanted.timestamp is not None:
            assert found.timestamp == wanted.timestamp
        if acknowledged:
            assert acknowledged[number] == (found.partition, found.offset)


def produce_and_consume(client, topic, codec, mode="default"):
    client.create(topic, 3)
    produced = mixed_records(300, binary=client.can("binary"))
    acknowledged = client.produce(topic, produced, codec, mode)
    assert len(acknowledged) == (len(produced) if client.can("acks") else 0)
    check_consumed(
        produced, client.consume(topic, len(produced)), acknowledged,
        ordered=client.can("acks"))


def large_records(client, topic):
    """Values of a megabyte that hardly compress, keyed, in one partition and in order."""
    client.create(topic, 3)
    source = random.Random(1)
    produced = [
        Record(b"large", b"%06d " % number + source.randbytes(MEGABYTE // 2).hex().encode()[7:])
        for number in range(4)]
    acknowledged = client.produce(topic, produced)
    check_consumed(produced, client.consume(topic, len(produced)), acknowledged, ordered=True)


def create_list_delete(client, topic):
    client.create(topic, 5)
    if client.can("partitions"):
        assert client.partitions(topic) == 5
    assert topic in client.topics()
    if client.can("delete"):
        client.delete(topic)
        eventually(lambda: topic not in client.topics(), f"{topic} is gone")


def offsets_by_timestamp(client, topic):
    client.create(topic, 1)
    start = 1_700_000_000_000
    stamped = client.can("timestamps")
    client.produce(topic, [
        Record(None, b"%06d" % number, partition=0,
               timestamp=start + number * 1000 if stamped else None)
        for number in range(10)])
    found = {name: client.offsets(topic, timestamp)[0] for name, timestamp in (
        ("earliest", -2), ("latest", -1), ("exact", start + 4000), ("between", start + 4001),
        ("after the end", start + 9001))}
    assert found["earliest"] == 0
    assert found["latest"] == 10
    if stamped:
        assert found["exact"] == 4
        assert found["between"] == 5
        # A time after the last record has no offset; some clients then say the end.
        assert found["after the end"] in (-1, 10)


def resume_from_commit(client, topic, group):
    client.create(topic, 1)
    client.produce(topic, [
        Record(b"k", b"%06d" % number, partition=0) for number in range(20)])
    first = client.take(topic, group, 8)
    second = client.take(topic, group, 12)
    assert [number_of(value) for _, _, value in first + second] == list(range(20))


def group_of_three(client, topic, group, bootstrap):
    """Three members share six partitions; one leaves, the others take over what it had."""
    client.create(topic, 6)
    partitions = client.partitions(topic)
    members = [Client(client.name, bootstrap) for _ in range(3)]
    try:
        for member in members:
            member.start_member(topic, group)
        wait_for_shares(members, partitions)
        produce_everywhere(client, topic, partitions, range(0, 60))
        wait_for_records(members, range(0, 60))
        leaver, *others = members
        leaver.leave()
        wait_for_shares(others, partitions)
        produce_everywhere(client, topic, partitions, range(60, 120))
        wait_for_records(members, range(0, 120))
        read_once(members, 120)
        for member in others:
            member.leave()
    finally:
        for member in members:
            member.close()


def produce_everywhere(client, topic, partitions, numbers):
    client.produce(topic, [
        Record(None, b"%06d" % number, partition=number % partitions) for number in numbers])


def wait_for_shares(members, partitions):
    """Each member owns some partitions, all are owned, none twice."""
    def shared():
        for member in members:
            if member.member_failure is not None:
                raise member.member_failure
        owned = [partition for member in members for partition in member.owned]
        return sorted(owned) == list(range(partitions)) and all(
            member.owned for member in members)
    eventually(shared, lambda: f"shares of {partitions}: {[m.owned for m in members]}")


def wait_for_records(members, numbers):
    wanted = set(numbers)

    def missing():
        return wanted - {number_of(value) for member in members
                         for _, _, value in member.records}
    eventually(lambda: not missing(), lambda: f"records {sorted(missing())}")


def read_once(members, count):
    """A member that leaves in peace commits what it read: nobody reads it again."""
    read = [number_of(value) for member in members for _, _, value in member.records]
    assert sorted(read) == list(range(count)), "records were read twice"
