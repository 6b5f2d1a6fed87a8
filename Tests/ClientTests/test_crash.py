"""kill -9 of any one process under load: what was acknowledged is there afterwards, the others
recover by themselves, and no descriptor, process, socket or temporary file is left."""

import os
import signal

import pytest

from harness.broker import ALWAYS, PROCESSES, executable, wait_quiet
from harness.client import eventually
from harness.load import GroupReader, Writer, check_acknowledged

# How often each process is killed while the load goes on.
KILLS = 3


def load(broker, name):
    """Two producers and a group member, all on one topic each, until they make progress."""
    create(broker, f"{name}-idempotent", f"{name}-plain")
    writers = [Writer(broker.bootstrap, f"{name}-idempotent", idempotent=True),
               Writer(broker.bootstrap, f"{name}-plain", idempotent=False)]
    reader = GroupReader(broker.bootstrap, f"{name}-idempotent", f"{name}-group")
    for writer in writers:
        writer.wait_for_progress()
    reader.wait_for({0, 1, 2})
    return writers, reader


def create(broker, *topics):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.create_topics([NewTopic(topic, 3, 1) for topic in topics]).values():
        future.result(30)


def finish(broker, writers, reader):
    for writer in writers:
        writer.stop()
    reader.wait_for(set(writers[0].acknowledged))
    reader.stop()
    for writer in writers:
        check_acknowledged(broker.bootstrap, writer)


@pytest.mark.parametrize("victim", ALWAYS)
def test_kill_one_process(own_broker, victim):
    broker = own_broker()
    # A first round without a death shows how many descriptors this load leaves behind.
    finish(broker, *load(broker, "calm"))
    before = wait_quiet(broker.descriptor_counts)

    writers, reader = load(broker, "storm")
    others = {name: pids for name, pids in broker.family().items() if name != victim}
    for _ in range(KILLS):
        broker.kill(victim)
        for writer in writers:
            writer.wait_for_progress()
    finish(broker, writers, reader)

    assert {name: pids for name, pids in broker.family().items() if name != victim} == others, \
        "another process died as well"
    def excess():
        return {process: (count, before.get(process))
                for process, count in broker.descriptor_counts().items()
                # Two topics more are two times three partitions, each a log and its indexes.
                if count > before.get(process, 0) + 6 * 4}
    eventually(lambda: not excess(), lambda: f"descriptors leaked: {excess()}", 20)
    broker.stop()


def test_kill_the_whole_family(own_broker):
    """As when a machine stops without losing its disk: after a start everything is there."""
    broker = own_broker()
    writers, reader = load(broker, "power")
    family = [pid for pids in broker.family().values() for pid in pids]
    os.kill(broker.process.pid, signal.SIGKILL)
    broker.process.wait()
    for pid in family:
        if executable(pid) in PROCESSES:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not [pid for pid in family if executable(pid) in PROCESSES], "all dead")
    broker.start()
    for writer in writers:
        writer.wait_for_progress()
    finish(broker, writers, reader)
    broker.stop()


def test_children_end_with_their_parent(own_broker):
    """Killing `sluice up` leaves no process behind that holds the port or the data."""
    broker = own_broker()
    family = [pid for pids in broker.family().values() for pid in pids]
    os.kill(broker.process.pid, signal.SIGKILL)
    broker.process.wait()
    eventually(lambda: not [pid for pid in family if executable(pid) in PROCESSES],
               lambda: f"left: {[executable(pid) for pid in family]}", 20)
    broker.start()
    broker.stop()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_under_load(own_broker, how):
    """A stop that was asked for loses nothing and takes its sockets and its lock away."""
    broker = own_broker()
    writers, reader = load(broker, "stop")
    broker.stop(how)
    broker.start()
    for writer in writers:
        writer.wait_for_progress()
    finish(broker, writers, reader)
    broker.stop()
