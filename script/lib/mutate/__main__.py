"""Changes the code in small ways, one at a time, and counts how many the tests catch.

Usage: script/mutate [--file PATTERN]... [--operator NAME]... [--sample N] [--seed N]
                     [--jobs N] [--list] [--record]

  --file PATTERN   only files that match, as lib/auth/*.c; all of script/lib/mutate/targets.py
  --operator NAME  only comparison, arithmetic, boolean, constant or branch
  --sample N       N mutants of each target's files instead of all, chosen by the seed
  --jobs N         how many at once (as many as there are processors)
  --list           say what would be tried, and end
  --record         write the result to docs/mutation.md

A run that is broken off goes on where it was, and what earlier runs tried counts too;
mutants that lived are tried again.  Exits with 1 when fewer than 85 % are caught, or one
that lives is not explained in tests/mutation.survivors.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import random
import sys

import report
from mutants import OPERATORS, mutants_of
from notebook import Notebook
from targets import TOP, sources, target_of
from workshop import Workshop, prepare


def chosen(options, notebook):
    """The mutants to try, in the order of the files, and those tried before."""
    groups = collections.defaultdict(list)
    for path in sources():
        if options.file and not any(fnmatch.fnmatch(path, pattern) for pattern in options.file):
            continue
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            groups[target_of(path)] += mutants_of(path, f.read(), options.operator or OPERATORS)
    for group in groups.values():
        order = list(range(len(group)))
        random.Random(options.seed).shuffle(order)
        # A larger sample has the smaller one in it, so nothing is tried twice.
        sample = set(order[:options.sample or len(group)])
        yield from (mutant for at, mutant in enumerate(group)
                    if at in sample or notebook.get(mutant))


def try_all(mutants, notebook, jobs):
    prepare()
    workshop = Workshop()
    left = [mutant for mutant in mutants if not notebook.settled(mutant)]
    print(f"{len(mutants)} mutants, {len(mutants) - len(left)} known", flush=True)
    workshop.measure(sorted({test for m in left for test in target_of(m.path).tests}))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tries = {pool.submit(workshop.judge, mutant): mutant for mutant in left}
        for number, done in enumerate(concurrent.futures.as_completed(tries), 1):
            mutant, verdict = tries[done], done.result()
            notebook.note(mutant, verdict)
            print(f"{number}/{len(left)} {mutant.path}:{mutant.line}: {mutant.after}: "
                  f"{verdict.result} ({verdict.seconds} s)", flush=True)
    return [(mutant, notebook.get(mutant)) for mutant in mutants]


def how_chosen(options):
    how = "all mutants"
    if options.sample:
        how = (f"{options.sample} mutants of each target at least, chosen with the seed "
               f"{options.seed}")
    if options.file:
        how += "; only of `" + "`, `".join(options.file) + "`"
    return how


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("Usage: ")[2].replace("%", "%%"))
    parser.add_argument("--file", action="append")
    parser.add_argument("--operator", action="append", choices=OPERATORS)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    notebook = Notebook()
    mutants = list(chosen(options, notebook))
    if options.list:
        for mutant in mutants:
            print(f"{mutant.path}:{mutant.line}: {mutant.before}  →  {mutant.after}")
        return 0
    judged = try_all(mutants, notebook, options.jobs)
    report.show(judged)
    if options.record:
        report.record(judged, how_chosen(options))
    _, total = report.counts_of(judged)[-1]
    return 0 if report.rate(total) >= report.WANTED and not report.unexplained(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
