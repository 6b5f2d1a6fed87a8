"""aiokafka: the asyncio client, the newest one and one from three years earlier."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import repl


class Driver:
    """Each command runs to its end on one event loop, so the line protocol stays synchronous."""

    def __init__(self, bootstrap):
        self.settings = {"bootstrap_servers": bootstrap}
        self.reading = {}
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, command):
        coroutine = getattr(type(self), "async_" + command)
        return lambda *arguments: self.loop.run_until_complete(coroutine(self, *arguments))

    async def _administer(self, action):
        admin = AIOKafkaAdminClient(**self.settings)
        await admin.start()
        try:
            return await action(admin)
        finally:
            await admin.close()

    async def async_create(self, topic, partitions):
        answer = await self._administer(
            lambda admin: admin.create_topics([NewTopic(topic, int(partitions), 1)]))
        self._require_success(answer.topic_errors)

    async def async_delete(self, topic):
        answer = await self._administer(lambda admin: admin.delete_topics([topic]))
        self._require_success(answer.topic_error_codes)

    def _require_success(self, outcomes):
        for topic, code, *message in outcomes:
            if code != 0:
                raise RuntimeError(f"{topic}: error {code} {message}")

    async def async_topics(self):
        for topic in await self._administer(lambda admin: admin.list_topics()):
            repl.say("topic", topic)

    async def async_partitions(self, topic):
        [description] = await self._administer(lambda admin: admin.describe_topics([topic]))
        repl.say("partitions", len(description["partitions"]))

    async def async_produce(self, topic, path, codec, mode):
        producer = AIOKafkaProducer(
            **self.settings, compression_type=None if codec == "none" else codec,
            enable_idempotence=mode == "idempotent")
        await producer.start()
        try:
            sent = [
                await producer.send(
                    topic, key=record.key, value=record.value, headers=record.headers,
                    partition=record.partition, timestamp_ms=record.timestamp)
                for record in repl.read_records(path)]
            for future in sent:
                metadata = await asyncio.wait_for(future, repl.PATIENCE_S)
                repl.say("ack", metadata.partition, metadata.offset)
        finally:
            await producer.stop()

    async def _consumer(self, *topics, **settings):
        consumer = AIOKafkaConsumer(
            *topics, **self.settings, **self.reading, auto_offset_reset="earliest", **settings)
        await consumer.start()
        return consumer

    async def async_isolation(self, level):
        self.reading = {"isolation_level": level}

    async def _every_partition(self, consumer, topic):
        """`partitions_for_topic` knows only topics that the client follows already."""
        await consumer._client._maybe_wait_metadata()
        await consumer._client.add_topic(topic)
        partitions = consumer.partitions_for_topic(topic)
        return [TopicPartition(topic, partition) for partition in sorted(partitions)]

    async def async_consume(self, topic, count, path):
        consumer = await self._consumer()
        try:
            consumer.assign(await self._every_partition(consumer, topic))
            with open(path, "w") as out:
                async for record in self._records(consumer, int(count)):
                    out.write(repl.format_consumed(
                        record.partition, record.offset, record.timestamp, record.key,
                        record.value, record.headers))
        finally:
            await consumer.stop()

    async def _records(self, consumer, count):
        deadline = repl.Deadline("consume")
        while count > 0:
            batches = await consumer.getmany(timeout_ms=200, max_records=count)
            deadline.check()
            for record in (record for batch in batches.values() for record in batch):
                deadline.progress()
                count -= 1
                yield record

    async def async_offsets(self, topic, timestamp):
        consumer = await self._consumer()
        try:
            partitions = await self._every_partition(consumer, topic)
            if timestamp == "-1":
                found = await consumer.end_offsets(partitions)
            elif timestamp == "-2":
                found = await consumer.beginning_offsets(partitions)
            else:
                times = await consumer.offsets_for_times(dict.fromkeys(partitions, int(timestamp)))
                found = {partition: times[partition].offset if times.get(partition) else -1
                         for partition in partitions}
            for partition in partitions:
                repl.say("offset", partition.partition, found[partition])
        finally:
            await consumer.stop()

    async def async_take(self, topic, group, count):
        consumer = await self._consumer(topic, group_id=group, enable_auto_commit=False)
        try:
            async for record in self._records(consumer, int(count)):
                repl.say_record(record.partition, record.offset, record.value)
            await consumer.commit()
        finally:
            await consumer.stop()

    async def async_member(self, topic, group):
        consumer = await self._consumer(topic, group_id=group)
        assignment = repl.Assignment()
        try:
            while not repl.told_to_leave():
                batches = await consumer.getmany(timeout_ms=100)
                assignment.now(owned.partition for owned in consumer.assignment())
                for record in (record for batch in batches.values() for record in batch):
                    repl.say_record(record.partition, record.offset, record.value)
        finally:
            await consumer.stop()


repl.serve(Driver, "aiokafka", aiokafka.__version__)
