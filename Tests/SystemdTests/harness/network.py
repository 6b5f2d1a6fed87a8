"""Clients of a broker in a box, in the test's own process: connections that are made in the box's
network go on working outside of it.
"""

import contextlib
import ctypes
import os
import socket
import struct
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PORT = 9092


def enter(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def network_of(box):
    """The calling thread, and the threads that it starts, are in the box's network."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/proc/{box.pid}/ns/net", os.O_RDONLY)
    try:
        enter(other)
        yield
    finally:
        enter(own)
        os.close(own)
        os.close(other)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record_batch(value):
    """A record batch v2 with one record of at most 50 bytes."""
    record = bytes([0, 0, 0, 1, 2 * len(value)]) + value + b"\0"
    record = bytes([2 * len(record)]) + record
    now = time.time_ns() // 1_000_000
    covered = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    after_length = struct.pack(">ibI", -1, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(after_length)) + after_length


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


class RawClient:
    """One TCP connection. Whatever ends it fails the test."""

    def __init__(self, box, port=PORT):
        with network_of(box):
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.correlation = 0

    def frame(self, api, version, body):
        self.correlation += 1
        payload = struct.pack(">hhi", api, version, self.correlation) + string("raw") + body
        return struct.pack(">i", len(payload)) + payload

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next response, after its correlation id, which must be that of the last request."""
        size, = struct.unpack(">i", self.exactly(4))
        payload = self.exactly(size)
        correlation, = struct.unpack_from(">i", payload)
        assert correlation == self.correlation, "a response to another request"
        return payload[4:]

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(min(count - len(data), 1 << 20))
            assert more, "the connection was closed"
            data += more
        return data

    def ask(self, api, version, body):
        self.send(self.frame(api, version, body))
        return self.receive()

    def api_versions(self):
        """ApiVersions version 0."""
        return self.frame(18, 0, b"")

    def fetch(self, topic, offset, max_wait_ms=100, max_bytes=1 << 20):
        """Fetch version 4 of partition 0, waiting for one byte."""
        body = struct.pack(">iiiib", -1, max_wait_ms, 1, max_bytes, 0)
        body += struct.pack(">i", 1) + string(topic)
        body += struct.pack(">iiqi", 1, 0, offset, max_bytes)
        return self.frame(1, 4, body)

    def produce(self, topic, batch):
        """Produce version 7 to partition 0 with acks=1."""
        body = struct.pack(">hhii", -1, 1, 5000, 1) + string(topic)
        body += struct.pack(">iii", 1, 0, len(batch)) + batch
        return self.frame(0, 7, body)

    def receive_produced(self):
        """The error of the response to `produce`."""
        payload = self.receive()
        size, = struct.unpack_from(">h", payload, 4)
        return struct.unpack_from(">ih", payload, 4 + 2 + size + 4)[1]

    def receive_fetched(self):
        """The records of the response to `fetch`."""
        payload = self.receive()
        at = 4 + 4
        size, = struct.unpack_from(">h", payload, at)
        at += 2 + size + 4
        _, error, _, _, aborted, length = struct.unpack_from(">ihqqii", payload, at)
        assert error == 0, error
        assert aborted <= 0
        return payload[len(payload) - length:] if length > 0 else b""

    def is_ended(self):
        """Whether the broker has closed the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()
