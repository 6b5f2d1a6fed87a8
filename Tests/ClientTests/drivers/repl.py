"""The line protocol between the tests and a driver, for drivers in Python.

A driver is one program per client library. It is started with the bootstrap address, prints
`ready NAME VERSION`, reads one command per line and answers with any number of event lines and
then `done` or `fail REASON`. Fields are separated by tabs.

    create TOPIC PARTITIONS          delete TOPIC
    topics                           topic NAME ...
    partitions TOPIC                 partitions COUNT
    produce TOPIC FILE CODEC MODE    ack PARTITION OFFSET ... in the file's order; MODE is
                                     `default` or `idempotent`
    consume TOPIC COUNT FILE         every partition from its start, written to FILE
    offsets TOPIC TIMESTAMP          offset PARTITION OFFSET ...; -1 latest, -2 earliest
    take TOPIC GROUP COUNT           record PARTITION OFFSET VALUE ..., then commits what it read
    isolation LEVEL                  read_committed or read_uncommitted, for what is consumed and
                                     asked from now on; not every driver knows it
    member TOPIC GROUP               assigned P,P ... and record ..., until a line `leave` comes

A file of records has a line per record: partition, timestamp, key, value, headers; in a consumed
file the offset follows the partition. Bytes are in hexadecimal, null is `-`, headers are
`name=value` joined by commas. Partition and timestamp may be `-`: the client chooses.
"""

import collections
import select
import sys
import time
import traceback

# A client that has heard nothing for this long fails its command.
PATIENCE_S = 60

Record = collections.namedtuple("Record", "partition timestamp key value headers")


def to_hex(value):
    return "-" if value is None else value.hex()


def from_hex(text):
    return None if text == "-" else bytes.fromhex(text)


def read_records(path):
    """Yields the records of a file to produce."""
    with open(path) as lines:
        for line in lines:
            partition, timestamp, key, value, headers = line.rstrip("\n").split("\t")
            yield Record(
                None if partition == "-" else int(partition),
                None if timestamp == "-" else int(timestamp),
                from_hex(key),
                from_hex(value),
                [(name, from_hex(text)) for name, text in
                 (header.split("=", 1) for header in headers.split(",") if header)],
            )


def format_consumed(partition, offset, timestamp, key, value, headers):
    pairs = ",".join(f"{name}={to_hex(text)}" for name, text in headers or [])
    return f"{partition}\t{offset}\t{timestamp}\t{to_hex(key)}\t{to_hex(value)}\t{pairs}\n"


class Deadline:
    """Fails when nothing has happened for PATIENCE_S; `progress` starts the wait anew."""

    def __init__(self, what):
        self.what = what
        self.progress()

    def progress(self):
        self.at = time.monotonic() + PATIENCE_S

    def check(self):
        if time.monotonic() > self.at:
            raise TimeoutError(f"{self.what}: nothing for {PATIENCE_S} s")


def say(*fields):
    sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    sys.stdout.flush()


def say_record(partition, offset, value):
    say("record", partition, offset, to_hex(value))


class Assignment:
    """Says which partitions a group member owns, each time that they change."""

    def __init__(self):
        self.said = None

    def now(self, partitions):
        owned = ",".join(str(partition) for partition in sorted(partitions))
        if owned != self.said:
            self.said = owned
            say("assigned", owned)


def told_to_leave():
    """True once a line has arrived during `member`; it can only be `leave`."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable) and sys.stdin.readline().strip() in ("leave", "")


def serve(make_driver, name, version):
    """Answers commands until standard input ends; each is a method of the driver."""
    driver = make_driver(sys.argv[1])
    say("ready", name, version)
    while line := sys.stdin.readline():
        command, *arguments = line.rstrip("\n").split("\t")
        try:
            getattr(driver, command)(*arguments)
            say("done")
        except Exception as error:
            traceback.print_exc()
            say("fail", f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " "))
