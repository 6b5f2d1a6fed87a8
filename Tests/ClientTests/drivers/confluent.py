"""confluent-kafka: librdkafka as most Python programs use it."""

import confluent_kafka
from confluent_kafka import (
    OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import AdminClient, NewTopic

import repl


class Driver:
    def __init__(self, bootstrap):
        self.settings = {"bootstrap.servers": bootstrap}
        self.reading = {}
        self.admin = AdminClient(self.settings)

    def create(self, topic, partitions):
        for future in self.admin.create_topics([NewTopic(topic, int(partitions), 1)]).values():
            future.result(repl.PATIENCE_S)

    def delete(self, topic):
        for future in self.admin.delete_topics([topic]).values():
            future.result(repl.PATIENCE_S)

    def topics(self):
        for topic in self.admin.list_topics(timeout=repl.PATIENCE_S).topics:
            repl.say("topic", topic)

    def partitions(self, topic):
        repl.say("partitions", len(self._partitions(topic)))

    def _partitions(self, topic):
        metadata = self.admin.list_topics(topic, timeout=repl.PATIENCE_S).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def produce(self, topic, path, codec, mode):
        settings = dict(self.settings, **{"compression.type": codec})
        if mode == "idempotent":
            settings["enable.idempotence"] = True
        producer = Producer(settings)
        acknowledged = {}
        failures = []

        def delivered(number):
            def callback(error, message):
                if error is not None:
                    failures.append(error)
                else:
                    acknowledged[number] = (message.partition(), message.offset())
            return callback

        for number, record in enumerate(repl.read_records(path)):
            options = {}
            if record.partition is not None:
                options["partition"] = record.partition
            if record.timestamp is not None:
                options["timestamp"] = record.timestamp
            while True:
                try:
                    producer.produce(
                        topic, key=record.key, value=record.value, headers=record.headers,
                        on_delivery=delivered(number), **options)
                    break
                except BufferError:
                    producer.poll(1)
            producer.poll(0)
        left = producer.flush(repl.PATIENCE_S)
        if failures or left:
            raise RuntimeError(f"{left} records not sent, {len(failures)} failed: {failures[:1]}")
        for number in range(len(acknowledged)):
            repl.say("ack", *acknowledged[number])

    def _consumer(self, group, **settings):
        return Consumer({
            **self.settings, **self.reading, "group.id": group, "auto.offset.reset": "earliest",
            **settings})

    def isolation(self, level):
        self.reading = {"isolation.level": level}

    def consume(self, topic, count, path):
        consumer = self._consumer("unused", **{"enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)
                         for partition in self._partitions(topic)])
        with open(path, "w") as out:
            for message in self._messages(consumer, int(count)):
                out.write(repl.format_consumed(
                    message.partition(), message.offset(), message.timestamp()[1],
                    message.key(), message.value(), message.headers()))
        consumer.close()

    def _messages(self, consumer, count):
        deadline = repl.Deadline("consume")
        while count > 0:
            message = consumer.poll(0.2)
            if message is None:
                deadline.check()
                continue
            if message.error():
                raise KafkaException(message.error())
            deadline.progress()
            count -= 1
            yield message

    def offsets(self, topic, timestamp):
        consumer = self._consumer("unused")
        for partition in self._partitions(topic):
            if timestamp in ("-1", "-2"):
                watermarks = consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=repl.PATIENCE_S, cached=False)
                offset = watermarks[1 if timestamp == "-1" else 0]
            else:
                [found] = consumer.offsets_for_times(
                    [TopicPartition(topic, partition, int(timestamp))], timeout=repl.PATIENCE_S)
                offset = found.offset
            repl.say("offset", partition, offset)
        consumer.close()

    def take(self, topic, group, count):
        consumer = self._consumer(group, **{"enable.auto.commit": False})
        consumer.subscribe([topic])
        for message in self._messages(consumer, int(count)):
            repl.say_record(message.partition(), message.offset(), message.value())
            consumer.commit(message=message, asynchronous=False)
        consumer.close()

    def member(self, topic, group):
        consumer = self._consumer(group)
        consumer.subscribe([topic])
        assignment = repl.Assignment()
        while not repl.told_to_leave():
            message = consumer.poll(0.1)
            assignment.now(owned.partition for owned in consumer.assignment())
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            repl.say_record(message.partition(), message.offset(), message.value())
        consumer.close()


repl.serve(Driver, "confluent-kafka", confluent_kafka.__version__)
