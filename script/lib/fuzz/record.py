"""What each target has had: a file per target in the state directory, and docs/fuzzing.md."""

import json
import os
import re

from targets import SOURCE, TARGETS

DOCUMENT = os.path.join(SOURCE, "docs/fuzzing.md")
BEGIN, END = "<!-- results: written by script/fuzz -->\n", "<!-- end of results -->\n"
HEAD = ("| target | minutes / goal | CPU minutes | executions | edges | features | findings "
        "| before | last run | commit | code |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
EMPTY = {"code": "", "wall_s": 0.0, "cpu_s": 0.0, "executions": 0, "edges": 0, "features": 0,
         "findings": 0, "before_s": 0.0, "last": "", "commit": ""}


class Record:
    """The time a target got on its present code, and what came of it."""

    def __init__(self, state, target):
        self.target = target
        self.path = os.path.join(state, target.name, "state.json")
        self.values = dict(EMPTY)
        try:
            with open(self.path, encoding="utf-8") as f:
                self.values.update(json.load(f))
        except FileNotFoundError:
            self.values.update(published().get(target.name, {}))

    def __getitem__(self, key):
        return self.values[key]

    def follow_code(self):
        """Time on code that has changed since does not count, but is remembered."""
        code = self.target.code()
        if self["code"] != code:
            before_s = self["before_s"] + self["wall_s"]
            self.values.update(EMPTY, code=code, before_s=before_s, findings=self["findings"])

    def add(self, run, commit, today):
        for key in ("wall_s", "cpu_s", "executions", "findings"):
            self.values[key] += run[key]
        for key in ("edges", "features"):
            self.values[key] = max(self[key], run[key])
        self.values.update(commit=commit, last=today)
        self.save()

    def save(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.values, f, indent=1)
        os.replace(self.path + ".new", self.path)

    def done(self):
        """How much of the goal is reached; 1 is all of it."""
        return self["wall_s"] / 60 / self.target.goal

    def row(self):
        v = self.values
        changed = "" if v["code"] in ("", self.target.code()) else " (changed since)"
        return (f"| {self.target.name} | {v['wall_s'] / 60:.1f} / {self.target.goal} "
                f"| {v['cpu_s'] / 60:.1f} | {v['executions']} | {v['edges']} | {v['features']} "
                f"| {v['findings']} | {v['before_s'] / 60:.1f} | {v['last'] or 'never'} "
                f"| {v['commit'] or '-'} | {v['code'] or '-'}{changed} |\n")


ROW = re.compile(r"^\| (?P<name>\w+) \| (?P<wall_s>[\d.]+) / \d+ \| (?P<cpu_s>[\d.]+) "
                 r"\| (?P<executions>\d+) \| (?P<edges>\d+) \| (?P<features>\d+) "
                 r"\| (?P<findings>\d+) \| (?P<before_s>[\d.]+) \| (?P<last>[\w-]+) "
                 r"\| (?P<commit>[\w-]+) \| (?P<code>[\w-]+)", re.M)


def published():
    """The records that docs/fuzzing.md holds, for a clone that has no state of its own."""
    try:
        with open(DOCUMENT, encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        return {}
    found = {}
    for match in ROW.finditer(text):
        values = match.groupdict()
        name = values.pop("name")
        for key in ("wall_s", "cpu_s", "before_s"):
            values[key] = float(values[key]) * 60
        for key in ("executions", "edges", "features", "findings"):
            values[key] = int(values[key])
        found[name] = {key: "" if value in ("-", "never") else value
                       for key, value in values.items()}
    return found


def table(state):
    return HEAD + "".join(Record(state, target).row() for target in TARGETS)


def publish(state):
    """Renews the table in docs/fuzzing.md."""
    with open(DOCUMENT, encoding="utf-8") as f:
        before, _, rest = f.read().partition(BEGIN)
    after = rest.partition(END)[2]
    with open(DOCUMENT, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + table(state) + END + after)
