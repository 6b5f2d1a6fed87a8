"""librdkafka clients that count their own connections, each in a thread of its own."""

import json
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer

from harness.box import eventually
from harness.network import PORT, network_of


class Watched:
    """A librdkafka client whose connections are counted, by its own account."""

    def __init__(self, box, kind, **options):
        self.errors = []
        self.statistics = {}
        self.reports = 0
        configuration = {
            "bootstrap.servers": f"127.0.0.1:{PORT}", "statistics.interval.ms": 100,
            "stats_cb": self._report, "error_cb": self.errors.append,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100,
            "log.connection.close": "true", **options}
        with network_of(box):
            self.client = kind(configuration)

    def _report(self, text):
        self.statistics = json.loads(text)
        self.reports += 1

    def connections(self):
        """How often it has connected, and been disconnected, so far."""
        before = self.reports
        eventually(lambda: self.poll() or self.reports > before + 1, "statistics")
        brokers = self.statistics["brokers"].values()
        return (sum(broker["connects"] for broker in brokers),
                sum(broker["disconnects"] for broker in brokers))

    def poll(self):
        raise NotImplementedError


class WatchedProducer(Watched):
    """Produces numbers to one partition until it is told to stop, in a thread of its own."""

    def __init__(self, box, topic, **options):
        super().__init__(box, Producer, **{"linger.ms": 1, **options})
        self.topic = topic
        self.acknowledged = []
        self.failed = []
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.is_set():
            if len(self.client) < 200:
                self.client.produce(
                    self.topic, value=b"%d" % self.sent, partition=0, on_delivery=self._delivered)
                self.sent += 1
            self.client.poll(0.001)
        self.client.flush(30)

    def _delivered(self, error, message):
        if error is not None:
            self.failed.append(error)
        else:
            self.acknowledged.append(int(message.value()))

    def poll(self):
        time.sleep(0.01)

    def goes_on(self, count=50):
        """Waits for so many more acknowledgements."""
        goal = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= goal or self.failed, "acknowledgements", 30)

    def stop(self):
        self._stop.set()
        self._thread.join(60)
        # Or it would go on connecting, to brokers of later tests.
        self.client = None


class WatchedConsumer(Watched):
    """Consumes one topic as a member of a group, in a thread of its own."""

    def __init__(self, box, topic, group, **options):
        super().__init__(box, Consumer, **{
            "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": True,
            "auto.commit.interval.ms": 100, "session.timeout.ms": 10000,
            "heartbeat.interval.ms": 200, "fetch.wait.max.ms": 500, **options})
        self.values = []
        self.rebalances = []
        self.message_errors = []
        self._stop = threading.Event()
        self.client.subscribe(
            [topic], on_assign=lambda _, parts: self.rebalances.append(("assigned", len(parts))),
            on_revoke=lambda _, parts: self.rebalances.append(("revoked", len(parts))),
            on_lost=lambda _, parts: self.rebalances.append(("lost", len(parts))))
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.is_set():
            for message in self.client.consume(500, 0.02):
                if message.error() is None:
                    self.values.append(int(message.value()))
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    self.message_errors.append(message.error())
        self.client.close()

    def poll(self):
        time.sleep(0.01)

    def goes_on(self, count=50):
        goal = len(self.values) + count
        eventually(lambda: len(self.values) >= goal, "records", 30)

    def stop(self):
        self._stop.set()
        self._thread.join(60)
