"""deploy/nginx and deploy/apache: what a client sees must be the same through both."""

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fcgi_client import STDIN, record
from front import SeenThrough, WebServer
from harness import scratch_dir, wait_for

pytestmark = pytest.mark.http

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOGIN = "/api/auth/login"
JSON = {"Content-Type": "application/json"}


def assert_problem(answer, status, instance=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert MEMBERS <= set(body)
    assert body["status"] == status
    assert isinstance(body["detail"], str) and body["detail"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert instance is None or body["instance"] == instance
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    return body


def read_answer(s):
    """(status, headers, body) of the next answer on a connection; a header twice is an error."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = s.recv(65536)
        assert chunk, f"closed after {answer!r}"
        answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for name, value in (line.split(": ", 1) for line in lines[1:]):
        # Apache adds an empty Allow to ours; an empty list element means nothing.
        assert name not in headers or (name, value) == ("Allow", ""), f"{name} is there twice"
        headers.setdefault(name, value)
    while len(body) < int(headers.get("Content-Length", 0)):
        body += s.recv(65536)
    return int(lines[0].split()[1]), headers, body


def raw(stack, request, timeout=15):
    with socket.create_connection(stack.address, timeout) as s:
        s.sendall(request)
        return read_answer(s)


def log_line(stack, request_id):
    """ziggied's line of a request."""
    return wait_for(lambda: stack.log_lines(event="request", request_id=request_id), 5,
                    "a log line")[0]


# Errors

# Where Apache has another word, and can not be told the better one.
APACHE_SAYS = {"long header": 400, "unknown coding": 400}


REFUSED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "bad escape": (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "above the root": (b"GET /../../etc HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "trace": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "long address": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "long header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    "large body": (b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", 413),
    "unknown coding": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_web_server_refuses_is_json(stack, name):
    request_bytes, status = REFUSED[name]
    if stack.web_server == "apache":
        status = APACHE_SAYS.get(name, status)
    got, headers, body = raw(stack, request_bytes)
    assert got == status
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    problem = json.loads(body)
    assert MEMBERS == set(problem)
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["instance"].startswith("/")
    assert problem["request_id"] == headers["X-Request-Id"]
    assert len(problem["request_id"]) >= 16
    for header, value in SECURITY_HEADERS.items():
        assert headers[header] == value
    if status == 405:
        assert headers["Allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def test_quotes_in_the_address_do_not_break_the_json(stack):
    got, _, body = raw(stack, b'TRACE /a"b\\c HTTP/1.1\r\nHost: x\r\n\r\n')
    assert got == 405
    assert json.loads(body)["instance"] == "/a"
    got, _, body = raw(stack, b"TRACE /a%22b'c?d HTTP/1.1\r\nHost: x\r\n\r\n")
    assert got == 405
    assert json.loads(body)["instance"] == "/a%22b'c"


def test_errors_of_the_application_pass(api, user_token):
    assert_problem(api.get("/api/nowhere", user_token), 404, "/api/nowhere")
    answer = api.delete("/health")
    assert_problem(answer, 405, "/health")
    assert "GET" in answer.headers["Allow"] and "PATCH" not in answer.headers["Allow"]
    assert_problem(api.post(LOGIN, data="<xml/>", headers={"Content-Type": "text/xml"}), 415, LOGIN)
    body = assert_problem(api.post(LOGIN, json={"username": "ab"}), 422, LOGIN)
    assert {error["field"] for error in body["errors"]} >= {"username", "password"}
    unsigned = api.get("/api/system/stats")
    assert_problem(unsigned, 401)
    assert unsigned.headers["WWW-Authenticate"].startswith("Bearer")


def test_body_between_the_two_limits_is_refused_by_the_application(api):
    answer = api.post(LOGIN, data=b" " * (1060 << 10), headers=JSON)
    assert assert_problem(answer, 413)["type"] != "about:blank"


def test_body_above_the_web_servers_limit_never_comes_to_the_application(api):
    problem = assert_problem(api.post(LOGIN, data=b" " * (1101 << 10), headers=JSON), 413)
    assert problem["type"] == "about:blank"


def test_chunked_body_above_the_limit_is_refused(stack, api):
    def chunks():
        for _ in range(12):
            yield b" " * (100 << 10)

    # Apache would take it without end, and so refuses all bodies without a length.
    status = {"nginx": 413, "apache": 411}[stack.web_server]
    assert_problem(api.post(LOGIN, data=chunks(), headers=JSON), status)


# Headers


def test_every_answer_has_the_security_headers_once(stack):
    status, headers, _ = raw(stack, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200
    for name, value in SECURITY_HEADERS.items():
        assert headers[name] == value
    assert headers["Server"] in ("nginx", "Apache")  # and no version


def test_compression_when_asked_for(api, admin_token):
    path = "/api/system/processes?limit=100"
    plain = api.get(path, admin_token, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    packed = api.get(path, admin_token, headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    wire = packed.raw.read(decode_content=False)
    assert json.loads(gzip.decompress(wire))["success"] is True
    assert len(wire) < len(plain.content) / 2


def test_short_answers_are_not_compressed(api):
    answer = api.get("/livez", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_text_is_compressed_too(api):
    answer = api.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Encoding"] == "gzip"


def test_request_id_is_one_in_all_logs(stack, api):
    request_id = api.get("/health").headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}|[A-Za-z0-9_-]{24,32}", request_id)
    assert log_line(stack, request_id)["path"] == "/health"

    def access_lines():
        return [entry for entry in stack.json_lines("access") if entry["request_id"] == request_id]

    entry = wait_for(access_lines, 5, "access log line")[0]
    assert entry["status"] == 200
    assert entry["request"] == "GET /health HTTP/1.1"


def test_the_access_log_is_json_whatever_clients_send(stack, api):
    agent = 'a "quoted" \\ agent \u00e9 \t end'
    request_id = api.get("/a%22b%0A", headers={"User-Agent": agent.encode()}).headers["X-Request-Id"]
    raw(stack, b"GET /\x00\x16\xff\"\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: \"\xff\r\n\r\n")
    entry = wait_for(lambda: [e for e in stack.json_lines("access")  # each line is parsed
                              if e["request_id"] == request_id], 5, "access log line")[0]
    assert entry["request"] == "GET /a%22b%0A HTTP/1.1"
    assert "agent" in entry["agent"]


def test_clients_can_not_choose_the_request_id(stack, api):
    forged = {name: "mine-mine-mine" for name in
              ("X-Request-Id", "Request-Id", "Request_Id", "Unique-Id", "X-Unique-Id")}
    request_id = api.get("/health", headers=forged).headers["X-Request-Id"]
    assert request_id != "mine-mine-mine"
    assert log_line(stack, request_id)["path"] == "/health"


def test_clients_can_not_forge_their_address(stack, api):
    """Without a trusted proxy X-Forwarded-For means nothing."""
    request_id = api.get("/health", headers={"X-Forwarded-For": "203.0.113.9"}).headers["X-Request-Id"]
    assert log_line(stack, request_id)["remote_addr"] == "127.0.0.1"


def test_clients_can_not_forge_when_the_request_came(stack, api):
    """Only the web server says when; what a client says of it would show as time in the queue."""
    past = time.time() - 5
    forged = {"Request-Received": f"{past:.3f}", "X-Ziggie-Received": f"t={int(past * 1e6)}",
              "Request_Received": f"{past:.3f}", "Proxy": "http://evil"}
    request_id = api.get("/health", headers=forged).headers["X-Request-Id"]
    assert log_line(stack, request_id)["queue_ms"] < 4000


def test_time_before_the_application_saw_a_request_counts(stack):
    """While all of it sleeps, only the web server's clock knows that a request waits."""
    asleep = [stack.record["parts"]["ziggied"]["pid"], *stack.pids("ziggie-worker")]
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    try:
        s = socket.create_connection(stack.address, 15)
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2)
    finally:
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    with s:
        headers = read_answer(s)[1]
    assert 1000 < log_line(stack, headers["X-Request-Id"])["queue_ms"] < 9000


def test_repeated_header_fields_are_a_list(stack):
    """What proxies and browsers send; http.client sends each as a line of its own."""
    connection = http.client.HTTPConnection(*stack.address, timeout=10)
    connection.putrequest("GET", "/metrics")
    for field, value in (("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2"),
                         ("Cookie", "a=1"), ("Cookie", "b=2"), ("Accept", "text/html"),
                         ("Accept", "application/openmetrics-text")):
        connection.putheader(field, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type").startswith("application/openmetrics-text")
    connection.close()


# Requests


@pytest.mark.parametrize("path", [
    "/plain", "/with%20blank", "/a%2Fb%2fc", "//two///slashes", "/dot/./dot/../up", "/a;b=c,d",
    "/percent%25zz", "/%3Fno-query", "/semi%3bcolon", "/utf-8/%C3%A9", "/line%0a%1bend", "/a+b",
    "/~user/'quote'/(x)", "/" + "x" * 300])
def test_the_application_sees_the_path_as_it_was_sent(stack, path):
    status, headers, _ = raw(stack, f"GET {path}?q=%2F HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status == 404
    assert log_line(stack, headers["X-Request-Id"])["path"] == path


def test_head_is_answered_as_get_without_a_body(stack):
    for path, status in (("/api/v1/info", 200), ("/api/system/stats", 401), ("/nowhere", 404)):
        for coding in ("identity", "gzip"):
            request = f"{{}} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"
            with socket.create_connection(stack.address, 15) as s:
                answers = []
                for method in ("HEAD", "GET"):  # what followed a body would break the second
                    s.sendall(request.format(method).encode())
                    if method == "HEAD":
                        head = b""
                        while not head.endswith(b"\r\n\r\n"):
                            head += s.recv(1)
                        assert head.startswith(f"HTTP/1.1 {status} ".encode())
                        assert b"\r\nContent-Type: application/" in head
                    else:
                        answers.append(read_answer(s))
                assert answers[0][0] == status


def test_chunked_body_arrives_whole_or_not_at_all(stack, api):
    def chunks():
        yield b'{"username": "'
        time.sleep(0.2)
        yield b"x" * 3000
        yield b'", "password": "123456"}'

    answer = api.post(LOGIN, data=chunks(), headers=JSON)
    if stack.web_server == "apache":
        assert_problem(answer, 411)
    else:
        errors = assert_problem(answer, 422)["errors"]
        assert [error["field"] for error in errors] == ["username"]


def test_body_after_100_continue(stack):
    body = b'{"username": "ab", "password": "123456"}'
    with socket.create_connection(stack.address, 10) as s:
        s.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert s.recv(65536).startswith(b"HTTP/1.1 100 ")
        s.sendall(body)
        status, _, text = read_answer(s)
    assert status == 422
    assert json.loads(text)["errors"][0]["field"] == "username"


def test_idle_connections_are_kept(stack):
    """Many requests, one connection."""
    with socket.create_connection(stack.address, 10) as s:
        for _ in range(200):
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(s)[0] == 200


def test_a_thousand_clients_at_once(stack):
    clients = []
    try:
        for _ in range(1000):
            clients.append(socket.create_connection(stack.address, 20))
        for client in clients:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in clients:
            client.close()


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
        wait_for(lambda: slow.sent >= 3, 10, "bytes from all of them")
        busy, waits = [], []
        while slow.sent < 20:
            since = time.monotonic()
            assert api.get("/api/auth/me", user_token).status_code == 200
            waits.append(time.monotonic() - since)
            busy.append(gauge(api, "ziggie_threads_busy"))
        assert slow.sent < len(slow.BODY), "they were done before we had looked"
        assert max(busy) <= 2  # the one that answers us, and a neighbour's
        assert sorted(waits)[len(waits) // 2] < 0.1 and max(waits) < 2
        answers = slow.finish()
    finally:
        slow.close()
    assert {status for status, _, _ in answers} == {422}
    # Their time in the queue begins when all of them is there.
    queue = [log_line(stack, headers["X-Request-Id"])["queue_ms"] for _, headers, _ in answers[:3]]
    assert max(queue) < 2000


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


END_OF_BODY = record(STDIN)


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
    since = time.monotonic()
    for _ in range(3):
        assert_problem(away.api().get("/health"), AWAY[away.web_server], "/health")
        assert_problem(away.api().post(LOGIN, json={}), AWAY[away.web_server], LOGIN)
    assert time.monotonic() - since < 2


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
        wait_for(lambda: host.requests == 1, 5, "the request")


def test_ten_seconds_end_a_slow_head_and_a_silent_application(in_front, backend):
    silent = in_front([backend().path])
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(trickle_header, silent.address)
        since = time.monotonic()
        answer = silent.api().get("/health", timeout=30)
        seconds = time.monotonic() - since
        said, slow_seconds = slow.result()
    assert_problem(answer, 504, "/health")
    assert 9.5 < seconds < 11.5
    assert 9 < slow_seconds < 12
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
