"""Load with an oracle: numbered records written and read all the time, and afterwards a check that
what was acknowledged is there."""

import collections
import threading

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from harness.client import eventually

PARTITIONS = 3


class Writer:
    """A producer that writes numbered records until it is told to stop. The number is a record's
    value; the acknowledgements are the oracle."""

    def __init__(self, bootstrap, topic, idempotent, compression="none"):
        self.topic = topic
        self.idempotent = idempotent
        self.acknowledged = {}
        self.failures = []
        self.written = 0
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": idempotent,
            "compression.type": compression,
            "linger.ms": 1, "log_level": 0, "reconnect.backoff.max.ms": 500})
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            # At most some thousand records under way, so that the pace is the broker's.
            if len(self.producer) < 2000:
                self._write()
            self.producer.poll(0.001)

    def _write(self):
        for _ in range(20):
            number = self.written

            def delivered(error, message, number=number):
                if error is None:
                    self.acknowledged[number] = (message.partition(), message.offset())
                else:
                    self.failures.append((number, str(error)))

            self.producer.produce(self.topic, value=b"%d" % number,
                                  partition=number % PARTITIONS, on_delivery=delivered)
            self.written += 1

    def wait_for_progress(self, records=500):
        """Until so many more records are acknowledged."""
        goal = len(self.acknowledged) + records
        eventually(lambda: len(self.acknowledged) >= goal,
                   lambda: f"{goal} acknowledged, have {len(self.acknowledged)}")

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(60) == 0, "records were neither acknowledged nor refused"
        assert self.failures == []


class GroupReader:
    """A group member that reads until it is told to stop."""

    def __init__(self, bootstrap, topic, group):
        self.read = set()
        self.failure = None
        self.stopping = threading.Event()
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
            "log_level": 0, "reconnect.backoff.max.ms": 500})
        self.consumer.subscribe([topic])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.is_set():
                for message in self.consumer.consume(500, 0.1):
                    if message.error() is None:
                        self.read.add(int(message.value()))
                    elif not message.error().retriable():
                        raise KafkaException(message.error())
            self.consumer.close()
        except KafkaException as failure:
            self.failure = failure

    def wait_for(self, numbers):
        def complete():
            if self.failure is not None:
                raise self.failure
            return numbers <= self.read
        eventually(complete, lambda: f"{len(numbers - self.read)} of {len(numbers)} read")

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.failure is None


def read_everything(bootstrap, topic):
    """{partition: [(offset, number)]}, up to the ends at the time of the call."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "oracle",
                         "enable.auto.commit": False, "log_level": 0})
    ends = {}
    for partition in range(PARTITIONS):
        _, ends[partition] = consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=30, cached=False)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)
                     for partition in range(PARTITIONS)])
    found = collections.defaultdict(list)
    left = sum(ends.values())
    while left > 0:
        messages = consumer.consume(min(left, 10_000), 20)
        assert messages, f"{left} records cannot be read"
        for message in messages:
            assert message.error() is None, message.error()
            found[message.partition()].append((message.offset(), int(message.value())))
            left -= 1
    consumer.close()
    return found


def check_acknowledged(bootstrap, writer):
    """Every acknowledged record is where the acknowledgement said, and in order; an idempotent
    producer's records are there once."""
    found = read_everything(bootstrap, writer.topic)
    for partition, records in found.items():
        assert [offset for offset, _ in records] == list(range(len(records)))
        numbers = [number for _, number in records]
        if writer.idempotent:
            assert numbers == list(range(partition, writer.written, PARTITIONS))
    at = {partition: dict(records) for partition, records in found.items()}
    wrong = [(number, place) for number, place in writer.acknowledged.items()
             if at[place[0]].get(place[1]) != number]
    # librdkafka does not know the offset of a duplicate that the broker recognised.
    wrong = [(number, place) for number, place in wrong if place[1] >= 0]
    assert wrong == [], f"{len(wrong)} acknowledged records are not there: {wrong[:5]}"
    if not writer.idempotent:
        every = {number for records in found.values() for _, number in records}
        assert every >= set(writer.acknowledged)
