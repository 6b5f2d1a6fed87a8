"""From raw results to what a person reads: medians, ratios against their targets, Markdown."""

import statistics


class Figure:
  """A column: how to read it from a round's result, and how to print it."""

  def __init__(self, title, value, form="{:.2f}"):
    self.title = title
    self.value = value
    self.form = form


class Target:
  """A bound on a system's median, or on the median of its ratio (or difference) to a limit, pairing
  the rounds that ran next to each other."""

  def __init__(self, title, figure, bound, at_least=False, against=None, relation="ratio"):
    self.title = title
    self.figure = figure
    self.bound = bound
    self.at_least = at_least
    self.against = against
    self.relation = relation

  def measure(self, rounds, name):
    ours = [self.figure.value(result) for result in rounds[name]]
    if self.against is None:
      return statistics.median(ours)
    theirs = [self.figure.value(result) for result in rounds[self.against]]
    if self.relation == "difference":
      return statistics.median(a - b for a, b in zip(ours, theirs))
    return statistics.median(a / b for a, b in zip(ours, theirs) if b)

  def met(self, value):
    return value >= self.bound if self.at_least else value <= self.bound


class Outcome:
  """All rounds of one scenario: {system name: [result of each round]}."""

  def __init__(self, name, text, rounds, figures, targets, judged):
    self.name = name
    self.text = " ".join(text.split())
    self.rounds = rounds
    self.figures = figures
    self.targets = targets
    self.judged = judged  # the systems that the targets are for

  def verdicts(self):
    for name in self.judged:
      for target in self.targets:
        if not self.rounds.get(name):
          continue
        value = target.measure(self.rounds, name)
        yield {"system": name, "target": target.title, "bound": target.bound,
               "at_least": target.at_least, "value": value, "met": target.met(value)}

  def as_json(self):
    return {"scenario": self.name, "rounds": self.rounds, "verdicts": list(self.verdicts())}

  def markdown(self):
    lines = [f"### {self.name}", "", self.text, ""]
    lines.append("| | " + " | ".join(figure.title for figure in self.figures) + " |")
    lines.append("|---" * (len(self.figures) + 1) + "|")
    for name, results in self.rounds.items():
      cells = [_cell(figure, results) for figure in self.figures]
      lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    for verdict in self.verdicts():
      relation = "at least" if verdict["at_least"] else "at most"
      state = "met" if verdict["met"] else "**missed**"
      lines.append(f"- {verdict['system']}: {verdict['target']} {verdict['value']:.2f}, "
                   f"target {relation} {verdict['bound']:g}: {state}")
    split = _cpu_split(self.rounds, self.judged)
    if split:
      lines += [""] + split
    return "\n".join(lines) + "\n"


def _cell(figure, results):
  """The median; with the range of the rounds when there are several."""
  values = [figure.value(result) for result in results]
  text = figure.form.format(statistics.median(values))
  if len(values) > 2:
    low, high = figure.form.format(min(values)), figure.form.format(max(values))
    if low != high:
      text += f" ({low}–{high})"
  return text


def _cpu_split(rounds, judged):
  """Which process the CPU time of a system went to, as shares."""
  lines = []
  for name in judged:
    total = {}
    for result in rounds.get(name, []):
      for process, seconds in result.get("cpu_seconds", {}).items():
        total[process] = total.get(process, 0) + seconds
    whole = sum(total.values())
    if whole:
      parts = [f"{process} {seconds / whole:.0%}"
               for process, seconds in sorted(total.items(), key=lambda item: -item[1])
               if seconds / whole >= 0.005]
      lines.append(f"- {name}, CPU by process: " + ", ".join(parts))
  return lines
