"""One bounded run of one target under libFuzzer, and what is kept of it."""

import os
import re
import shutil
import signal
import subprocess
import time

NICE = ["nice", "-n", "19"]
LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=4096"]
PATIENCE = 30  # seconds that a run may take to end
CORPUS_FILES, CORPUS_BYTES = 60, 32 * 1024  # of a target, what is kept for `make check`

PROGRESS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+)", re.M)
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.M)
DIGEST = re.compile(r"[0-9a-f]{40}")


class Run:
    """Started by making it; poll() until it gives a result."""

    def __init__(self, target, build, state, seconds):
        self.target = target
        folder = os.path.join(state, target.name)
        corpus = os.path.join(folder, "corpus")
        self.findings = os.path.join(folder, "findings")
        for path in (corpus, self.findings):
            os.makedirs(path, exist_ok=True)
        self.known = set(os.listdir(self.findings))
        self.log = os.path.join(folder, "log")
        self.started = time.monotonic()
        self.deadline = self.started + seconds + PATIENCE
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C is for us, who end it so that it says its numbers.
            self.process = subprocess.Popen(
                NICE + [os.path.join(build, target.program), f"-max_total_time={int(seconds)}",
                        "-print_final_stats=1", f"-artifact_prefix={self.findings}/", *LIMITS,
                        corpus, target.seeds],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self):
        """Asks libFuzzer to end and say its numbers, for which it must have begun."""
        self.deadline = min(self.deadline, time.monotonic() + PATIENCE)
        os.kill(self.process.pid, signal.SIGUSR1)

    def poll(self):
        """None while it runs, then its numbers."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() > self.deadline:
                os.kill(self.process.pid, signal.SIGKILL)
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        with open(self.log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        progress = PROGRESS.findall(text)
        executed = EXECUTED.findall(text) or [line[0] for line in progress] or [0]
        found = sorted(set(os.listdir(self.findings)) - self.known)
        return {"wall_s": time.monotonic() - self.started,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "executions": int(executed[-1]),
                "edges": int(progress[-1][1]) if progress else 0,
                "features": int(progress[-1][2]) if progress else 0,
                "findings": len(found),
                "paths": [os.path.join(self.findings, name) for name in found],
                "good": self.process.returncode in (0, -signal.SIGUSR1)}


def still_fails(target, build, path):
    try:
        done = subprocess.run([os.path.join(build, target.program), *LIMITS, path], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def open_findings(target, build, state):
    """Inputs that still fail; those that do not any more are put aside."""
    folder = os.path.join(state, target.name, "findings")
    mended = os.path.join(state, target.name, "mended")
    still = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if still_fails(target, build, path):
            still.append(path)
        else:
            os.makedirs(mended, exist_ok=True)
            os.replace(path, os.path.join(mended, name))
    return still


def reached_by(target, build, state):
    """The features that each input reaches, by its path."""
    folder = os.path.join(state, target.name)
    merged, control = os.path.join(folder, "merged"), os.path.join(folder, "merge")
    shutil.rmtree(merged, ignore_errors=True)
    os.makedirs(merged)
    if os.path.exists(control):
        os.unlink(control)
    subprocess.run(NICE + [os.path.join(build, target.program), "-set_cover_merge=1",
                           f"-merge_control_file={control}", *LIMITS, merged,
                           os.path.join(folder, "corpus"), target.seeds],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=600)
    shutil.rmtree(merged)
    with open(control, encoding="utf-8") as f:
        lines = f.read().splitlines()
    paths = lines[2:2 + int(lines[0])]
    reached = {}
    for line in lines[2 + len(paths):]:
        words = line.split()
        if words[0] == "FT":
            reached[paths[int(words[1])]] = frozenset(words[2:])
    return reached


def choose(reached, named):
    """Those that together reach most beyond the named ones, as far as there is room."""
    have = set().union(*(reached.get(path, ()) for path in named))
    left = {path: os.path.getsize(path) for path in reached}
    room = CORPUS_BYTES
    chosen = []
    while len(chosen) < CORPUS_FILES:
        left = {path: size for path, size in left.items()
                if size <= room and not reached[path] <= have}
        if not left:
            break
        best = max(left, key=lambda path: (len(reached[path] - have), -left[path], path))
        chosen.append(best)
        have |= reached[best]
        room -= left[best]
    return chosen


def keep_corpus(target, build, state):
    """
    Renews what tests/fuzz/corpus holds of the inputs found.  Files with a name of their
    own stay; those named by a digest are libFuzzer's.
    """
    named = [os.path.join(target.seeds, name) for name in os.listdir(target.seeds)
             if not DIGEST.fullmatch(name)]
    chosen = choose(reached_by(target, build, state), named)
    texts = {}
    for path in chosen:
        with open(path, "rb") as f:
            texts[os.path.basename(path)] = f.read()
    for name in os.listdir(target.seeds):
        if DIGEST.fullmatch(name):
            os.unlink(os.path.join(target.seeds, name))
    for name, text in texts.items():
        with open(os.path.join(target.seeds, name), "wb") as f:
            f.write(text)
