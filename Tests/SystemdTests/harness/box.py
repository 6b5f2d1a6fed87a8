"""A real systemd as the first process of private namespaces, over a throw-away copy of /.

It boots in about half a second. Nothing of it outlives `close`, or the death of this process: the
kernel ends the namespaces with their first process, and that one with its parent.
"""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ENTER = pathlib.Path(__file__).with_name("enter.sh")
TESTS = pathlib.Path(__file__).resolve().parents[2]
DRIVERS = TESTS / "SystemdTests/drivers"
CLIENT_TESTS = TESTS / "ClientTests"
DEPENDENCIES = TESTS.parent / ".deps"
PYTHON = DEPENDENCIES / "newest/bin/python"
SYSTEMD = "/lib/systemd/systemd"


def cgroup_root():
    """Where the unified hierarchy of control groups is mounted; None where it is not."""
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, where, kind, *_ = line.split()
            if kind == "cgroup2":
                return pathlib.Path(where)
    return None


def why_not():
    """Why there can be no box here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists(SYSTEMD):
        return f"needs {SYSTEMD}"
    for program in ("unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"needs {program}"
    root = cgroup_root()
    if root is None or not os.access(root, os.W_OK):
        return "needs a cgroup2 hierarchy to write to"
    probe = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "true"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        return "needs the right to make namespaces"
    return None


def remove_abandoned():
    """Control groups of boxes whose owners were killed; the kernel has ended what was in them."""
    for cgroup in cgroup_root().glob("sluice-box-*.*"):
        if not os.path.exists(f"/proc/{cgroup.suffix[1:]}"):
            remove_cgroup(cgroup)


def remove_cgroup(cgroup):
    """Removes a control group with all below it; False while a process is in one."""
    for path, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


def eventually(holds, what, seconds=20):
    """Waits until `holds()` is true and returns its value; `what` says what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


numbers = itertools.count(1)


class Box:
    def __init__(self, tree):
        """`tree` is laid over the machine's files."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-box-"))
        os.symlink(tree, self.directory / "tree")
        # One process may have several boxes.
        self.cgroup = cgroup_root() / f"sluice-box-{next(numbers)}.{os.getpid()}"
        self.console = self.directory / "console"
        self.holder = None
        self.pid = None
        self.since = []

    def boot(self):
        remove_abandoned()
        self.cgroup.mkdir()
        with open(self.console, "wb") as console:
            self.holder = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--ipc",
                 "--uts", "--fork", "--kill-child=SIGKILL",
                 "bash", str(ENTER), "join", str(self.directory), str(self.cgroup)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        eventually(self._has_booted, lambda: f"systemd runs\n{self.console.read_text()}")
        return self

    def _has_booted(self):
        assert self.holder.poll() is None, self.console.read_text()
        holder = self.holder.pid
        with open(f"/proc/{holder}/task/{holder}/children") as listing:
            children = listing.read().split()
        if not children:
            return False
        self.pid = int(children[0])
        if os.readlink(f"/proc/{self.pid}/exe") != os.path.realpath(SYSTEMD):
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def close(self):
        """Ends everything in the box."""
        kill = self.cgroup / "cgroup.kill"
        if kill.exists():
            kill.write_text("1")
        if self.holder is not None:
            self.holder.wait(10)
        eventually(lambda: remove_cgroup(self.cgroup), "the box's control group is empty")
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command, check=True, stdin=None, seconds=60, user=None, groups=()):
        """Runs a command in the box and returns it with its output."""
        become = []
        if user is not None:
            joined = ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
            become = ["setpriv", "--reuid", user, "--regid", user, *joined]
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-i", "-u", "-C", "-r", "-w",
             "env", "-i", "PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8", "SYSTEMD_COLORS=0",
             "SYSTEMD_PAGER=", "SWIFT_BACKTRACE=enable=no", *become, *command],
            input=stdin, capture_output=True, text=True, timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def client(self, driver, *arguments):
        """A program of drivers/ among this machine's files, but with the network of the box. It
        speaks through pipes, line by line."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self.pid), "-n", str(PYTHON), str(DRIVERS / driver),
             *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "PYTHONPATH": str(CLIENT_TESTS)})

    def host_path(self, path):
        """A path in the box, as this process can open it."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def systemctl(self, *arguments, check=True, seconds=60):
        return self.run("systemctl", *arguments, check=check, seconds=seconds)

    def show(self, unit, name):
        """One property of a unit."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def main_pid(self, unit):
        """The process of a unit, numbered as in the box; 0 when there is none."""
        return int(self.show(unit, "MainPID"))

    def wait_active(self, unit, seconds=20):
        eventually(
            lambda: self.show(unit, "ActiveState") == "active",
            lambda: f"{unit} is active\n{self.journal(unit)}", seconds)

    def journal(self, unit=None):
        """Messages of a unit since `mark_journal`, one per line; of everything without one."""
        chosen = ["-u", unit] if unit else []
        return self.run("journalctl", "--no-pager", "-o", "cat", *self.since, *chosen).stdout

    def entries(self, *matches):
        """Entries since `mark_journal` with all their fields."""
        shown = self.run("journalctl", "-q", "--no-pager", "-o", "json", *self.since, *matches)
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def mark_journal(self):
        """What is in the journal now is of no interest any more."""
        # Not by cursor: together with a match that leaves out one entry too many.
        last = self.run("journalctl", "-q", "--no-pager", "-n", "1", "-o", "json").stdout
        microseconds = int(json.loads(last)["__REALTIME_TIMESTAMP"]) + 1
        self.since = ["--since", f"@{microseconds // 1_000_000}.{microseconds % 1_000_000:06}"]

    def write(self, path, text):
        target = self.host_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
