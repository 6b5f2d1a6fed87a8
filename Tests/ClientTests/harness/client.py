"""One driver program as the tests see it; drivers/repl.py describes what it understands."""

import collections
import os
import subprocess
import tempfile
import threading
import time

from harness import paths

EVERY_CODEC = ("none", "gzip", "snappy", "lz4", "zstd")

Consumed = collections.namedtuple("Consumed", "partition offset timestamp key value headers")


def python(environment, script):
    return lambda: [str(paths.DEPENDENCIES / environment / "bin/python"),
                    str(paths.DRIVERS / script)]


def rdkafka():
    return [str(paths.built(
        "rdkafka.c", "rdkafka",
        ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "{source}", "-o", "{target}",
         "-lrdkafka"]))]


def sarama():
    return [str(paths.built(
        "sarama.go", "sarama",
        ["go", "build", "-o", "{target}", "{source}"],
        {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
         "CGO_CFLAGS": "-O2 -Wno-deprecated-declarations"}))]


def java():
    jars = str(paths.DEPENDENCIES / "java/*")
    classes = paths.built(
        "JavaClient.java", "java", ["javac", "-cp", jars, "-d", "{target}", "{source}"])
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            f"{classes}:{jars}", "JavaClient"]


# How to start a client, and what it cannot do: `text` records only, no `acks` to look at, no
# `delete` of topics, no say in `timestamps` or the number of `partitions`, no `idempotence`.
Kind = collections.namedtuple("Kind", "command codecs lacks", defaults=(EVERY_CODEC, ()))

KINDS = {
    "kcat": Kind(python("newest", "kcat.py"), lacks=(
        "binary", "acks", "delete", "timestamps", "partitions")),
    "librdkafka-debian": Kind(rdkafka),
    "confluent-newest": Kind(python("newest", "confluent.py")),
    "confluent-older": Kind(python("older", "confluent.py")),
    "kafka-python-newest": Kind(python("newest", "kafka_python.py")),
    "kafka-python-older": Kind(python("older", "kafka_python.py"), lacks=("idempotence",)),
    "aiokafka-newest": Kind(python("newest", "aiokafka_driver.py")),
    "aiokafka-older": Kind(python("older", "aiokafka_driver.py")),
    # It sends zstd in a version of Produce in which Kafka refuses it.
    "sarama": Kind(sarama, codecs=("none", "gzip", "snappy", "lz4")),
    "java": Kind(java),
}


class ClientFailed(Exception):
    """The client library reported an error, or said nothing for too long."""


def to_hex(value):
    return "-" if value is None else value.hex()


def from_hex(text):
    return None if text == "-" else bytes.fromhex(text)


class Client:
    """A running driver. Commands are synchronous, except for `start_member` … `leave`."""

    def __init__(self, name, bootstrap):
        self.name = name
        self.kind = KINDS[name]
        self.directory = tempfile.TemporaryDirectory(prefix="sluice-client-")
        self.errors = open(os.path.join(self.directory.name, "stderr"), "w+")
        self.process = subprocess.Popen(
            [*self.kind.command(), bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True)
        self._wait_for("ready")

    def can(self, feature):
        return feature not in self.kind.lacks

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise ClientFailed(f"{self.name} ended\n{self.stderr()}")
        return line.rstrip("\n").split("\t")

    def _wait_for(self, last):
        events = []
        while True:
            kind, *fields = self._line()
            if kind == last:
                return events
            if kind == "fail":
                raise ClientFailed(f"{self.name}: {fields[0]}\n{self.stderr()}")
            events.append(fields)

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()[-8000:]

    def _send(self, *fields):
        self.process.stdin.write("\t".join(str(field) for field in fields) + "\n")
        self.process.stdin.flush()

    def _ask(self, *fields):
        self._send(*fields)
        return self._wait_for("done")

    def create(self, topic, partitions):
        self._ask("create", topic, partitions)

    def delete(self, topic):
        self._ask("delete", topic)

    def topics(self):
        return {name for [name] in self._ask("topics")}

    def partitions(self, topic):
        [[count]] = self._ask("partitions", topic)
        return int(count)

    def produce(self, topic, records, codec="none", mode="default"):
        """Returns (partition, offset) for each record; nothing from a client without acks."""
        path = os.path.join(self.directory.name, "produce")
        with open(path, "w") as out:
            for record in records:
                headers = ",".join(f"{name}={to_hex(value)}" for name, value in record.headers)
                out.write("\t".join([
                    "-" if record.partition is None else str(record.partition),
                    "-" if record.timestamp is None else str(record.timestamp),
                    to_hex(record.key), to_hex(record.value), headers]) + "\n")
        return [(int(partition), int(offset)) for partition, offset in
                self._ask("produce", topic, path, codec, mode)]

    def consume(self, topic, count):
        path = os.path.join(self.directory.name, "consume")
        self._ask("consume", topic, count, path)
        with open(path) as lines:
            return [self._consumed(line.rstrip("\n").split("\t")) for line in lines]

    @staticmethod
    def _consumed(fields):
        partition, offset, timestamp, key, value, headers = fields
        pairs = [header.split("=", 1) for header in headers.split(",") if header]
        return Consumed(int(partition), int(offset), int(timestamp), from_hex(key),
                        from_hex(value), [(name, from_hex(text)) for name, text in pairs])

    def offsets(self, topic, timestamp):
        return {int(partition): int(offset) for partition, offset in
                self._ask("offsets", topic, timestamp)}

    def take(self, topic, group, count):
        """(partition, offset, value) of `count` records, which the group then has read."""
        return [(int(partition), int(offset), from_hex(value)) for partition, offset, value in
                self._ask("take", topic, group, count)]

    def ask(self, *fields):
        """A command that only some drivers know."""
        return self._ask(*fields)

    def start_member(self, topic, group):
        """Joins a group; a thread collects what the member owns and reads."""
        self.owned = set()
        self.records = []
        self.member_failure = None
        self._send("member", topic, group)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        try:
            while True:
                kind, *fields = self._line()
                if kind == "assigned":
                    self.owned = {int(text) for text in fields[0].split(",") if text}
                elif kind == "record":
                    self.records.append((int(fields[0]), int(fields[1]), from_hex(fields[2])))
                elif kind == "done":
                    return
                else:
                    raise ClientFailed(f"{self.name}: {fields}\n{self.stderr()}")
        except ClientFailed as failure:
            self.member_failure = failure

    def leave(self):
        self._send("leave")
        self.listener.join(60)
        if self.member_failure is not None:
            raise self.member_failure
        if self.listener.is_alive():
            raise ClientFailed(f"{self.name} does not leave\n{self.stderr()}")
        self.owned = set()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def eventually(condition, what, seconds=60):
    """Waits for something that another process brings about; polls, and fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)
    return result
