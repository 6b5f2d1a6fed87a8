"""The programs that are measured: brokers under test and the machine's limits.

A broker is a command line with {port} and {dir}; a limit is one of the C programs, which chooses a
port and prints it. Both are started in a directory of their own, which is deleted afterwards.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import procfs

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "build")
LOADGEN = os.path.join(BUILD, "loadgen")
READY_SECONDS = 60
STOP_SECONDS = 20


class Failure(Exception):
  """A run that cannot be trusted: a program failed, died, or did not answer."""


class System:
  """How to start something that is measured. `raw` ones need no topics."""

  def __init__(self, name, command, raw=False):
    self.name = name
    self.command = command
    self.raw = raw

  def start(self, directory=None):
    return Running(self, directory)


def limit(name, program, *arguments):
  command = shlex.join([os.path.join(BUILD, program), *arguments])
  return System(name, command + (" --dir {dir}" if program != "echo_server" else ""), raw=True)


def loadgen(port, mode, *arguments):
  """Runs the load generator to its end; its JSON result."""
  command = [LOADGEN, mode, "--port", str(port), *map(str, arguments)]
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  if result.returncode != 0:
    raise Failure(f"{shlex.join(command[1:])}: {result.stderr.strip()}")
  return json.loads(result.stdout)


@contextlib.contextmanager
def loading(port, mode, *arguments):
  """Runs the load generator meanwhile. What it yields waits for its end and gives its result."""
  command = [LOADGEN, mode, "--port", str(port), *map(str, arguments)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        text=True) as process:
    def result():
      output, errors = process.communicate()
      if process.returncode != 0:
        raise Failure(f"{shlex.join(command[1:])}: {errors.strip()}")
      return json.loads(output)

    try:
      yield result
    except BaseException:
      process.kill()
      raise


def run_limit(program, *arguments):
  """Runs one of the C programs that serves nobody to its end; its JSON result."""
  result = subprocess.run([os.path.join(BUILD, program), *arguments], capture_output=True,
                          text=True, check=False)
  if result.returncode != 0:
    raise Failure(f"{program}: {result.stderr.strip()}")
  return json.loads(result.stdout)


def kill_all(running):
  """Lets a broker die as in a crash of its processes: nobody closes anything."""
  pids = running.family()
  for pid in [running.process.pid, *pids]:
    try:
      os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
      pass
  running.process.wait()
  deadline = time.monotonic() + STOP_SECONDS
  while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
    time.sleep(0.01)


def _free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


class Running:
  """A started system; a context manager that stops it and deletes its directory (unless the
  directory was given, and so belongs to the caller)."""

  def __init__(self, system, directory):
    self.system = system
    self.owns_directory = directory is None
    self.directory = directory or tempfile.mkdtemp(prefix="bench-")
    self.port = 0 if system.raw else _free_port()
    command = system.command.format(port=self.port, dir=self.directory)
    self.log = os.path.join(self.directory, "bench-stderr.log")
    self.started_ns = time.monotonic_ns()
    with open(self.log, "ab") as log:
      self.process = subprocess.Popen(
        shlex.split(command), stdin=subprocess.DEVNULL, stderr=log,
        stdout=subprocess.PIPE if system.raw else log)
    if system.raw:
      line = self.process.stdout.readline().split()
      if len(line) != 2:
        self.__exit__()
        raise Failure(f"{system.name} did not start")
      self.port = int(line[1])

  def __enter__(self):
    return self

  def __exit__(self, *_):
    pids = self._family_or_none()
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGKILL if self.system.raw else signal.SIGTERM)
      try:
        self.process.wait(STOP_SECONDS)
      except subprocess.TimeoutExpired:
        for pid in pids:
          os.kill(pid, signal.SIGKILL)
        self.process.wait()
    if self.process.stdout:
      self.process.stdout.close()
    if self.owns_directory:
      shutil.rmtree(self.directory, ignore_errors=True)

  def _family_or_none(self):
    return procfs.family(self.process.pid) if self.process.poll() is None else []

  def family(self):
    if self.process.poll() is not None:
      with open(self.log, encoding="utf-8", errors="replace") as log:
        last = log.read()[-2000:]
      raise Failure(f"{self.system.name} ended with {self.process.returncode}:\n{last}")
    return procfs.family(self.process.pid)

  def await_ready(self):
    """Until a topic can be created; brokers answer errors or nothing while they start."""
    deadline = time.monotonic() + READY_SECONDS
    while not self.system.raw:
      self.family()
      try:
        return loadgen(self.port, "topics", "--topic", "bench-ready")
      except Failure as failure:
        if time.monotonic() > deadline:
          raise Failure(f"{self.system.name} is not ready: {failure}") from failure
      time.sleep(0.1)

  def load(self, mode, *arguments):
    """One run of the load generator, with the CPU time that the system spent meanwhile."""
    if self.system.raw:
      arguments += ("--raw",)
    before_pids = self.family()
    before = procfs.cpu_seconds(before_pids)
    result = loadgen(self.port, mode, *arguments)
    after_pids = self.family()
    if not set(before_pids) <= set(after_pids):
      raise Failure(f"{self.system.name}: a process died under load")
    result["cpu_seconds"] = procfs.difference(procfs.cpu_seconds(after_pids), before)
    result["cpu_seconds_sum"] = sum(result["cpu_seconds"].values())
    return result
