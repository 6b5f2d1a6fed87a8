#!/usr/bin/env python3
"""Compaction: MB/s and peak memory of the cleaner, and what it does to a tail consumer's p99.

A log of KEYS keys, each of them twice, is laid down on the disk before the broker starts; then the
cleaner is let loose on it: once alone, which gives the rate, and once beside a producer and a consumer.

    Benchmarks/compaction.py                   10 million keys, the default dedupe buffer
    Benchmarks/compaction.py --quick           2 million keys
    Benchmarks/compaction.py --dedupe-mb 512   one pass over the log
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import procfs
import systems

SEGMENT_BYTES = 64 << 20
VALUE_BYTES = 80
CLEAN_SECONDS_MAX = 300
SLUICE = pathlib.Path(systems.HERE).parent / ".build/release/sluice"


class Broker:
  """`sluice up` on a directory that stays from start to start."""

  def __init__(self, directory, options):
    self.directory = pathlib.Path(directory)
    self.data = self.directory / "data"
    self.options = options
    self.process = None
    with systems.socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      self.port = probe.getsockname()[1]

  def start(self, cleans):
    overrides = {
      "listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": self.data,
      "log.cleaner.enable": str(cleans).lower(),
      "log.cleaner.dedupe.buffer.size": self.options.dedupe_mb << 20}
    command = [SLUICE, "up", "--runtime-directory", self.directory / "run"]
    for name, value in overrides.items():
      command += ["--override", f"{name}={value}"]
    with open(self.directory / "log", "ab") as log:
      self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
    deadline = time.monotonic() + 300
    while f"serving 127.0.0.1:{self.port}" not in (self.directory / "log").read_text():
      if self.process.poll() is not None or time.monotonic() > deadline:
        raise systems.Failure("the broker does not start; see " + str(self.directory / "log"))
      time.sleep(0.05)
    return self

  def stop(self):
    self.process.terminate()
    self.process.wait(60)
    (self.directory / "log").write_text("")

  def pid(self, name):
    for pid in procfs.family(self.process.pid):
      if procfs.process_name(pid) == name:
        return pid
    raise systems.Failure(f"there is no {name}")

  def sluice(self, *arguments):
    words = [SLUICE, *arguments[:2], "-b", f"127.0.0.1:{self.port}", *arguments[2:]]
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)

  def cleaned_offset(self):
    try:
      text = (self.data / "cleaner-offset-checkpoint").read_text()
    except FileNotFoundError:
      return 0
    found = re.search(r"^keyed 0 (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def tail_p99_ms(broker, seconds):
  """Of 1,000 records/s to another topic, followed by one consumer."""
  result = systems.loadgen(
    broker.port, "e2e", "--topic", "tail", "--rate", 1000, "--seconds", seconds, "--warmup", 1,
    "--batch-bytes", 0, "--value-bytes", 200)
  return result["latency_us"]["p99"] / 1000


class Cleaning:
  """The cleaning of the whole log, from the start of the broker."""

  def __init__(self, broker, end_offset):
    self.broker = broker
    self.end_offset = end_offset
    self.start = time.monotonic()
    broker.start(cleans=True)
    self.pid = broker.pid("sluice-cleaner")

  def is_done(self):
    return self.broker.cleaned_offset() >= self.end_offset

  def wait(self):
    """Waits until the log is clean: (seconds, CPU seconds, peak MB)."""
    while not self.is_done():
      if time.monotonic() > self.start + CLEAN_SECONDS_MAX:
        raise systems.Failure(
          f"cleaned up to {self.broker.cleaned_offset()} only, not {self.end_offset}")
      time.sleep(0.01)
    seconds = time.monotonic() - self.start
    status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    return seconds, sum(procfs.cpu_seconds([self.pid]).values()), peak * 1024 / 1e6

  def tail_pairs(self, seconds):
    """The p99 of a tail consumer alone and meanwhile, in ms, in pairs of windows.

    The cleaner is stopped in one and runs in the other, so that a machine that slows down slows both.
    """
    pairs = []
    while not self.is_done():
      os.kill(self.pid, signal.SIGSTOP)
      # What it has written and handed over is dealt with first.
      os.sync()
      alone = tail_p99_ms(self.broker, seconds)
      os.kill(self.pid, signal.SIGCONT)
      meanwhile = tail_p99_ms(self.broker, seconds)
      # Of the last window it is not known for how much of it the cleaner ran.
      if not self.is_done() or not pairs:
        pairs.append((alone, meanwhile))
    return pairs


def lay_down(broker, keys):
  """A log of `keys` keys, twice each, in place of what is there: (bytes, bytes to clean, end offset)."""
  log = broker.data / "keyed-0"
  for file in log.glob("0*"):
    file.unlink()
  (broker.data / "cleaner-offset-checkpoint").unlink(missing_ok=True)
  laid = json.loads(subprocess.run(
    [os.path.join(systems.BUILD, "keyedlog"), log, str(2 * keys), str(keys), str(VALUE_BYTES),
     str(SEGMENT_BYTES)], check=True, capture_output=True).stdout)
  (broker.data / ".kafka_cleanshutdown").unlink()
  # Once without a cleaner, so that recovery is not measured.
  broker.start(cleans=False)
  broker.stop()
  os.sync()
  sizes = {int(path.stem): path.stat().st_size for path in log.glob("*.log")}
  active = max(sizes)
  return laid["bytes"], sum(size for base, size in sizes.items() if base < active), active


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--quick", action="store_true", help="2 million keys")
  parser.add_argument("--keys", type=int, default=None)
  parser.add_argument("--dedupe-mb", type=int, default=128)
  parser.add_argument("--dir", default=None, help="where the log lies (a temporary directory)")
  options = parser.parse_args()
  keys = options.keys or (2_000_000 if options.quick else 10_000_000)
  directory = tempfile.mkdtemp(prefix="sluice-compaction-", dir=options.dir)
  broker = Broker(directory, options)
  try:
    broker.start(cleans=False)
    broker.sluice("topics", "create", "keyed", "--partitions", "1", "--set",
                  "cleanup.policy=compact", "--set", "file.delete.delay.ms=0",
                  "--set", f"segment.bytes={SEGMENT_BYTES}")
    broker.stop()
    laid, closed, end_offset = lay_down(broker, keys)
    seconds, cpu, peak = Cleaning(broker, end_offset).wait()
    broker.stop()
    left = sum(path.stat().st_size for path in (broker.data / "keyed-0").glob("*.log"))
    lay_down(broker, keys)
    pairs = Cleaning(broker, end_offset).tail_pairs(2 if options.quick else 5)
    broker.stop()
  finally:
    if broker.process.poll() is None:
      broker.process.kill()
      broker.process.wait()
    shutil.rmtree(directory, ignore_errors=True)
  print(f"| compaction of {keys:,} keys, each twice, {laid / 1e6:.0f} MB | |")
  print("|---|---|")
  print(f"| log compacted, MB/s | {closed / seconds / 1e6:.0f} |")
  print(f"| cleaner's CPU, s/GB of log | {cpu / closed * 1e9:.2f} |")
  print(f"| cleaner's peak memory, MB | {peak:.0f} |")
  print(f"| MB afterwards | {left / 1e6:.0f} |")
  windows = ", ".join(f"{alone:.2f}/{meanwhile:.2f}" for alone, meanwhile in pairs)
  print(f"| tail consumer's p99 alone/meanwhile, ms | {windows} |")
  ratio = statistics.median(meanwhile / alone for alone, meanwhile in pairs)
  print(f"| slowdown of that, median | {ratio:.2f} |")


if __name__ == "__main__":
  main()
