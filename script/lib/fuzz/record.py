"""What each target has had: a file per target in the state directory, and docs/fuzzing.md."""

import json
import os
import re

from targets import SOURCE, TARGETS

DOCUMENT = os.path.join(SOURCE, "docs/fuzzing.md")
BEGIN, END = "<!-- results: written by script/fuzz -->\n", "<!-- end of results -->\n"
HEAD = ("| target | minutes / goal | of these on this code | CPU minutes | executions | edges "
        "| features | findings | last run | commit | code |\n" + "|---" * 11 + "|\n")
EMPTY = {"wall_s": 0.0, "code_s": 0.0, "cpu_s": 0.0, "executions": 0, "edges": 0, "features": 0,
         "findings": 0, "last": "", "commit": "", "code": ""}


class Record:
    """
    What a target has had since its last finding: in all, and on the code as it is.
    """

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
        """For what is built now: when the code has changed, nothing has run on it yet."""
        code = self.target.code()
        if self["code"] != code:
            self.values.update(code=code, code_s=0.0)

    def add(self, run, commit, today):
        """A finding starts the count anew."""
        if run["findings"] > 0:
            run = dict(EMPTY, findings=run["findings"])
            self.values.update(EMPTY, findings=self["findings"], code=self["code"])
        for key in ("wall_s", "cpu_s", "executions", "findings"):
            self.values[key] += run[key]
        self.values["code_s"] += run["wall_s"]
        self.values.update(edges=run["edges"], features=run["features"], commit=commit, last=today)
        self.save()

    def save(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.values, f, indent=1)
        os.replace(self.path + ".new", self.path)

    def done(self):
        """How much of the goal is reached, beyond it how much of it on this code: 0 to 2."""
        goal_s = self.target.goal * 60
        return min(1, self["wall_s"] / goal_s) + min(1, self["code_s"] / goal_s)

    def row(self):
        v = self.values
        code_s = v["code_s"] if v["code"] == self.target.code() else 0
        return (f"| {self.target.name} | {v['wall_s'] / 60:.1f} / {self.target.goal} "
                f"| {code_s / 60:.1f} | {v['cpu_s'] / 60:.1f} | {v['executions']} "
                f"| {v['edges']} | {v['features']} | {v['findings']} | {v['last'] or 'never'} "
                f"| {v['commit'] or '-'} | {v['code'] or '-'} |\n")


ROW = re.compile(r"^\| (?P<name>\w+) \| (?P<wall_s>[\d.]+) / \d+ \| (?P<code_s>[\d.]+) "
                 r"\| (?P<cpu_s>[\d.]+) \| (?P<executions>\d+) \| (?P<edges>\d+) "
                 r"\| (?P<features>\d+) \| (?P<findings>\d+) \| (?P<last>[\w-]+) "
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
        for key in ("wall_s", "code_s", "cpu_s"):
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
