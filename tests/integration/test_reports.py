"""A sanitizer's report, whichever process made it, fails the run of the tests."""

import os
import subprocess
import sys

from harness import SANITIZER, SOURCE

HERE = os.path.join(SOURCE, "tests", "integration")

# Passes: only the report, written when ziggied's child ends, says that something is wrong.
INNER = """
from supervised import make

def test_of_a_faulty_child(make):
    supervisor = make()
    supervisor.flag("fault-worker")
    supervisor.start()
    assert supervisor.stop() == 0
"""


def test_a_report_of_a_grandchild_fails_the_run(tmp_path):
    inner = tmp_path / "test_inner.py"
    inner.write_text(INNER, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.path.join(HERE, "pytest.ini"),
         "-p", "conftest", str(inner)],
        env={**os.environ, "PYTHONPATH": HERE}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert "1 passed" in said, said
    if not SANITIZER:
        assert done.returncode == 0, said
        return
    assert done.returncode == 1, said
    assert "sanitizer report" in said and "toy_child.c" in said
    assert ("data race" if SANITIZER == "thread" else "LeakSanitizer") in said
