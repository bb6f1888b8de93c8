"""script/load: a stack, clients that check every answer, and a page of what came out."""

import argparse
import datetime
import os
import subprocess
import sys
import time
from statistics import median, quantiles

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bench import BenchError, machine
from bench.children import Children
from bench.peers import Stack
from load import clients
from load.database import Database

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
EX_MISSED, EX_UNAVAILABLE = 1, 69
ACCOUNTS = 20
LIKE_TASKS = 1.3  # how much slower than tasks agents may be


def arguments():
    parser = argparse.ArgumentParser(
        prog="script/load",
        description="Puts a private stack under load and judges the answers.",
        epilog="Ends with status 0 when all of it holds, 1 when something does not, 69 when it "
               "could not run.")
    parser.add_argument("name", choices=["records"],
                        help="records: clients make, read back, change and remove agents, goals "
                             "and tasks, each comparing what it reads with what it wrote")
    parser.add_argument("--clients", type=int, default=300, help="how many (300)")
    parser.add_argument("--seconds", type=int, default=180, help="how long (180)")
    parser.add_argument("--build-dir", metavar="DIR",
                        help="take the programs from there, without bootstrap and build")
    parser.add_argument("--output", metavar="FILE", help="write the page to FILE")
    return parser.parse_args()


def build(given):
    if given.build_dir:
        return os.path.realpath(given.build_dir)
    for command in (["script/bootstrap"], ["script/build"]):
        if subprocess.run(command, cwd=SOURCE, stdout=sys.stderr, check=False).returncode != 0:
            raise BenchError(f"{' '.join(command)} failed")
    return os.path.join(SOURCE, "build")


def tokens(stack, programs):
    """Of accounts that are made for this."""
    def ctl(*command, text=""):
        done = subprocess.run(
            [os.path.join(programs, "ziggiectl"), "--config", stack.config, *command], input=text,
            capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise BenchError(f"ziggiectl {command}: {done.stderr}")
        return done.stdout

    made = []
    for i in range(ACCOUNTS):
        ctl("user", "add", f"load-{i}", "--role", "user", text="a long enough password\n")
        made.append(ctl("token", f"load-{i}").split()[-1])
    return made


def judge(seen):
    """What must hold, and whether it does."""
    middle = {kind: median(values) for kind, values in seen.latencies.items()}
    ratio = middle["agents"] / middle["tasks"]
    total = sum(seen.answers.values())
    return [
        (f"{total:,} answers, wrong ones", f"{len(seen.wrong)}", "0", not seen.wrong),
        ("5xx", f"{seen.errors()}", "0", seen.errors() == 0),
        ("agents, median × that of tasks", f"{ratio:.2f}", f"≤ {LIKE_TASKS}",
         ratio <= LIKE_TASKS),
    ]


def table(heads, rows):
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in [heads, *rows]]
    lines.insert(1, "|" + "---|" * len(heads))
    return "\n".join(lines)


def page(given, where, seen, judged, took, database):
    kinds = [(kind, f"{len(values):,}", f"{median(values):.1f}",
              f"{quantiles(values, n=100)[98]:.1f}", f"{max(values):.0f}")
             for kind, values in seen.latencies.items()]
    return "\n\n".join([
        "# Records under load",
        f"Written by `script/load records` on {datetime.date.today()}, "
        f"{given.clients} clients for {took:.0f} s without pauses; each makes a record, reads it "
        "back, changes it, reads it back, removes it and asks for it once more, and compares "
        "every answer with what it wrote.",
        table(("where", ""), where),
        table(("", "measured", "must be", ""),
              [(what, value, aim, "holds" if met else "**does not hold**")
               for what, value, aim, met in judged]),
        table(("kind", "answers", "P50 ms", "P99 ms", "slowest ms"), kinds),
        f"Together {sum(seen.answers.values()) / took:,.0f} answers a second, clients included.",
        "What the database did meanwhile:",
        table(("", "in all", "a second"), database.rows(took)),
    ]) + "\n"


def run(given):
    programs = build(given)
    where = machine.describe(SOURCE)  # before its load average is ours
    with Children() as children:
        stack = Stack(children, SOURCE, programs)
        accounts = tokens(stack, programs)
        database = Database(stack)
        began = time.monotonic()
        seen = clients.run(stack.port, accounts, given.clients, given.seconds)
        took = time.monotonic() - began
        database.end()
    judged = judge(seen)
    text = page(given, where, seen, judged, took, database)
    print(text)
    for line in seen.wrong[:20]:
        print(line, file=sys.stderr)
    if given.output:
        with open(given.output, "w", encoding="utf-8") as f:
            f.write(text)
    return 0 if all(met for *_, met in judged) else EX_MISSED


def main():
    try:
        return run(arguments())
    except BenchError as error:
        print(f"script/load: {error}", file=sys.stderr)
        return EX_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
