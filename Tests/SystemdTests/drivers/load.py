"""Real clients against the broker in a box, from the network of the box.

    load.py BOOTSTRAP TOPIC CONNECTIONS

Writers and readers of small records in two topics, a writer of large ones, and idle connections. It
says `ok` when all of them have made progress, and again after each line on standard input. When that
ends, everything that was acknowledged is read and compared, and one JSON object is printed.
"""

import json
import os
import socket
import sys
import threading

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness.load import PARTITIONS, GroupReader, Writer, check_acknowledged

LARGE = 200_000
# Records are taken and kept whatever the broker's clock says.
ANY_TIME = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}


class LargeWriter:
    """Writes large records at a pace that one core can bear."""

    def __init__(self, bootstrap, topic):
        self.topic = topic
        self.acknowledged = 0
        self.failures = []
        self.stopping = threading.Event()
        self.producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 5})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        content = os.urandom(LARGE)
        while not self.stopping.is_set():
            if len(self.producer) < 20:
                self.producer.produce(self.topic, content, on_delivery=self.delivered)
            self.producer.poll(0.02)

    def delivered(self, error, _):
        if error is None:
            self.acknowledged += 1
        else:
            self.failures.append(str(error))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(60) == 0
        assert self.failures == []


def main(bootstrap, topic, connections):
    topics = [f"{topic}-{number}" for number in range(3)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics(
            [NewTopic(name, PARTITIONS, config=ANY_TIME) for name in topics]).values():
        done.result(30)
    host, _, port = bootstrap.rpartition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(connections)]
    writers = [Writer(bootstrap, name, True) for name in topics[:2]]
    readers = [GroupReader(bootstrap, name, f"{name}-group") for name in topics[:2]]
    large = LargeWriter(bootstrap, topics[2])

    def progress():
        for writer, reader in zip(writers, readers):
            writer.wait_for_progress()
            reader.wait_for(set(writer.acknowledged))

    progress()
    print("ok", flush=True)
    for _ in sys.stdin:
        progress()
        print("ok", flush=True)
    for one in [*writers, large]:
        one.stop()
    for writer, reader in zip(writers, readers):
        reader.wait_for(set(writer.acknowledged))
        reader.stop()
        check_acknowledged(bootstrap, writer)
    for one in idle:
        one.setblocking(False)
        try:
            assert one.recv(1) != b"", "an idle connection was closed"
        except BlockingIOError:
            one.close()
    print(json.dumps({"records": sum(len(writer.acknowledged) for writer in writers),
                      "large": large.acknowledged}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
