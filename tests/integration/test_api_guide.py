"""docs/api.md: its commands do what the page says, in its order."""

import os
import re
import shutil
import subprocess

import pytest

from harness import ADMIN_PASSWORD, SOURCE

BLOCK = re.compile(r"^```sh((?: \d+)*)\n(.*?)^```$", re.M | re.S)


def blocks():
    """(statuses, commands) of each block."""
    with open(os.path.join(SOURCE, "docs", "api.md"), encoding="utf-8") as f:
        return [([int(status) for status in statuses.split()], commands)
                for statuses, commands in BLOCK.findall(f.read())]


@pytest.fixture
def telling_curl(tmp_path):
    """A folder with a curl that also says which status it got, on standard error."""
    path = tmp_path / "bin" / "curl"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {shutil.which("curl")} --max-time 20 '
                    "-w '%{stderr}status %{http_code}\\n' \"$@\"\n", encoding="utf-8")
    path.chmod(0o755)
    return path.parent


def statuses_of(stderr):
    """The statuses that each block got."""
    return [[int(status) for status in re.findall(r"^status (\d+)$", part, re.M)]
            for part in stderr.split("next block\n")[1:]]


@pytest.mark.http
def test_the_commands_get_what_the_page_says(stack, telling_curl):
    wanted = blocks()
    assert len(wanted) >= 10
    script = "set -eu\n" + "".join(f"echo next block >&2\n{commands}" for _, commands in wanted)
    done = subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, timeout=110, check=False,
        env={"PATH": f"{telling_curl}:{os.environ['PATH']}", "ZIGGIE": stack.url,
             "ZIGGIE_PASSWORD": ADMIN_PASSWORD})
    got = statuses_of(done.stderr)
    for (statuses, commands), seen in zip(wanted, got):
        assert seen == statuses, commands + done.stdout[-2000:]
    assert len(got) == len(wanted), done.stderr
    assert done.returncode == 0, done.stderr
