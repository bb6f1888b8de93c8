"""The result, for the terminal and as docs/mutation.md."""

import collections
import datetime
import os
import subprocess

from notebook import reasons
from targets import TOP
from workshop import EQUIVALENT, HUNG, INVALID, KILLED, SURVIVED

RECORD = os.path.join(TOP, "docs", "mutation.md")
WANTED = 85


def counts_of(judged):
    """(name, Counter of results) for each file, and for all of them."""
    files = collections.defaultdict(collections.Counter)
    for mutant, verdict in judged:
        files[mutant.path][verdict.result] += 1
    total = sum(files.values(), collections.Counter())
    return [*sorted(files.items()), ("together", total)]


def caught(counts):
    return counts[KILLED] + counts[HUNG]


def rate(counts):
    tried = caught(counts) + counts[SURVIVED]
    return 100 * caught(counts) / tried if tried else 100.0


HEAD = ("file", "mutants", "caught", "", "of them hung", "alive", "same code", "does not compile")


def rows(judged):
    for name, counts in counts_of(judged):
        yield (name, str(sum(counts.values())), str(caught(counts)), f"{rate(counts):.1f} %",
               str(counts[HUNG]), str(counts[SURVIVED]), str(counts[EQUIVALENT]),
               str(counts[INVALID]))


def survivors(judged):
    return [mutant for mutant, verdict in judged if verdict.result == SURVIVED]


def unexplained(judged):
    known = reasons()
    return [m for m in survivors(judged) if (m.path, m.after) not in known]


def show(judged):
    table = [HEAD, *rows(judged)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
    for line in table:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))))
    for mutant in unexplained(judged):
        print(f"{mutant.path}:{mutant.line}: {mutant.before}  →  {mutant.after}")


def cell(text):
    return "`" + text.replace("|", "\\|") + "`"


def record(judged, how):
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "--short=12", "HEAD"],
                            capture_output=True, text=True, check=True).stdout.strip()
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    known = reasons()
    lines = [
        "# Mutation", "",
        "Made by `script/mutate --record`; do not edit.  How it is done: [testing.md](testing.md).",
        "", f"{today}, commit {commit}; {how}.  Caught must be {WANTED} % at least.", "",
        "| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1),
        *("| " + " | ".join(line) + " |" for line in rows(judged)), "",
        "## Those left alive", "",
        "| where | was | became | why no test sees it |", "|---|---|---|---|",
        *(f"| {m.path}:{m.line} | {cell(m.before)} | {cell(m.after)} | "
          f"{known.get((m.path, m.after), '**not explained**')} |" for m in survivors(judged)),
    ]
    with open(RECORD, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
