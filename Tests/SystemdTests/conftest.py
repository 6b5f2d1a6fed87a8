"""Fixtures: what `make install` installs, and a booted box with it."""

import os
import pathlib
import subprocess
import shutil

import pytest

from harness.box import Box, why_not

ROOT = pathlib.Path(__file__).parents[2]


def pytest_collection_modifyitems(items):
    reason = why_not()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no systemd in a box here: {reason}"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The directory that `make install DESTDIR=` has filled."""
    tree = tmp_path_factory.mktemp("tree")
    build = os.environ.get("SLUICE_TEST_BUILD", ROOT / ".build/release")
    subprocess.run(
        ["make", "--silent", "-C", str(ROOT), "install", f"DESTDIR={tree}", "PREFIX=/usr",
         f"BUILD={build}"],
        check=True)
    yield tree
    shutil.rmtree(tree)


@pytest.fixture(scope="session")
def machine(installed):
    """A booted box with Sluice installed, where nothing of it has been started."""
    box = Box(installed)
    try:
        yield box.boot()
    finally:
        box.close()


@pytest.fixture
def box(machine, request):
    """The machine for one test, with no process of Sluice on it before and after."""
    machine.mark_journal()
    yield machine
    failed = getattr(request.node, "failed", False)
    if failed:
        print(machine.systemctl("list-units", "--all", "sluice*", check=False).stdout)
        print(machine.journal()[-8000:])
    machine.systemctl("stop", "sluice.target", "sluice-*", check=False)
    machine.systemctl("reset-failed", check=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def units(installed):
    """Every unit that is installed, by file name."""
    directory = installed / "usr/lib/systemd/system"
    return sorted(path.name for path in directory.iterdir() if path.is_file())


@pytest.fixture
def drop_in(box):
    """Adds drop-ins to units for one test."""
    made = []

    def add(unit, text, name="test.conf"):
        path = f"/etc/systemd/system/{unit}.d/{name}"
        box.write(path, text)
        made.append(path)
        box.systemctl("daemon-reload")

    yield add
    for path in made:
        box.host_path(path).unlink()
    if made:
        box.systemctl("daemon-reload")


