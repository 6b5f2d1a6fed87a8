"""One process under systemd: its socket, its restarts, and bad days. The logwriter stands for all:
every process has the same skeleton."""

import os
import re

import pytest

from conftest import PROPERTIES, ROOT
from harness.box import eventually

UNIT = "sluice-logwriter.service"
SOCKET = "sluice-logwriter.socket"
PATH = "/run/sluice/logwriter.sock"

# Greets the logwriter as the role whose number and version of the edge are argument 1, waits at most so
# many seconds for an answer, and says whether the logwriter has hung up.
GREET = f"""
import socket, struct, sys
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.connect("{PATH}")
peer.settimeout(float(sys.argv[2]))
try:
    role, version = (int(part) for part in sys.argv[1].split("/"))
    peer.send(struct.pack("<4sBBHI", b"SLUI", role, 2, version, 77))
    print("closed" if peer.recv(1) == b"" else "open")
except (BlockingIOError, TimeoutError):
    print("open")
except (BrokenPipeError, ConnectionResetError):
    print("closed")
"""


def edge(role):
    """The number of a role, and the version that it speaks with the logwriter: `3/2`."""
    numbers = {"frontend": 1, "fetcher": 3, "coordinator": 4, "admin": 5}
    pattern = rf"{role}ToLogWriter = Edge\(.*, version: (\d+)\)"
    version = re.search(pattern, (ROOT / "Sources/IPC/Hello.swift").read_text())
    return f"{numbers[role]}/{version.group(1) if version else 1}"


def greet(box, role, user, groups=("sluice-to-logwriter",)):
    return box.run("/usr/bin/python3", "-c", GREET, edge(role), "10", check=False,
                   user=user, groups=groups)


def fails_with(box, code):
    """Starts the logwriter, which must end with that code; returns its last words."""
    started = box.systemctl("start", UNIT, check=False)
    assert started.returncode != 0
    assert box.show(UNIT, "ExecMainStatus") == str(code), box.journal(UNIT)
    return box.show(UNIT, "StatusText")


def test_the_first_connection_starts_it(box):
    box.systemctl("start", SOCKET)
    assert box.show(UNIT, "ActiveState") == "inactive"
    box.run("/usr/bin/python3", "-c", GREET, edge("fetcher"), "0")
    box.wait_active(UNIT)


def test_starting_it_brings_its_socket(box):
    box.systemctl("start", UNIT)
    assert box.show(SOCKET, "ActiveState") == "active"
    assert re.fullmatch(r"\d+ partitions", box.show(UNIT, "StatusText"))
    mode = box.host_path(PATH).stat()
    assert (mode.st_uid, mode.st_mode & 0o777) == (0, 0o660)


def test_restarts_keep_the_socket(box):
    box.systemctl("start", UNIT)
    inode = box.host_path(PATH).stat().st_ino
    first = box.main_pid(UNIT)
    box.systemctl("restart", UNIT)
    second = box.main_pid(UNIT)
    assert second not in (0, first)
    assert box.show(UNIT, "NRestarts") == "0"
    box.systemctl("kill", "--signal=KILL", UNIT)
    eventually(lambda: box.main_pid(UNIT) not in (0, second), "another process")
    box.wait_active(UNIT)
    assert box.show(UNIT, "NRestarts") == "1"
    assert box.host_path(PATH).stat().st_ino == inode


def test_stopping_is_clean(box):
    box.systemctl("start", UNIT)
    box.systemctl("stop", UNIT, SOCKET)
    assert box.show(UNIT, "Result") == "success"
    assert box.show(UNIT, "ExecMainStatus") == "0"
    assert not box.host_path(PATH).exists()


def test_reload_is_a_signal(box):
    box.systemctl("start", UNIT)
    pid = box.main_pid(UNIT)
    box.systemctl("reload", UNIT)
    eventually(lambda: "nothing has changed" in box.journal(UNIT), "a line about the reload")
    assert box.main_pid(UNIT) == pid
    assert box.show(UNIT, "ActiveState") == "active"


@pytest.mark.parametrize("role, user, admitted", [
    ("frontend", "sluice-frontend", True),
    ("fetcher", "sluice-fetcher", True),
    ("frontend", "sluice-fetcher", False),
    ("coordinator", "sluice-frontend", False),
    ("fetcher", "sluice-logwriter", False),
    ("fetcher", "daemon", False),
])
def test_users_speak_for_their_roles_only(box, role, user, admitted):
    """All of these can open the socket; what counts is who the kernel says they are."""
    box.systemctl("start", UNIT)
    if admitted:
        done = box.run("/usr/bin/python3", "-c", GREET, edge(role), "0", user=user,
                       groups=("sluice-to-logwriter",))
        assert done.stdout == "open\n"
        eventually(lambda: f"{role} 77 is gone" in box.journal(UNIT), "its end is noticed")
        return
    assert greet(box, role, user).stdout == "closed\n"
    number = box.run("id", "-u", user).stdout.strip()
    stranger = user in ("daemon", "sluice-logwriter")
    line = (f"refused a connection: this user may not "
            f"{'connect to a logwriter' if stranger else f'speak as a {role}'}")
    eventually(lambda: re.search(f"{line} .*peerUid={number}$", box.journal(UNIT), re.M),
               "a line about the refusal")


def test_others_cannot_open_the_socket(box):
    box.systemctl("start", UNIT)
    for user in ("daemon", "sluice-fetcher"):
        assert "PermissionError" in greet(box, "fetcher", user, groups=()).stderr


def test_wrong_configuration(box, properties):
    """One line that names file, line, key and value; no restart."""
    properties("node.id=1", "node.id=one")
    status = fails_with(box, 100)
    for part in (PROPERTIES, "node.id", "one"):
        assert part in status, status
    number = box.host_path(PROPERTIES).read_text().splitlines().index("node.id=one") + 1
    assert f"{PROPERTIES}:{number}" in status, status
    assert box.show(UNIT, "NRestarts") == "0"
    assert status in box.journal(UNIT)
    assert status in box.systemctl("status", UNIT, check=False).stdout


def test_unreadable_configuration(box):
    os.chmod(box.host_path(PROPERTIES), 0o600)
    try:
        assert PROPERTIES in fails_with(box, 100)
    finally:
        os.chmod(box.host_path(PROPERTIES), 0o644)


@pytest.mark.parametrize("role", ["frontend", "logwriter", "fetcher", "coordinator", "codec"])
def test_by_hand_without_sockets(box, role):
    done = box.run(f"/usr/libexec/sluice/sluice-{role}", check=False)
    assert done.returncode == 100
    assert "start this process through its .socket unit or `sluice up`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_socket_left_by_a_crash_is_replaced(box):
    box.run("/usr/bin/python3", "-c",
            f"import socket; socket.socket(socket.AF_UNIX).bind('{PATH}')")
    box.systemctl("start", UNIT)
    greeted = greet(box, "frontend", "sluice-fetcher")
    assert greeted.stdout == "closed\n", greeted.stderr


@pytest.fixture
def elsewhere(box, properties, drop_in):
    """log.dirs at /srv/kafka, with the drop-in that operations.md names."""
    directory = box.host_path("/srv/kafka")
    directory.mkdir(exist_ok=True)
    properties("log.dirs=/var/lib/sluice/log", "log.dirs=/srv/kafka")
    drop_in(UNIT, "[Service]\nBindPaths=/srv/kafka\nRestart=no\n")
    yield directory
    box.run("umount", "/srv/kafka", check=False)


def test_log_elsewhere(box, elsewhere):
    box.run("chown", "sluice-logwriter", "/srv/kafka")
    box.systemctl("start", UNIT)
    assert (elsewhere / "meta.properties").exists()
    box.systemctl("stop", UNIT)
    box.run("rm", "-r", "/srv/kafka")


def test_log_of_another_owner(box, elsewhere):
    box.run("chown", "root:root", "/srv/kafka")
    status = fails_with(box, 111)
    assert "/srv/kafka" in status and "Permission denied" in status, status


@pytest.mark.parametrize("options, reason", [
    ("ro", "Read-only file system"), ("size=4k,nr_inodes=2", "No space left on device"),
])
def test_log_on_a_bad_disk(box, elsewhere, options, reason):
    box.run("mount", "-t", "tmpfs", "-o", f"{options},uid=sluice-logwriter", "disk", "/srv/kafka")
    status = fails_with(box, 111)
    assert "/srv/kafka" in status and reason in status, status


def test_a_process_that_keeps_dying_is_left_alone(box, drop_in):
    drop_in(UNIT, "[Service]\nExecStart=\nExecStart=/usr/bin/kill --nonsense\n")
    box.systemctl("start", UNIT, check=False)
    eventually(lambda: box.show(UNIT, "ActiveState") == "failed", "systemd gives up")
    assert int(box.show(UNIT, "NRestarts")) in range(10, 21)


def test_a_stuck_process_is_killed(box, drop_in):
    """The loop feeds the watchdog while it has nothing to do, and only while it goes round."""
    drop_in(UNIT, "[Service]\nWatchdogSec=500ms\nTimeoutAbortSec=100ms\n")
    box.systemctl("start", UNIT)
    pid = box.main_pid(UNIT)
    box.run("sleep", "1.5")
    assert box.main_pid(UNIT) == pid, box.journal(UNIT)
    box.systemctl("kill", "--signal=STOP", UNIT)
    eventually(lambda: box.main_pid(UNIT) not in (0, pid), "another process")
    assert "watchdog" in box.journal(UNIT).lower()
    box.wait_active(UNIT)
    assert box.show(UNIT, "NRestarts") == "1"
