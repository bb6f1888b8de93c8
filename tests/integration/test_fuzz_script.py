"""script/fuzz: what it counts, keeps and says, with a program in libFuzzer's place."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import SOURCE

FUZZER = r"""#!/usr/bin/python3
import os, signal, sys, time
options = dict(a[1:].split("=", 1) for a in sys.argv[1:] if a.startswith("-"))
paths = [a for a in sys.argv[1:] if not a.startswith("-")]
here = os.path.dirname(__file__)
broken = os.path.exists(os.path.join(here, "broken-run"))
small = os.path.exists(os.path.join(here, "small"))
if "set_cover_merge" in options and os.path.exists(os.path.join(here, "broken-merge")):
    sys.exit(1)
if "set_cover_merge" in options:
    files = [os.path.join(folder, name) for folder in paths[1:] for name in os.listdir(folder)]
    with open(options["merge_control_file"], "w") as f:
        print(len(files), 0, *files, sep="\n", file=f)
        for i, path in enumerate(files):
            # Each input reaches something of its own, and the larger ones more.
            size = os.path.getsize(path)
            print("FT", i, *(f"{size}{k:03}" for k in range(1 + size // 20)), file=f)
elif "max_total_time" not in options:
    sys.exit(77 if broken else 0)
elif broken:
    open(options["artifact_prefix"] + "crash-1", "w").close()
    sys.exit(77)
else:
    def end(*_):
        print("stat::number_of_executed_units: 100", flush=True)
        os._exit(0)
    signal.signal(signal.SIGUSR1, end)
    for i in range(100):
        with open(os.path.join(paths[0], "%040x" % i), "w") as f:
            f.write("x" * (i + 200 if small else i * 20))
    print("#8\tNEW    cov: 12 ft: 34 corp: 1/1b", flush=True)
    time.sleep(float(options["max_total_time"]))
    end()
"""


class Tree:
    """A copy of the source tree in which script/fuzz may write, and a target that is built."""

    def __init__(self, path):
        self.path = str(path / "tree")
        self.build = str(path / "build")
        for part in ("script", "docs", "lib", "fcgi-app", "tests/fuzz"):
            shutil.copytree(os.path.join(SOURCE, part), os.path.join(self.path, part))
        self.program = os.path.join(self.build, "tests/fuzz/fuzz_json")
        os.makedirs(os.path.dirname(self.program))
        with open(self.program, "w", encoding="utf-8") as f:
            f.write(FUZZER)
        os.chmod(self.program, 0o755)

    def start(self, *arguments):
        return subprocess.Popen([os.path.join(self.path, "script/fuzz"), *arguments],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def fuzz(self, minutes=0.03):
        run = self.start("--minutes", str(minutes), "--build-dir", self.build, "json")
        _, said = run.communicate(timeout=60)
        return run.returncode, said

    def switch_on(self, what):
        """Tells the program how to behave from now on: broken-run, broken-merge or small."""
        open(f"{os.path.dirname(self.program)}/{what}", "w", encoding="utf-8").close()

    def switch_off(self, what):
        os.unlink(f"{os.path.dirname(self.program)}/{what}")

    def wait_until_it_fuzzes(self):
        log = os.path.join(self.state, "json/log")
        deadline = time.monotonic() + 30
        while not os.path.exists(log) or os.path.getsize(log) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def state(self):
        return os.path.join(self.path, "var/fuzz")

    def record(self):
        with open(os.path.join(self.state, "json/state.json"), encoding="utf-8") as f:
            return json.load(f)

    def published(self):
        with open(os.path.join(self.path, "docs/fuzzing.md"), encoding="utf-8") as f:
            return re.search(r"^\| json \|.*", f.read(), re.M).group().split(" | ")


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    with open(os.path.join(tree.path, "docs/fuzzing.md"), "r+", encoding="utf-8") as f:
        text = re.sub(r"^\| json \|.*\n", "", f.read(), flags=re.M)
        f.seek(0)
        f.truncate()
        f.write(text)
    return tree


def test_runs_add_up(tree):
    assert tree.fuzz()[0] == 0
    first = tree.record()
    assert first["wall_s"] >= 1 and first["executions"] == 100 and first["features"] == 34
    assert tree.fuzz()[0] == 0
    second = tree.record()
    assert second["wall_s"] >= first["wall_s"] + 1
    assert second["code_s"] == second["wall_s"] and second["executions"] == 200
    assert tree.published()[1].startswith(f"{second['wall_s'] / 60:.1f} / 60")


def test_a_run_that_is_interrupted_counts(tree):
    run = tree.start("--minutes", "5", "--build-dir", tree.build, "json")
    tree.wait_until_it_fuzzes()
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 0
    assert tree.record()["executions"] == 100
    assert 0 < tree.record()["wall_s"] < 60


def test_a_clone_goes_on_from_the_document(tree):
    tree.fuzz()
    shutil.rmtree(tree.state)
    tree.fuzz()
    assert tree.record()["executions"] == 200


def test_a_change_of_the_code_is_seen(tree):
    tree.fuzz()
    with open(os.path.join(tree.path, "lib/json/parse.c"), "a", encoding="utf-8") as f:
        f.write("/* a comment changes nothing */\n")
    tree.fuzz()
    before = tree.record()
    assert before["code_s"] == before["wall_s"]
    with open(os.path.join(tree.path, "lib/json/parse.c"), "a", encoding="utf-8") as f:
        f.write("int more;\n")
    tree.fuzz()
    after = tree.record()
    assert after["code_s"] < before["code_s"] < after["wall_s"]


def test_a_finding_is_told_and_starts_the_count_anew(tree):
    tree.fuzz()
    tree.switch_on("broken-run")
    status, said = tree.fuzz()
    path = os.path.join(tree.state, "json/findings/crash-1")
    assert status == 1 and f"{tree.program} {path}" in said
    assert tree.record()["findings"] == 1 and tree.record()["wall_s"] == 0
    # As long as it fails the target is left alone; afterwards it runs again.
    status, said = tree.fuzz()
    assert status == 1 and path in said and tree.record()["findings"] == 1
    tree.switch_off("broken-run")
    assert tree.fuzz()[0] == 0
    assert tree.record()["wall_s"] >= 1 and tree.record()["findings"] == 1
    assert os.listdir(os.path.join(tree.state, "json/mended")) == ["crash-1"]


def test_the_corpus_is_bounded_and_keeps_named_files(tree):
    corpus = os.path.join(tree.path, "tests/fuzz/corpus/json")
    named = {name for name in os.listdir(corpus) if not re.fullmatch("[0-9a-f]{40}", name)}
    tree.fuzz()
    kept = set(os.listdir(corpus))
    assert named and named < kept
    new = {name: os.path.getsize(os.path.join(corpus, name)) for name in kept - named}
    # The largest reach most; small ones fill the room that is left.
    assert 30 * 1024 < sum(new.values()) <= 32 * 1024
    assert f"{99:040x}" in new and len(new) < 60


def test_a_corpus_has_not_too_many_files(tree):
    tree.switch_on("small")
    tree.fuzz()
    corpus = os.listdir(os.path.join(tree.path, "tests/fuzz/corpus/json"))
    assert sum(re.fullmatch("[0-9a-f]{40}", name) is not None for name in corpus) == 60


def test_a_corpus_that_cannot_be_renewed_stays(tree):
    corpus = os.path.join(tree.path, "tests/fuzz/corpus/json")
    before = set(os.listdir(corpus))
    tree.switch_on("broken-merge")
    status, said = tree.fuzz()
    assert status == 0 and "its corpus stays as it was" in said
    assert set(os.listdir(corpus)) == before
    assert tree.record()["executions"] == 100 and tree.published()[4] == "100"


def test_two_at_once_do_not_share_a_state(tree):
    run = tree.start("--minutes", "5", "--build-dir", tree.build, "json")
    tree.wait_until_it_fuzzes()
    status, said = tree.fuzz()
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert status == 1 and "another script/fuzz" in said


def test_an_unknown_target_is_refused(tree):
    run = tree.start("no_such_target")
    assert "there is no target no_such_target" in run.communicate(timeout=30)[1]
    assert run.returncode == 2
