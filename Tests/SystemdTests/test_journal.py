"""What an operator reads in the journal."""

import json
import pathlib
import re

from conftest import PROPERTIES
from harness.box import eventually

OPERATIONS = pathlib.Path(__file__).parents[2] / "docs/operations.md"
UNIT = "sluice-logwriter.service"
FRONTEND = "sluice-frontend@1.service"


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


def test_there_are_ten_queries():
    assert len(queries()) >= 10


# What each documented query has to find after `story`.
FINDS = {
    "journalctl -u 'sluice-*' -e": "ready: ",
    "journalctl -u 'sluice-*' -p warning -x": "Subject: A client of Sluice was refused",
    "journalctl -u 'sluice-*' -f": "ready: ",
    "journalctl SLUICE_EVENT=CONFIGURATION_REFUSED + SLUICE_EVENT=SYSTEM_REFUSED -x -e":
        "node.id=one",
    "journalctl SLUICE_EVENT=READY + SLUICE_EVENT=STOPPING -o short-iso": "stopping",
    "journalctl SLUICE_EVENT=CONFIGURATION_RELOADED + SLUICE_EVENT=RELOAD_REFUSED":
        "the configuration stays as it was",
    "journalctl SLUICE_EVENT=CLIENT_REFUSED": "MESSAGE_TOO_LARGE",
    "journalctl SLUICE_EVENT=CLIENT_REFUSED -o json --output-fields=SLUICE_RULE":
        '"SLUICE_RULE":"invalidReceive"',
    "journalctl SLUICE_CLIENT_ID=sluice": "refusedRecords",
    "journalctl SLUICE_TOPIC=orders": "created a topic",
    "journalctl SLUICE_EVENT=PARTITION_RECOVERED": "recovered a partition",
    "journalctl SLUICE_EVENT=PARTITION_OFFLINE + SLUICE_EVENT=PARTITION_UNREADABLE "
    "+ SLUICE_EVENT=APPEND_REFUSED + SLUICE_EVENT=LOG_DIR_FAILED": "broken",
    # Takes a disk that fills up: nothing is found, but the query is a query.
    "journalctl SLUICE_EVENT=LOG_DIR_LOW + SLUICE_EVENT=LOG_DIR_ENOUGH": "",
    "journalctl SLUICE_EVENT=PEER_REFUSED -o verbose": "SLUICE_PEER_UID=",
    "journalctl -t sluice-fetcher SLUICE_INSTANCE=2": "serving fetches",
    "journalctl SLUICE_EVENT=STATISTICS -e": "in 1 s: ",
    "journalctl SLUICE_EVENT=STATISTICS -t sluice-frontend -o json "
    "--output-fields=SLUICE_STAT_REQUESTS_RATE,SLUICE_STAT_BYTES_IN_RATE":
        '"SLUICE_STAT_REQUESTS_RATE":',
    "journalctl SLUICE_EVENT=STATISTICS -t sluice-logwriter -o json "
    "--output-fields=SLUICE_STAT_RECORDS": '"SLUICE_STAT_RECORDS":',
}


def story(box, properties):
    """Everything that an operator may ask for happens once."""
    properties("node.id=1", "node.id=one")
    box.systemctl("start", UNIT, check=False)
    box.systemctl("reset-failed", check=False)
    properties("node.id=1", "node.id=1\nsluice.statistics.interval.ms=1000")
    box.systemctl("start", "sluice.target", FRONTEND, "sluice-fetcher@2.service")
    for topic in ("orders", "broken"):
        box.run("sluice", "topics", "create", topic, "--set", "max.message.bytes=200")
        box.run("sluice", "produce", topic, stdin="x\n")
    box.run("sluice", "produce", "orders", stdin="y" * 1000, check=False)
    box.run("/usr/bin/python3", "-c", HTTP.format(count=1))
    box.run("setpriv", "--reuid", "daemon", "--regid", "daemon", "--groups", "sluice-to-logwriter",
            "/usr/bin/python3", "-c", STRANGER)
    eventually(lambda: box.entries("SLUICE_EVENT=STATISTICS", "SLUICE_STAT_RECORDS=2"), "statistics")
    eventually(lambda: any("SLUICE_STAT_REQUESTS_RATE" in entry for entry in box.entries(
        "SLUICE_EVENT=STATISTICS", "SYSLOG_IDENTIFIER=sluice-frontend")), "rates")
    properties("node.id=1", "max.connections=many")
    box.systemctl("reload", FRONTEND)
    eventually(lambda: box.entries("SLUICE_EVENT=RELOAD_REFUSED"), "a refusal")
    properties("node.id=1", "node.id=1")
    # Half a record at the end of one log; another one that is no file.
    box.systemctl("kill", "--signal=KILL", UNIT)
    box.systemctl("stop", "sluice.target", "sluice-*")
    log = box.host_path("/var/lib/sluice/log")
    with open(log / "orders-0/00000000000000000000.log", "ab") as file:
        file.write(b"half")
    (log / "broken-0/00000000000000000000.log").unlink()
    (log / "broken-0/00000000000000000000.log").mkdir()
    box.systemctl("reset-failed", check=False)
    box.systemctl("start", "sluice.target", FRONTEND)
    eventually(lambda: box.entries("SLUICE_EVENT=PARTITION_OFFLINE"), "an offline partition")
    eventually(lambda: box.entries("SLUICE_EVENT=PARTITION_RECOVERED"), "a recovery")
    box.run("sluice", "topics", "delete", "orders", "broken")
    box.systemctl("stop", "sluice.target", "sluice-*")
    # Other tests of the box have no such directory.
    box.run("bash", "-c", "rm -r /var/lib/sluice/log/broken-0*")


def test_documented_queries_find_what_they_say(box, properties):
    box.run("journalctl", "--update-catalog")
    story(box, properties)
    assert set(queries()) == set(FINDS)
    for query, expected in FINDS.items():
        done = box.run("bash", "-c", f"{query.removesuffix(' -f')} --no-pager")
        assert done.stderr in ("", "" if expected else "-- No entries --\n"), query
        assert expected in done.stdout, query


# So many clients that speak HTTP, one after the other.
HTTP = """
import socket
for number in range({count}):
    with socket.create_connection(("127.0.0.1", 9092)) as peer:
        peer.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        try:
            peer.recv(1)
        except ConnectionResetError:
            pass
"""

STRANGER = """
import socket
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
    peer.connect("/run/sluice/logwriter.sock")
    peer.recv(1)
"""


def test_a_flood_is_summed_up(box):
    box.systemctl("start", "sluice.target", FRONTEND)
    count = 500
    box.run("/usr/bin/python3", "-c", HTTP.format(count=count))

    def told():
        entries = box.entries("SLUICE_EVENT=CLIENT_REFUSED", "SLUICE_RULE=invalidReceive")
        more = sum(int(entry.get("SLUICE_REPEATED", 0)) for entry in entries)
        named = [entry for entry in entries if "SLUICE_PEER" in entry]
        return entries if len(named) + more == count else None

    entries = eventually(told, "all are told of")
    assert len(entries) < 20
    assert any("more of these in the last" in entry["MESSAGE"] for entry in entries)
    assert len({entry["MESSAGE_ID"] for entry in entries}) == 1


def test_refused_records_have_fields(box):
    box.systemctl("start", "sluice.target", FRONTEND)
    box.run("sluice", "topics", "create", "small", "--set", "max.message.bytes=200")
    box.run("sluice", "produce", "small", stdin="y" * 1000, check=False)
    [entry] = eventually(lambda: box.entries("SLUICE_RULE=refusedRecords"), "an entry")
    box.run("sluice", "topics", "delete", "small")
    assert entry["SLUICE_TOPIC"] == "small"
    assert entry["SLUICE_PARTITION"] == "0"
    assert entry["SLUICE_CLIENT_ID"] == "sluice"
    assert entry["SLUICE_ERROR_CODE"] == "MESSAGE_TOO_LARGE"
    assert entry["SLUICE_LISTENER"] == "PLAINTEXT"
    assert entry["SLUICE_PEER"].startswith("127.0.0.1:")


def test_statistics_and_status(box, properties):
    """Rates are in the journal and in `systemctl status` while there is work, and go when it ends."""
    properties("node.id=1", "node.id=1\nsluice.statistics.interval.ms=500")
    box.systemctl("start", "sluice.target", FRONTEND)
    box.run("sluice", "topics", "create", "busy")

    def working():
        box.run("sluice", "produce", "busy", stdin="x\n" * 1000)
        return "requests/s" in box.show(FRONTEND, "StatusText")

    eventually(working, "a rate in the status")
    status = box.systemctl("status", FRONTEND, check=False).stdout
    assert re.search(r'Status: "serving PLAINTEXT on 127.0.0.1:9092: \d+ connections?, .* in', status)
    entries = eventually(
        lambda: box.entries("SLUICE_EVENT=STATISTICS", "SYSLOG_IDENTIFIER=sluice-logwriter"), "lines")
    assert int(entries[-1]["SLUICE_STAT_RECORDS"]) >= 1000
    assert float(entries[-1]["SLUICE_STAT_RECORDS_RATE"]) > 0
    assert entries[-1]["PRIORITY"] == "6"
    for field in ("CPU_MS", "CPU_PERCENT", "RESIDENT_BYTES", "BYTES", "INTERVAL_MS", "PARTITIONS"):
        assert f"SLUICE_STAT_{field}" in entries[-1], field
    top = json.loads(box.run("sluice", "top", "--once", "--json", "--interval", "0.2").stdout)
    assert "busy" in [topic["topic"] for topic in top["topics"]]
    assert {"sluice-frontend@1", "sluice-logwriter@1"} <= {one["name"] for one in top["processes"]}
    box.run("sluice", "topics", "delete", "busy")
    eventually(lambda: "/s" not in box.show(FRONTEND, "StatusText"), "a quiet status", seconds=40)


def test_reload(box, properties):
    """What can be is taken over at once, the rest is named; a wrong file changes nothing."""
    box.systemctl("start", "sluice.target", FRONTEND)
    pid = box.main_pid(FRONTEND)
    properties("node.id=1", "node.id=2\nmax.connections.per.ip=1\nsocket.request.max.bytes=5000")
    box.systemctl("reload", FRONTEND)
    [entry] = eventually(lambda: box.entries("SLUICE_EVENT=CONFIGURATION_RELOADED"), "an entry")
    assert entry["MESSAGE"] == (
        "configuration reloaded: max.connections.per.ip=1 (was 2147483647); "
        "needs a restart: socket.request.max.bytes=5000 (was 104857600)")
    assert entry["SLUICE_APPLIED"] == "max.connections.per.ip"
    assert entry["SLUICE_NEEDS_RESTART"] == "socket.request.max.bytes"
    box.run("/usr/bin/python3", "-c", """
import socket
first, second = [socket.create_connection(("127.0.0.1", 9092)) for _ in range(2)]
assert second.recv(1) == b""
""")
    eventually(lambda: box.entries("SLUICE_RULE=connectionsPerAddress"), "a refusal")
    properties("node.id=1", "node.id=1\nmax.connections.per.ip=few")
    box.systemctl("reload", FRONTEND)
    [refused] = eventually(lambda: box.entries("SLUICE_EVENT=RELOAD_REFUSED"), "an entry")
    number = box.host_path(PROPERTIES).read_text().splitlines().index("max.connections.per.ip=few")
    for part in (f"{PROPERTIES}:{number + 1}", "max.connections.per.ip=few", "at least 0"):
        assert part in refused["MESSAGE"], refused["MESSAGE"]
    assert refused["PRIORITY"] == "3"
    assert box.main_pid(FRONTEND) == pid
    assert box.show(FRONTEND, "ActiveState") == "active"


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
