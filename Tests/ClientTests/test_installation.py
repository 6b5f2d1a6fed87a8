"""What `make install` installs besides programs: manual, completions, configuration."""

import json
import os
import re
import subprocess

import pytest

from harness import paths
from harness.terminal import Terminal

DAEMONS = ["sluice-frontend", "sluice-logwriter", "sluice-fetcher", "sluice-coordinator",
           "sluice-codec"]


def install(tree):
    subprocess.run(
        ["make", "--silent", "-C", str(paths.ROOT), "install", f"DESTDIR={tree}", "PREFIX=/usr",
         f"BUILD={paths.BINARIES}"],
        check=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    install(tree)
    return tree


def pages(tree):
    return sorted((tree / "usr/share/man").glob("man*/*"))


def shown(path):
    """A manual page as its reader sees it, words and single spaces."""
    done = subprocess.run(["man", "-l", str(path)], check=True, capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8",
                               "MAN_KEEP_FORMATTING": ""})
    # Words are cut at hyphens and the ends of lines.
    return re.sub(r"\s+", " ", re.sub(r"‐\n\s*", "", done.stdout).replace("‐", "-"))


def test_an_existing_configuration_is_kept(tmp_path):
    install(tmp_path)
    configuration = tmp_path / "etc/sluice/server.properties"
    assert "log.dirs=/var/lib/sluice/log" in configuration.read_text()
    configuration.write_text("node.id=7\n")
    install(tmp_path)
    assert configuration.read_text() == "node.id=7\n"


def test_every_place_can_be_chosen(tmp_path):
    subprocess.run(
        ["make", "--silent", "-C", str(paths.ROOT), "install", f"DESTDIR={tmp_path}/root",
         "PREFIX=/opt/sluice", "SYSCONFDIR=/opt/etc", f"BUILD={paths.BINARIES}"], check=True)
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["opt"]
    unit = tmp_path / "root/opt/sluice/lib/systemd/system/sluice-logwriter.service"
    assert "ExecStart=/opt/sluice/libexec/sluice/sluice-logwriter --config " \
        "/opt/etc/sluice/server.properties" in unit.read_text()
    page = tmp_path / "root/opt/sluice/share/man/man8/sluice-logwriter.8"
    assert "/opt/etc/sluice/server.properties" in page.read_text()


def test_one_version(tree):
    [text] = re.findall(r' text = "([\d.]+)"',
                        (paths.ROOT / "Sources/Service/Version.swift").read_text())
    for program in ["bin/sluice", *(f"libexec/sluice/{name}" for name in DAEMONS)]:
        path = tree / "usr" / program
        told = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)
        assert told.stdout == f"{path.name} {text}\n"


def test_every_program_has_a_page(tree):
    names = {path.name for path in pages(tree)}
    programs = {"sluice.1", *(f"{path.name}.8" for path in (tree / "usr/libexec/sluice").iterdir())}
    assert names == programs | {"sluice.properties.5"}


def test_pages_are_well_formed(tree):
    for page in pages(tree):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)],
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout
        done = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert not re.search(r"^@|@\w+@", page.read_text(), re.M)


def test_the_command_page_names_every_option(tree):
    """Held against `--help`, from which it is not made."""
    text = shown(tree / "usr/share/man/man1/sluice.1")
    sluice = tree / "usr/bin/sluice"

    def usage(*words):
        return subprocess.run([sluice, *words, "--help"], check=True, capture_output=True,
                              text=True).stdout

    def commands(*words):
        listed = usage(*words).partition("SUBCOMMANDS:\n")[2].partition("\n\n")[0]
        names = re.findall(r"^  (\S+)", listed, re.M)
        if not names:
            yield words
        for name in names:
            yield from commands(*words, name)

    found = list(commands())
    assert ("topics", "create") in found and ("dump",) in found
    for words in found:
        start = text.index(f" sluice {' '.join(words)} ")
        section = text[start:]
        for option in re.findall(r"^  (?:-\w, )?(--[\w-]+)", usage(*words), re.M):
            assert option in section or option in ("--help", "--version"), (words, option)


@pytest.mark.parametrize("name", DAEMONS)
def test_daemons_pages_name_every_option(tree, name):
    text = shown(tree / f"usr/share/man/man8/{name}.8")
    told = subprocess.run([tree / "usr/libexec/sluice" / name, "--help"], check=True,
                          capture_output=True, text=True).stdout
    options = re.findall(r"^  (--[\w-]+)", told, re.M)
    assert len(options) >= 5
    assert [option for option in options if f" {option} " not in text] == []


def test_the_configuration_page_names_every_property(tree):
    text = shown(tree / "usr/share/man/man5/sluice.properties.5")
    listed = subprocess.run([tree / "usr/bin/sluice", "properties", "--all", "--json"], check=True,
                            capture_output=True).stdout
    keys = json.loads(listed)
    # Names that the broker is known to know, so that an empty table would not do.
    assert {"log.dirs", "num.partitions", "ssl.keystore.location"} <= {key["name"] for key in keys}
    for key in keys:
        assert f" {key['name']} " in text, key
        if key["effect"] == "used":
            assert re.sub(r"\s+", " ", key["meaning"]) in text, key
    assert " node.id The id of this broker; 1 when nothing says so. Int, default none, " \
        "allowed at least 0. " in text


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "source {share}/bash-completion/completions/sluice"),
    "zsh": (["zsh", "-f", "-i"],
            "fpath=({share}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D"),
    "fish": (["fish", "--no-config", "-i"], "source {share}/fish/vendor_completions.d/sluice.fish"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(tree, broker, topic, tmp_path, shell):
    """Typed as far as it is unique, completed, run: commands, and topics of the broker named."""
    sluice = tree / "usr/bin/sluice"
    subprocess.run([sluice, "topics", "create", "-b", broker.bootstrap, topic], check=True)
    command, load = SHELLS[shell]
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{sluice.parent}:/usr/bin:/bin",
                   "TERM": "xterm", "COLUMNS": "200", "XDG_CONFIG_HOME": str(tmp_path),
                   "XDG_DATA_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with Terminal(command, environment) as terminal:
        terminal.type(load.format(share=tree / "usr/share") + "; echo lo''aded\n")
        terminal.expect("loaded")
        terminal.type(f"sluice topics desc\t-b {broker.bootstrap} {topic[:-1]}\t--json\n")
        described = terminal.expect(r'\[\{"name":"[^"]*"')
        assert described[0] == f'[{{"name":"{topic}"'
        terminal.type("sluice properties log.segment.b\t\n")
        terminal.expect("A segment of the log is at most this long")


def test_completion_without_a_broker(tree):
    """Nothing is completed, nothing is said, and the prompt does not wait."""
    done = subprocess.run(
        [tree / "usr/bin/sluice", "---completion", "topics", "describe", "--", "positional@0", "5",
         "0", "sluice", "topics", "describe", "-b", "127.0.0.1:1", ""],
        capture_output=True, env={**os.environ, "SAP_SHELL": "bash"}, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
