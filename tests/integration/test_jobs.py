"""ziggie-jobs as a program, and what it samples when."""

import os
import signal
import subprocess
import time

import pytest

from harness import BUILD, wait_for

JOBS = os.path.join(BUILD, "ziggie-jobs")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZIGGIE_")}
    return {**kept, "ZIGGIE_CONFIG": "/dev/null", **more}


def run(*arguments, **more):
    return subprocess.run([JOBS, *arguments], env=environment(**more), capture_output=True,
                          text=True, timeout=20, check=False)


@pytest.fixture
def start():
    """Starts ziggie-jobs without ziggied; returns when it says that it is ready."""
    started = []

    def make(*arguments, **more):
        reading, writing = os.pipe()
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", JOBS, *arguments], pass_fds=(writing,),
            env=environment(ZIGGIE_READY_FD=str(writing), **more), stderr=subprocess.PIPE,
            text=True)
        started.append(process)
        os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            assert ready.read() == b"R"
        return process

    yield make
    for process in started:
        process.kill()
        process.communicate()


def test_help_and_version():
    shown = run("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: ziggie-jobs")
    assert run("--version").stdout.startswith("ziggie-jobs ")


def test_exit_codes():
    assert run("--check").returncode == 0
    assert run("--nonsense").returncode == 64
    wrong = run("--check", "--memcached", "host:port:port")
    assert wrong.returncode == 78
    assert "host:port:port" in wrong.stderr
    assert run("--check", "--sample-interval", "1ms").returncode == 78
    assert run("--log-file", "/no/such/folder/log").returncode == 73
    assert run("--proc-root", "/no/such/folder", "--memcached", "127.0.0.1:1").returncode == 71


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(start, number):
    process = start("--memcached", "/nobody/listens/here")
    process.send_signal(number)
    assert process.wait(30) == 0


def test_it_goes_on_without_memcached(start):
    process = start("--memcached", "/nobody/listens/here")
    time.sleep(2.5)
    assert process.poll() is None
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert said.count('"memcached_down"') == 1


def test_it_goes_on_without_a_database(start):
    process = start("--memcached", "", "--db-socket", "/nobody/listens/here")
    time.sleep(2.5)
    assert process.poll() is None
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert said.count('"host_not_registered"') == 1
    assert "/nobody/listens/here" in said


def test_it_waits_when_no_memcached_is_set(start):
    process = start("--memcached", "")
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0


def test_it_ends_with_its_supervisor(start):
    """Told of a supervisor that is not its parent, as when that died while it started."""
    process = start("--memcached", "", ZIGGIE_SUPERVISOR_PID="1")
    assert process.wait(30) == 0


def published(api):
    for line in api.get("/metrics").text.splitlines():
        if line.startswith('ziggie_samples_total{result="published"}'):
            return int(line.split()[-1])
    raise AssertionError("no count of samples")


def test_costly_samples_stop_when_nobody_asks(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={
        "sample_interval": "60s", "processes_interval": "100ms", "interest_ttl": "1s"})
    api, token = stack.api(), stack.token()

    def resting():
        before = published(api)
        time.sleep(1)
        return published(api) == before

    def taken_when_asked():
        assert api.get("/api/system/processes", token).status_code == 200
        return published(api) > before + 10

    wait_for(resting, what="rest")
    before = published(api)
    wait_for(taken_when_asked, what="samples for who asks")
    wait_for(resting, what="rest after the interest has gone")
