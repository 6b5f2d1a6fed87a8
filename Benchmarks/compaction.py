#!/usr/bin/env python3
"""Compaction: MB/s and peak memory of the cleaner, and what it does to a tail consumer's p99.

A log of KEYS keys, each of them twice, is laid down on the disk before the broker starts; then the
cleaner is let loose on it. Figures are of one broker alone: there is nothing to be interleaved with.

    Benchmarks/compaction.py                   10 million keys, the default dedupe buffer
    Benchmarks/compaction.py --quick           1 million keys
    Benchmarks/compaction.py --dedupe-mb 512   one pass over the log
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
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


def follow_cleaner(broker, start, end_offset):
  """Waits until the log is clean: (seconds since `start`, CPU seconds, peak MB)."""
  pid = broker.pid("sluice-cleaner")
  while broker.cleaned_offset() < end_offset:
    if time.monotonic() > start + CLEAN_SECONDS_MAX:
      raise systems.Failure(f"cleaned up to {broker.cleaned_offset()} only, not {end_offset}")
    time.sleep(0.01)
  seconds = time.monotonic() - start
  peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
  return seconds, sum(procfs.cpu_seconds([pid]).values()), peak * 1024 / 1e6


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--quick", action="store_true", help="1 million keys")
  parser.add_argument("--keys", type=int, default=None)
  parser.add_argument("--dedupe-mb", type=int, default=128)
  parser.add_argument("--dir", default=None, help="where the log lies (a temporary directory)")
  options = parser.parse_args()
  keys = options.keys or (1_000_000 if options.quick else 10_000_000)
  directory = tempfile.mkdtemp(prefix="sluice-compaction-", dir=options.dir)
  broker = Broker(directory, options)
  try:
    broker.start(cleans=False)
    broker.sluice("topics", "create", "keyed", "--partitions", "1", "--set",
                  "cleanup.policy=compact", "--set", "file.delete.delay.ms=0",
                  "--set", f"segment.bytes={SEGMENT_BYTES}")
    alone = statistics.median(tail_p99_ms(broker, 4 if options.quick else 8) for _ in range(3))
    broker.stop()
    for file in (broker.data / "keyed-0").glob("0*"):
      file.unlink()
    laid = json.loads(subprocess.run(
      [os.path.join(systems.BUILD, "keyedlog"), broker.data / "keyed-0", str(2 * keys), str(keys),
       str(VALUE_BYTES), str(SEGMENT_BYTES)], check=True, capture_output=True).stdout)
    (broker.data / ".kafka_cleanshutdown").unlink()
    segments = sorted(int(path.stem) for path in (broker.data / "keyed-0").glob("*.log"))
    closed = sum(path.stat().st_size for path in (broker.data / "keyed-0").glob("*.log")
                 if int(path.stem) < segments[-1])
    # Once without a cleaner, so that recovery is not measured.
    broker.start(cleans=False)
    broker.stop()
    start = time.monotonic()
    broker.start(cleans=True)
    during = []
    tail = threading.Thread(target=lambda: during.append(tail_p99_ms(broker, 4)))
    tail.start()
    seconds, cpu, peak = follow_cleaner(broker, start, segments[-1])
    tail.join()
    left = sum(path.stat().st_size for path in (broker.data / "keyed-0").glob("*.log"))
    broker.stop()
  finally:
    if broker.process.poll() is None:
      broker.process.kill()
      broker.process.wait()
    shutil.rmtree(directory, ignore_errors=True)
  print(f"| compaction of {keys:,} keys, each twice, {laid['bytes'] / 1e6:.0f} MB | |")
  print("|---|---|")
  print(f"| log compacted, MB/s | {closed / seconds / 1e6:.0f} |")
  print(f"| cleaner's CPU, s/GB of log | {cpu / closed * 1e9:.2f} |")
  print(f"| cleaner's peak memory, MB | {peak:.0f} |")
  print(f"| MB afterwards | {left / 1e6:.0f} |")
  print(f"| tail consumer's p99 alone / meanwhile, ms | {alone:.2f} / {during[0]:.2f} |")


if __name__ == "__main__":
  main()
