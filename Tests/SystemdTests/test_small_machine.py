"""One core and 256 MB of memory, and no sysctl."""

import pathlib
import re

import pytest

from harness import memory
from harness.load import BOOTSTRAP

FRONTEND = "sluice-frontend@1.service"
MEMORY_MIB = 256
# What a system without anything else needs: kernel, systemd, journald, sshd.
SYSTEM_MIB = 96


def pids(box):
    """The processes of the slice, as this machine numbers them."""
    group = box.cgroup / "sluice.slice"
    return [int(pid) for path in group.rglob("cgroup.procs") for pid in path.read_text().split()]


def resident_mib(box):
    """Memory of all processes of Sluice, what they share counted once: the sum of Pss."""
    total = 0
    for pid in pids(box):
        try:
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(re.search(r"^Pss: +(\d+) kB", rollup, re.M)[1])
    return total / 1024


def test_one_core_and_little_memory(box, drop_in, other_machine, load):
    """Under a moderate load from real clients, with five hundred connections besides."""
    other_machine(TEST_MEMORY=MEMORY_MIB)
    drop_in("sluice-.service", "[Service]\nCPUAffinity=0\n")
    box.systemctl("start", "sluice.target", FRONTEND, "sluice-fetcher@1.socket",
                  "sluice-fetcher@2.socket")
    for pid in pids(box):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Cpus_allowed_list:\t0$", status, re.M)
    assert "64 MiB of requests at once" in box.journal(FRONTEND)

    clients = load("small", connections=500)
    most = 0
    for _ in range(4):
        clients.progress()
        most = max(most, resident_mib(box))
    done = clients.finish()
    assert done["records"] > 2000 and done["large"] > 0
    assert most <= MEMORY_MIB - SYSTEM_MIB, f"{most:.0f} MiB"
    print(f"{most:.0f} MiB at most, {done}")


@pytest.mark.skipif(not memory.can_limit(), reason="needs a memory controller of control groups")
def test_the_kernel_allows_no_more(box, drop_in, other_machine, load):
    """With page cache and socket buffers in the limit, too: nobody is killed, and it goes on."""
    other_machine(TEST_MEMORY=MEMORY_MIB)
    drop_in("sluice-.service", "[Service]\nCPUAffinity=0\n")
    box.systemctl("start", "sluice.target", FRONTEND, "sluice-fetcher@1.socket",
                  "sluice-fetcher@2.socket")
    box.run("sluice", "topics", "create", "-b", BOOTSTRAP, "started-by-need")
    with memory.limited(box, drop_in, MEMORY_MIB - SYSTEM_MIB, pids(box)) as killed:
        clients = load("limited", connections=500)
        for _ in range(4):
            clients.progress()
        done = clients.finish()
        assert killed() == 0
    assert done["records"] > 2000 and done["large"] > 0
    for unit in (FRONTEND, "sluice-logwriter.service", "sluice-coordinator.service"):
        assert box.show(unit, "NRestarts") == "0"


def test_requests_in_flight_leave_memory_to_others(box, other_machine):
    """Forty clients that each send half of a large request: what does not fit waits in their
    sockets."""
    other_machine(TEST_MEMORY=MEMORY_MIB)
    box.systemctl("start", "sluice.target", FRONTEND)
    with box.client("crowd.py", "half", 40, 16 << 20, 8 << 20) as crowd:
        assert int(crowd.stdout.readline()) > 0, "everything was taken"
        assert resident_mib(box) <= MEMORY_MIB - SYSTEM_MIB
        crowd.communicate("\n")
    box.run("sluice", "topics", "list", "-b", BOOTSTRAP)


def test_no_sysctl_is_needed(box, installed, load):
    """The box has a network of its own, with the kernel's own settings; nothing sets others."""
    assert [path for path in installed.rglob("*sysctl*")] == []
    assert box.host_path("/proc/sys/net/core/somaxconn").read_text() == "4096\n"
    box.systemctl("start", "sluice.target", FRONTEND, "sluice-fetcher@1.socket")
    listening = box.run("ss", "-Hltn", "sport = :9092").stdout.split()
    assert listening[2] == "4096", "the listening socket's backlog"
    load("plain", connections=2000).finish()
    for line in box.journal("sluice-*").splitlines():
        assert "Too many open files" not in line and "No buffer space" not in line, line


def test_a_burst_waits_while_no_frontend_runs(box):
    """At the kernel's own limits the listening socket holds what comes during a restart."""
    box.systemctl("start", "sluice.target", FRONTEND)
    box.systemctl("kill", "--signal=STOP", FRONTEND)
    with box.client("crowd.py", "burst", 2000) as crowd:
        assert crowd.stdout.readline() == "connected\n"
        box.systemctl("kill", "--signal=CONT", FRONTEND)
        assert crowd.communicate("\n", timeout=60)[0] == "2000\n"
    assert box.show(FRONTEND, "NRestarts") == "0"
