"""Few descriptors: every process says what it can serve, and stays within it."""

import os
import re

import pytest

from harness.box import eventually
from harness.load import BOOTSTRAP

UNITS = ["sluice-frontend@1.service", "sluice-logwriter.service", "sluice-coordinator.service",
         "sluice-fetcher@1.service"]
LIMIT = 128


@pytest.fixture
def few(box, drop_in):
    """A broker whose processes may have LIMIT descriptors each."""
    drop_in("sluice-.service", f"[Service]\nLimitNOFILE={LIMIT}\n")
    box.systemctl("start", "sluice.target", *UNITS)


def descriptors(box, unit):
    return len(os.listdir(f"/proc/{box.pid}/root/proc/{box.main_pid(unit)}/fd"))


def test_each_says_what_it_can_serve(box, few):
    for unit in UNITS:
        [told] = eventually(
            lambda unit=unit: box.entries(f"_SYSTEMD_UNIT={unit}", f"SLUICE_LIMIT_NOFILE={LIMIT}"),
            f"{unit} says so")
        assert re.match(r"can serve (\d+|any number of) \w+", told["MESSAGE"])


def test_each_stays_within_it(box, few, load):
    """More topics than files may be open, more clients than there is room for."""
    names = [f"many-{number}" for number in range(60)]
    box.run("sluice", "topics", "create", "-b", BOOTSTRAP, *names)
    for name in names:
        box.run("sluice", "produce", "-b", BOOTSTRAP, name, stdin=f"{name}\n")
    [most] = re.findall(r"can serve (\d+) connections", box.journal(UNITS[0]))
    assert int(most) < LIMIT
    with box.client("crowd.py", "burst", 300) as crowd:
        assert crowd.stdout.readline() == "connected\n"
        served = int(crowd.communicate("\n", timeout=120)[0])
    # The first ones are served. The next are refused, with a line; none waits for ever.
    assert int(most) - 10 <= served <= int(most)
    [refused, *_] = eventually(lambda: box.entries("SLUICE_EVENT=CLIENT_REFUSED"), "an entry")
    assert refused["SLUICE_RULE"] == "connections"
    # Afterwards all is as before, for readers of every topic, too.
    for name in names:
        assert box.run("sluice", "consume", "-b", BOOTSTRAP, name, "--from-beginning",
                       "--exit-at-end").stdout == f"{name}\n"
    load("within").finish()
    for unit in UNITS:
        assert box.show(unit, "NRestarts") == "0", box.journal(unit)
        assert descriptors(box, unit) <= LIMIT
    box.run("sluice", "topics", "delete", "-b", BOOTSTRAP, *names)
