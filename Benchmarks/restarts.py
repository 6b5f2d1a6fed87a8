#!/usr/bin/env python3
"""Measures what clients see of restarts, in a box with a real systemd: `Benchmarks/restarts.py`, as
root, after `make build`.

A producer with one request in flight and a long-polling consumer run all the time, each on one
connection that must not end. Prints a Markdown table of the pauses that they see while a unit is
restarted, of the time from `systemctl start` to the first produced record, and of memory.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/SystemdTests"))

from harness.box import Box, eventually, why_not
from harness.network import RawClient, record_batch

UNITS = ["sluice-frontend@1.service", "sluice-fetcher@1.service", "sluice-coordinator.service",
         "sluice-logwriter.service"]
TOPIC = "pauses"
BOOTSTRAP = ("-b", "127.0.0.1:9092")


class Load:
  """A client that does one thing after the other; what took longest is kept."""

  def __init__(self, box):
    self.client = RawClient(box)
    self.longest = 0.0
    self.count = 0
    self.failure = None
    self.stopping = threading.Event()
    self.thread = threading.Thread(target=self.run)
    self.thread.start()

  def run(self):
    before = time.monotonic()
    try:
      while not self.stopping.is_set():
        if not self.step():
          continue
        now = time.monotonic()
        self.longest = max(self.longest, now - before)
        self.count += 1
        before = now
    except BaseException as failure:  # A client that was disconnected ends the measurement.
      self.failure = failure

  def pause(self):
    longest, self.longest = self.longest, 0.0
    return longest

  def go_on(self, count):
    goal = self.count + count
    eventually(lambda: self.count >= goal or self.failure, "progress")
    if self.failure:
      raise self.failure

  def stop(self):
    self.stopping.set()
    self.thread.join(30)
    self.client.close()


class Producing(Load):
  batch = record_batch(b"0123456789")

  def step(self):
    self.client.send(self.client.produce(TOPIC, self.batch))
    return self.client.receive_produced() == 0


class Consuming(Load):
  offset = 0

  def step(self):
    self.client.send(self.client.fetch(TOPIC, self.offset, max_wait_ms=500))
    records = self.client.receive_fetched()
    at, seen = 0, 0
    while at + 12 <= len(records):
      size = int.from_bytes(records[at + 8:at + 12], "big")
      if at + 12 + size > len(records):
        break
      self.offset = int.from_bytes(records[at:at + 8], "big") + 1
      at += 12 + size
      seen += 1
    return seen > 0


def stop(box):
  box.systemctl("stop", "sluice.target", "sluice-*")
  eventually(lambda: not box.systemctl(
    "list-units", "--no-legend", "--state=active,deactivating", "sluice-*").stdout, "an end")


def start_to_first_record(box):
  """Seconds from `systemctl start` until a record is acknowledged."""
  stop(box)
  began = time.monotonic()
  starting = threading.Thread(
    target=box.systemctl, args=("start", "sluice.target", UNITS[0], "sluice-fetcher@1.socket"))
  starting.start()
  while True:
    try:
      client = RawClient(box)
      client.send(client.produce(TOPIC, Producing.batch))
      if client.receive_produced() == 0:
        break
    except (AssertionError, OSError):
      pass
    finally:
      client = None
    time.sleep(0.001)
  took = time.monotonic() - began
  starting.join()
  return took


def memory(box, unit):
  """Resident memory of a unit's process, shared pages divided by those who share them, MB."""
  pid = box.main_pid(unit)
  for line in box.host_path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
    if line.startswith("Pss:"):
      return int(line.split()[1]) / 1000
  return 0


def row(name, seconds, target):
  ms = sorted(1000 * second for second in seconds)
  median = statistics.median(ms)
  print(f"| {name} | {median:.0f} ms | {ms[0]:.0f}–{ms[-1]:.0f} ms | "
        f"{'met' if median < target else 'missed'} ({target} ms) |", flush=True)


def measure(box, rounds):
  box.systemctl("start", "sluice.target", *UNITS)
  for number in range(99):
    box.run("sluice", "topics", "create", *BOOTSTRAP, f"topic-{number}")
  box.run("sluice", "topics", "create", *BOOTSTRAP, TOPIC)
  print("| | median | range | target |\n|---|---|---|---|")
  row("`systemctl start` to the first record, 100 topics",
      [start_to_first_record(box) for _ in range(rounds)], 300)
  box.systemctl("start", *UNITS)
  loads = [Producing(box), Consuming(box)]
  try:
    for unit in UNITS:
      pauses = [[], []]
      for _ in range(rounds):
        for load in loads:
          load.go_on(50)
          load.pause()
        box.systemctl("restart", unit)
        for number, load in enumerate(loads):
          load.go_on(50)
          pauses[number].append(load.pause())
      for name, seen in zip(("producer", "consumer"), pauses):
        row(f"restart of `{unit}`, {name}", seen, 100)
  finally:
    for load in loads:
      load.stop()
  print("\n| unit | memory |\n|---|---|")
  for unit in UNITS:
    print(f"| `{unit}` | {memory(box, unit):.1f} MB |")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--rounds", type=int, default=9, help="restarts of each unit (9)")
  parser.add_argument("--programs", default=str(ROOT / ".build/release"),
                      help="where sluice's release binaries are")
  options = parser.parse_args()
  reason = why_not()
  if reason:
    sys.exit(f"restarts: no systemd in a box here: {reason}")
  tree = tempfile.mkdtemp(prefix="sluice-restarts-")
  box = None
  try:
    subprocess.run(
      ["make", "--silent", "-C", str(ROOT), "install", f"DESTDIR={tree}", "PREFIX=/usr",
       f"BUILD={options.programs}"], check=True)
    box = Box(tree)
    measure(box.boot(), options.rounds)
  finally:
    if box:
      box.close()
    shutil.rmtree(tree)


if __name__ == "__main__":
  main()
