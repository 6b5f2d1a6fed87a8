"""A limit to the memory of all processes of Sluice that the kernel keeps, page cache and socket
buffers counted: by `MemoryMax=` where the box's control groups have the memory controller, else by
a group of the older hierarchy."""

import contextlib
import os
import pathlib
import re

from harness.box import cgroup_root, eventually

OLD_ROOT = pathlib.Path("/sys/fs/cgroup/memory")


def can_limit():
    return has_controller() or os.access(OLD_ROOT / "cgroup.procs", os.W_OK)


def has_controller():
    return "memory" in (cgroup_root() / "cgroup.controllers").read_text().split()


@contextlib.contextmanager
def limited(box, drop_in, limit_mib, pids):
    """Yields a function that says how many processes were killed for want of memory. `pids` are
    those that run; what they and systemd start later is limited, too, in the newer hierarchy."""
    if has_controller():
        drop_in("sluice.slice", f"[Slice]\nMemoryMax={limit_mib}M\nMemorySwapMax=0\n")
        events = box.cgroup / "sluice.slice/memory.events"
        yield lambda: int(re.search(r"^oom_kill (\d+)$", events.read_text(), re.M)[1])
        return
    group = OLD_ROOT / f"sluice-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_mib << 20))
        move(pids, group)
        control = group / "memory.oom_control"
        yield lambda: int(re.search(r"^oom_kill (\d+)$", control.read_text(), re.M)[1])
    finally:
        eventually(lambda: is_removed(group), "the memory group is empty")


def move(pids, group):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))


def is_removed(group):
    """Gives its processes back to the group that this process is in, and removes it."""
    own = re.search(r"^\d+:memory:/(.*)$", pathlib.Path("/proc/self/cgroup").read_text(), re.M)[1]
    move((group / "cgroup.procs").read_text().split(), OLD_ROOT / own)
    try:
        group.rmdir()
    except OSError:
        return False
    return True
