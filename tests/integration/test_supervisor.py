"""ziggied itself: start, stop, one instance, deaths; without a database."""

import concurrent.futures
import grp
import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import quickest, wait_for
from supervised import ZIGGIED, gone, seconds

pytest_plugins = ("supervised",)

NOBODY = 65534


# Start and stop


def test_starts_its_children_and_stops_them(running):
    children = running.children()
    assert sorted(c.name() for c in children) == ["ziggie-jobs", "ziggie-worker", "ziggie-worker"]
    with open(running.pid_file, encoding="utf-8") as f:
        assert f.read() == f"{running.process.pid}\n"
    assert {running.hello()["generation"] for _ in range(20)} == {1}
    assert running.stop() == 0
    for child in children:
        assert not child.is_running()
    assert not os.path.exists(running.socket)
    assert not os.path.exists(running.pid_file)


def test_each_worker_knows_its_place(make):
    running = make(workers=3).start()
    seen = {}

    def all_seen():
        words = running.hello()
        seen[words["index"]] = words
        return len(seen) == 3

    wait_for(all_seen, what="an answer from each of three workers")
    assert {(w["count"], w["threads"]) for w in seen.values()} == {(3, 5)}
    assert len({w["pid"] for w in seen.values()}) == 3


def test_the_socket_is_for_its_group(make):
    group = grp.getgrgid(os.getgid()).gr_name
    running = make(socket_group=group).start()
    status = os.stat(running.socket)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_gid == os.getgid()


def test_children_get_what_is_theirs_and_nothing_else(make):
    running = make()
    leak = 'exec "$@" 4</dev/zero 5</dev/zero 9</dev/zero'
    running.spawn(prefix=("sh", "-c", leak, "sh"),
                  environment={"ZIGGIE_THREADS": "7", "NOTIFY_SOCKET": running.path("none"),
                               "LISTEN_FDS": "1", "LISTEN_PID": "1", "HTTP_PROXY": "kept"})
    running.wait_event("generation_serves")
    words = dict(line.split("=", 1) for line in running.ask("fds").splitlines())
    own = {k: v for k, v in words.items() if k.isdigit() and k != words["own"]}
    assert own.pop("0") == "/dev/null"
    assert own.pop("3").startswith("socket:")
    assert "ziggie-scoreboard" in own.pop("4")
    assert "ziggie-settings" in own.pop("6")
    rest = sorted(v.split(":")[0] for k, v in own.items() if k not in ("1", "2"))
    # The connection that asks, and the toy's signals.
    assert rest == ["anon_inode", "socket"], own
    for child in running.children():
        if child.name() == "ziggie-jobs":
            targets = [os.readlink(f"/proc/{child.pid}/fd/{fd}")
                       for fd in os.listdir(f"/proc/{child.pid}/fd")]
            assert not [t for t in targets if t.startswith("socket:") or t == "/dev/zero"]
    environment = running.ask("env").splitlines()
    names = {line.split("=")[0] for line in environment}
    assert {"LISTEN_FDS", "LISTEN_PID", "ZIGGIE_GENERATION", "ZIGGIE_SUPERVISOR_PID"} <= names
    assert "HTTP_PROXY=kept" in environment
    assert not names & {"NOTIFY_SOCKET", "ZIGGIE_THREADS"}
    assert len(names) == len(environment)
    # The variable still counts: it is in the settings that the children read.
    assert running.hello()["threads"] == 7


def test_a_request_under_way_is_finished_before_the_end(make):
    running = make(drain_timeout="30s").start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(running.hello, "sleep 700")
        running.wait_until_asked()
        assert running.stop() == 0
        assert answer.result(5)["generation"] == 1


def test_a_second_term_does_not_wait(make):
    """Neither for the request, which takes a minute, nor for the limit of that."""
    running = make(drain_timeout="60s").start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(running.ask, "sleep 60000", timeout=60)
        running.wait_until_asked()
        running.send(signal.SIGTERM)
        running.wait_event("stopping")
        assert running.stop() == 0
        with pytest.raises(ConnectionError):
            if answer.result(5) == "":
                raise ConnectionError


def test_what_ignores_term_is_killed_at_the_limit(make):
    stuck = make(drain_timeout="1s")
    stuck.flag("hang-jobs")
    stuck.spawn()
    stuck.wait_event("child_ready", count=2)
    started = time.monotonic()
    assert stuck.stop() == 0
    assert time.monotonic() - started >= 1
    assert len(stuck.events("child_killed", child="jobs")) == 1


# One instance


def test_a_second_start_is_refused(running):
    second = running.try_start()
    assert second.returncode == 75
    assert f"process {running.process.pid} " in second.stderr
    assert f"kill {running.process.pid}\n" in second.stderr
    assert running.hello()["generation"] == 1


def test_of_twenty_starts_exactly_one_wins(make):
    base = make(workers=1)
    processes = [subprocess.Popen(base.command(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, env=base.environment())
                 for _ in range(20)]
    try:
        wait_for(lambda: sum(p.poll() is None for p in processes) == 1, what="one winner")
        base.process = next(p for p in processes if p.poll() is None)
        losers = [p for p in processes if p is not base.process]
        assert {p.returncode for p in losers} == {75}
        for loser in losers:
            assert f"kill {base.process.pid}" in loser.stderr.read().decode()
        wait_for(lambda: len(base.children()) == 2, what="the winner's children")
        assert base.hello()["generation"] == 1
    finally:
        for process in processes:
            if process is not base.process:
                process.kill()
                process.wait(5)
            process.stderr.close()


def test_starts_at_once_after_kill_9(running):
    children = running.children()
    running.process.kill()
    running.process.wait(5)
    assert os.path.exists(running.socket) and os.path.exists(running.pid_file)
    running.spawn()
    running.wait_event("generation_serves", count=2)
    assert running.hello()["pid"] not in {c.pid for c in children}


def test_a_socket_in_use_is_left_alone(make):
    waiting = make()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(waiting.socket)
        other.listen(50)
        refused = waiting.try_start()
        assert refused.returncode == 75
        assert "another program listens" in refused.stderr
        assert os.path.exists(waiting.socket)


def test_a_stale_socket_is_replaced(make):
    stale = make()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(stale.socket)
    stale.start()
    assert stale.hello()["generation"] == 1


def test_what_is_no_socket_is_not_removed(make):
    blocked = make()
    with open(blocked.socket, "w", encoding="utf-8") as f:
        f.write("precious")
    refused = blocked.try_start()
    assert refused.returncode == 77
    assert "not a socket" in refused.stderr
    assert os.path.getsize(blocked.socket) == 8


# Deaths


@pytest.mark.parametrize("child, count", [("worker", 2), ("jobs", 1)])
def test_what_is_killed_is_replaced_within_a_second(running, child, count):
    victims = []

    def replaced():
        pids = [process.pid for process in running.children_named("ziggie-" + child)]
        victims.append(min(pids))
        ready = len(running.events("child_ready", child=child))
        started = time.monotonic()
        os.kill(victims[-1], signal.SIGKILL)
        running.wait_event("child_ready", child=child, count=ready + 1)
        took = time.monotonic() - started
        wait_for(lambda: len(running.children_named("ziggie-" + child)) == count,
                 what="all of them")
        return took

    assert quickest(replaced, 1) < 1
    died = running.events("child_died")
    assert [(d["child_pid"], d["signal"]) for d in died] == [(pid, "KILL") for pid in victims]


def test_a_crash_loop_backs_off_and_recovers(running):
    running.flag("crash-worker")
    os.kill(running.workers()[0].pid, signal.SIGKILL)
    waits_ms = (0, 100, 200, 400, 800, 1600)
    told = running.wait_event("child_restarts", count=len(waits_ms))
    # What is left of each, as it is said.
    assert all(wait / 2 < entry["in_ms"] <= wait or wait == 0 >= entry["in_ms"]
               for entry, wait in zip(told, waits_ms)), told
    running.wait_event("child_started", count=1 + len(waits_ms), child="worker",
                       index=told[0]["index"])
    died, started = (running.events(name, child="worker", index=told[0]["index"])
                     for name in ("child_died", "child_started"))
    assert all(seconds(start) - seconds(death) >= wait / 1000 - 0.001
               for death, start, wait in zip(died, started[1:], waits_ms)), (died, started)
    assert running.hello()["generation"] == 1
    running.unflag("crash-worker")
    wait_for(lambda: len(running.workers()) == 2, what="recovery")


def test_all_end_with_a_killed_ziggied(make):
    """At once: not even a request that takes a minute is finished."""
    running = make(drain_timeout="60s").start()
    children = running.children()
    assert len(children) == 3
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(running.ask, "sleep 60000", timeout=60)
        running.wait_until_asked()
        running.process.kill()
        running.process.wait(5)
        for child in children:
            gone(child.pid)
        with pytest.raises(ConnectionError):
            if answer.result(5) == "":
                raise ConnectionError


def test_settings_that_children_refuse_end_the_start(make):
    hopeless = make()
    hopeless.flag("refuse-worker")
    assert hopeless.try_start().returncode == 78


def test_a_program_that_cannot_be_executed_is_retried(make):
    broken = make()
    worker = os.path.join(broken.libexec, "ziggie-worker")
    os.rename(worker, worker + ".good")
    with open(worker, "w", encoding="utf-8") as f:
        f.write("#!/nonexistent/interpreter\n")
    os.chmod(worker, 0o755)
    broken.spawn()
    assert "exec" in broken.wait_event("child_not_started")[0]["detail"]
    os.rename(worker + ".good", worker)
    broken.wait_event("generation_serves")


# Another user


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_children_run_as_the_user_and_still_end_with_ziggied(make):
    running = make(user="nobody", log_file="")
    running.write_config(log_file=running.path("json.log"))
    said, running.log_path = running.log_path, running.path("json.log")
    running.log_path = said
    running.spawn()
    running.log_path = running.path("json.log")
    wait_for(lambda: os.path.exists(running.log_path), what="the log")
    running.wait_event("generation_serves")
    words = running.hello()
    assert (words["uid"], words["gid"]) == (NOBODY, NOBODY)
    assert os.stat(running.log_path).st_uid == NOBODY
    children = running.children()
    groups = open(f"/proc/{words['pid']}/status", encoding="utf-8").read()
    assert re.search(r"^Groups:\s*(65534)?\s*$", groups, re.M)
    running.process.kill()
    running.process.wait(5)
    for child in children:
        gone(child.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_an_ordinary_user_cannot_start_a_second_one(make):
    running = make(workers=1).start()
    second = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         *running.command()], capture_output=True, text=True, timeout=20, check=False,
        env=running.environment())
    assert second.returncode == 75
    assert f"process {running.process.pid} " in second.stderr


# The command line


def test_the_command_line(make):
    base = make()
    assert base.try_start("--version").stdout.startswith("ziggied ")
    assert "Usage: ziggied" in base.try_start("--help").stdout
    assert base.try_start("--check").returncode == 0
    preflight = base.try_start("--preflight")
    assert (preflight.returncode, preflight.stdout, preflight.stderr) == (0, "", "")
    printed = base.try_start("--print-config", "--threads", "9")
    assert re.search(r"^threads = 9\s+# --threads$", printed.stdout, re.M)
    unknown = base.try_start("--no-such-option")
    assert unknown.returncode == 64 and "--no-such-option" in unknown.stderr
    bad = base.try_start("--threads=none")
    assert bad.returncode == 78 and "--threads" in bad.stderr
    assert base.try_start("--check", "--user=no-such-user").returncode == 78
    os.unlink(os.path.join(base.libexec, "ziggie-jobs"))
    missing = base.try_start()
    assert missing.returncode == 69 and "ziggie-jobs" in missing.stderr
    assert os.listdir(base.directory).count("pid") == 0


def test_links_no_client_library():
    needed = subprocess.run(["readelf", "-d", ZIGGIED], capture_output=True, text=True,
                            timeout=20, check=True).stdout
    libraries = re.findall(r"NEEDED.*\[(.*?)\]", needed)
    assert any(name.startswith("libc.so") for name in libraries)
    allowed = ("libc.", "libm.", "ld-linux", "libgcc_s.", "libasan.", "libubsan.", "libtsan.",
               "libgcov.", "libpthread.")
    assert [name for name in libraries if not name.startswith(allowed)] == []
