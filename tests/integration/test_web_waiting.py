"""Slow clients, and applications that are slow, gone or several, through both web servers."""

import os
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from exchange import JSON, LOGIN, assert_problem, log_line, read_answer
from fcgi_client import STDIN, record
from front import SeenThrough, WebServer
from harness import quickest, scratch_dir, wait_for

pytestmark = pytest.mark.http

END_OF_BODY = record(STDIN)


# Slow clients


def gauge(api, name):
    for line in api.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"{name} is missing")


class SlowPosts:
    """Clients that send the body of a sign-in byte by byte."""

    BODY = b'{"username": "ab", "password": "1"}'

    def __init__(self, address, count):
        head = (b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(self.BODY))
        self.clients = []
        for _ in range(count):
            self.clients.append(socket.create_connection(address, 20))
            self.clients[-1].sendall(head)
        self.sent = 0
        self.since = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._dribble)
        self.thread.start()

    def _dribble(self):
        while self.sent < len(self.BODY) - 1 and not self.over.wait(0.2):
            self._send(self.BODY[self.sent:self.sent + 1])

    def _send(self, part):
        for client in self.clients:
            client.sendall(part)
        self.sent += len(part)

    def finish(self):
        """Sends what is left, and returns the answers."""
        self.over.set()
        self.thread.join(10)
        self._send(self.BODY[self.sent:])
        return [read_answer(client) for client in self.clients]

    def close(self):
        self.over.set()
        self.thread.join(10)
        for client in self.clients:
            client.close()


def test_slow_posts_hold_no_thread_of_ours(stack, api, user_token):
    """200 of them, with 32 threads at most, and nobody else notices."""
    slow = SlowPosts(stack.address, 200)
    try:
        wait_for(lambda: slow.sent >= 3, what="bytes from all of them")
        busy = []
        while slow.sent < 20 or len(busy) < 10:
            assert api.get("/api/auth/me", user_token).status_code == 200
            busy.append(gauge(api, "ziggie_threads_busy"))
        assert max(busy) <= 2  # the one that answers us, and a neighbour's
        lasted = time.monotonic() - slow.since
        answers = slow.finish()
    finally:
        slow.close()
    assert {status for status, _, _ in answers} == {422}
    # Their time in the queue begins when all of them is there.
    queue = [log_line(stack, headers["X-Request-Id"])["queue_ms"] for _, headers, _ in answers[:3]]
    assert min(queue) < 1000 * lasted / 2


def trickle_header(address, limit=15):
    """Sends a header field byte by byte; returns the answer, and the seconds until the end."""
    since = time.monotonic()
    answer = b""
    with socket.create_connection(address, 20) as s:
        s.settimeout(0.5)
        try:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            while not answer and time.monotonic() - since < limit:
                s.sendall(b"x")
                try:
                    answer = s.recv(65536)
                except TimeoutError:
                    pass
        except ConnectionError:
            pass
    return answer, time.monotonic() - since


# Other web servers in front of the same application


@pytest.fixture
def in_front(stack):
    """Starts one of the same kind with other options: in_front(proxies=["127.0.0.1"])."""
    made = []

    def start(backends=None, **options):
        server = WebServer(stack.web_server, backends or [stack.fcgi_socket], **options)
        made.append(server)
        return SeenThrough(stack, server)

    yield start
    for server in made:
        server.stop()


def test_address_comes_from_the_trusted_proxy(in_front):
    proxied = in_front(proxies=["127.0.0.1", "198.51.100.0/24"])
    api = proxied.api()
    for sent, seen in (("198.51.100.1, 203.0.113.9", "203.0.113.9"),
                       ("192.0.2.1, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
                       ("10.1.2.3", "10.1.2.3"), ("2001:db8::5", "2001:db8::5"),
                       ("203.0.113.9, nonsense", "127.0.0.1")):
        request_id = api.get("/health", headers={"X-Forwarded-For": sent}).headers["X-Request-Id"]
        assert log_line(proxied, request_id)["remote_addr"] == seen, sent
    assert api.get("/metrics").status_code == 200
    far = {"X-Forwarded-For": "203.0.113.9"}
    assert api.get("/metrics", headers=far).status_code == 401


class Backend:
    """A FastCGI application that hears requests out and never answers."""

    def __init__(self, closes=False):
        self.closes = closes  # the connection, once it has heard a request
        self.requests = 0
        self.folder = scratch_dir()
        self.path = os.path.join(self.folder, "sock")
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            self.connections.append(connection)
            heard = b""
            while not heard.endswith(END_OF_BODY):
                part = connection.recv(65536)
                if not part:
                    break
                heard += part
            else:
                self.requests += 1
            if self.closes:
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would not return
        self.listener.close()
        self.thread.join(10)
        for connection in self.connections:
            connection.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def backend():
    """Makes backends: backend(closes=True)."""
    made = []

    def make(**options):
        made.append(Backend(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


# nginx says that the gateway is bad, Apache that the service is unavailable.
AWAY = {"nginx": 502, "apache": 503}


def test_no_application_is_an_error_at_once(in_front):
    away = in_front(["/nowhere/fcgi.sock"])

    def seconds_of_six():
        since = time.monotonic()
        for _ in range(3):
            assert_problem(away.api().get("/health"), AWAY[away.web_server], "/health")
            assert_problem(away.api().post(LOGIN, json={}), AWAY[away.web_server], LOGIN)
        return time.monotonic() - since

    assert quickest(seconds_of_six, 2) < 2


def test_application_that_comes_back_is_used_at_once(stack, in_front):
    folder = scratch_dir()
    try:
        path = os.path.join(folder, "sock")
        away = in_front([path])
        assert away.api().get("/health").status_code == AWAY[away.web_server]
        os.symlink(stack.fcgi_socket, path)
        assert away.api().get("/health").status_code == 200
        assert away.api().post(LOGIN, json={}).status_code == 422
    finally:
        shutil.rmtree(folder)


def test_the_application_hears_of_a_request_when_all_of_it_is_here(in_front, backend):
    host = backend()
    with socket.create_connection(in_front([host.path]).address, 10) as s:
        s.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n")
        for _ in range(4):
            s.sendall(b"x" * 9000)
            time.sleep(0.2)
        assert host.connections == []
        s.sendall(b"x" * 4000)
        wait_for(lambda: host.requests == 1, what="the request")


def test_ten_seconds_end_a_slow_head_and_a_silent_application(in_front, backend):
    hosts = [backend(), backend()]
    silent = in_front([host.path for host in hosts])
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(trickle_header, silent.address)
        since = time.monotonic()
        answer = silent.api().get("/health", timeout=30)
        seconds = time.monotonic() - since
        said, slow_seconds = slow.result()
    assert_problem(answer, 504, "/health")
    assert 9.5 < seconds < 11.5
    assert 9 < slow_seconds < 12
    # What one host is slow with is not given to the next.
    assert sum(host.requests for host in hosts) == 1
    if silent.web_server == "apache":  # nginx says nothing
        assert said.startswith(b"HTTP/1.1 408 ") and b"application/problem+json" in said


def test_dead_host_in_the_upstream_is_passed_over(stack, in_front):
    """With several hosts a request goes to the next when one can't be reached."""
    several = in_front(["/nowhere/fcgi.sock", stack.fcgi_socket])
    api = several.api()
    assert {api.get("/health").status_code for _ in range(20)} == {200}
    posts = [api.post(LOGIN, json={}).status_code for _ in range(20)]
    if stack.web_server == "apache" and 503 in posts:
        posts.remove(503)  # the one that found out: Apache can't pass it on and be safe
    assert set(posts) == {422}


def test_a_request_that_a_host_has_heard_is_not_repeated(in_front, backend):
    """It may have had its effect."""
    hosts = [backend(closes=True), backend(closes=True)]
    several = in_front([host.path for host in hosts])
    heard = 0
    for method, body in (("POST", b""), ("POST", b"{}"), ("PATCH", b"{}"), ("POST", b" " * 100000)):
        answer = several.api().request(method, LOGIN, data=body, headers=JSON)
        assert_problem(answer, AWAY[several.web_server])
        before, heard = heard, sum(host.requests for host in hosts)
        assert heard - before <= 1, method  # none when both hosts count as gone by now
    assert heard >= 1
