"""Real clients at their default settings: what a Kafka user expects of any broker.

One driver per client library (drivers/), one module of scenarios for all (harness/scenarios.py).
"""

import pytest

from harness import scenarios
from harness.client import EVERY_CODEC


@pytest.fixture
def needs(client):
    def skip_without(feature):
        if not client.can(feature):
            pytest.skip(f"{client.name} has no {feature}")
    return skip_without


@pytest.mark.parametrize("codec", EVERY_CODEC)
def test_produce_and_consume(client, broker, topic, codec):
    if codec not in client.kind.codecs:
        pytest.skip(f"{client.name} has no {codec}")
    scenarios.produce_and_consume(client, topic, codec)


def test_large_records(client, broker, topic):
    scenarios.large_records(client, topic)


def test_idempotent_producer(client, broker, topic, needs):
    needs("idempotence")
    scenarios.produce_and_consume(client, topic, "lz4", "idempotent")


def test_create_list_delete(client, broker, topic):
    scenarios.create_list_delete(client, topic)


def test_offsets_by_timestamp(client, broker, topic):
    scenarios.offsets_by_timestamp(client, topic)


def test_resume_from_commit(client, broker, topic):
    scenarios.resume_from_commit(client, topic, "group-" + topic)


def test_group_of_three(client, broker, topic):
    scenarios.group_of_three(client, topic, "group-" + topic, broker.bootstrap)
