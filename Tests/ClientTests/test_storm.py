"""kill -9 of any process at any moment, for a while, and an oracle over everything that clients saw:
no acknowledged record lost, none of an idempotent producer twice, no gap, and no reader that goes
back or is told something else than the log says in the end.

SLUICE_STORM_SECONDS makes it longer (30), SLUICE_STORM_SEED repeats the order of the kills."""

import os
import random
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from harness.client import eventually
from harness.load import PARTITIONS, GroupReader, Writer, check_acknowledged, read_everything
from test_crash import create

SECONDS = float(os.environ.get("SLUICE_STORM_SECONDS", "30"))


class Tail:
    """A reader without a group, from the beginning to wherever the end is: what it was given."""

    def __init__(self, bootstrap, topic):
        self.records = {partition: [] for partition in range(PARTITIONS)}
        self.failure = None
        self.stopping = threading.Event()
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "tail", "enable.auto.commit": False,
            "auto.offset.reset": "error", "log_level": 0, "reconnect.backoff.max.ms": 500})
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)
                              for partition in range(PARTITIONS)])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.is_set():
                for message in self.consumer.consume(500, 0.1):
                    if message.error() is None:
                        self.records[message.partition()].append(
                            (message.offset(), int(message.value())))
                    elif not message.error().retriable():
                        raise KafkaException(message.error())
            self.consumer.close()
        except KafkaException as failure:
            self.failure = failure

    def check(self, everything):
        """What was read is what is there, from the first record on, each once and in order."""
        def is_complete():
            if self.failure is not None:
                raise self.failure
            return all(len(self.records[partition]) >= len(records)
                       for partition, records in everything.items())
        eventually(is_complete, lambda: "the reader reaches the end")
        self.stopping.set()
        self.thread.join()
        for partition, records in self.records.items():
            offsets = [offset for offset, _ in records]
            assert offsets == list(range(len(offsets))), f"partition {partition}: went back or skipped"
            assert records == everything[partition][:len(records)], \
                f"partition {partition}: a record that was read is another one now"


def test_storm(own_broker):
    seed = int(os.environ.get("SLUICE_STORM_SEED", random.randrange(1 << 32)))
    print(f"SLUICE_STORM_SEED={seed}")
    dice = random.Random(seed)
    # Small segments and frequent checkpoints: a kill meets rolls, syncs and recoveries, too.
    broker = own_broker({"log.segment.bytes": str(1 << 20),
                         "log.flush.offset.checkpoint.interval.ms": "200"})
    create(broker, "storm-idempotent", "storm-plain")
    writers = [Writer(broker.bootstrap, "storm-idempotent", idempotent=True),
               Writer(broker.bootstrap, "storm-plain", idempotent=False)]
    tail = Tail(broker.bootstrap, "storm-idempotent")
    group = GroupReader(broker.bootstrap, "storm-idempotent", "storm-group")
    for writer in writers:
        writer.wait_for_progress()
    end = time.monotonic() + SECONDS
    kills = []
    while time.monotonic() < end:
        # Some start when they are needed only.
        victim = dice.choice([name for name, pids in broker.family().items() if pids])
        broker.kill(victim)
        kills.append(victim)
        time.sleep(dice.choice([0, 0.05, 0.3, 1.5]))
        # Between two storms the load goes on: the broker is never only starting.
        if dice.random() < 0.3:
            for writer in writers:
                writer.wait_for_progress(50)
    print(f"killed {len(kills)}: {' '.join(kills)}")
    for writer in writers:
        writer.stop()
        check_acknowledged(broker.bootstrap, writer)
    group.wait_for(set(writers[0].acknowledged))
    group.stop()
    tail.check(read_everything(broker.bootstrap, "storm-idempotent"))
    broker.stop()
