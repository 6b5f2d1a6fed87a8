"""Fixtures: what `make install` installs, and a booted box with it."""

import os
import pathlib
import subprocess
import shutil

import pytest

from harness.box import DEPENDENCIES, DRIVERS, Box, why_not
from harness.load import Load

ROOT = pathlib.Path(__file__).parents[2]
PROPERTIES = "/etc/sluice/server.properties"


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


@pytest.fixture
def properties(box):
    """Changes the configuration for one test."""
    path = box.host_path(PROPERTIES)
    before = path.read_text()

    def change(old, new):
        assert old in before
        path.write_text(before.replace(old, new))

    yield change
    path.write_text(before)


@pytest.fixture
def load(box):
    """Starts real clients; what a test has not finished is killed."""
    started = []

    def start(topic, connections=0):
        started.append(Load(box, topic, connections))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def machine_library():
    """drivers/machine.c, built."""
    source, library = DRIVERS / "machine.c", DEPENDENCIES / "programs/machine.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", source,
                        "-o", library, "-ldl"], check=True)
    return library


@pytest.fixture
def other_machine(box, drop_in, machine_library):
    """Gives every process of Sluice another clock or less memory; see drivers/machine.c."""
    library = box.host_path("/usr/lib/sluice-machine.so")

    def change(**environment):
        shutil.copy(machine_library, library)
        words = " ".join(f"{name}={value}" for name, value in environment.items())
        drop_in("sluice-.service",
                f"[Service]\nEnvironment=LD_PRELOAD=/usr/lib/sluice-machine.so {words}\n",
                name="machine.conf")

    yield change
    library.unlink(missing_ok=True)
