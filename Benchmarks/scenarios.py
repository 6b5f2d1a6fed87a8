"""The scenarios: what is run, in which order, and which targets it is held to.

Rounds interleave: each round runs every system once, one after the other, so that a machine whose
speed drifts slows all of them alike; targets compare within a round.
"""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
import threading
import time

import footprint
import procfs
from report import Figure, Outcome, Target
from systems import Failure, kill_all, limit, loading, run_limit

GIGABYTE = 1e9

throughput = Figure("GB/s", lambda r: r["bytes_per_second"] / GIGABYTE)
cpu_per_gigabyte = Figure("CPU s/GB",
                          lambda r: r["cpu_seconds_sum"] / (r["bytes_in_all"] / GIGABYTE))
request_rate = Figure("requests/s", lambda r: r["requests_per_second"], "{:,.0f}")
cpu_per_request = Figure("CPU µs/request",
                         lambda r: r["cpu_seconds_sum"] / r["requests_in_all"] * 1e6, "{:.1f}")


def latency(name):
  return Figure(f"{name} ms", lambda r: r["latency_us"][name] / 1e3, "{:.3f}")


p50, p90, p99, p999, worst = map(latency, ["p50", "p90", "p99", "p99.9", "max"])


def progress(text):
  print(f"bench: {text}", file=sys.stderr, flush=True)


def interleave(running, rounds, run):
  """`run(system)` for every system, `rounds` times over; {name: [results]}."""
  results = {system.system.name: [] for system in running}
  for number in range(1, rounds + 1):
    for system in running:
      progress(f"  round {number} of {rounds}: {system.system.name}")
      results[system.system.name].append(run(system))
  return results


def start_all(systems):
  running = []
  try:
    for system in systems:
      running.append(system.start())
      running[-1].await_ready()
  except BaseException:
    stop_all(running)
    raise
  return running


def stop_all(running):
  for system in running:
    system.__exit__()


def consume(brokers, options):
  """Fetch from page cache, one connection, one request out, 1 MiB of 64 KiB batches at a time."""
  log_bytes = 256 << 20 if options.quick else 1 << 30
  read_bytes = (2 if options.quick else 16) << 30
  sendfile = limit("sendfile (C)", "sendfile_limit", "--file-bytes", str(log_bytes))
  running = start_all(brokers + [sendfile])
  try:
    for system in running:
      if not system.system.raw:
        progress(f"  filling {system.system.name}")
        system.load("produce", "--bytes", log_bytes, "--in-flight", 5)
      system.load("fetch", "--bytes", log_bytes)
    rounds = interleave(running, options.rounds,
                        lambda system: system.load("fetch", "--bytes", read_bytes))
  finally:
    stop_all(running)
  targets = [Target("throughput / sendfile", throughput, 0.95, True, sendfile.name),
             Target("CPU / sendfile", cpu_per_gigabyte, 1.15, False, sendfile.name)]
  return Outcome("consume", consume.__doc__, rounds, [throughput, cpu_per_gigabyte, p50, p99],
                 targets, [broker.name for broker in brokers])


def touch_memory(directory, length):
  """Writes a file and deletes it: the memory that the next one takes was then used before. In a
  virtual machine the first use of a page may cost more than everything that is measured here."""
  path = os.path.join(directory, "bench-touch")
  with open(path, "wb", buffering=0) as file:
    for _ in range(length >> 20):
      file.write(bytes(1 << 20))
  os.remove(path)


def produce(brokers, options):
  """Produce 64 KiB batches of 1,000-byte records, acks=1, one connection, 5 requests in flight."""
  warm_bytes = (32 if options.quick else 128) << 20
  load_bytes = (512 if options.quick else 1024) << 20
  two = limit("two processes (C)", "copy_limit")
  one = limit("one process (C)", "copy_limit", "--one-process")
  systems = brokers + [two, one]
  rounds = {system.name: [] for system in systems}
  # Every run appends to fresh files of a fresh process and deletes them, so that all find the page
  # cache alike and no disk write is under way.
  for number in range(1, options.rounds + 1):
    for system in systems:
      progress(f"  round {number} of {options.rounds}: {system.name}")
      with system.start() as running:
        running.await_ready()
        load = ("--in-flight", 5, "--batch-bytes", 64 << 10)
        running.load("produce", "--bytes", warm_bytes, *load)
        touch_memory(running.directory, load_bytes * 5 // 4)
        rounds[system.name].append(running.load("produce", "--bytes", load_bytes, *load))
  targets = [Target("throughput / two processes", throughput, 0.8, True, two.name),
             Target("CPU / two processes", cpu_per_gigabyte, 1.3, False, two.name)]
  return Outcome("produce", produce.__doc__, rounds,
                 [throughput, cpu_per_gigabyte, p50, p99, p999], targets,
                 [broker.name for broker in brokers])


def _small(brokers, options, name, text, in_flight):
  seconds = 2 if options.quick else 5
  echo = limit("echo (C)", "echo_server")
  two = limit("two processes (C)", "copy_limit", "--partitions", "10")
  load = ("--connections", 50, "--in-flight", in_flight, "--batch-bytes", 0,
          "--value-bytes", 200, "--partitions", 10)
  running = start_all(brokers + [echo, two])
  try:
    for system in running:
      system.load("produce", "--seconds", 1, *load)
    rounds = interleave(running, options.rounds,
                        lambda system: system.load("produce", "--seconds", seconds, *load))
  finally:
    stop_all(running)
  targets = [Target("requests/s / echo", request_rate, 0.6, True, echo.name),
             Target("requests/s", request_rate, 70000, True),
             Target("CPU µs/request", cpu_per_request, 14)]
  return Outcome(name, text, rounds, [request_rate, cpu_per_request, p50, p99, p999], targets,
                 [broker.name for broker in brokers])


def small(brokers, options):
  """Produce one 200-byte record per request, acks=1, 50 connections, one request in flight on each,
  10 partitions."""
  return _small(brokers, options, "small", small.__doc__, 1)


def pipelined(brokers, options):
  """As small, with 5 requests in flight on each connection."""
  return _small(brokers, options, "pipelined", pipelined.__doc__, 5)


def end_to_end(brokers, options):
  """1,000 records/s of 200 bytes, acks=1, one per request: from the intended send time until the
  long-polling consumer has the record; for the echo, until the answer is back."""
  seconds = 4 if options.quick else 30
  load = ("--rate", 1000, "--in-flight", 64, "--seconds", seconds, "--warmup", 1,
          "--batch-bytes", 0, "--value-bytes", 200)
  echo = limit("echo (C)", "echo_server")
  running = start_all(brokers + [echo])
  try:
    rounds = interleave(
      running, options.rounds,
      lambda system: system.load("produce" if system.system.raw else "e2e", *load))
  finally:
    stop_all(running)
  targets = [Target("median - echo's, ms", p50, 0.15, False, echo.name, "difference"),
             Target("p99, ms", p99, 1.0)]
  return Outcome("e2e", end_to_end.__doc__, rounds,
                 [p50, p90, p99, p999, worst, cpu_per_request], targets,
                 [broker.name for broker in brokers])


def idle(brokers, options):
  """Nothing to do, 100 topics: memory (shared memory counted once), and what wakes in 5 seconds."""
  rounds = {}
  for broker in brokers:
    progress(f"  {broker.name}")
    with broker.start() as running:
      running.await_ready()
      running.load("topics", "--topic", "idle", "--topics", 100)
      # What follows work has ended by then: summaries of events, a checkpoint after half a minute.
      time.sleep(40)
      pids = running.family()
      memory = procfs.memory_bytes(pids)
      before = procfs.wake_ups(pids)
      time.sleep(5)
      wakes = procfs.difference(procfs.wake_ups(running.family()), before)
      rounds[broker.name] = [{
        "resident": {name: both[0] for name, both in memory.items()},
        "proportional": {name: both[1] for name, both in memory.items()},
        "wake_ups": wakes}]
  resident = Figure("sum of resident MB", lambda r: sum(r["resident"].values()) / 1e6, "{:.1f}")
  proportional = Figure("resident MB, shared once",
                        lambda r: sum(r["proportional"].values()) / 1e6, "{:.1f}")
  wakes = Figure("wake-ups in 5 s", lambda r: sum(r["wake_ups"].values()), "{:.0f}")
  targets = [Target("resident MB", proportional, 60), Target("wake-ups", wakes, 0)]
  return Outcome("idle", idle.__doc__, rounds, [proportional, resident, wakes], targets,
                 [broker.name for broker in brokers])


def startup(brokers, options):
  """From exec until Metadata names a leader for each of 1,000 partitions, and until the last of
  them has taken a record; after a clean stop."""
  rounds = {}
  for broker in brokers:
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
      with broker.start(directory) as running:
        progress(f"  {broker.name}: creating 1,000 partitions")
        running.await_ready()
        running.load("topics", "--topic", "many", "--partitions", 1000)
      rounds[broker.name] = [_start_once(broker, directory) for _ in range(options.rounds)]
    finally:
      shutil.rmtree(directory, ignore_errors=True)
  metadata = Figure("Metadata ms", lambda r: r["metadata_ms"], "{:.0f}")
  produced = Figure("Produce ms", lambda r: r["produced_ms"], "{:.0f}")
  connected = Figure("connected ms", lambda r: r["connected_ms"], "{:.0f}")
  return Outcome("startup", startup.__doc__, rounds, [connected, metadata, produced],
                 [Target("ready, ms", produced, 150)], [broker.name for broker in brokers])


def _start_once(broker, directory):
  progress(f"  {broker.name}: starting")
  with broker.start(directory) as running:
    result = running.load("probe", "--topic", "many", "--partitions", 1000)
    if result["partitions"] != 1000:
      raise Failure(f"{broker.name} has {result['partitions']} partitions of 1,000")
    return {f"{instant}_ms": (result[f"{instant}_ns"] - running.started_ns) / 1e6
            for instant in ("connected", "metadata", "produced")}


def durable(brokers, options):
  """Produce one 1,000-byte record per request, acks=all, 16 connections, one request in flight on
  each, 4 partitions: answered when it is on disk. Below, the same with acks=1: in the page cache."""
  seconds = 2 if options.quick else 10
  group = limit("group commit (C)", "copy_limit", "--sync", "--partitions", "4")
  load = ("--connections", 16, "--in-flight", 1, "--batch-bytes", 0, "--value-bytes", 1000,
          "--partitions", 4, "--seconds", seconds)
  running = start_all(brokers + [group])
  try:
    for system in running:
      system.load("produce", "--acks", -1, *load)
    rounds = interleave(running, options.rounds,
                        lambda system: system.load("produce", "--acks", -1, *load))
    cached = interleave([system for system in running if not system.system.raw], options.rounds,
                        lambda system: system.load("produce", "--acks", 1, *load))
  finally:
    stop_all(running)
  rounds.update({f"{name}, acks=1": results for name, results in cached.items()})
  targets = [Target("requests/s / group commit", request_rate, 0.8, True, group.name)]
  return Outcome("durable", durable.__doc__, rounds, [request_rate, cpu_per_request, p50, p99, p999],
                 targets, [broker.name for broker in brokers])


def recovery(brokers, options):
  """After kill -9 with nothing flushed: from exec until each of 4 partitions has taken a record.
  The C program reads the same files and compares the checksums. All of it is in the page cache."""
  log_bytes = (256 if options.quick else 2048) << 20
  rate = Figure("MB/s", lambda r: r["bytes"] / r["seconds"] / 1e6, "{:,.0f}")
  rounds = {}
  for broker in brokers:
    directory = tempfile.mkdtemp(prefix="bench-")
    limit_name = "read and check (C)"
    try:
      with broker.start(directory) as running:
        running.await_ready()
        running.load("produce", "--topic", "unclean", "--partitions", 4, "--bytes", log_bytes,
                     "--in-flight", 5)
        kill_all(running)
      files = [os.path.join(directory, "data", f"unclean-{number}", f"{0:020}.log")
               for number in range(4)]
      if not all(os.path.exists(file) for file in files):
        progress(f"  {broker.name}: its log is not where it is looked for")
        continue
      rounds[broker.name], rounds[limit_name] = [], []
      for number in range(1, options.rounds + 1):
        progress(f"  round {number} of {options.rounds}: {broker.name}")
        rounds[limit_name].append(run_limit("crc_limit", *files))
        length = sum(os.path.getsize(file) for file in files)
        with broker.start(directory) as running:
          result = running.load("probe", "--topic", "unclean", "--partitions", 4)
          seconds = (result["produced_ns"] - running.started_ns) / 1e9
          rounds[broker.name].append({"bytes": length, "seconds": seconds})
          kill_all(running)
    finally:
      shutil.rmtree(directory, ignore_errors=True)
  return Outcome("recovery", recovery.__doc__, rounds, [rate],
                 [Target("MB/s / read and check", rate, 0.6, True, "read and check (C)")],
                 [broker.name for broker in brokers])


@contextlib.contextmanager
def evicted(files):
  """Keeps files out of the page cache, as far as one can: what is read is dropped again at once."""
  descriptors = [os.open(file, os.O_RDONLY) for file in files]
  ending = threading.Event()

  def drop():
    while True:
      for descriptor in descriptors:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
      if ending.wait(0.02):
        return

  thread = threading.Thread(target=drop)
  try:
    for descriptor in descriptors:
      os.fdatasync(descriptor)
    thread.start()
    yield
  finally:
    ending.set()
    if thread.ident is not None:
      thread.join()
    for descriptor in descriptors:
      os.close(descriptor)


def neighbours(brokers, options):
  """As e2e, first alone, then beside two consumers of 25 MB/s each whose records must come from the
  disk: what they do to the latency of a consumer at the end of its log."""
  seconds = 5 if options.quick else 20
  log_bytes = (256 if options.quick else 1024) << 20
  load = ("--topic", "tail", "--rate", 1000, "--in-flight", 64, "--seconds", seconds, "--warmup", 1,
          "--batch-bytes", 0, "--value-bytes", 200)
  cold = ("--rate", 25, "--seconds", seconds + 2)
  topics = ("old-a", "old-b")
  running = start_all(brokers)
  rounds = {}
  try:
    for system in running:
      for topic in topics:
        system.load("produce", "--topic", topic, "--bytes", log_bytes // 2, "--in-flight", 5)
      system.load("e2e", *load)
    for number in range(1, options.rounds + 1):
      for system in running:
        name = system.system.name
        progress(f"  round {number} of {options.rounds}: {name}")
        alone = system.load("e2e", *load)
        files = glob.glob(os.path.join(system.directory, "data", "old-*", "*.log"))
        with evicted(files), contextlib.ExitStack() as stack:
          readers = [stack.enter_context(loading(system.port, "fetch", "--topic", topic, *cold))
                     for topic in topics]
          beside = system.load("e2e", *load)
          beside["read_rate"] = sum(reader()["bytes_per_second"] for reader in readers)
        beside["ratio"] = beside["latency_us"]["p99"] / alone["latency_us"]["p99"]
        rounds.setdefault(f"{name}, alone", []).append(
          dict(alone, ratio=1.0, read_rate=0.0))
        rounds.setdefault(name, []).append(beside)
  finally:
    stop_all(running)
  ratio = Figure("p99 / alone", lambda r: r["ratio"])
  read = Figure("read MB/s", lambda r: r["read_rate"] / 1e6, "{:.0f}")
  return Outcome("neighbours", neighbours.__doc__, rounds, [p50, p90, p99, p999, worst, ratio, read],
                 [Target("p99 / alone", ratio, 1.2)], [broker.name for broker in brokers])


ALL = {"consume": consume, "produce": produce, "small": small, "pipelined": pipelined,
       "e2e": end_to_end, "idle": idle, "startup": startup, "durable": durable,
       "recovery": recovery, "neighbours": neighbours, "overhead": footprint.overhead,
       "partitions": footprint.partitions}
