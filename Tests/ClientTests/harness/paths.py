"""Where things are, relative to the checkout, and how the drivers that need a compiler are built."""

import os
import pathlib
import subprocess

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = TESTS.parent.parent
DEPENDENCIES = ROOT / ".deps"
PROGRAMS = DEPENDENCIES / "programs"
DRIVERS = TESTS / "drivers"
# The release binaries are what ships; SLUICE_BIN=.build/debug tests others.
BINARIES = ROOT / os.environ.get("SLUICE_BIN", ".build/release")


def built(source, target, command, environment=None):
    """Runs `command` when `target` is missing or older than `source`; returns `target`."""
    source, target = DRIVERS / source, PROGRAMS / target
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [part.format(source=source, target=target) for part in command], check=True,
            env={**os.environ, **(environment or {})})
        os.utime(target)
    return target
