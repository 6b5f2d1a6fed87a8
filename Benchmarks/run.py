#!/usr/bin/env python3
"""Measures brokers side by side with the machine's limits: `make bench`, or directly with options.

Starts each broker from a command line with {port} and {dir}, drives it with the load generator, and
prints a Markdown table per scenario; all raw figures go to results/TIME.json. Python's standard
library only.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

import scenarios
from systems import HERE, Failure, System

SLUICE = (
  "{programs}/sluice up --runtime-directory {{dir}}/run"
  " --override listeners=PLAINTEXT://127.0.0.1:{{port}} --override log.dirs={{dir}}/data")


def parse():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("scenarios", nargs="*", metavar="scenario",
                      help=f"of {', '.join(scenarios.ALL)}; all of them when none is named")
  parser.add_argument("--quick", action="store_true", help="about a minute in all; rough figures")
  parser.add_argument("--rounds", type=int, help="times that each system runs (5; quick: 2)")
  parser.add_argument("--programs", default=os.path.join(HERE, "..", ".build", "release"),
                      help="where sluice's release binaries are")
  parser.add_argument("--system", action="append", default=[], metavar="NAME=COMMAND",
                      help="another broker to measure; its command line has {port} and {dir}")
  parser.add_argument("--without-sluice", action="store_true",
                      help="only the limits and the brokers named with --system")
  parser.add_argument("--sluice-options", default="", metavar="OPTIONS",
                      help="more options of `sluice up`, such as '--fetchers 1'")
  options = parser.parse_args()
  for name in options.scenarios:
    if name not in scenarios.ALL:
      parser.error(f"no scenario {name}; there are {', '.join(scenarios.ALL)}")
  options.rounds = options.rounds or (2 if options.quick else 5)
  return options


def brokers(options):
  found = []
  if not options.without_sluice:
    program = os.path.join(options.programs, "sluice")
    if not os.access(program, os.X_OK):
      sys.exit(f"bench: {program} is missing: `make build` first, or --without-sluice")
    command = SLUICE.format(programs=os.path.abspath(options.programs))
    found.append(System("sluice", f"{command} {options.sluice_options}"))
  for text in options.system:
    name, separator, command = text.partition("=")
    if not separator or "{port}" not in command:
      sys.exit(f"bench: --system {text}: NAME=COMMAND, and the command needs {{port}}")
    found.append(System(name, command))
  return found


def machine():
  model = ""
  with open("/proc/cpuinfo", encoding="utf-8") as file:
    for line in file:
      if line.startswith("model name"):
        model = line.partition(":")[2].strip()
        break
  return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
          "load_average": os.getloadavg()[0]}


def commit():
  result = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
  return result.stdout.strip()


def write_results(outcomes, where):
  directory = os.path.join(HERE, "results")
  os.makedirs(directory, exist_ok=True)
  path = os.path.join(directory, time.strftime("%Y%m%d-%H%M%S") + ".json")
  content = {"machine": where, "commit": commit(), "arguments": sys.argv[1:],
             "outcomes": [outcome.as_json() for outcome in outcomes]}
  with open(path, "w", encoding="utf-8") as file:
    json.dump(content, file, indent=1)
  return path


def main():
  options = parse()
  subprocess.run(["make", "-s", "-C", HERE], check=True)
  where = machine()
  if where["load_average"] > 0.5:
    scenarios.progress(f"the machine is busy (load {where['load_average']:.1f}): "
                       "absolute figures will be low")
  systems = brokers(options)
  outcomes, failed = [], False
  for name in options.scenarios or scenarios.ALL:
    scenarios.progress(name)
    try:
      outcomes.append(scenarios.ALL[name](systems, options))
    except Failure as failure:
      failed = True
      scenarios.progress(f"{name} failed: {failure}")
      continue
    print(outcomes[-1].markdown(), flush=True)
  path = write_results(outcomes, where)
  scenarios.progress(f"raw results in {os.path.relpath(path)}")
  sys.exit(1 if failed else 0)


if __name__ == "__main__":
  try:
    main()
  except KeyboardInterrupt:
    sys.exit(130)
