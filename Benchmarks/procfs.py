"""What /proc tells about a family of processes: CPU time, memory, wake-ups.

A family is a process and all its descendants. Figures are kept per process name, so that a report
can say which process the time went to; several processes of one name are added up.
"""

import os

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def _read(pid, name):
  with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
    return file.read()


def _stat(pid):
  """The name and the fields after it; the name may contain spaces and parentheses."""
  text = _read(pid, "stat")
  name = text[text.index("(") + 1:text.rindex(")")]
  return name, text[text.rindex(")") + 2:].split()


def family(root):
  """The pids of `root` and its descendants."""
  children = {}
  for entry in os.listdir("/proc"):
    if entry.isdigit():
      try:
        _, fields = _stat(entry)
      except (FileNotFoundError, ProcessLookupError):
        continue
      children.setdefault(int(fields[1]), []).append(int(entry))
  found, pending = [], [root]
  while pending:
    pid = pending.pop()
    found.append(pid)
    pending += children.get(pid, [])
  return sorted(found)


def process_name(pid):
  """The program's file name; what prctl says for a forked process that renamed itself."""
  name, _ = _stat(pid)
  try:
    program = os.path.basename(_read(pid, "cmdline").split("\0")[0])
  except (FileNotFoundError, ProcessLookupError):
    program = ""
  return program if program.startswith(name) else name


def cpu_seconds(pids):
  """User and system time of all threads, by process name."""
  by_name = {}
  for pid in pids:
    _, fields = _stat(pid)
    seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    name = process_name(pid)
    by_name[name] = by_name.get(name, 0) + seconds
  return by_name


def memory_bytes(pids):
  """(resident, proportional) bytes by process name. The sum of the proportional ones counts what
  processes share once."""
  by_name = {}
  for pid in pids:
    values = {}
    for line in _read(pid, "smaps_rollup").splitlines()[1:]:
      key, _, value = line.partition(":")
      values[key] = int(value.split()[0]) * 1024
    name = process_name(pid)
    resident, proportional = by_name.get(name, (0, 0))
    by_name[name] = (resident + values["Rss"], proportional + values["Pss"])
  return by_name


def wake_ups(pids):
  """Voluntary context switches of all threads, by process name: each is a sleep that ended, or
  will end."""
  by_name = {}
  for pid in pids:
    switches = 0
    for task in os.listdir(f"/proc/{pid}/task"):
      for line in _read(pid, f"task/{task}/status").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
          switches += int(line.split()[1])
    name = process_name(pid)
    by_name[name] = by_name.get(name, 0) + switches
  return by_name


def difference(after, before):
  return {name: value - before.get(name, 0) for name, value in after.items()}
