"""kafka-python: a client in pure Python, version 2.0 and version 3."""

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

import repl


class Driver:
    def __init__(self, bootstrap):
        self.settings = {"bootstrap_servers": bootstrap}
        self.admin = KafkaAdminClient(**self.settings)

    def create(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, int(partitions), 1)])

    def delete(self, topic):
        self.admin.delete_topics([topic])

    def topics(self):
        for topic in self.admin.list_topics():
            repl.say("topic", topic)

    def partitions(self, topic):
        [description] = self.admin.describe_topics([topic])
        repl.say("partitions", len(description["partitions"]))

    def produce(self, topic, path, codec, mode):
        settings = dict(self.settings, compression_type=None if codec == "none" else codec)
        if mode == "idempotent":
            settings["enable_idempotence"] = True
        producer = KafkaProducer(**settings)
        sent = [
            producer.send(
                topic, key=record.key, value=record.value, headers=record.headers,
                partition=record.partition, timestamp_ms=record.timestamp)
            for record in repl.read_records(path)]
        producer.flush(repl.PATIENCE_S)
        for future in sent:
            metadata = future.get(repl.PATIENCE_S)
            repl.say("ack", metadata.partition, metadata.offset)
        producer.close()

    def _consumer(self, *topics, **settings):
        return KafkaConsumer(
            *topics, **self.settings, auto_offset_reset="earliest", **settings)

    def _every_partition(self, consumer, topic):
        deadline = repl.Deadline("partitions of " + topic)
        while not (partitions := consumer.partitions_for_topic(topic)):
            deadline.check()
        return [TopicPartition(topic, partition) for partition in sorted(partitions)]

    def consume(self, topic, count, path):
        consumer = self._consumer()
        consumer.assign(self._every_partition(consumer, topic))
        with open(path, "w") as out:
            for record in self._records(consumer, int(count)):
                out.write(repl.format_consumed(
                    record.partition, record.offset, record.timestamp, record.key, record.value,
                    record.headers))
        consumer.close()

    def _records(self, consumer, count):
        deadline = repl.Deadline("consume")
        while count > 0:
            batches = consumer.poll(timeout_ms=200, max_records=count)
            deadline.check()
            for record in (record for batch in batches.values() for record in batch):
                deadline.progress()
                count -= 1
                yield record

    def offsets(self, topic, timestamp):
        consumer = self._consumer()
        partitions = self._every_partition(consumer, topic)
        if timestamp == "-1":
            found = consumer.end_offsets(partitions)
        elif timestamp == "-2":
            found = consumer.beginning_offsets(partitions)
        else:
            times = consumer.offsets_for_times(dict.fromkeys(partitions, int(timestamp)))
            found = {partition: times[partition].offset if times[partition] else -1
                     for partition in partitions}
        for partition in partitions:
            repl.say("offset", partition.partition, found[partition])
        consumer.close()

    def take(self, topic, group, count):
        consumer = self._consumer(topic, group_id=group, enable_auto_commit=False)
        for record in self._records(consumer, int(count)):
            repl.say_record(record.partition, record.offset, record.value)
        consumer.commit()
        consumer.close()

    def member(self, topic, group):
        consumer = self._consumer(topic, group_id=group)
        assignment = repl.Assignment()
        while not repl.told_to_leave():
            batches = consumer.poll(timeout_ms=100)
            assignment.now(owned.partition for owned in consumer.assignment())
            for record in (record for batch in batches.values() for record in batch):
                repl.say_record(record.partition, record.offset, record.value)
        consumer.close()


repl.serve(Driver, "kafka-python", kafka.__version__)
