"""What became of each mutant, kept between runs, and the reasons for those left alive."""

import hashlib
import json
import os

from targets import TOP
from workshop import BUILD, SURVIVED, Verdict

RESULTS = os.path.join(BUILD, "results.jsonl")
EXPLAINED = os.path.join(TOP, "tests", "mutation.survivors")


def key_of(mutant):
    return hashlib.sha256(f"{mutant.path}\0{mutant.text}".encode()).hexdigest()[:24]


class Notebook:
    """Verdicts by mutant.  A survivor is tried again in the next run, the tests may be better."""

    def __init__(self, path=RESULTS):
        self.path = path
        self.verdicts = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for line in f:
                    entry = json.loads(line)
                    key = entry.pop("key")
                    self.verdicts[key] = Verdict(**entry)

    def get(self, mutant):
        return self.verdicts.get(key_of(mutant))

    def settled(self, mutant):
        verdict = self.get(mutant)
        return verdict is not None and verdict.result != SURVIVED

    def note(self, mutant, verdict):
        self.verdicts[key_of(mutant)] = verdict
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps({"key": key_of(mutant), **verdict._asdict()}) + "\n")


def reasons():
    """Why a mutant is left alive, by its file and its changed line."""
    found = {}
    with open(EXPLAINED, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                path, _, rest = line.partition(" | ")
                after, _, reason = rest.rpartition(" | ")  # the line of C may have one too
                found[path, after] = reason.strip()
    return found
