"""Raw Kafka requests, written byte by byte and independent of the broker's own encoder.

Only what the tests send by hand is here; real clients do the rest. Version numbers are chosen so
that both the classic and the flexible encoding are exercised: ApiVersions 0 and 3, Metadata 1,
Produce 7 and 9, Fetch 4.
"""

import itertools
import socket
import struct

import crc32c

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19
NONE, INVALID_TOPIC, MESSAGE_TOO_LARGE, CORRUPT_MESSAGE = 0, 17, 10, 2
UNKNOWN_TOPIC_OR_PARTITION, UNSUPPORTED_VERSION = 3, 35
UNSUPPORTED_COMPRESSION_TYPE, INVALID_RECORD = 76, 87

# APIs with the flexible request header from this version on.
FLEXIBLE_FROM = {PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, API_VERSIONS: 3, CREATE_TOPICS: 5}


class Closed(Exception):
    """The broker closed the connection."""


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def unsigned_varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def varint(value):
    return unsigned_varint((value << 1) ^ (value >> 63))


def compact_string(text):
    encoded = text.encode()
    return unsigned_varint(len(encoded) + 1) + encoded


def array(items):
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


NO_TAGS = b"\x00"


def request(api, version, body, correlation=1, client="raw", tags=NO_TAGS):
    """Header and body, without the length in front."""
    header = struct.pack(">hhi", api, version, correlation) + string(client)
    if version >= FLEXIBLE_FROM.get(api, 1 << 15):
        header += tags
    return header + body


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def api_versions(version=3, correlation=1, **options):
    body = compact_string("raw") + compact_string("1") + NO_TAGS if version >= 3 else b""
    return request(API_VERSIONS, version, body, correlation, **options)


def metadata(topics, version=1, correlation=1):
    """Metadata version 1; None asks for every topic."""
    body = struct.pack(">i", -1) if topics is None else array(map(string, topics))
    return request(METADATA, version, body, correlation)


def record_batch(values, **changed):
    """A record batch v2; `changed` spoils fields of its header. `pack` compresses the records,
    `payload` takes their place."""
    records = b""
    for number, value in enumerate(values):
        body = b"\x00" + varint(0) + varint(number) + varint(-1) + varint(len(value)) + value
        body += varint(0)
        records += varint(len(body)) + body
    field = {"attributes": 0, "last_offset_delta": len(values) - 1, "producer_id": -1,
             "producer_epoch": -1, "base_sequence": -1, "count": len(values), "magic": 2,
             "base_offset": 0, "leader_epoch": -1, "max_timestamp": 1_700_000_000_000, **changed}
    records = changed["payload"] if "payload" in changed else changed.get("pack", bytes)(records)
    covered = struct.pack(
        ">hiqqqhii", field["attributes"], field["last_offset_delta"], 1_700_000_000_000,
        field["max_timestamp"], field["producer_id"], field["producer_epoch"],
        field["base_sequence"], field["count"]) + records
    crc = field.get("crc", crc32c.crc32c(covered))
    after_length = struct.pack(">ibI", field["leader_epoch"], field["magic"], crc) + covered
    length = field.get("length", len(after_length))
    return struct.pack(">qi", field["base_offset"], length) + after_length


def produce(topic, batch, partition=0, acks=1, correlation=1, version=7):
    """Produce version 3 to 8: one topic, one partition."""
    body = string(None) + struct.pack(">hi", acks, 5000) + array([
        string(topic) + array([struct.pack(">ii", partition, len(batch)) + batch])])
    return request(PRODUCE, version, body, correlation)


def fetch(topic, offset=0, partition=0, max_bytes=1 << 30, max_wait_ms=100, correlation=1):
    """Fetch version 4: one topic, one partition."""
    body = struct.pack(">iiiib", -1, max_wait_ms, 1, max_bytes, 0) + array([
        string(topic) + array([struct.pack(">iqi", partition, offset, max_bytes)])])
    return request(FETCH, 4, body, correlation)


class Reader:
    """Takes a response apart from the front."""

    def __init__(self, payload):
        self.payload = payload
        self.at = 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.payload, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.payload[self.at - size:self.at].decode()


class Connection:
    """One TCP connection to the broker."""

    correlations = itertools.count(1000)

    def __init__(self, port, timeout=20, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        # How the broker's log names this client.
        self.peer = "%s:%d" % self.socket.getsockname()

    def send(self, *payloads):
        self.socket.sendall(b"".join(frame(payload) for payload in payloads))

    def send_bytes(self, content):
        self.socket.sendall(content)

    def _receive_exactly(self, size):
        parts = []
        while size > 0:
            try:
                part = self.socket.recv(min(size, 1 << 20))
            except ConnectionResetError:
                raise Closed() from None
            if not part:
                raise Closed()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self):
        """The next response: (correlation id, what follows it)."""
        [size] = struct.unpack(">i", self._receive_exactly(4))
        payload = self._receive_exactly(size)
        return struct.unpack_from(">i", payload)[0], payload[4:]

    def ask(self, payload):
        self.send(payload)
        return Reader(self.receive()[1])

    def is_closed_by_broker(self):
        """Waits for the end of the connection; True when it comes without another byte."""
        try:
            self._receive_exactly(1)
        except Closed:
            return True
        return False

    def api_versions(self):
        """{API key: (lowest, highest)}, with version 0 of the request."""
        correlation = next(self.correlations)
        reader = self.ask(api_versions(0, correlation))
        error, count = reader.take("hi")
        assert error == NONE
        return {key: (low, high) for key, low, high in (
            reader.take("hhh") for _ in range(count))}

    def metadata(self, *topics):
        """{topic: (error, number of partitions)} of these topics, or of all."""
        reader = self.ask(metadata(topics or None))
        for _ in range(reader.take("i")):
            reader.take("i")
            reader.string()
            reader.take("i")
            reader.string()
        reader.take("i")
        found = {}
        for _ in range(reader.take("i")):
            error = reader.take("h")
            topic = reader.string()
            reader.take("b")
            count = reader.take("i")
            for _ in range(count):
                reader.take("hii")
                for _ in range(2):
                    for _ in range(reader.take("i")):
                        reader.take("i")
            found[topic] = (error, count)
        return found

    def produce(self, topic, batch, partition=0, version=7):
        """(error, base offset)."""
        reader = self.ask(produce(topic, batch, partition, version=version))
        reader.take("i")
        reader.string()
        reader.take("i")
        _, error, offset = reader.take("ihq")
        return error, offset

    def fetch_size(self, topic, offset=0):
        """How many bytes of batches a fetch returns."""
        reader = self.ask(fetch(topic, offset))
        reader.take("ii")
        reader.string()
        reader.take("i")
        _, error, _, _, aborted = reader.take("ihqqi")
        assert error == NONE and aborted in (-1, 0)
        return reader.take("i")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
