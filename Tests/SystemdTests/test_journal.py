"""What an operator reads in the journal."""

import pathlib
import re

import pytest

from harness.box import eventually

OPERATIONS = pathlib.Path(__file__).parents[2] / "docs/operations.md"
UNIT = "sluice-logwriter.service"


def test_entries_are_structured(box):
    box.systemctl("start", UNIT)
    box.systemctl("stop", UNIT)
    [ready] = eventually(lambda: box.entries("SLUICE_EVENT=READY"), "an entry")
    assert re.fullmatch(r"ready: \d+ partitions", ready["MESSAGE"])
    assert ready["SYSLOG_IDENTIFIER"] == "sluice-logwriter"
    assert ready["SLUICE_INSTANCE"] == "1"
    assert ready["PRIORITY"] == "6"
    assert ready["_SYSTEMD_UNIT"] == UNIT
    assert ready["_TRANSPORT"] == "journal"
    [stopping] = eventually(lambda: box.entries("SLUICE_EVENT=STOPPING"), "an entry")
    assert stopping["MESSAGE_ID"] != ready["MESSAGE_ID"]


def test_the_catalog_explains(box):
    box.run("journalctl", "--update-catalog")
    box.systemctl("start", UNIT)
    eventually(lambda: box.entries("SLUICE_EVENT=READY"), "an entry")
    shown = box.run("journalctl", "-x", "--no-pager", "-t", "sluice-logwriter").stdout
    assert "Subject: A Sluice process serves" in shown
    assert "sluice-logwriter has started and does its work." in shown


def queries():
    text = OPERATIONS.read_text()
    return re.findall(r"\| `(journalctl [^`]*)` \|", text)


@pytest.mark.parametrize("query", queries())
def test_documented_queries_work(box, query):
    box.systemctl("start", UNIT)
    follows = query.removesuffix(" -f")
    done = box.run("bash", "-c", f"{follows} --no-pager")
    assert done.stderr in ("", "-- No entries --\n")


def test_there_are_ten_queries():
    assert len(queries()) >= 10


def test_refused_clients_have_names(box):
    """Who sent it and which rule it broke are fields, not only words."""
    box.systemctl("start", "sluice.target", "sluice-frontend@1.service")
    script = ("import socket; peer = socket.create_connection(('127.0.0.1', 9092));"
              "peer.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); peer.recv(1);"
              "print('%s:%d' % peer.getsockname())")
    peer = box.run("/usr/bin/python3", "-c", script).stdout.strip()
    [entry] = eventually(lambda: box.entries("SLUICE_EVENT=CLIENT_REFUSED"), "an entry")
    assert entry["SLUICE_PEER"] == peer
    assert entry["SLUICE_RULE"] == "invalidReceive"
    assert entry["PRIORITY"] == "4"
    assert entry["SYSLOG_IDENTIFIER"] == "sluice-frontend"
