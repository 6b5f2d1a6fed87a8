"""The Debian package on a machine of its own: installed, upgraded, removed, purged.

The steps build on each other, in the order of this file, as they do in a package's life.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.box import Box, eventually
from harness.network import RawClient
from harness.watched import WatchedConsumer, WatchedProducer

ROOT = pathlib.Path(__file__).parents[2]
UNITS = ["sluice-logwriter.service", "sluice-coordinator.service", "sluice-frontend@1.service"]
CONFIGURATION = "/etc/sluice/server.properties"
DATA = "/var/lib/sluice/log"


QUICKLY = {"DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package, and the same with a higher version, by their paths."""
    directory = tmp_path_factory.mktemp("packages")
    environment = {**os.environ, **QUICKLY}
    subprocess.run(
        ["make", "--silent", "-C", str(ROOT), "deb",
         f"BUILD={os.environ.get('SLUICE_TEST_BUILD', '.build/release')}"],
        check=True, stdout=subprocess.DEVNULL, env=environment)
    [built] = (ROOT / ".build/deb").glob("*.deb")
    older = directory / built.name
    shutil.copy(built, older)
    newer = directory / built.name.replace("-1_", "-2_")
    subprocess.run(["dpkg-deb", "--raw-extract", older, directory / "content"], check=True)
    control = directory / "content/DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)-1$", r"\1-2", control.read_text(), flags=re.M))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", directory / "content", newer],
                   check=True, stdout=subprocess.DEVNULL, env=environment)
    yield older, newer
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def fresh(packages, tmp_path_factory):
    """A machine that has never seen Sluice, with the packages in /srv."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "srv").mkdir()
    for package in packages:
        shutil.copy(package, tree / "srv")
    box = Box(tree)
    try:
        box.boot()
        # Containers tell packages not to start anything.
        box.run("rm", "-f", "/usr/sbin/policy-rc.d")
        yield box
    finally:
        box.close()


def dpkg(box, *arguments):
    done = box.run("dpkg", *arguments, seconds=120)
    assert "error" not in done.stderr.lower(), done.stderr
    return done


def install(box, package, *options):
    return dpkg(box, *options, "--install", f"/srv/{pathlib.Path(package).name}")


def consume(box, topic):
    return box.run("sluice", "consume", topic, "--from-beginning", "--exit-at-end").stdout.split()


class Clients:
    """A producer and a consumer that count their connections, and connections that are idle."""

    def __init__(self, box, topic):
        box.run("sluice", "topics", "create", topic)
        self.producer = WatchedProducer(box, topic, **{"enable.idempotence": True})
        self.consumer = WatchedConsumer(box, topic, f"{topic}-group")
        self.idle = [RawClient(box) for _ in range(20)]
        for one in (self.producer, self.consumer):
            one.start()
        self.go_on()
        self.before = self.connections()

    def go_on(self):
        self.producer.goes_on()
        self.consumer.goes_on()

    def connections(self):
        return [one.connections() for one in (self.producer, self.consumer)]

    def check(self):
        """They go on, over the connections that they had."""
        self.go_on()
        assert self.connections() == self.before
        for one in self.idle:
            one.send(one.api_versions())
            one.receive()

    def stop(self):
        """Ends them; nothing is missing, twice or out of order."""
        self.producer.stop()
        try:
            eventually(lambda: len(self.consumer.values) >= len(self.producer.acknowledged),
                       "everything is read", 30)
        finally:
            self.consumer.stop()
            for one in self.idle:
                one.close()
        assert self.producer.failed == []
        assert self.consumer.values == self.producer.acknowledged == \
            list(range(self.producer.sent))


def state(box):
    return box.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "sluice").stdout


def test_lintian_has_no_errors(packages):
    done = subprocess.run(["lintian", "--fail-on", "error", "--allow-root", packages[0]],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_installation_starts_a_working_broker(fresh, packages):
    install(fresh, packages[0])
    version = fresh.run("sluice", "--version").stdout.split()[1]
    assert state(fresh) == f"installed {version}-1"
    for unit in UNITS:
        assert fresh.show(unit, "ActiveState") == "active", fresh.journal(unit)
    fresh.run("sluice", "produce", "kept", stdin="1\n2\n3\n")
    assert consume(fresh, "kept") == ["1", "2", "3"]
    assert fresh.run("systemctl", "is-enabled", "sluice.target").stdout == "enabled\n"


def test_everything_has_come_with_it(fresh):
    """Users, manual and catalog are there without another word."""
    for user in ("frontend", "logwriter", "fetcher", "coordinator", "codec", "cleaner"):
        fresh.run("id", f"sluice-{user}")
    assert "SLUICE" in fresh.run("man", "sluice.properties").stdout
    assert "A Sluice process serves" in fresh.run("journalctl", "--list-catalog").stdout
    assert fresh.systemctl("list-units", "--failed", "--no-legend", "sluice*").stdout == ""


def test_upgrade_restarts_what_runs(fresh, packages):
    """Every process is another, and clients see a pause: no connection is lost, and what was
    acknowledged is there."""
    fresh.systemctl("disable", "--now", "sluice-fetcher@2.socket")
    inode = fresh.host_path("/run/sluice/logwriter.sock").stat().st_ino
    before = {unit: fresh.main_pid(unit) for unit in UNITS}
    configuration = fresh.host_path(CONFIGURATION).read_text()
    fresh.write(CONFIGURATION, configuration + "num.partitions=3\n")
    fresh.systemctl("restart", UNITS[1])

    clients = Clients(fresh, "during")
    try:
        # An operator's changes need no answer where the package's own file is the same.
        install(fresh, packages[1])
        clients.check()
    finally:
        clients.stop()
    assert state(fresh).endswith("-2")
    for unit in UNITS:
        fresh.wait_active(unit)
        assert fresh.main_pid(unit) not in (0, before[unit])
        assert fresh.show(unit, "NRestarts") == "0", fresh.journal(unit)
    assert fresh.host_path("/run/sluice/logwriter.sock").stat().st_ino == inode
    assert consume(fresh, "kept") == ["1", "2", "3"]
    assert fresh.host_path(CONFIGURATION).read_text().endswith("num.partitions=3\n")
    # What an operator has disabled stays so.
    assert fresh.show("sluice-fetcher@2.socket", "ActiveState") == "inactive"


def test_upgrade_leaves_alone_what_is_disabled(fresh, packages):
    fresh.systemctl("disable", "--now", "sluice.target")
    fresh.systemctl("stop", "sluice-*")
    install(fresh, packages[0], "--force-downgrade")
    assert state(fresh).endswith("-1")
    for unit in [*UNITS, "sluice.target"]:
        assert fresh.show(unit, "ActiveState") == "inactive"
    fresh.systemctl("enable", "--now", "sluice.target")
    assert consume(fresh, "kept") == ["1", "2", "3"]


def test_removal_keeps_data_and_configuration(fresh):
    dpkg(fresh, "--remove", "sluice")
    assert state(fresh).startswith("config-files")
    listed = fresh.systemctl("list-units", "--all", "--no-legend", "--state=active", "sluice*")
    assert listed.stdout == ""
    for path in ("/run/sluice", "/run/sluice-root", "/usr/bin/sluice", "/usr/libexec/sluice"):
        assert not fresh.host_path(path).exists(), path
    assert fresh.host_path(CONFIGURATION).read_text().endswith("num.partitions=3\n")
    assert (fresh.host_path(DATA) / "kept-0").is_dir()


def test_the_next_installation_goes_on_with_them(fresh, packages):
    install(fresh, packages[1])
    assert consume(fresh, "kept") == ["1", "2", "3"]
    assert fresh.host_path(CONFIGURATION).read_text().endswith("num.partitions=3\n")


def test_purge_leaves_nothing(fresh):
    dpkg(fresh, "--purge", "sluice")
    found = fresh.run("find", "/etc", "/usr", "/var", "/run", "/lib/systemd", "-xdev", "-name",
                      "*sluice*", "-not", "-path", "/var/log/*").stdout.split()
    # What systemd and man keep of it is theirs.
    assert [path for path in found if not re.match(r"/run/systemd/|/var/cache/man/", path)] == []
    assert not fresh.host_path("/var/lib/sluice").exists()
    assert fresh.systemctl("list-unit-files", "--no-legend", "sluice*", check=False).stdout == ""
