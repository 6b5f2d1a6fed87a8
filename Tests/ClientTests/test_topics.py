"""Topics as users make them: by the hundred, by writing to them, with a say in their settings."""

import pytest

from harness import wire
from harness.client import Client, eventually
from harness.scenarios import Record


def test_many_topics_created_by_writing(broker, topic):
    """A hundred small topics come to be because somebody writes to them."""
    from confluent_kafka import Producer
    names = [f"{topic}-{number}" for number in range(100)]
    failures = []
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for name in names:
        producer.produce(name, value=b"hello " + name.encode(), on_delivery=lambda error, _: (
            failures.append(error) if error is not None else None))
    assert producer.flush(60) == 0 and failures == []
    with Client("confluent-newest", broker.bootstrap) as client:
        assert set(names) <= client.topics()
        for name in names[::20]:
            [record] = client.consume(name, 1)
            assert record.value == b"hello " + name.encode()
            assert client.partitions(name) == 3


def test_reading_does_not_create_with_auto_creation_off(own_broker):
    broker = own_broker({"auto.create.topics.enable": "false"})
    with wire.Connection(broker.port) as connection:
        assert connection.metadata("absent")["absent"] == (wire.UNKNOWN_TOPIC_OR_PARTITION, 0)
        assert "absent" not in connection.metadata()
    broker.stop()


@pytest.fixture(scope="module")
def java(shared_broker):
    with Client("java", shared_broker.bootstrap) as running:
        yield running


def test_java_describes_configs(java, broker, topic):
    java.create(topic, 2)
    configs = dict(java.ask("configs", topic))
    assert configs["cleanup.policy"] == "delete"
    assert int(configs["segment.bytes"]) > 0
    assert int(configs["max.message.bytes"]) == 1_048_588


def test_java_describes_the_cluster(java, broker):
    [[identifier, nodes, controller]] = java.ask("cluster")
    assert identifier and nodes == "1"
    assert int(controller) >= 0


def test_java_adds_partitions(java, broker, topic):
    java.create(topic, 2)
    java.ask("grow", topic, 5)
    eventually(lambda: java.partitions(topic) == 5, "five partitions")
    assert java.produce(topic, [Record(None, b"000000 last", partition=4)]) == [(4, 0)]


@pytest.mark.parametrize("name", ["java", "confluent-newest", "kafka-python-newest"])
def test_errors_reach_the_user(broker, topic, name):
    """A topic that exists, one that does not, one whose name is refused."""
    with Client(name, broker.bootstrap) as client:
        client.create(topic, 1)
        for wrong in (lambda: client.create(topic, 1),
                      lambda: client.delete(topic + "-absent"),
                      lambda: client.create("not/a/topic", 1)):
            with pytest.raises(Exception, match="(?i)exist|unknown|invalid"):
                wrong()
        assert topic in client.topics()
