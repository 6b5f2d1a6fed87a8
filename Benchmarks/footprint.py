"""Scenarios about space: what a record takes on disk, and what a partition takes in memory."""

import os
import shutil
import struct
import tempfile

import procfs
from report import Figure, Outcome, Target
from systems import kill_all

PARTITIONS_OF_A_TOPIC = 1000


def overhead(brokers, options):
  """Bytes on disk for each record of 200 bytes beyond these, in batches of 16 KiB: record and batch
  headers, indexes, checkpoints. Below, one record per batch."""
  rounds = {}
  for broker in brokers:
    for batch_bytes, name in ((16 << 10, broker.name), (0, f"{broker.name}, one per batch")):
      with broker.start() as running:
        running.await_ready()
        requests = (4_000 if batch_bytes else 100_000) // (4 if options.quick else 1)
        running.load("produce", "--topic", "overhead", "--requests", requests,
                     "--in-flight", 5, "--batch-bytes", batch_bytes, "--value-bytes", 200)
        partition = os.path.join(running.directory, "data", "overhead-0")
        files = [os.path.join(partition, file) for file in os.listdir(partition)]
        stored = sum(os.path.getsize(file) for file in files)
        records = sum(record_count(file) for file in files if file.endswith(".log"))
        rounds[name] = [{"per_record": stored / records - 200}]
  figure = Figure("bytes beyond the value", lambda r: r["per_record"], "{:.1f}")
  return Outcome("overhead", overhead.__doc__, rounds, [figure], [],
                 [broker.name for broker in brokers])


def record_count(path):
  """How many records a segment has, by the headers of its batches."""
  count = 0
  with open(path, "rb") as file:
    while len(header := file.read(61)) == 61:
      _, length = struct.unpack_from(">qi", header)
      count += struct.unpack_from(">i", header, 57)[0]
      file.seek(length + 12 - 61, os.SEEK_CUR)
  return count


def partitions(brokers, options):
  """Memory that a partition at rest takes in all processes together (shared memory counted once),
  from 100,000 of them, and the time from exec until all of them have a leader again after kill -9."""
  count = 10_000 if options.quick else 100_000
  topics = count // PARTITIONS_OF_A_TOPIC
  rounds = {}
  for broker in brokers:
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
      with broker.start(directory) as running:
        running.await_ready()
        before = procfs.memory_bytes(running.family())
        running.load("topics", "--topic", "rest", "--topics", topics,
                     "--partitions", PARTITIONS_OF_A_TOPIC)
        grown = proportional_growth(before, procfs.memory_bytes(running.family()))
        kill_all(running)
      with broker.start(directory) as running:
        last = running.load("probe", "--topic", f"rest-{topics - 1}",
                            "--partitions", PARTITIONS_OF_A_TOPIC)
        seconds = (last["produced_ns"] - running.started_ns) / 1e9
        restarted = proportional_growth(before, procfs.memory_bytes(running.family()))
      rounds[broker.name] = [{"count": count, "grown": grown, "restarted": restarted,
                              "seconds": seconds}]
    finally:
      shutil.rmtree(directory, ignore_errors=True)
  made = Figure("bytes per partition, after creation",
                lambda r: sum(r["grown"].values()) / r["count"], "{:.0f}")
  again = Figure("bytes per partition, after a start",
                 lambda r: sum(r["restarted"].values()) / r["count"], "{:.0f}")
  start = Figure("start s", lambda r: r["seconds"])
  return Outcome("partitions", partitions.__doc__, rounds, [made, again, start],
                 [Target("bytes per partition", again, 1000)], [broker.name for broker in brokers])


def proportional_growth(before, after):
  return {name: both[1] - before.get(name, (0, 0))[1] for name, both in after.items()}
