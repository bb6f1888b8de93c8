"""Processes: who they are beyond a number that is used again, and how they end."""

import os
import signal
import time


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def _stat(pid):
    """(whether it lives, session, start time in ticks) of a process, or None.

    One whose first thread has ended lives until the others have: only then are its files closed.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0] not in (b"Z", b"X") or int(fields[17]) > 1, int(fields[3]), int(fields[19])


def start_time(pid):
    """When a process started; with the pid it names one process for as long as the machine runs."""
    stat = _stat(pid)
    return stat[2] if stat else None


def is_alive(pid, started):
    stat = _stat(pid)
    return stat is not None and stat[2] == started and stat[0]


def session_members(leader, started):
    """The living processes of the session that `leader` opened, the leader first.

    A session's number is not given out again while a member lives, so a leader with
    another start time means that nobody is left of the session we mean.
    """
    stat = _stat(leader)
    if stat is not None and stat[2] != started:
        return []
    members = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        stat = _stat(int(name))
        if stat and stat[1] == leader and stat[2] >= started and stat[0]:
            members.append(int(name))
    return sorted(members, key=lambda pid: (pid != leader, pid))


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end_session(leader, started, patience):
    """Ends a session: the leader is asked, and what is left after `patience` seconds is killed."""
    members = session_members(leader, started)
    if leader in members:
        _signal(leader, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and is_alive(leader, started):
            _reap(leader)
            time.sleep(0.02)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        members = session_members(leader, started)
        if not members:
            return True
        for pid in members:
            _signal(pid, signal.SIGKILL)
        _reap(leader)
        time.sleep(0.02)
    return False


def _reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
