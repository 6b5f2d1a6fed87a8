"""What a client may send that it should not: refused or bounded as a Kafka user expects, with a
line in the log that names the peer and the rule, and nobody else notices.

The requests are written byte by byte (harness/wire.py). The bystander is another connection,
opened before: it must be served throughout, on that same connection.
"""

import contextlib
import os
import random
import re
import select
import socket
import struct

import pytest

from harness import wire
from harness.broker import wait_quiet
from harness.client import eventually

REQUEST_MAX = 104_857_600  # socket.request.max.bytes, Kafka's default
TLS_CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(200))
HTTP_REQUEST = b"GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def broker(own_broker):
    """A broker for each test: the log sums up rules that are broken again and again, for longer the
    longer it goes on, and each test wants its own line."""
    return own_broker()


def memory(broker):
    """What the family uses by itself; a broker that is not ours uses nothing."""
    return broker.memory() if hasattr(broker, "memory") else 0


def named(cases):
    """Parameters with a name of their own in the test's name."""
    return [pytest.param(*values, id=name) for name, *values in cases]


class Bystander:
    """A well-behaved client with a topic of its own."""

    def __init__(self, broker, topic):
        self.connection = wire.Connection(broker.port)
        self.topic = topic
        self.produced = 0
        eventually(lambda: self.connection.metadata(topic)[topic][0] == wire.NONE, "a topic")
        self.is_served()

    def is_served(self):
        batch = wire.record_batch([b"undisturbed"])
        error, offset = eventually_produced(self.connection, self.topic, batch)
        assert (error, offset) == (wire.NONE, self.produced)
        assert self.connection.fetch_size(self.topic, self.produced) == len(batch)
        self.produced += 1


def eventually_produced(connection, topic, batch):
    """A topic that was just created may answer with a retriable error at first."""
    def attempt():
        outcome = connection.produce(topic, batch)
        return outcome if outcome[0] not in (wire.UNKNOWN_TOPIC_OR_PARTITION, 5, 6) else None
    return eventually(attempt, f"produce to {topic}")


@pytest.fixture
def bystander(broker, topic):
    other = Bystander(broker, topic + "-bystander")
    yield other
    other.is_served()
    other.connection.close()


@pytest.fixture
def logged(broker):
    """Whether a line of the log names this peer and matches the rule."""
    mark = len(broker.log())

    def find(peer, rule):
        return not hasattr(broker, "log_since") or [
            line for line in broker.log_since(mark).splitlines()
            if peer in line and re.search(rule, line, re.IGNORECASE)]

    return find


def provoke(broker, logged, rule, offend):
    """Offends on new connections until the log names one of them and the rule: the log has at
    most one line a second for each rule, so that bad clients cannot fill a disk."""
    peers = []

    def attempt():
        with wire.Connection(broker.port) as connection:
            offend(connection)
            peers.append(connection.peer)
        return any(logged(peer, rule) for peer in peers[-3:])

    eventually(attempt, lambda: f"one of {peers[-3:]} and '{rule}' in\n{broker.log()[-700:]}", 10)


def refused(broker, logged, rule, *sent):
    """The connection ends without a response, and the log says why."""
    def offend(connection):
        for content in sent:
            connection.send_bytes(content)
        assert connection.is_closed_by_broker()

    provoke(broker, logged, rule, offend)


@pytest.mark.parametrize("length", [-1, -(1 << 31), REQUEST_MAX + 1, (1 << 31) - 1])
def test_frame_length(broker, bystander, logged, length):
    refused(broker, logged, r"length|size|bytes", struct.pack(">i", length))


@pytest.mark.parametrize("length", [0, 1, 3, 7])
def test_frame_shorter_than_a_header(broker, bystander, logged, length):
    refused(broker, logged, r"header|short|bytes|length",
            struct.pack(">i", length) + bytes(length))


def test_tls_bytes(broker, bystander, logged):
    refused(broker, logged, r"TLS|length|size|bytes", TLS_CLIENT_HELLO)


def test_http_bytes(broker, bystander, logged):
    refused(broker, logged, r"HTTP|length|size|bytes", HTTP_REQUEST)


def test_half_frames_that_stall(broker, bystander):
    """Many clients announce the most that is allowed and send a few bytes of it: what they
    announced is not set aside for them."""
    before = memory(broker)
    with contextlib.ExitStack() as stalled:
        for _ in range(200):
            connection = stalled.enter_context(wire.Connection(broker.port))
            connection.send_bytes(struct.pack(">i", REQUEST_MAX) + b"\x00\x00\x00\x09")
        for _ in range(5):
            bystander.is_served()
        assert memory(broker) - before < 64 << 20


def test_stalled_connection_ends_when_idle(own_broker):
    broker = own_broker({"connections.max.idle.ms": "1000"})
    with wire.Connection(broker.port) as connection:
        connection.send_bytes(struct.pack(">i", 100) + b"half")
        assert connection.is_closed_by_broker()
        eventually(lambda: re.search(f"{connection.peer}.*idle|idle.*{connection.peer}",
                                     broker.log()), broker.log)
    broker.stop()


@pytest.mark.parametrize("key", [-1, 6, 500, 32767])
def test_unknown_api_key(broker, bystander, logged, key):
    refused(broker, logged, r"API", wire.frame(wire.request(key, 0, b"")))


@pytest.mark.parametrize("key, version", [
    (wire.PRODUCE, 99), (wire.FETCH, 99), (wire.METADATA, 99), (wire.METADATA, -1),
    (wire.CREATE_TOPICS, 1000), (wire.LIST_OFFSETS, 32767), (wire.FETCH, 0)])
def test_unknown_version(broker, bystander, logged, key, version):
    refused(broker, logged, r"version", wire.frame(wire.request(key, version, b"")))


@pytest.mark.parametrize("version", [5, 99, 32767, -1])
def test_unknown_version_of_api_versions(broker, bystander, version):
    """The one API that answers: in version 0, with the range that the client should use."""
    with wire.Connection(broker.port) as connection:
        reader = connection.ask(wire.api_versions(version))
        error, count = reader.take("hi")
        assert error == wire.UNSUPPORTED_VERSION
        ranges = {key: (low, high) for key, low, high in (
            reader.take("hhh") for _ in range(count))}
        assert ranges[wire.API_VERSIONS] == (0, 4)
        assert reader.at == len(reader.payload)
        assert connection.api_versions()[wire.API_VERSIONS] == (0, 4)


def test_served_versions_are_kafkas(broker):
    """The whole ranges of Apache Kafka 4.1, Produce from 0 as Kafka says for old librdkafka."""
    with wire.Connection(broker.port) as connection:
        served = connection.api_versions()
    wanted = {0: (0, 13), 1: (4, 18), 2: (1, 10), 3: (0, 13), 8: (2, 9), 9: (1, 9), 10: (0, 6),
              11: (0, 9), 12: (0, 4), 13: (0, 5), 14: (0, 5), 18: (0, 4), 19: (2, 7),
              20: (1, 6), 22: (0, 5), 32: (1, 4), 37: (0, 3), 60: (0, 2), 75: (0, 0)}
    assert {key: served.get(key) for key in wanted} == wanted


HUGE_COUNT = struct.pack(">i", (1 << 31) - 1)


@pytest.mark.parametrize("payload", named([
    ("metadata", wire.request(wire.METADATA, 1, HUGE_COUNT)),
    ("produce-negative", wire.request(
        wire.PRODUCE, 7, wire.string(None) + struct.pack(">hii", 1, 1000, -7))),
    ("metadata-flexible", wire.request(
        wire.METADATA, 9, wire.unsigned_varint(0xFFFFFFFF) + b"\x00" * 8)),
    ("metadata-string", wire.request(
        wire.METADATA, 1, struct.pack(">ih", 1, 32767) + b"short")),
    ("metadata-endless-varint", wire.request(wire.METADATA, 9, b"\xff" * 20)),
    ("produce", wire.request(
        wire.PRODUCE, 7, wire.string(None) + struct.pack(">hi", 1, 1000) + HUGE_COUNT)),
    ("produce-records", wire.request(
        wire.PRODUCE, 7, wire.string(None) + struct.pack(">hi", 1, 1000) + struct.pack(">i", 1)
        + wire.string("t") + struct.pack(">iii", 1, 0, 1 << 30))),
    ("fetch", wire.request(
        wire.FETCH, 4, struct.pack(">iiiib", -1, 100, 1, 1 << 20, 0) + HUGE_COUNT)),
    ("list-offsets", wire.request(
        wire.LIST_OFFSETS, 1, struct.pack(">i", -1) + HUGE_COUNT)),
    ("create-topics", wire.request(wire.CREATE_TOPICS, 2, HUGE_COUNT)),
    ("truncated", wire.fetch("some-topic")[:-5]),
]))
def test_counts_beyond_the_bytes(broker, bystander, logged, payload):
    refused(broker, logged, r"request|malformed|decod|array|count|bytes|version", wire.frame(
        payload))


@pytest.mark.parametrize("tags", named([
    ("count-beyond-the-bytes", wire.unsigned_varint(1 << 30)),
    ("size-beyond-the-bytes", b"\x01\x63" + wire.unsigned_varint(1 << 30)),
    ("endless-varint", b"\xff" * 10),
    ("twice-the-same", b"\x02\x63\x00\x63\x00"),
    ("not-ascending", b"\x02\x64\x00\x63\x00"),
]))
def test_wrong_tagged_fields(broker, bystander, logged, tags):
    """In the request's header and at the end of its body."""
    # Metadata 9: a null array of topics, three booleans, tags.
    in_body = wire.request(wire.METADATA, 9, b"\x00\x00\x00\x00" + tags)
    refused(broker, logged, r"tag|malformed|request|decod|bytes", wire.frame(in_body))
    in_header = wire.request(
        wire.METADATA, 9, b"\x00\x00\x00\x00" + wire.NO_TAGS, tags=tags)
    refused(broker, logged, r"tag|malformed|request|header|decod|bytes", wire.frame(in_header))


def test_bytes_after_a_request_are_ignored(broker, bystander):
    """As Kafka does: librdkafka's Metadata requests end in a byte too many."""
    with wire.Connection(broker.port) as connection:
        connection.send(wire.metadata([]) + b"\x00", wire.api_versions(0, 7))
        assert [connection.receive()[0] for _ in range(2)] == [1, 7]


def test_unknown_tagged_field_is_ignored(broker, bystander):
    with wire.Connection(broker.port) as connection:
        reader = connection.ask(wire.api_versions(3, tags=b"\x01\x63\x04abcd"))
        assert reader.take("h") == wire.NONE


def test_half_closed_after_requests(broker, bystander):
    """What was asked before the client closed its half is answered, in order; then it ends."""
    with wire.Connection(broker.port) as connection:
        connection.send(wire.api_versions(0, 1), wire.metadata([bystander.topic], correlation=2),
                        wire.api_versions(0, 3))
        connection.socket.shutdown(socket.SHUT_WR)
        assert [connection.receive()[0] for _ in range(3)] == [1, 2, 3]
        assert connection.is_closed_by_broker()


def test_half_closed_within_a_frame(broker, bystander):
    with wire.Connection(broker.port) as connection:
        connection.send(wire.api_versions(0, 1))
        connection.send_bytes(wire.frame(wire.metadata(["topic"]))[:-3])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.receive()[0] == 1
        assert connection.is_closed_by_broker()


def test_half_closed_while_a_fetch_waits(broker, bystander):
    """A long poll of a client that has gone costs nothing but its wait."""
    with wire.Connection(broker.port) as connection:
        connection.send(wire.fetch(
            bystander.topic, offset=bystander.produced, max_wait_ms=500))
        connection.socket.shutdown(socket.SHUT_WR)
        try:
            connection.receive()
        except wire.Closed:
            return
        assert connection.is_closed_by_broker()


def test_reset_with_requests_in_flight(broker, bystander):
    """Fifty clients vanish with produce, fetch and metadata requests unanswered."""
    def counts():
        return broker.descriptor_counts() if hasattr(broker, "descriptor_counts") else {}
    before = wait_quiet(counts)
    for _ in range(50):
        connection = wire.Connection(broker.port)
        connection.send(
            wire.produce(bystander.topic, wire.record_batch([b"gone"]), acks=0),
            wire.metadata([]),
            wire.fetch(bystander.topic, offset=1 << 40, max_wait_ms=10_000),
            wire.api_versions(0))
        reset(connection)
    # Those records of acks=0 may or may not have come; the bystander counts anew.
    def end():
        reader = bystander.connection.ask(wire.request(
            wire.LIST_OFFSETS, 1, struct.pack(">i", -1) + wire.array([
                wire.string(bystander.topic) + wire.array([struct.pack(">iq", 0, -1)])])))
        reader.take("i")
        reader.string()
        reader.take("i")
        return reader.take("ihqq")[3]
    bystander.produced = wait_quiet(end)
    eventually(lambda: counts() == before, lambda: f"descriptors {before}, now {counts()}", 20)


def reset(connection):
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


BAD_NAMES = [("parent-file", "../outside"), ("parent", ".."), ("self", "."), ("empty", ""),
             ("absolute", "/etc/passwd"), ("slash", "a/b"), ("nul", "a\0b"), ("space", "a b"),
             ("not-ascii", "ü"), ("long", "x" * 250)]


@pytest.mark.parametrize("name", named(BAD_NAMES))
def test_topic_name_that_is_a_path(broker, bystander, logged, name):
    before = sorted(os.listdir(broker.data)) if hasattr(broker, "data") else []
    def offend(connection):
        error, partitions = connection.metadata(name)[name]
        assert (error, partitions) == (wire.INVALID_TOPIC, 0)
        create = wire.string(name) + struct.pack(">ih", 1, 1) + wire.array([]) + wire.array([])
        reader = connection.ask(wire.request(
            wire.CREATE_TOPICS, 2, wire.array([create]) + struct.pack(">ib", 5000, 0)))
        assert reader.take("ii") == (0, 1)
        assert reader.string() == name
        assert reader.take("h") == wire.INVALID_TOPIC
        error, _ = connection.produce(name, wire.record_batch([b"x"]))
        assert error in (wire.UNKNOWN_TOPIC_OR_PARTITION, wire.INVALID_TOPIC)

    provoke(broker, logged, r"topic", offend)
    if hasattr(broker, "data"):
        assert sorted(os.listdir(broker.data)) == before
        assert not (broker.data.parent / "outside-0").exists()


@pytest.mark.parametrize("batch, errors", named([
    ("crc", wire.record_batch([b"x"], crc=0), (2,)),
    ("magic-1", wire.record_batch([b"x"], magic=1), (2, 87)),
    ("magic-9", wire.record_batch([b"x"], magic=9), (2, 87)),
    ("length-short", wire.record_batch([b"x"], length=10), (2, 87)),
    ("length-long", wire.record_batch([b"x"], length=1 << 30), (2, 87)),
    ("length-negative", wire.record_batch([b"x"], length=-5), (2, 87)),
    ("count", wire.record_batch([b"x"], count=7), (2, 87)),
    ("count-negative", wire.record_batch([b"x"], count=-1), (2, 87)),
    ("cut", wire.record_batch([b"x" * 100])[:70], (2, 87)),
    ("nothing", b"", (2, 87)),
    ("codec", wire.record_batch([b"x"], attributes=7), (2, 87, 76)),
    ("control", wire.record_batch([b"x"], attributes=0x20), (2, 87)),
    ("too-large", wire.record_batch([bytes(1_100_000)]), (wire.MESSAGE_TOO_LARGE,)),
]))
def test_bad_batch(broker, bystander, logged, batch, errors):
    """An error code for that partition, nothing stored, and the connection goes on."""
    def offend(connection):
        assert connection.produce(bystander.topic, batch)[0] in errors
        error, _ = connection.produce("no-such-partition", wire.record_batch([b"x"]), 77)
        assert error == wire.UNKNOWN_TOPIC_OR_PARTITION

    provoke(broker, logged, r"batch|record|message|magic|crc|codec", offend)


def test_codec_that_the_version_does_not_know(broker, bystander):
    """Zstandard came with version 7 of Produce; before, it is refused without storing it."""
    with wire.Connection(broker.port) as connection:
        batch = wire.record_batch([b"x"], attributes=4)
        error, _ = connection.produce(bystander.topic, batch, version=3)
        assert error == wire.UNSUPPORTED_COMPRESSION_TYPE


def test_client_that_never_reads_fetches(broker, bystander):
    """It asks for more than the sockets hold and takes none of it: the broker's memory stays."""
    topic = bystander.topic + "-large"
    eventually(lambda: bystander.connection.metadata(topic)[topic][0] == wire.NONE, "a topic")
    batch = wire.record_batch([bytes(1_000_000)])
    for _ in range(20):
        eventually_produced(bystander.connection, topic, batch)
    before = memory(broker)
    with wire.Connection(broker.port, receive_buffer=4096) as connection:
        send_until_stuck(
            connection, wire.frame(wire.fetch(topic, max_bytes=20_000_000)), 64 << 20)
        for _ in range(5):
            bystander.is_served()
        assert memory(broker) - before < 32 << 20


def test_client_that_never_reads_responses(broker, bystander):
    """Small requests with large answers: the broker stops reading before it fills its memory."""
    before = memory(broker)
    with wire.Connection(broker.port, receive_buffer=4096) as connection:
        sent = send_until_stuck(connection, wire.frame(wire.api_versions(0)) * 1000, 64 << 20)
        assert sent < 64 << 20, "the broker reads on without end"
        bystander.is_served()
        assert memory(broker) - before < 64 << 20


def send_until_stuck(connection, content, most):
    """Sends the same bytes again until nothing is taken for half a second; returns how many."""
    connection.socket.setblocking(False)
    sent = 0
    while sent < most:
        _, writable, _ = select.select([], [connection.socket], [], 0.5)
        if not writable:
            break
        # Whole copies only, as long as the socket takes them.
        sent += connection.socket.send(content[sent % len(content):])
    return sent


def test_many_connections(own_broker):
    """More connections than the broker may have descriptors: the ones it has are served, the
    others wait or are refused, and when they go all is as before."""
    broker = own_broker(descriptors_max=512)
    bystander = Bystander(broker, "bystander")
    before = wait_quiet(broker.descriptor_counts)
    mark = broker.log_mark()
    with contextlib.ExitStack() as held:
        for _ in range(1500):
            connection = held.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", broker.port))
        for _ in range(5):
            bystander.is_served()
        eventually(lambda: re.search(r"connection|descriptor|too many open files",
                                     broker.log_since(mark), re.IGNORECASE), "a line in the log")
    eventually(lambda: broker.descriptor_counts() == before,
               lambda: f"descriptors {before}, now {broker.descriptor_counts()}", 30)
    with wire.Connection(broker.port) as connection:
        assert connection.api_versions()
    # One line for each attempt would be another way to fill a disk.
    assert broker.log_since(mark).count("\n") < 500
    bystander.connection.close()
    broker.stop()


def test_a_hundred_thousand_connection_attempts(own_broker):
    """Connections that come and go as fast as they can, some with a request; what does not fit
    the listener's backlog is not waited for."""
    broker = own_broker()
    bystander = Bystander(broker, "bystander")
    before = wait_quiet(broker.descriptor_counts)
    request = wire.frame(wire.api_versions(0))
    for attempts in range(0, 100_000, 500):
        with contextlib.ExitStack() as burst:
            for number in range(500):
                connection = burst.enter_context(socket.socket())
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.setblocking(False)
                connection.connect_ex(("127.0.0.1", broker.port))
                if number % 10 == 0:
                    with contextlib.suppress(OSError):
                        connection.send(request)
        if attempts % 10_000 == 0:
            bystander.is_served()
    bystander.is_served()
    eventually(lambda: broker.descriptor_counts() == before,
               lambda: f"descriptors {before}, now {broker.descriptor_counts()}", 30)
    bystander.connection.close()
    broker.stop()


def test_random_bytes(broker, bystander):
    """Frames of noise, with a valid length and sometimes a valid API key."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(300):
        noise = source.randbytes(source.randrange(120))
        if source.random() < 0.7:
            noise = struct.pack(">hhi", source.randrange(80), source.randrange(14), 1) + noise
        with wire.Connection(broker.port, timeout=2) as connection:
            connection.send(noise)
            connection.socket.shutdown(socket.SHUT_WR)
            try:
                while True:
                    connection.receive()
            except (wire.Closed, struct.error, TimeoutError):
                pass
    bystander.is_served()

