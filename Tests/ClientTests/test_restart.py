"""What a broker remembers: topics, records, committed offsets and producers survive a restart."""

import struct

from harness import wire
from harness.client import Client
from harness.scenarios import Record, check_consumed, mixed_records, number_of


def test_everything_survives_a_restart(own_broker):
    broker = own_broker()
    produced = mixed_records(500, binary=True)
    with Client("confluent-newest", broker.bootstrap) as client:
        client.create("kept", 3)
        client.create("gone", 1)
        acknowledged = client.produce("kept", produced, "lz4")
        client.create("numbers", 1)
        client.produce("numbers", [
            Record(b"k", b"%06d" % number, partition=0) for number in range(20)])
        taken = client.take("numbers", "group", 8)
        client.delete("gone")
    broker.stop()
    broker.start()
    with Client("confluent-newest", broker.bootstrap) as client:
        names = client.topics()
        assert "kept" in names and "gone" not in names
        assert client.partitions("kept") == 3
        check_consumed(produced, client.consume("kept", len(produced)), acknowledged, ordered=True)
        taken += client.take("numbers", "group", 12)
        assert [number_of(value) for _, _, value in taken] == list(range(20))
        more = client.produce("kept", mixed_records(3, binary=True))
        assert len(more) == 3
    broker.stop()


def idempotent_batch(producer, sequence, epoch=0):
    return wire.record_batch([b"x"], producer_id=producer, producer_epoch=epoch,
                             base_sequence=sequence)


def test_producer_sequences_survive_a_restart(own_broker):
    """The last five batches of a producer are recognised as duplicates, before and after."""
    broker = own_broker()
    with wire.Connection(broker.port) as connection:
        while connection.metadata("sequences")["sequences"][0] != wire.NONE:
            pass
        reader = connection.ask(wire.request(
            22, 0, wire.string(None) + struct.pack(">i", 1000)))
        _, error, producer, epoch = reader.take("ihqh")
        assert (error, epoch) == (wire.NONE, 0)
        for sequence in range(7):
            assert connection.produce("sequences", idempotent_batch(producer, sequence)) == (
                wire.NONE, sequence)

    def check():
        with wire.Connection(broker.port) as connection:
            for sequence in range(2, 7):
                assert connection.produce(
                    "sequences", idempotent_batch(producer, sequence)) == (wire.NONE, sequence)
            out_of_order = connection.produce("sequences", idempotent_batch(producer, 9))
            assert out_of_order[0] == 45
            assert connection.produce(
                "sequences", idempotent_batch(producer, 0))[0] in (45, 46)

    check()
    broker.stop()
    broker.start()
    check()
    with wire.Connection(broker.port) as connection:
        assert connection.produce("sequences", idempotent_batch(producer, 7)) == (wire.NONE, 7)
        assert connection.produce(
            "sequences", idempotent_batch(producer, 0, epoch=1)) == (wire.NONE, 8)
        assert connection.produce("sequences", idempotent_batch(producer, 8))[0] == 47
        # A new producer id is none that was given before.
        reader = connection.ask(wire.request(
            22, 0, wire.string(None) + struct.pack(">i", 1000)))
        assert reader.take("ihqh")[2] != producer
    broker.stop()
