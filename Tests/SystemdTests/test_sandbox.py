"""What each unit cannot do, tried from inside its sandbox.

The unit runs a probe instead of its program; user, files, system calls and network are those that
the program has.
"""

import errno
import os
import pathlib

import pytest

HARNESS = pathlib.Path(__file__).parent / "harness"

UNITS = {
    "logwriter": "sluice-logwriter.service",
    "coordinator": "sluice-coordinator.service",
    "fetcher": "sluice-fetcher@1.service",
    "frontend": "sluice-frontend@1.service",
    "codec": "sluice-codec@1.service",
    "cleaner": "sluice-cleaner@1.service",
}
ALL = set(UNITS)
LOG_FILE = "/var/lib/sluice/log/meta.properties"

# Attempt: who may. Everyone else must be refused.
ATTEMPTS = {
    f"read:{LOG_FILE}": {"logwriter"},
    "write:/var/lib/sluice/log/new": {"logwriter"},
    "list:/var/lib/sluice/coordinator": {"coordinator"},
    "write:/var/lib/sluice/coordinator/new": {"coordinator"},
    "write:/var/lib/sluice/new": set(),
    "read:/etc/sluice/server.properties": ALL,
    "write:/etc/sluice/server.properties": set(),
    "write:/etc/sluice/new": set(),
    "read:/etc/shadow": set(),
    "read:/etc/hostname": set(),
    "list:/root": set(),
    "list:/home": set(),
    "list:/opt": set(),
    "list:/sys": set(),
    "list:/proc/1": set(),
    "write:/new": set(),
    "write:/usr/libexec/sluice/new": set(),
    "write:/run/sluice/new": set(),
    "write:/dev/shm/new": set(),
    "connect:/run/sluice/logwriter.sock": {"frontend", "fetcher", "coordinator", "cleaner"},
    "connect:/run/sluice/coordinator.sock": {"frontend", "fetcher"},
    "connect:/run/sluice/fetcher-1.sock": {"frontend"},
    "connect:/run/sluice/codec-1.sock": {"frontend"},
    "tcp:127.0.0.1:9092": set(),
    "socket:AF_UNIX": ALL,
    "socket:AF_INET": set(),
    "socket:AF_INET6": set(),
    "socket:AF_NETLINK": set(),
    "socket:AF_PACKET": set(),
    "interfaces": set(),
    "execute-memory": set(),
    "namespace": set(),
    "root": set(),
    "chown:/etc/sluice/server.properties": set(),
    "priority": set(),
    "ptrace": set(),
    "capabilities": set(),
}


@pytest.fixture(scope="module")
def log(machine):
    """A log on the disk and every socket in place."""
    machine.systemctl("start", "sluice-logwriter.service", "sluice-coordinator.socket",
                      "sluice-fetcher@1.socket", "sluice-codec@1.socket")
    assert machine.host_path(LOG_FILE).exists()
    machine.write("/usr/libexec/sluice/probe.py", (HARNESS / "probe.py").read_text())
    yield
    machine.systemctl("stop", "sluice.target", "sluice-*", check=False)
    machine.systemctl("reset-failed", check=False)


@pytest.mark.parametrize("role", UNITS)
def test_denials(machine, log, role):
    unit = UNITS[role]
    path = f"/etc/systemd/system/{unit}.d/probe.conf"
    machine.write(path, f"""
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 -I /usr/libexec/sluice/probe.py {' '.join(ATTEMPTS)}
BindReadOnlyPaths=/usr/bin/python3
StandardOutput=truncate:/run/probe-{role}
""")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("stop", unit)
        machine.systemctl("start", unit)
    finally:
        os.unlink(machine.host_path(path))
        machine.systemctl("daemon-reload")
        machine.systemctl("stop", unit)
    answers = dict(
        line.split() for line in machine.host_path(f"/run/probe-{role}").read_text().splitlines())
    expected = {attempt for attempt, allowed in ATTEMPTS.items() if role in allowed}
    assert {attempt for attempt, answer in answers.items() if answer == "ok"} == expected
    assert set(answers) == set(ATTEMPTS)
    # Refused because the system says no, not because the attempt was clumsy.
    reasons = {errno.errorcode[number] for number in (
        errno.EPERM, errno.EACCES, errno.ENOENT, errno.EROFS, errno.EAFNOSUPPORT, errno.ENODEV)}
    assert {answer for answer in answers.values()} <= reasons | {"ok"}, answers


def test_the_running_process_has_nothing(machine, log):
    machine.systemctl("start", UNITS["logwriter"])
    pid = machine.main_pid(UNITS["logwriter"])
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    user = machine.run("id", "-u", "sluice-logwriter").stdout.strip()
    assert set(fields["Uid"].split()) == {user}
    for namespace in ("mnt", "net", "ipc"):
        ours = machine.run("readlink", f"/proc/{pid}/ns/{namespace}").stdout
        assert ours != machine.run("readlink", f"/proc/1/ns/{namespace}").stdout
