"""Configurations of topics and brokers, described and changed by real administrators' clients."""

import json

import pytest

from harness.client import Client, eventually
from harness.scenarios import Record

PATIENCE_S = 30


@pytest.fixture
def admin(broker):
    from confluent_kafka.admin import AdminClient
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def result(futures):
    """The only future's result; raises what the broker refused."""
    [future] = futures.values()
    return future.result(timeout=PATIENCE_S)


def resource(kind, name, *changes):
    from confluent_kafka.admin import (
        AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource)
    entries = [
        ConfigEntry(config, value, source=ConfigSource.DYNAMIC_TOPIC_CONFIG,
                    incremental_operation=AlterConfigOpType[operation])
        for operation, config, value in changes]
    return ConfigResource(ConfigResource.Type[kind], name, incremental_configs=entries or None)


def described(admin, kind, name):
    return result(admin.describe_configs([resource(kind, name)]))


def own(admin, kind, name):
    """What is set for the resource itself."""
    from confluent_kafka.admin import ConfigSource
    sources = {ConfigSource.DYNAMIC_TOPIC_CONFIG.value, ConfigSource.DYNAMIC_BROKER_CONFIG.value,
               ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG.value}
    return {name: entry.value for name, entry in described(admin, kind, name).items()
            if entry.source in sources}


def create(admin, topic, **config):
    from confluent_kafka.admin import NewTopic
    result(admin.create_topics([NewTopic(topic, 1, config=config)]))


def test_confluent_alters_topics(admin, topic):
    create(admin, topic, **{"segment.ms": "700000"})

    def alter(*changes, **options):
        return result(admin.incremental_alter_configs(
            [resource("TOPIC", topic, *changes)], **options))

    alter(("SET", "retention.ms", "86400000"), ("APPEND", "cleanup.policy", "compact"))
    assert own(admin, "TOPIC", topic) == {
        "segment.ms": "700000", "retention.ms": "86400000", "cleanup.policy": "delete,compact"}
    alter(("SUBTRACT", "cleanup.policy", "delete"), ("DELETE", "segment.ms", None))
    assert own(admin, "TOPIC", topic) == {"retention.ms": "86400000", "cleanup.policy": "compact"}
    alter(("SET", "retention.ms", "5"), validate_only=True)
    assert own(admin, "TOPIC", topic)["retention.ms"] == "86400000"
    for wrong in (("SET", "retention.ms", "soon"), ("SET", "no.such.config", "1"),
                  ("APPEND", "retention.ms", "1")):
        with pytest.raises(Exception, match="INVALID_CONFIG|Invalid|Unknown|LIST"):
            alter(wrong)
    assert own(admin, "TOPIC", topic) == {"retention.ms": "86400000", "cleanup.policy": "compact"}


def test_confluent_replaces_configs(admin, topic):
    from confluent_kafka.admin import ConfigResource
    create(admin, topic, **{"segment.ms": "700000", "retention.ms": "5000000"})
    wanted = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"retention.ms": "6000000"})
    result(admin.alter_configs([wanted]))
    assert own(admin, "TOPIC", topic) == {"retention.ms": "6000000"}


def test_a_limit_is_in_force_at_once(admin, broker, topic):
    """max.message.bytes, down and up again, as a producer feels it."""
    from confluent_kafka import KafkaException, Producer
    create(admin, topic)

    def produce():
        failures = []
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        producer.produce(topic, b"x" * 5000, on_delivery=lambda error, _: (
            failures.append(error.name()) if error else None))
        assert producer.flush(PATIENCE_S) == 0
        return failures

    assert produce() == []
    result(admin.incremental_alter_configs(
        [resource("TOPIC", topic, ("SET", "max.message.bytes", "1000"))]))
    assert produce() == ["MSG_SIZE_TOO_LARGE"]
    result(admin.incremental_alter_configs(
        [resource("TOPIC", topic, ("DELETE", "max.message.bytes", None))]))
    assert produce() == []
    with pytest.raises(KafkaException):
        create(admin, topic + "-wrong", **{"max.message.bytes": "-1"})


def test_kafka_python_alters_and_lists(broker, topic):
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])

        def alter(configs, **options):
            admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)], **options)

        def retention():
            told = admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
            return told["topic"][topic]["retention.ms"]

        assert int(retention()["value"]) == 604_800_000
        alter({"retention.ms": "7200000"})
        assert retention()["value"] == "7200000"
        alter({"segment.ms": "100000"}, incremental=False)
        assert topic in str(admin.list_config_resources(["TOPIC"]))
        assert "broker" in str(admin.list_config_resources()).lower()
    finally:
        admin.close()


def test_java_sees_every_layer(own_broker):
    """Topic, broker and all brokers, over a restart, and what each layer leaves when it goes."""
    broker = own_broker({"log.retention.ms": "4000000"})
    with Client("java", broker.bootstrap) as java:
        java.create("layers", 1)
        for kind, name, config, value in (
                ("BROKER", "", "log.retention.ms", "3000000"),
                ("BROKER", "1", "log.retention.ms", "2000000"),
                ("TOPIC", "layers", "retention.ms", "1000000")):
            java.ask("alter", kind, name, "SET", config, value)
    broker.stop()
    broker.start()
    with Client("java", broker.bootstrap) as java:
        told = java.ask("sources", "TOPIC", "layers", "retention.ms")
        assert told == [
            ["retention.ms", "1000000", "DYNAMIC_TOPIC_CONFIG", "false", "LONG"],
            ["retention.ms", "1000000", "DYNAMIC_TOPIC_CONFIG"],
            ["log.retention.ms", "2000000", "DYNAMIC_BROKER_CONFIG"],
            ["log.retention.ms", "3000000", "DYNAMIC_DEFAULT_BROKER_CONFIG"],
            ["log.retention.ms", "4000000", "STATIC_BROKER_CONFIG"],
            ["log.retention.hours", "168", "DEFAULT_CONFIG"]]
        for kind, name, config, left in (
                ("TOPIC", "layers", "retention.ms", "2000000"),
                ("BROKER", "1", "log.retention.ms", "3000000"),
                ("BROKER", "", "log.retention.ms", "4000000")):
            java.ask("alter", kind, name, "DELETE", config, "")
            assert java.ask("sources", "TOPIC", "layers", "retention.ms")[0][1] == left
        for config in ("log.dirs", "num.io.threads", "no.such.config"):
            with pytest.raises(Exception, match="dynamically|cannot be changed|Unknown"):
                java.ask("alter", "BROKER", "1", "SET", config, "4")
    broker.stop()


def test_a_limit_of_the_broker_reaches_the_frontend(own_broker):
    """max.connections.per.ip, set while the broker runs; a killed frontend's successor knows it."""
    import socket
    from confluent_kafka.admin import AdminClient
    broker = own_broker()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    result(admin.incremental_alter_configs(
        [resource("BROKER", "1", ("SET", "max.connections.per.ip", "6"))]))

    def admitted():
        """How many of twelve new connections stay open."""
        sockets = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(12)]
        try:
            closed = 0
            for one in sockets:
                one.settimeout(0.5)
                try:
                    closed += one.recv(1) == b""
                except ConnectionResetError:
                    closed += 1
                except TimeoutError:
                    pass
            return 12 - closed
        finally:
            for one in sockets:
                one.close()

    assert admitted() <= 6
    broker.kill("sluice-frontend")
    eventually(lambda: 0 < admitted() <= 6, "the new frontend goes by the limit")
    broker.stop()


def test_the_command_alters(broker, topic):
    from test_cli import Command
    sluice = Command(broker)
    sluice("topics", "create", topic, "--set", "segment.ms=700000")
    assert "altered" in sluice("topics", "alter", topic, "--set", "retention.ms=5000000",
                               "--append", "cleanup.policy=compact", "--partitions", 5)
    [told] = json.loads(sluice("topics", "describe", topic, "--json"))
    assert told["configs"] == {"segment.ms": "700000", "retention.ms": "5000000",
                               "cleanup.policy": "delete,compact"}
    assert len(told["partitions"]) == 5
    [altered] = json.loads(sluice("topics", "alter", topic, "--unset", "segment.ms", "--json"))
    assert altered["configs"] == {"retention.ms": "5000000", "cleanup.policy": "delete,compact"}
    sluice("topics", "alter", topic, "--set", "retention.ms=1", "--dry-run")
    failed = sluice.attempt("topics", "alter", topic, "--set", "retention.ms=soon")
    assert failed.returncode == 1 and b"Not a number" in failed.stderr
    assert sluice.attempt("topics", "alter", topic).returncode == 64
    sluice("configs", "alter", "--broker", "1", "--set", "max.connections=3000")
    told = json.loads(sluice("configs", "describe", "--json"))
    [limit] = [config for config in told if config["name"] == "max.connections"]
    assert limit == {"name": "max.connections", "value": "3000", "source": "broker",
                     "readOnly": False, "sensitive": False}
    sluice("configs", "alter", "--broker", "1", "--unset", "max.connections")
    assert "max.connections " not in sluice("configs", "describe")
    failed = sluice.attempt("configs", "alter", "--set", "log.dirs=/x")
    assert failed.returncode == 1 and b"dynamically" in failed.stderr


def room(log):
    """Bytes that a file takes on the disk."""
    return log.stat().st_blocks * 512


def test_preallocate(own_broker, topic):
    """From the next segment on, and for new partitions at once when it is the broker's default."""
    from confluent_kafka.admin import AdminClient
    segment = 1 << 20
    broker = own_broker()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    create(admin, topic, **{"segment.bytes": str(segment)})
    directory = broker.data / f"{topic}-0"
    values = [b"%06d " % number + bytes(60_000) for number in range(40)]

    def logs():
        return sorted(directory.glob("*.log"))

    with Client("confluent-newest", broker.bootstrap) as client:
        def produce(numbers):
            for number in numbers:
                client.produce(topic, [Record(None, values[number])])

        produce(range(5))
        result(admin.incremental_alter_configs(
            [resource("TOPIC", topic, ("SET", "preallocate", "true"))]))
        assert described(admin, "TOPIC", topic)["preallocate"].value == "true"
        produce(range(5, 10))
        assert len(logs()) == 1 and room(logs()[0]) < segment
        produce(range(10, 25))
        assert len(logs()) == 2
        assert logs()[1].stat().st_size < segment <= room(logs()[1])
        produce(range(25, 40))
        assert len(logs()) == 3
        assert room(logs()[1]) < segment <= room(logs()[2])
        assert [record.value for record in client.consume(topic, 40)] == values
        result(admin.incremental_alter_configs(
            [resource("BROKER", "1", ("SET", "log.preallocate", "true"))]))
        create(admin, f"{topic}-new", **{"segment.bytes": str(segment)})
        [new] = (broker.data / f"{topic}-new-0").glob("*.log")
        assert new.stat().st_size == 0 and room(new) >= segment
    broker.stop()
    for log in [*logs(), new]:
        assert room(log) - log.stat().st_size < 1 << 16
