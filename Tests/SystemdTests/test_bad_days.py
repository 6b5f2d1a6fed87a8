"""Bad days of every process: a clear outcome, told in one line.

test_processes.py has those of the logwriter's own."""

import os
import re

import pytest

from harness.box import eventually

LOGWRITER = "sluice-logwriter.service"
COORDINATOR = "sluice-coordinator.service"
FRONTEND = "sluice-frontend@1.service"
FETCHER = "sluice-fetcher@1.service"
UNITS = [LOGWRITER, COORDINATOR, FRONTEND, FETCHER]
PROPERTIES = "/etc/sluice/server.properties"
METADATA = "/var/lib/sluice/coordinator"


def fails_with(box, unit, code):
    """Starts a unit whose process must end with that code, once; returns its last words."""
    started = box.systemctl("start", unit, check=False)
    assert started.returncode != 0
    assert box.show(unit, "ExecMainStatus") == str(code), box.journal(unit)
    words = box.show(unit, "StatusText")
    assert words in box.systemctl("status", unit, check=False).stdout
    assert words in box.journal(unit)
    return words


@pytest.fixture
def add_line(box):
    """Adds a line to the configuration for one test; returns its number."""
    path = box.host_path(PROPERTIES)
    before = path.read_text()

    def add(line):
        path.write_text(f"{before}{line}\n")
        return len(before.splitlines()) + 1

    yield add
    path.write_text(before)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("line, allowed", [
    ("num.partitions=many", "Not a number of type INT"),
    ("group.max.size=0", "Value must be at least 1"),
    ("compression.type=brotli", "String must be one of: uncompressed, zstd, lz4, snappy, gzip, "
                                "producer"),
    ("log.dri=/srv", "log.dir"),
])
def test_wrong_configuration(box, add_line, unit, line, allowed):
    """File, line, name, value, and what is allowed; no second try."""
    number = add_line(line)
    words = fails_with(box, unit, 100)
    assert words.startswith(f"{PROPERTIES}:{number}: "), words
    assert line.split("=")[0] in words and allowed in words, words
    assert box.show(unit, "NRestarts") == "0"


def test_what_only_one_process_can_see(box, add_line):
    """Whether requests fit into memory is the frontend's to say; the others start."""
    number = add_line("socket.request.max.bytes=2000000000")
    assert fails_with(box, FRONTEND, 100).startswith(
        f"{PROPERTIES}:{number}: socket.request.max.bytes=2000000000: Value must be no more than ")
    box.systemctl("start", LOGWRITER, COORDINATOR)


@pytest.mark.parametrize("unit", UNITS)
def test_unreadable_configuration(box, unit):
    os.chmod(box.host_path(PROPERTIES), 0o600)
    try:
        words = fails_with(box, unit, 100)
    finally:
        os.chmod(box.host_path(PROPERTIES), 0o644)
    assert PROPERTIES in words and "Permission denied" in words


@pytest.mark.parametrize("unit", UNITS)
def test_a_missing_configuration(box, unit):
    path = box.host_path(PROPERTIES)
    moved = path.rename(path.with_name("elsewhere"))
    try:
        words = fails_with(box, unit, 100)
    finally:
        moved.rename(path)
    assert PROPERTIES in words and "No such file or directory" in words


@pytest.fixture
def metadata(box, drop_in):
    """The coordinator's directory, as it must not be, for one test."""
    drop_in(COORDINATOR, "[Service]\nRestart=no\nStateDirectory=\n"
                         f"BindPaths={METADATA}\n")
    box.run("mkdir", "-p", METADATA)
    yield box.host_path(METADATA)
    box.run("umount", METADATA, check=False)
    box.run("chown", "-R", "sluice-coordinator:", METADATA)


def test_metadata_of_another_owner(box, metadata):
    box.run("chown", "-R", "root:root", METADATA)
    words = fails_with(box, COORDINATOR, 111)
    assert METADATA in words and re.search("(?i)permission denied|readonly|unable to open", words), \
        words


@pytest.mark.parametrize("options, reason", [
    ("ro", "(?i)read-?only|unable to open"), ("size=4k,nr_inodes=2", "(?i)no space|full|open"),
])
def test_metadata_on_a_bad_disk(box, metadata, options, reason):
    box.run("mount", "-t", "tmpfs", "-o", f"{options},uid=sluice-coordinator", "disk", METADATA)
    words = fails_with(box, COORDINATOR, 111)
    assert METADATA in words and re.search(reason, words), words


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_by_hand_brings_its_socket(box, unit):
    box.systemctl("start", LOGWRITER, COORDINATOR)
    box.systemctl("start", unit)
    socket = unit.replace("@1.service", ".socket") if unit == FRONTEND \
        else unit.replace(".service", ".socket")
    assert box.show(socket, "ActiveState") == "active"
    assert box.show(unit, "NRestarts") == "0"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_without_its_socket_says_so(box, unit):
    """Masked, as someone may have done: systemd names the socket and starts nothing."""
    socket = unit.replace("@1.service", ".socket") if unit == FRONTEND \
        else unit.replace(".service", ".socket")
    box.systemctl("mask", "--runtime", socket)
    try:
        started = box.systemctl("start", unit, check=False)
        assert started.returncode != 0 and socket in started.stderr, started.stderr
        assert box.main_pid(unit) == 0
    finally:
        box.systemctl("unmask", "--runtime", socket)


def test_an_address_that_is_taken(box):
    """The socket unit fails and says why; nothing else is harmed."""
    box.systemctl("start", LOGWRITER, COORDINATOR)
    other = box.run("bash", "-c", "systemd-run --quiet --unit=other /usr/bin/python3 -c \"import "
                    "socket, signal; s = socket.create_server(('127.0.0.1', 9092)); "
                    "signal.pause()\"")
    assert other.returncode == 0
    try:
        eventually(lambda: box.run("ss", "-Hltn", "sport = :9092").stdout, "the other listens")
        started = box.systemctl("start", FRONTEND, check=False)
        assert started.returncode != 0
        # systemd's helper says the address and the reason before it is known to be of the unit.
        assert "(127.0.0.1:9092): Address already in use" in box.journal()
        assert box.show(LOGWRITER, "ActiveState") == "active"
    finally:
        box.systemctl("stop", "other")
    box.systemctl("start", FRONTEND)


def test_a_runtime_directory_left_by_a_crash(box):
    """Everything dies at once and leaves its sockets, and there are those of fetchers that no unit
    stands for. The next start takes no notice."""
    box.systemctl("start", "sluice.target", FRONTEND, FETCHER)
    box.run("sluice", "produce", "left", stdin="1\n")
    box.systemctl("kill", "--signal=KILL", "sluice-*.service")
    box.systemctl("stop", "sluice.target", "sluice-*")
    for name in ("logwriter", "coordinator", "fetcher-1", "fetcher-7"):
        box.run("/usr/bin/python3", "-c",
                f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind("
                f"'/run/sluice/{name}.sock')")
    box.run("chmod", "666", "/run/sluice/fetcher-7.sock")
    box.systemctl("start", "sluice.target", FRONTEND, "sluice-fetcher@1.socket")
    try:
        for _ in range(10):
            assert box.run("sluice", "consume", "left", "--from-beginning", "--exit-at-end",
                           seconds=20).stdout == "1\n"
    finally:
        box.host_path("/run/sluice/fetcher-7.sock").unlink()
    for unit in (FRONTEND, LOGWRITER, COORDINATOR):
        assert box.show(unit, "NRestarts") == "0"
    box.run("sluice", "topics", "delete", "left")
