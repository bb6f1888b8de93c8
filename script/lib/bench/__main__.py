"""script/bench: starts the peers, takes them in turn, and writes what came out."""

import argparse
import os
import resource
import signal
import subprocess
import sys
import time

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bench import BenchError, machine, measure, report
from bench.children import Children
from bench.peers import Front, Stack

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
EX_MISSED, EX_UNAVAILABLE, EX_INTERRUPTED = 1, 69, 130


def arguments():
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measures Ziggie beside named peers on this machine.",
        epilog="Ends with status 0 when every aim is met, 1 when one is not, 69 when it could not "
               "measure.  docs/benchmarks.md is written by a whole run only, unless --output says "
               "where else to.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", action="append", choices=sorted(measure.GROUPS), metavar="NAME",
                        help="one group, may be repeated: " + ", ".join(measure.GROUPS))
    parser.add_argument("--rounds", type=int, help="rounds over all peers (default 5)")
    parser.add_argument("--seconds", type=int, help="length of each measurement (default 3)")
    parser.add_argument("--build-dir", metavar="DIR",
                        help="take the programs from there, without bootstrap and build")
    parser.add_argument("--output", metavar="FILE", help="write the page to FILE")
    given = parser.parse_args()
    given.rounds = given.rounds or (2 if given.quick else 5)
    given.seconds = given.seconds or (2 if given.quick else 3)
    if given.rounds < 1 or given.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    if not given.output and not given.quick and not given.only:
        given.output = os.path.join(SOURCE, "docs", "benchmarks.md")
    return given


def build(given):
    """Where the programs are; makes them unless told where."""
    if given.build_dir:
        return os.path.realpath(given.build_dir)
    for command in (["script/bootstrap", "--with-bench"], ["script/build"]):
        done = subprocess.run(command, cwd=SOURCE, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)} failed")
    return os.path.join(SOURCE, "build")


def method(given):
    return (f"Medians of {given.rounds} rounds of {given.seconds} s; in each round every peer is "
            "taken in turn, unless a table says otherwise, and a ratio is the median of the rounds' "
            "ratios.  The load generator, "
            "nginx, the peers and, for Ziggie, MariaDB, memcached and the sampler share the "
            "machine's cores.  Every request carries a bearer token.  An error is an answer that "
            "is not 2xx, a connection that failed, or no answer within 2 s.")


def run(given):
    given.build = build(given)
    start = time.monotonic()
    about = machine.describe(SOURCE)
    for name, value in about:
        print(f"  {name:<26} {value}")
    groups = given.only or list(measure.GROUPS)
    tables, judgements = [], []
    with Children() as children:
        bench = measure.Bench(SOURCE, given, children)
        if any(measure.GROUPS[name].behind_nginx for name in groups):
            print("\nstarting a private stack and the peers", flush=True)
            bench.start(Stack, Front)
        for name in measure.GROUPS:
            if name not in groups:
                continue
            made, judged = measure.GROUPS[name].run(bench)
            for table in made:
                report.print_table(table)
            tables += made
            judgements += judged
    report.print_judgements(judgements)
    if given.output:
        command = " ".join(["script/bench", *sys.argv[1:]])
        with open(given.output, "w", encoding="utf-8") as f:
            f.write(report.page(command, about, method(given), tables, judgements))
        print(f"wrote {os.path.relpath(given.output)}")
    print(f"{sum(j.met for j in judgements)} of {len(judgements)} aims met, "
          f"in {time.monotonic() - start:.0f} s")
    return 0 if all(j.met for j in judgements) else EX_MISSED


def main():
    given = arguments()
    # So that a plain kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        return run(given)
    except BenchError as error:
        print(f"script/bench: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        print("script/bench: interrupted", file=sys.stderr)
        return EX_INTERRUPTED


sys.exit(main())
