"""ziggied replacing its children, its logs and itself, and what it tells its manager."""

import os
import re
import shutil
import signal
import socket
import sys
import time

import pytest

from harness import wait_for
from supervised import ZIGGIED, Load, Manager, ended, gone

pytest_plugins = ("supervised",)


# HUP


@pytest.mark.limit(60)
def test_reloads_lose_no_request(running):
    load = Load(running)
    load.wait_for_answers(1)
    for generation in range(2, 7):
        running.write_config(threads=generation + 10, workers=1 + generation % 3)
        running.reload(generation)
        load.wait_for_answers(generation)
    answers, failures = load.stop()
    assert failures == []
    assert {a["generation"] for a in answers} == {1, 2, 3, 4, 5, 6}
    assert all(a["threads"] == (5 if a["generation"] == 1 else a["generation"] + 10)
               for a in answers)
    wait_for(lambda: len(running.workers()) == 1, what="the old generations' end")


def test_bad_settings_keep_the_old_ones_running(running):
    before = {c.pid for c in running.children()}
    running.write_text("workers = 2\nthreads = many\n")
    running.send(signal.SIGHUP)
    detail = running.wait_event("reload_failed")[0]["detail"]
    assert running.config + ":2" in detail and "threads" in detail
    assert {c.pid for c in running.children()} == before
    # Whoever dies now comes back with the settings that were good.
    for worker in running.workers():
        worker.kill()
    running.wait_event("child_ready", child="worker", count=4)
    assert running.hello()["threads"] == 5
    running.write_config(threads=9)
    running.reload(2)
    assert running.hello()["threads"] == 9


def test_a_generation_that_dies_at_its_start_changes_nothing(running):
    before = {c.pid for c in running.children()}
    running.flag("crash-worker")
    running.send(signal.SIGHUP)
    running.wait_event("reload_failed")
    wait_for(lambda: {c.pid for c in running.children()} == before, what="the old children alone")
    assert running.hello()["generation"] == 1
    running.unflag("crash-worker")
    running.reload(3)
    assert running.hello()["generation"] == 3


def test_a_hup_during_a_reload_is_not_lost(make):
    running = make().start()
    running.flag("hang-jobs")
    running.send(signal.SIGHUP)
    running.wait_event("child_ready", generation=2, child="worker", count=2)
    running.write_config(threads=8)
    running.send(signal.SIGHUP)
    running.unflag("hang-jobs")
    # The toy looks at its flag again after any signal that it doesn't block.
    jobs = running.events("child_started", generation=2, child="jobs")[0]["child_pid"]
    os.kill(jobs, signal.SIGKILL)
    running.wait_event("generation_serves", generation=3)
    assert running.hello()["threads"] == 8


def test_term_during_a_reload_ends_both_generations(running):
    running.flag("hang-jobs")
    running.send(signal.SIGHUP)
    running.wait_event("child_ready", generation=2, child="worker", count=2)
    children = running.children()
    assert len(children) == 6
    assert running.stop() == 0
    for child in children:
        assert ended(child.pid)


def test_settings_that_need_a_restart_are_named(running):
    running.write_config(listen_backlog=100)
    running.reload(2)
    assert [e["setting"] for e in running.events("setting_needs_restart")] == ["listen_backlog"]


def test_logs_are_opened_again(make):
    running = make()
    log = running.path("json.log")
    running.log_path = running.path("said")
    running.write_config(log_file=log)
    running.spawn()
    running.log_path = log
    wait_for(lambda: os.path.exists(log), what="the log")
    running.wait_event("generation_serves")
    os.rename(log, log + ".1")
    pids = {c.pid for c in running.children()}
    running.send(signal.SIGUSR1)
    wait_for(lambda: {f"reopened-{p}" for p in pids} <= set(os.listdir(running.flags)),
             what="all children to reopen their logs")
    running.send(signal.SIGHUP)
    running.wait_event("generation_serves", generation=2)


# The service manager


def test_tells_the_manager_how_it_goes(make):
    running = make()
    manager = Manager(running.path("notify"))
    try:
        running.start(environment={"NOTIFY_SOCKET": running.path("notify")})
        manager.wait("READY=1")
        assert "RELOADING=1" not in "".join(manager.messages)
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        running.send(signal.SIGHUP)
        message = manager.wait("RELOADING=1")
        stamp = int(re.search(r"^MONOTONIC_USEC=(\d+)$", message, re.M).group(1))
        assert before * 1e6 <= stamp <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        assert "generation 2" in manager.wait("READY=1")
        running.write_text("nonsense\n")
        running.send(signal.SIGHUP)
        running.wait_event("reload_failed")
        assert running.stop() == 0
        manager.wait("STOPPING=1")
    finally:
        manager.close()


def seconds_of_five_feedings(manager):
    started = time.monotonic()
    for _ in range(5):
        manager.wait("WATCHDOG=1")
    return time.monotonic() - started


def test_feeds_the_watchdog_at_half_its_time(make):
    """A busy machine does not keep the time always."""
    running = make()
    name = f"ziggie-test-{os.getpid()}-{time.monotonic_ns()}"
    manager = Manager("\0" + name)
    try:
        running.start(environment={"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "400000"})
        manager.wait("WATCHDOG=1")
        assert any(0.7 < seconds_of_five_feedings(manager) < 1.6 for _ in range(5))
    finally:
        manager.close()


def test_uses_the_socket_that_the_manager_bound(make):
    running = make()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(running.socket)
        listener.listen(50)
        inode = os.stat(running.socket).st_ino
        give = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_FDS'] = '1'; "
                "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])")
        running.start(prefix=(sys.executable, "-c", give, str(listener.fileno())),
                      pass_fds=(listener.fileno(),))
        assert running.events("starting")[0]["socket_given"] is True
        assert running.hello()["generation"] == 1
        running.reload(2)
        assert running.hello()["generation"] == 2
        assert running.stop() == 0
        assert os.stat(running.socket).st_ino == inode


# USR2


def install(running):
    """A copy of ziggied that the test may replace."""
    running.program = running.path("ziggied")
    shutil.copy(ZIGGIED, running.program)
    return running


@pytest.mark.limit(60)
def test_an_upgrade_keeps_the_process_the_socket_and_the_lock(make):
    running = install(make()).start()
    inode = os.stat(running.socket).st_ino
    load = Load(running, 4)
    load.wait_for_answers(1)
    new = running.path("new")
    shutil.copy(ZIGGIED, new)
    os.rename(new, running.program)
    for generation in (2, 3):
        running.send(signal.SIGUSR2)
        running.wait_event("generation_serves", generation=generation)
        load.wait_for_answers(generation)
    answers, failures = load.stop()
    assert failures == []
    assert {a["generation"] for a in answers} == {1, 2, 3}
    assert len(running.events("upgraded", pid=running.process.pid)) == 2
    assert os.readlink(f"/proc/{running.process.pid}/exe") == running.program
    assert os.stat(running.socket).st_ino == inode
    assert f"runs already, as process {running.process.pid} " in running.try_start().stderr
    wait_for(lambda: len(running.children()) == 3, what="the old generation's end")
    # Nothing is handed over twice, and the state is not passed on.
    assert "ZIGGIE_UPGRADE_STATE" not in running.ask("env")
    assert "scoreboard_begins_anew" not in open(running.log_path, encoding="utf-8").read()
    # It still watches what it started.
    running.workers()[0].kill()
    running.wait_event("child_ready", child="worker", generation=3, count=3)
    assert running.stop() == 0
    assert not os.path.exists(running.socket)
    assert not os.path.exists(running.pid_file)


def test_children_end_with_an_upgraded_ziggied(make):
    running = install(make()).start()
    running.send(signal.SIGUSR2)
    running.wait_event("generation_serves", generation=2)
    children = running.children()
    running.process.kill()
    running.process.wait(5)
    for child in children:
        gone(child.pid)


@pytest.mark.parametrize("broken", ["#!/bin/sh\nexit 1\n", "no program at all", None])
def test_a_broken_new_program_changes_nothing(make, broken):
    running = install(make()).start()
    before = {c.pid for c in running.children()}
    os.unlink(running.program)
    if broken is not None:
        with open(running.program, "w", encoding="utf-8") as f:
            f.write(broken)
        os.chmod(running.program, 0o755)
    running.send(signal.SIGUSR2)
    running.wait_event("upgrade_failed")
    wait_for(lambda: {c.pid for c in running.children()} == before, what="the same children")
    assert running.hello()["generation"] == 1
    running.reload(2)


def test_bad_settings_stop_an_upgrade_before_it_begins(make):
    running = install(make()).start()
    running.write_text("threads = many\n")
    running.send(signal.SIGUSR2)
    assert running.wait_event("upgrade_failed")[0]["exit_code"] == 78
    assert running.hello()["threads"] == 5
