"""A wall clock that is set while the broker runs: timestamps follow it, nothing else does."""

import struct

import pytest

from harness.load import BOOTSTRAP

UNITS = ["sluice-frontend@1.service", "sluice-logwriter.service", "sluice-coordinator.service",
         "sluice-fetcher@1.service"]
CLOCK = "/run/sluice/clock"
HOUR = 3600
YEAR = 365 * 24 * HOUR


@pytest.fixture
def clock(box, other_machine):
    """Sets the clock of a running broker, in seconds from the true time."""
    file = box.host_path(CLOCK)
    file.write_bytes(struct.pack("=q", 0))
    other_machine(TEST_CLOCK=CLOCK)
    box.systemctl("start", "sluice.target", *UNITS)

    def set_to(seconds):
        # In place: the processes have it mapped.
        with open(file, "r+b") as out:
            out.write(struct.pack("=q", seconds))

    yield set_to
    box.systemctl("stop", "sluice.target", "sluice-*")
    file.unlink()


def produce(box, topic, text):
    return box.run("sluice", "produce", "-b", BOOTSTRAP, topic, stdin=text, check=False)


def consume(box, topic, *options):
    return box.run("sluice", "consume", "-b", BOOTSTRAP, topic, "--from-beginning",
                   "--exit-at-end", *options).stdout.split()


@pytest.mark.parametrize("jump", [YEAR, -HOUR // 2, -YEAR], ids=["year-on", "half-hour-back",
                                                                "year-back"])
def test_nothing_is_lost_by_a_jump(box, clock, load, jump):
    """Producers, consumers and groups go on: what waits is timed by the clock that cannot be set."""
    pids = {unit: box.main_pid(unit) for unit in UNITS}
    clients = load(f"jump{jump}")
    for seconds in (jump, 0):
        clock(seconds)
        clients.progress()
    assert clients.finish()["records"] > 0
    for unit, pid in pids.items():
        assert box.main_pid(unit) == pid, box.journal(unit)


def test_the_broker_stamps_with_the_clock_that_it_has(box, clock):
    box.run("sluice", "topics", "create", "-b", BOOTSTRAP, "stamped", "--set",
            "message.timestamp.type=LogAppendTime", "--set", "retention.ms=-1")
    for number, seconds in enumerate((0, YEAR, -YEAR, 0)):
        clock(seconds)
        assert produce(box, "stamped", f"{number}\n").returncode == 0
    lines = box.run("sluice", "consume", "-b", BOOTSTRAP, "stamped", "--from-beginning",
                    "--exit-at-end", "--format", r"%o %v %T\n").stdout.splitlines()
    rows = [tuple(map(int, line.split())) for line in lines]
    # In the order in which they came, whatever the clock said.
    assert [row[1] for row in sorted(rows)] == [0, 1, 2, 3]
    times = {row[1]: row[2] / 1000 for row in rows}
    assert abs(times[1] - times[0] - YEAR) < HOUR
    assert abs(times[2] - times[0] + YEAR) < HOUR


def test_records_of_the_future_are_refused_until_the_clock_is_right(box, clock):
    """message.timestamp.after.max.ms, an hour by default: a clear answer, and no harm done."""
    box.run("sluice", "topics", "create", "-b", BOOTSTRAP, "future", "--set", "retention.ms=-1")
    assert produce(box, "future", "1\n").returncode == 0
    clock(-YEAR)
    refused = produce(box, "future", "2\n")
    assert refused.returncode == 1 and "INVALID_TIMESTAMP" in refused.stderr, refused.stderr
    assert consume(box, "future") == ["1"]
    clock(0)
    assert produce(box, "future", "3\n").returncode == 0
    assert consume(box, "future") == ["1", "3"]


def test_a_restart_under_another_clock(box, clock):
    """What was written before is there, whether the clock has gone on or back meanwhile."""
    box.run("sluice", "topics", "create", "-b", BOOTSTRAP, "restarted", "--set",
            "retention.ms=-1", "--set", "message.timestamp.after.max.ms=9223372036854775807")
    expected = []
    for number, seconds in enumerate((YEAR, -YEAR, 0)):
        clock(seconds)
        for unit in UNITS:
            box.systemctl("restart", unit)
        assert produce(box, "restarted", f"{number}\n").returncode == 0
        expected.append(str(number))
        assert sorted(consume(box, "restarted", "--group", f"group-{number}")) == expected
    for unit in UNITS:
        assert box.show(unit, "NRestarts") == "0", box.journal(unit)
