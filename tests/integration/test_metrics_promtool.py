"""GET /metrics is what Prometheus expects, by its own tool."""

import shutil
import subprocess

import pytest

PROMTOOL = shutil.which("promtool")


@pytest.fixture(scope="module")
def metrics(stack):
    """The text after a little of everything has been counted."""
    api = stack.api()
    token = stack.token()
    for path in ("/health", "/api/system/stats", "/api/system/processes", "/api/nowhere"):
        api.get(path, token)
    answer = api.get("/metrics")
    assert answer.status_code == 200
    return answer


def test_promtool_finds_nothing(metrics):
    assert PROMTOOL, "promtool is missing; script/bootstrap installs it"
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics.text, capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == ""


def test_requests_are_counted_by_route_and_status(metrics):
    lines = [line for line in metrics.text.splitlines() if not line.startswith("#")]
    assert any('route="/api/system/stats"' in line and 'status="200"' in line for line in lines)


def test_content_type_names_the_format(metrics):
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
