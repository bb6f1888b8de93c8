"""Builds one mutant and lets the tests have it.

A mutant costs one compilation and one link for each test program: its object goes in
front of the archives, and the linker leaves the archive's own member out.
"""

import collections
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from targets import TOP, sources, target_of

BUILD = os.path.join(TOP, "build-mutate")
# The tests of the unchanged code must pass in less; a mutant that takes longer hangs.
BASELINE_LIMIT = 300

Verdict = collections.namedtuple("Verdict", "result by seconds")
KILLED, HUNG, SURVIVED = "killed", "hung", "survived"
INVALID, EQUIVALENT = "does not compile", "the same code"


def make(*arguments):
    return subprocess.run(["make", "--no-print-directory", "-C", BUILD, *arguments], check=True,
                          capture_output=True, text=True).stdout


def prepare():
    """Builds the programs and the tests once, without debug information: it differs."""
    os.makedirs(BUILD, exist_ok=True)
    if not os.path.exists(os.path.join(TOP, "configure")):
        subprocess.run(["./autogen.sh"], cwd=TOP, check=True, capture_output=True)
    if not os.path.exists(os.path.join(BUILD, "Makefile")):
        subprocess.run(["../configure", "--quiet", "--disable-hardening", "CFLAGS=-O1"], cwd=BUILD,
                       check=True, stdout=subprocess.DEVNULL)
    make(f"-j{len(os.sched_getaffinity(0))}", "check", "TESTS=")


def commands(*arguments):
    """The commands that make would run, as lists of words."""
    for line in make("-n", "V=1", *arguments).replace("\\\n", " ").splitlines():
        try:
            yield shlex.split(line)
        except ValueError:
            pass  # some other rule's shell text


def compile_command(path):
    """Compiles `path`'s replacement; to be completed by -o OBJECT SOURCE."""
    stem = os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(path)
    name, = (name for name in os.listdir(os.path.join(BUILD, folder))
             if name.startswith("libziggie") and name.endswith(f"-{stem}.o"))
    source = os.path.join("..", path)
    for words in commands("-W", source, os.path.join(folder, name)):
        if "-MT" in words and "-c" in words:
            return words[:words.index("-MT")] + ["-c"]
    raise RuntimeError(f"make does not say how {path} is compiled")


def link_command(program):
    """Links `program`, up to the place where a mutant's object goes, and from there on."""
    for words in commands("-W", "libziggie.a", program):
        if "-o" in words and words[words.index("-o") + 1] == program:
            at = words.index("-o")
            return words[:at], words[at + 2:]
    raise RuntimeError(f"make does not say how {program} is linked")


class Workshop:
    def __init__(self):
        self.paths = list(sources())
        self.compile = {path: compile_command(path) for path in self.paths}
        tests = {test for path in self.paths for test in target_of(path).tests}
        self.link = {test: link_command(test) for test in sorted(tests)}
        self.limit = {}
        self.objects = {}

    def environment(self, scratch):
        return {**os.environ, "ZIGGIE_TEST_SRCDIR": TOP, "ZIGGIE_TEST_BUILDDIR": BUILD,
                "TMPDIR": scratch, "ZIGGIE_TEST_SCRATCH": scratch}

    def measure(self, tests):
        """How long the tests take on the unchanged code; they must pass."""
        for test in tests:
            if test in self.limit:
                continue
            with tempfile.TemporaryDirectory(prefix="zgm.", dir="/tmp") as scratch:
                began = time.monotonic()
                if self.run(os.path.join(BUILD, test), scratch, BASELINE_LIMIT) != 0:
                    raise RuntimeError(f"{test} fails without any mutant")
                self.limit[test] = 10 + 10 * (time.monotonic() - began)

    def build_object(self, path, text, scratch):
        """The object's bytes; None when it does not compile."""
        source, built = (os.path.join(scratch, "mutant" + end) for end in (".c", ".o"))
        with open(source, "w", encoding="utf-8") as f:
            f.write(text)
        # From the scratch folder, so that __FILE__ is always the same.
        command = [word if not word.startswith("-I") else
                   "-I" + os.path.join(BUILD, word[2:]) for word in self.compile[path]]
        command = [os.path.join(BUILD, word) if word == "config.h" else word for word in command]
        done = subprocess.run([*command, "-w", "-o", "mutant.o", "mutant.c"], cwd=scratch,
                              capture_output=True, check=False)
        if done.returncode != 0:
            return None
        with open(built, "rb") as f:
            return f.read()

    def original_object(self, path, scratch):
        if path not in self.objects:
            with open(os.path.join(TOP, path), encoding="utf-8") as f:
                self.objects[path] = self.build_object(path, f.read(), scratch)
            assert self.objects[path] is not None, f"{path} does not compile"
        return self.objects[path]

    def run(self, program, scratch, limit):
        """Its exit status; None when it took longer.  What it started ends with it."""
        process = subprocess.Popen([program], cwd=BUILD, env=self.environment(scratch),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def try_test(self, test, scratch):
        before, after = self.link[test]
        program = os.path.join(scratch, "test")
        subprocess.run([*before, "-o", program, os.path.join(scratch, "mutant.o"), *after],
                       cwd=BUILD, check=True, capture_output=True)
        work = os.path.join(scratch, "w")
        os.mkdir(work)
        status = self.run(program, work, self.limit[test])
        shutil.rmtree(work, ignore_errors=True)
        return {0: SURVIVED, None: HUNG}.get(status, KILLED)

    def judge(self, mutant):
        began = time.monotonic()
        result, by = SURVIVED, ""
        with tempfile.TemporaryDirectory(prefix="zgm.", dir="/tmp") as scratch:
            original = self.original_object(mutant.path, scratch)
            built = self.build_object(mutant.path, mutant.text, scratch)
            if built is None:
                result = INVALID
            elif built == original:
                result = EQUIVALENT
            else:
                for by in target_of(mutant.path).tests:
                    result = self.try_test(by, scratch)
                    if result != SURVIVED:
                        break
        return Verdict(result, by, round(time.monotonic() - began, 1))
