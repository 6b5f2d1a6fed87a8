#!/usr/bin/env python3
"""Writes the manual pages: docs/man/*.in with what the programs tell of themselves.

    tools/manpages.py BUILD OUT [NAME=VALUE ...]

BUILD holds the programs; OUT/man1 and so on get the pages. In a template `@NAME@` becomes VALUE, a
line `@commands@` the commands of `sluice` with their options, `@options@` the options of the daemon
that the page is named after, `@properties EFFECT@` the names of server.properties with that effect.
Nothing is written twice, so nothing can drift.
"""

import datetime
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap

TEMPLATES = pathlib.Path(__file__).parents[1] / "docs/man"


def output(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, "COLUMNS": "80"}).stdout


def escaped(text):
    """Text as it is, on lines of their own or as arguments of a macro."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def argument(text):
    """One argument of a macro, whatever is in it: it must not be taken for another macro."""
    text = escaped(text).replace('"', "\\(dq")
    return f'"\\&{text}"' if re.search(r"\s", text) or re.match(r"[A-Z][a-z]$|[^\w\\]", text) \
        else text


def sentences(text):
    """Each sentence begins a line, as the formatter wants it."""
    for one in re.split(r"(?<=[.?!])\s+(?=[A-Z])", text):
        yield from escaped("\n".join(textwrap.wrap(
            one, 78, break_on_hyphens=False, break_long_words=False))).split("\n")


def prose(text):
    """Paragraphs; what is indented is an example and stays as it is."""
    lines = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines.append(".Pp")
        for is_example, group in itertools.groupby(
                block.splitlines(), lambda line: line.startswith(" ")):
            if is_example:
                lines += [".Bd -literal -offset indent",
                          escaped(textwrap.dedent("\n".join(group))), ".Ed"]
            else:
                lines += sentences(" ".join(line.strip() for line in group))
    return lines


# The command.

def flags(option):
    """`-b , --bootstrap-server HOST:PORT`, as the arguments of .It or .Op."""
    names = sorted(option["names"], key=lambda name: name["kind"] == "long")
    shown = " , ".join(
        f"Fl Fl {escaped(name['name'])}" if name["kind"] == "long" else f"Fl {name['name']}"
        for name in names)
    if option["kind"] == "option":
        shown += f" Ar {argument(option['valueName'])}"
    return shown


def is_own(option):
    return option["kind"] == "positional" or option["valueName"] not in ("help", "version")


def synopsis(command, words):
    lines = [f".Nm {' '.join(words)}"]
    for option in filter(is_own, command.get("arguments", [])):
        repeated = " ..." if option["isRepeating"] else ""
        if option["kind"] == "positional":
            shown = f"Ar {argument(option['valueName'].upper())}{repeated}"
        else:
            long = option["preferredName"]
            shown = ("Fl Fl " if long["kind"] == "long" else "Fl ") + escaped(long["name"])
            if option["kind"] == "option":
                shown += f" Ar {argument(option['valueName'])}"
        lines.append(f".Op {shown}" if option["isOptional"] else f".{shown}")
    return lines


def meaning(option):
    text = option.get("abstract", "")
    values = option.get("allValues")
    if values:
        text += f" One of {', '.join(values)}."
    if option["valueName"] == "DIR":
        text += " The default is /run/sluice for root, $XDG_RUNTIME_DIR/sluice for others."
    elif option.get("defaultValue"):
        default = option["defaultValue"].replace("\t", "TAB")
        text += f" The default is {default}." if text.endswith(".") else f"; {default}"
    return prose(text)[1:]


def command_section(command, words):
    lines = [f".Ss {' '.join(words)}", *prose(command.get("abstract", ""))[1:], ".Pp",
             ".Bd -ragged -offset indent -compact", *synopsis(command, words), ".Ed"]
    if command.get("discussion"):
        lines += prose(command["discussion"])
    options = [option for option in command.get("arguments", []) if is_own(option)]
    if options:
        lines.append(".Bl -tag -width Ds")
        for option in options:
            shown = f"Ar {argument(option['valueName'].upper())}" \
                if option["kind"] == "positional" else flags(option)
            lines += [f".It {shown}", *meaning(option)]
        lines.append(".El")
    return lines


def commands(build):
    def below(command, words):
        for sub in command.get("subcommands", []):
            name = sub["commandName"]
            if not sub.get("shouldDisplay", True) or name == "help":
                continue
            inner = below(sub, [*words, name])
            yield from [*inner] or command_section(sub, [*words, name])

    dump = json.loads(output(build / "sluice", "--experimental-dump-help"))["command"]
    return list(below(dump, [dump["commandName"]]))


# The daemons, whose --help is one table.

def daemon_options(build, name):
    entries = []
    for line in output(build / name, "--help").splitlines():
        option = re.match(r"  --([\w-]+) ?(\S*)\s{2,}(\S.*)$", line)
        more = re.match(r"\s{20,}(\S.*)$", line)
        if option:
            entries.append([option[1], option[2], option[3]])
        elif more and entries:
            entries[-1][2] += " " + more[1]
    lines = [".Bl -tag -width Ds"]
    for option, value, text in entries:
        shown = f"Fl Fl {escaped(option)}" + (f" Ar {argument(value)}" if value else "")
        lines += [f".It {shown}", *prose(sentence(text))[1:]]
    return lines + [".El"]


def sentence(text):
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


# The configuration.

def properties(build, effect):
    keys = json.loads(output(build / "sluice", "properties", "--all", "--json"))
    keys = sorted((key for key in keys if key["effect"] == effect), key=lambda key: key["name"])
    if effect != "accepted":
        return listed(keys)
    lines = []
    for reason in sorted({key["reason"] for key in keys}):
        lines += [f".Ss {sentence(reason).rstrip('.')}",
                  *listed([key for key in keys if key["reason"] == reason])]
    return lines


def listed(keys):
    lines = [".Bl -tag -width Ds"]
    for key in keys:
        default = key["default"]
        shown = "none" if default is None else default if default else "empty"
        facts = [key["type"].capitalize(), f"default {shown}"]
        if key["allowed"]:
            facts.append(f"allowed {key['allowed']}")
        lines += [f".It Cm {escaped(key['name'])}", *prose(key["meaning"])[1:],
                  *prose(f"{', '.join(facts)}.")[1:]]
        if key["effect"] == "refused":
            lines += prose(f"Any other value is refused: {key['reason']}.")[1:]
    return lines + [".El"]


def page(template, build, values):
    lines = []
    for line in template.read_text().splitlines():
        if line == "@commands@":
            lines += commands(build)
        elif line == "@options@":
            lines += daemon_options(build, template.name.split(".")[0])
        elif line.startswith("@properties "):
            lines += properties(build, line.strip("@").split()[1])
        else:
            lines.append(re.sub(r"@(\w+)@", lambda name: values[name[1]], line))
    return "\n".join(lines) + "\n"


def main(build, out, values):
    version = output(build / "sluice", "--version").split()[1]
    stamp = os.environ.get("SOURCE_DATE_EPOCH") or (build / "sluice").stat().st_mtime
    day = datetime.datetime.fromtimestamp(int(stamp), datetime.timezone.utc)
    values = {**values, "version": version, "date": f"{day:%B} {day.day}, {day.year}"}
    for template in sorted(TEMPLATES.glob("*.in")):
        section = out / f"man{template.stem[-1]}"
        section.mkdir(parents=True, exist_ok=True)
        (section / template.stem).write_text(page(template, build, values))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]),
         dict(value.split("=", 1) for value in sys.argv[3:]))
