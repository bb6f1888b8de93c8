"""
Runs fuzz targets under libFuzzer for a bounded time, a minute each in turn,
those first that are furthest from their goal.  Times add up over runs, however they
end; a finding starts a target's count anew.  Afterwards the inputs that reach most
are kept in tests/fuzz/corpus, which `make check` replays, and the table in
docs/fuzzing.md is renewed.  Exits with 1 when there is a finding.
"""

import argparse
import datetime
import fcntl
import os
import signal
import subprocess
import sys
import time

import record
import run
from targets import SOURCE, TARGETS

SLICE = 60  # seconds
BUILD = os.path.join(SOURCE, "build-fuzz")


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def parse(argv):
    parser = argparse.ArgumentParser(prog="script/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="run these only")
    parser.add_argument("--minutes", type=float, default=30, help="stop after so long (30)")
    parser.add_argument("--jobs", type=int, default=1, help="targets to run at a time (1)")
    parser.add_argument("--state", default=os.path.join(SOURCE, "var/fuzz"),
                        help="where inputs, findings and counts are kept (var/fuzz)")
    parser.add_argument("--build-dir", help="use what is built there instead of build-fuzz")
    parser.add_argument("--status", action="store_true", help="print the table and end")
    options = parser.parse_args(argv)
    unknown = set(options.targets) - {target.name for target in TARGETS}
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are: "
                     + " ".join(target.name for target in TARGETS))
    if options.minutes <= 0 or options.jobs <= 0:
        parser.error("--minutes and --jobs must be above 0")
    return options


def build():
    for step in (["script/bootstrap", "--with-fuzz"], ["script/build", "--fuzz", "fuzz-targets"]):
        if subprocess.run([os.path.join(SOURCE, step[0]), *step[1:]], check=False,
                          stdout=sys.stderr).returncode != 0:
            sys.exit(f"{' '.join(step)} failed")
    return BUILD


def commit():
    done = subprocess.run(["git", "-C", SOURCE, "rev-parse", "--short=10", "HEAD"], check=False,
                          capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


class Session:
    """Keeps `jobs` runs going until the time is over."""

    def __init__(self, options, build_dir, targets):
        self.state = options.state
        self.build = build_dir
        self.jobs = options.jobs
        self.end = time.monotonic() + options.minutes * 60
        self.waiting = {target.name: record.Record(self.state, target) for target in targets}
        self.running = {}
        self.found = []
        self.ran = set()
        self.commit = commit()
        for entry in self.waiting.values():
            entry.follow_code()

    def stop(self, number, _):
        """Ends soon, and what was done until then counts; at once when told again."""
        self.end = time.monotonic()
        signal.signal(number, signal.SIG_DFL)

    def skip_open_findings(self):
        for name, entry in list(self.waiting.items()):
            paths = run.open_findings(entry.target, self.build, self.state)
            if paths:
                self.report(entry.target, paths)
                del self.waiting[name]

    def report(self, target, paths):
        self.found += paths
        for path in paths:
            say(f"{target.name}: a finding. See it again with\n    "
                f"{os.path.join(self.build, target.program)} {path}\n"
                f"  and once it is mended: cp {path} "
                f"{os.path.relpath(target.seeds, SOURCE)}/NAME")

    def start_some(self):
        while self.waiting and len(self.running) < self.jobs:
            left = self.end - time.monotonic()
            if left < 1:
                return
            name = min(self.waiting, key=lambda name: self.waiting[name].done())
            entry = self.waiting.pop(name)
            self.running[name] = (entry, run.Run(entry.target, self.build, self.state,
                                                 min(SLICE, left)))

    def collect(self):
        for name, (entry, going) in list(self.running.items()):
            result = going.poll()
            if result is None:
                continue
            del self.running[name]
            self.ran.add(entry.target)
            entry.add(result, self.commit, datetime.date.today().isoformat())
            say(f"{name}: {entry['wall_s'] / 60:.1f} of {entry.target.goal} minutes, "
                f"{result['executions']} executions, {result['features']} features")
            if result["paths"]:
                self.report(entry.target, result["paths"])
            elif not result["good"]:
                self.found.append(going.log)
                say(f"{name}: failed without an input to show for it; {going.log} says why")
            else:
                self.waiting[name] = entry

    def work(self):
        stopping = False
        self.skip_open_findings()
        while self.running or (self.waiting and time.monotonic() + 1 < self.end):
            self.start_some()
            time.sleep(0.2)
            if time.monotonic() > self.end and not stopping:
                stopping = True
                for _, going in self.running.values():
                    going.stop()
            self.collect()


def keep(session):
    for target in session.ran:
        try:
            run.keep_corpus(target, session.build, session.state)
        except (OSError, subprocess.SubprocessError) as e:
            say(f"{target.name}: its corpus stays as it was: {e}")


def main(argv):
    options = parse(argv)
    if options.status:
        print(record.table(options.state), end="")
        return 0
    os.makedirs(options.state, exist_ok=True)
    with open(os.path.join(options.state, "lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another script/fuzz works in {options.state}")
        build_dir = os.path.realpath(options.build_dir) if options.build_dir else build()
        session = Session(options, build_dir, [target for target in TARGETS if not options.targets
                                               or target.name in options.targets])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, session.stop)
        session.work()
        keep(session)
        record.publish(options.state)
    return 1 if session.found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
