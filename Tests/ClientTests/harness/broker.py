"""A family of Sluice processes under test: `sluice up` with a directory of its own.

It waits until the broker serves, finds the processes by their parent, keeps everything they log,
and on `stop` checks that nothing is left: no process, no socket, no temporary file, exit code 0.
"""

import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

from harness import paths, wire
from harness.client import eventually

ALWAYS = ("sluice-frontend", "sluice-logwriter", "sluice-fetcher", "sluice-coordinator",
          "sluice-cleaner")
# The last one is started when it is needed.
PROCESSES = (*ALWAYS, "sluice-codec")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def executable(pid):
    """The file name of a process's program; None when the process has ended."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listing:
            direct = [int(child) for child in listing.read().split()]
    except OSError:
        return []
    return direct + [below for child in direct for below in children(child)]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid):
    """Memory that is this process's own: pages shared with a sibling are not counted."""
    with open(f"/proc/{pid}/status") as status:
        return sum(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


class Broker:
    def __init__(self, overrides=None, arguments=(), descriptors_max=None, disk_size=None):
        """`disk_size`, such as "64m", puts the log on a file system of that size, in a mount
        namespace of its own: look at it through `mounted`."""
        # Not pytest's directory: the path of a Unix socket has room for 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.data = self.directory / "data"
        self.runtime = self.directory / "run"
        self.log_path = self.directory / "log"
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.overrides = {
            "listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": str(self.data),
            "num.partitions": "3",
            # Three members of a group come within a second; Kafka's own default waits three.
            "group.initial.rebalance.delay.ms": "1000",
            **(overrides or {}),
        }
        self.arguments = ["--runtime-directory", str(self.runtime), *arguments]
        self.descriptors_max = descriptors_max
        self.disk_size = disk_size
        self.process = None

    def start(self):
        command = [str(paths.BINARIES / "sluice"), "up", *self.arguments]
        for name, value in self.overrides.items():
            command += ["--override", f"{name}={value}"]
        if self.descriptors_max is not None:
            command = ["prlimit", f"--nofile={self.descriptors_max}", *command]
        if self.disk_size is not None:
            self.data.mkdir()
            mount = f'mount -t tmpfs -o size={self.disk_size} tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(self.data), *command]
        environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no",
                       "TMPDIR": str(self.directory)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True)
        eventually(self._serves, lambda: f"the broker serves\n{self.log()}", seconds=30)
        return self

    def mounted(self, path):
        """A path as the broker sees it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root") / pathlib.Path(path).relative_to("/")

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"exited with {self.process.returncode}\n{self.log()}")
        try:
            with wire.Connection(self.port, timeout=5) as connection:
                connection.api_versions()
                connection.metadata()
                return True
        except (OSError, wire.Closed):
            return False

    def stop(self, how=signal.SIGTERM):
        """Ends the family as Ctrl-C or a supervisor would, and checks that nothing remains."""
        family = children(self.process.pid)
        self.process.send_signal(how)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs 30 s after {how.name}\n{self.log()}") from None
        assert code == 0, f"exit code {code}\n{self.log()}"
        assert not [pid for pid in family if executable(pid) in PROCESSES], "processes remain"
        assert self.leftovers() == []

    def remove(self):
        """Ends what still runs, the quick way, and deletes the directory."""
        if self.process is not None and self.process.poll() is None:
            family = children(self.process.pid)
            self.process.kill()
            self.process.wait()
            for pid in family:
                if executable(pid) in PROCESSES:
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def leftovers(self):
        """Sockets, temporary files and a runtime directory that a clean end takes away."""
        found = [str(self.runtime)] if self.runtime.exists() else []
        for path in self.directory.rglob("*"):
            mode = path.lstat().st_mode
            temporary = path.suffix in (".tmp", ".swap", ".cleaned") or path.name.startswith(".tmp")
            if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode) or temporary:
                found.append(str(path.relative_to(self.directory)))
        return found

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_mark(self):
        """Where the log ends now, for `log_since`."""
        return len(self.log())

    def log_since(self, mark):
        return self.log()[mark:]

    def pids(self, name):
        return sorted(pid for pid in children(self.process.pid) if executable(pid) == name)

    def family(self):
        return {name: self.pids(name) for name in PROCESSES}

    def descriptor_counts(self):
        """(program, number of it) to open descriptors; comparable before and after a load."""
        return {(name, number): descriptors(pid) for name, pids in self.family().items()
                for number, pid in enumerate(pids)}

    def memory(self):
        return sum(resident_bytes(pid) for pids in self.family().values() for pid in pids)

    def kill(self, name):
        """Kills one process of that program and waits until another has taken its place."""
        victim = self.pids(name)[0]
        os.kill(victim, signal.SIGKILL)
        count = len(self.family()[name])
        eventually(
            lambda: victim not in self.pids(name) and len(self.pids(name)) >= max(count, 1),
            lambda: f"another {name} runs\n{self.log()}")
        return victim

    def wait_until_serving(self):
        eventually(self._serves, lambda: f"the broker serves again\n{self.log()}", seconds=30)


class External:
    """Any Kafka broker at SLUICE_TEST_BOOTSTRAP, to compare; nothing but its port is known."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.port = int(bootstrap.rpartition(":")[2])

    def log(self):
        return ""


def wait_quiet(read, seconds=20, still=0.5):
    """Reads a value until it has not changed for `still` seconds, and returns it."""
    end = time.monotonic() + seconds
    value, since = read(), time.monotonic()
    while time.monotonic() - since < still and time.monotonic() < end:
        time.sleep(0.05)
        current = read()
        if current != value:
            value, since = current, time.monotonic()
    return value
