"""Web servers that break off, stall or talk nonsense: a worker outlives them and keeps nothing.

All of it goes straight to a worker's socket.  The rows of what is sent and what must
come back stand in hostile_cases.py; here is what depends on time and on counting.
"""

import collections
import os
import resource
import socket
import time

import psutil
import pytest

import fcgi_client as f
from harness import SANITIZER, RunningStack, connections_of, quickest, wait_for
from hostile_cases import CASES, get_values

pytestmark = pytest.mark.concurrency

READ_TIMEOUT = 4
WRITE_TIMEOUT = 4
THREADS = 4  # far fewer than the connections that stall at once
LONG = 8192  # bytes, of a long request's parameters
MARK = 0xABCD  # id of the request that shows a connection to be in step


Heap = collections.namedtuple("Heap", "size resident")


class Worker:
    """The only worker of a stack, seen from its socket and from /proc."""

    def __init__(self, stack):
        self.stack = stack
        self.path = os.path.join(stack.run, "app", "fcgi.sock")
        [self.pid] = stack.pids("ziggie-worker")
        self.headers = {"Authorization": "Bearer " + stack.token()}
        self.kept = self.heap()

    def connect(self):
        return f.Connection(self.path)

    def ask(self, method, path, **more):
        """A good request on a connection of its own."""
        with self.connect() as connection:
            return connection.request(method, path, headers=self.headers, **more)

    def witness(self):
        """Another connection is served as ever, by the same process."""
        answer = self.ask("GET", "/api/health")
        assert (answer.status, answer.json()["status"]) == (200, "healthy")
        assert psutil.pid_exists(self.pid)

    def metric(self, name):
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[-1])
        raise AssertionError(f"{name} is missing")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def accepted(self):
        """Connections from web servers that it has open."""
        return connections_of(self.pid, self.path)

    def rss(self):
        return psutil.Process(self.pid).memory_info().rss

    def heap(self):
        """Size and resident part of malloc's heap, in KiB; 0 where a sanitizer has its own."""
        with open(f"/proc/{self.pid}/smaps", encoding="ascii") as f:
            _, found, rest = f.read().partition("[heap]\n")
        lines = rest.splitlines() if found else ["Size: 0 kB", "Rss: 0 kB"]
        told = dict(line.split(":", 1) for line in lines[:8] if ": " in line)
        return Heap(*(int(told[name].split()[0]) for name in ("Size", "Rss")))

    def idle(self):
        """Nobody is connected and no thread serves, but the one that tells us so."""
        wait_for(lambda: self.accepted() == 0, what="the end of all connections, nginx's too")
        wait_for(lambda: self.metric("ziggie_connections") <= 1, what="a gauge of no connections")
        self.serves_only_this()

    def serves_only_this(self):
        """A thread is idle again a moment after its answer is there."""
        wait_for(lambda: self.metric("ziggie_threads_busy") == 1, what="idle threads")

    def full_name(self):
        return self.ask("GET", "/api/auth/me").json()["full_name"]


@pytest.fixture(scope="module")
def worker():
    """A stack with one worker and short limits; it must end as it began."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    # Freed memory that the address sanitizer holds back would look like a leak.
    options = os.environ["ASAN_OPTIONS"] + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    stack = RunningStack(
        "--workers", "1", "--threads", str(THREADS), environment={"ASAN_OPTIONS": options},
        settings={"read_timeout": f"{READ_TIMEOUT}s", "write_timeout": f"{WRITE_TIMEOUT}s"})
    try:
        found = Worker(stack.start())
        yield found
        found.idle()
        assert stack.log_lines(event="child_died") == []
        assert stack.stop()
        # It ended by itself, so the leak check has seen everything.
        assert stack.log_lines(program="ziggie-worker", event="stopped", clean=True)
    finally:
        stack.remove()


@pytest.mark.parametrize("name", CASES)
def test_row(worker, name):
    pieces, expected = CASES[name]
    with worker.connect() as connection:
        connection.push([*pieces, f.whole_request(f.parameters("GET", "/livez"),
                                                  request_id=MARK)])
        replies = connection.replies(MARK)
    if expected[-1:] != [f.CLOSED]:
        expected = [*expected, f.answered(200, MARK)]
    assert replies == expected
    worker.witness()


def renaming(worker, name):
    """A request that changes the administrator's name, and how much of it makes it complete.

    It has all that a request may have: several records of each stream, padding on each,
    management and other requests' records between them.
    """
    body = b'{"full_name": "%s"}' % name.encode()
    params = f.pairs(f.parameters("PUT", "/api/auth/me", headers=worker.headers,
                                  CONTENT_TYPE="application/json",
                                  CONTENT_LENGTH=str(len(body))))
    half = len(params) // 2
    records = (f.begin(padding=3) + f.record(f.PARAMS, content=params[:half], padding=2)
               + get_values("FCGI_MAX_REQS", padding=1) + f.begin(2)
               + f.stream(f.PARAMS, params[half:], padding=1) + f.record(f.DATA, content=b"x")
               + f.stream(f.STDIN, body, size=10, padding=4))
    return records, len(records) - 4  # the padding behind the end of STDIN


@pytest.mark.parametrize("how", ["close", "half-close"])
def test_ends_at_every_byte(worker, how):
    records, complete = renaming(worker, "Nobody")
    before = worker.full_name()
    for count in range(complete):
        with worker.connect() as connection:
            connection.send(records[:count])
            if how == "half-close":
                connection.socket.shutdown(socket.SHUT_WR)
                assert connection.replies(1)[-1] == f.CLOSED
    worker.idle()
    assert worker.full_name() == before
    worker.witness()


def test_the_same_bytes_to_the_end_are_served(worker):
    """So that the other tests break off what would have been a good request."""
    records, complete = renaming(worker, f"At {time.time()}")
    with worker.connect() as connection:
        connection.send(records[:complete])
        assert connection.replies(1)[-2:] == [f.ended(2, f.CANT_MPX), f.answered(200)]
    assert worker.full_name().startswith("At ")


def test_ends_while_it_is_answered(worker):
    """The answer finds nobody, or a peer that took only part of it."""
    for count in range(100):
        with worker.connect() as connection:
            connection.send(f.whole_request(f.parameters("GET", "/metrics")))
            if count % 2:
                connection.socket.recv(count)
    worker.idle()
    worker.witness()


def stall_at_every_byte(worker):
    """A connection for each byte at which the request is unfinished.

    All are accepted before their first bytes, with which the time begins to count.
    """
    records, complete = renaming(worker, "Nobody")
    stalled = [worker.connect() for _ in range(1, complete)]
    wait_for(lambda: worker.accepted() == len(stalled), what="nobody but those who stall")
    for count, connection in enumerate(stalled, 1):
        connection.send(records[:count])
    return stalled


def assert_served_meanwhile(worker, name):
    """Others get their answers before any connection is given up, which that metric counts."""
    before = worker.metric(name)
    for _ in range(5):
        worker.witness()
    worker.serves_only_this()
    assert worker.metric(name) == before


def close_all(connections):
    for connection in connections:
        connection.close()


def test_stalls_at_every_byte_hold_nothing(worker):
    worker.idle()
    before, name = worker.descriptors(), worker.full_name()
    timeouts = worker.metric("ziggie_read_timeouts_total")
    stalled = stall_at_every_byte(worker)
    try:
        assert_served_meanwhile(worker, "ziggie_read_timeouts_total")
        for connection in stalled:
            assert connection.replies(1)[-1] == f.CLOSED
    finally:
        close_all(stalled)
    worker.idle()
    wait_for(lambda: worker.descriptors() <= before, what="no more descriptors than before")
    wait_for(lambda: worker.metric("ziggie_read_timeouts_total") - timeouts == len(stalled),
             what="a timeout counted for each connection")
    assert worker.full_name() == name


def test_a_trickle_of_bytes_ends_too(worker):
    """The limit counts from the first byte, not from the last."""
    took = quickest(lambda: seconds_of_a_trickle(worker), READ_TIMEOUT + 1, tries=3)
    assert READ_TIMEOUT - 0.1 < took < READ_TIMEOUT + 1
    worker.idle()


def seconds_of_a_trickle(worker):
    records, _ = renaming(worker, "Nobody")
    began = time.monotonic()
    with worker.connect() as connection:
        connection.socket.settimeout(0.01)
        for byte in records:
            try:
                connection.socket.sendall(bytes([byte]))
                if connection.socket.recv(64) == b"":
                    break
            except socket.timeout:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
    return time.monotonic() - began


@pytest.mark.parametrize("question, kind", [
    (get_values("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"), "replies"),
    (f.whole_request(f.parameters("GET", "/metrics")), "answers")], ids=["replies", "answers"])
def test_unread_answers_hold_nothing(worker, question, kind):
    """Peers that ask and ask, and take nothing: more of them than threads."""
    worker.idle()
    timeouts = worker.metric("ziggie_write_timeouts_total")
    deaf = [worker.connect() for _ in range(2 * THREADS)]
    try:
        for connection in deaf:
            connection.socket.setblocking(False)
            try:
                while True:
                    connection.socket.send(question * 64)
            except BlockingIOError:
                pass
        assert_served_meanwhile(worker, "ziggie_write_timeouts_total")
        wait_for(lambda: worker.metric("ziggie_write_timeouts_total") - timeouts == len(deaf),
                 what=f"the end of those who read no {kind}")
    finally:
        close_all(deaf)
    worker.idle()
    worker.witness()


def test_what_a_crowd_took_goes_back(worker):
    """All of the heap is resident from the start, and little else stays so."""
    worker.idle()
    assert worker.kept.resident == worker.kept.size

    def grown():
        return worker.heap().resident - worker.kept.resident

    params = f.pairs(f.parameters("GET", "/livez", HTTP_X_LONG="x" * (LONG - 1024)))
    crowd = [worker.connect() for _ in range(200)]
    taken = len(crowd) // 2 * LONG // 1024  # KiB that no spare part has room for
    try:
        for connection in crowd:
            connection.send(f.begin() + f.record(f.PARAMS, content=params))
        if not SANITIZER:
            wait_for(lambda: grown() > taken, what="a larger heap")
    finally:
        close_all(crowd)
    worker.idle()
    # A thread keeps 40 KiB of pages at most, for whatever request it read last: buffers of
    # parameters and body of 8 KiB each, a table of 12 KiB.
    wait_for(lambda: grown() <= taken // 3, what="the end of the heap's busy moment")


def test_hostility_again_and_again_costs_no_memory(worker):
    """A second round may still warm up what is kept for the next connections; no more does."""
    records, complete = renaming(worker, "Nobody")

    def rounds(number):
        for _ in range(number):
            for count in range(complete):
                with worker.connect() as connection:
                    connection.send(records[:count])
            for pieces, _ in CASES.values():
                if sum(map(len, pieces)) < 1 << 20:
                    with worker.connect() as connection:
                        connection.push(pieces)
        worker.idle()
        return worker.rss()

    warm = rounds(2)
    # For each byte of ours the thread sanitizer takes four and more to watch it.
    allowed = (10 if SANITIZER == "thread" else 2) << 20
    assert rounds(6) - warm < allowed, "more than 300 bytes for each connection"
