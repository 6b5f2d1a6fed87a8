"""The unit files themselves: what systemd thinks of them."""

import re

import pytest

# Exposure levels of `systemd-analyze security`, 0 to 10.
EXPOSURE_MAX = {
    "sluice-logwriter.service": 1.5,
    "sluice-fetcher@1.service": 1.5,
    "sluice-coordinator.service": 1.5,
    "sluice-codec@1.service": 1.5,
    "sluice-cleaner@1.service": 1.5,
    "sluice-frontend@1.service": 2.5,
}


def test_verify_is_silent(machine, units):
    """`verify` exits with 0 for unknown keys and the like; what it prints counts."""
    assert len(units) == 13
    names = [name.replace("@.", "@1.") for name in units]
    done = machine.run("systemd-analyze", "verify", *names)
    assert done.stdout + done.stderr == ""


def test_verify_notices_mistakes(machine):
    """The test above can fail."""
    machine.write("/etc/systemd/system/mistake.service",
                  "[Service]\nExecStart=/bin/true\nPrivateNetworks=yes\n")
    done = machine.run("systemd-analyze", "verify", "mistake.service", check=False)
    machine.host_path("/etc/systemd/system/mistake.service").unlink()
    assert "PrivateNetworks" in done.stderr


@pytest.mark.parametrize("unit", EXPOSURE_MAX)
def test_exposure(machine, unit):
    done = machine.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    exposed = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert float(level[1]) <= EXPOSURE_MAX[unit], "\n".join(exposed)


def test_enabled_are_the_instances_and_the_target(box):
    done = box.systemctl("enable", "sluice.target")
    wanted = sorted(
        path.name for path in box.host_path("/etc/systemd/system/sluice.target.wants").iterdir())
    box.systemctl("disable", "sluice.target")
    assert wanted == [
        "sluice-cleaner@1.service", "sluice-codec@1.socket", "sluice-fetcher@1.socket",
        "sluice-fetcher@2.socket", "sluice-frontend@1.service",
    ], done.stderr
