"""deploy/nginx: what nginx does around the application, and what it answers itself."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BUILD, SOURCE, RunningStack, scratch_dir, wait_for

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


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


def raw(stack, request, timeout=15):
    """Sends bytes and returns (status, headers, body) of the answer; the connection is closed."""
    with socket.create_connection((stack.record["address"], stack.record["port"]), timeout) as s:
        s.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            chunk = s.recv(65536)
            assert chunk, f"closed after {answer!r}"
            answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += s.recv(65536)
    return int(lines[0].split()[1]), headers, body


@pytest.mark.parametrize("name, request_bytes, status", [
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("bad escape", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("no HTTP", b"nonsense\r\n\r\n", 400),
    ("trace", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ("long address", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ("long header", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    ("large body", b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", 413),
    ("unknown coding", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
    ("version", b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
])
def test_what_nginx_refuses_is_json(stack, name, request_bytes, status):
    got, headers, body = raw(stack, request_bytes)
    assert got == status
    assert headers["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert MEMBERS <= set(problem)
    assert problem["status"] == status
    assert problem["request_id"] == headers["X-Request-Id"]
    assert headers["X-Frame-Options"] == "DENY"
    if status == 405:
        assert "GET" in headers["Allow"]


def test_quotes_in_the_address_do_not_break_the_json(stack):
    got, _, body = raw(stack, b'TRACE /a"b\\c HTTP/1.1\r\nHost: x\r\n\r\n')
    assert got == 405
    assert json.loads(body)["instance"] == "/a"


def test_errors_of_the_application_pass(api, user_token):
    assert_problem(api.get("/api/nowhere", user_token), 404, "/api/nowhere")
    answer = api.delete("/health")
    assert_problem(answer, 405, "/health")
    assert "GET" in answer.headers["Allow"]
    login = "/api/auth/login"
    assert_problem(api.post(login, data="<xml/>", headers={"Content-Type": "text/xml"}), 415, login)
    body = assert_problem(api.post(login, json={"username": "ab"}), 422, login)
    assert {error["field"] for error in body["errors"]} >= {"username", "password"}
    unsigned = api.get("/api/system/stats")
    assert_problem(unsigned, 401)
    assert unsigned.headers["WWW-Authenticate"].startswith("Bearer")


def test_body_between_the_two_limits_is_refused_by_the_application(api):
    answer = api.post("/api/auth/login", data=b" " * (1060 << 10),
                      headers={"Content-Type": "application/json"})
    assert assert_problem(answer, 413)["type"] != "about:blank"


def test_every_answer_has_the_security_headers_once(api):
    answer = api.get("/health")
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value  # twice would read "nosniff, nosniff"
    assert answer.headers["Server"] == "nginx"


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


def test_request_id_is_one_in_all_logs(stack, api):
    request_id = api.get("/health").headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    line = wait_for(lambda: stack.log_lines(event="request", request_id=request_id), 5, "log line")
    assert line[0]["path"] == "/health"

    def access_lines():
        return [entry for entry in stack.json_lines("access") if entry["request_id"] == request_id]

    entry = wait_for(access_lines, 5, "access log line")[0]
    assert entry["status"] == 200
    assert entry["request"] == "GET /health HTTP/1.1"


def test_clients_can_not_choose_the_request_id(api):
    answer = api.get("/health", headers={"X-Request-Id": "mine", "Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] != "mine"


def test_clients_can_not_forge_their_address(stack, api):
    """Without a trusted proxy X-Forwarded-For means nothing."""
    request_id = api.get("/health", headers={"X-Forwarded-For": "203.0.113.9"}).headers["X-Request-Id"]
    line = wait_for(lambda: stack.log_lines(event="request", request_id=request_id), 5, "log line")
    assert line[0]["remote_addr"] == "127.0.0.1"


def test_clients_can_not_forge_when_the_request_came(api):
    """Only nginx says when a request came; a header of the same name is another thing."""
    answer = api.get("/health", headers={"Request-Received": "1.000", "Proxy": "http://evil"})
    assert answer.status_code == 200


def test_large_answers_do_not_go_to_files(stack, api, admin_token):
    answer = api.get("/api/system/processes?limit=500", admin_token)
    assert answer.status_code == 200
    assert "upstream response is buffered" not in stack.log("nginx")


def test_idle_connections_are_kept(api):
    """Many requests, one connection: no answer closes it."""
    for _ in range(50):
        answer = api.get("/health")
        assert answer.status_code == 200
        assert answer.headers.get("Connection") == "keep-alive"


def test_a_thousand_clients_at_once(stack):
    address = (stack.record["address"], stack.record["port"])
    clients = []
    try:
        for _ in range(1000):
            clients.append(socket.create_connection(address, 20))
        for client in clients:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in clients:
            client.close()


class TestProxyInFront:
    """A stack that believes the X-Forwarded-For of loopback."""

    @pytest.fixture(scope="class")
    def proxied(self):
        stack = RunningStack("--trust-proxy", "127.0.0.1")
        try:
            yield stack.start()
        finally:
            stack.remove()

    def test_address_comes_from_the_trusted_proxy(self, proxied):
        answer = proxied.api().get("/health", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
        request_id = answer.headers["X-Request-Id"]
        line = wait_for(lambda: proxied.log_lines(event="request", request_id=request_id), 5, "line")
        assert line[0]["remote_addr"] == "203.0.113.9"

    def test_metrics_are_closed_to_others(self, proxied):
        assert proxied.api().get("/metrics").status_code == 200
        far = {"X-Forwarded-For": "203.0.113.9"}
        assert proxied.api().get("/metrics", headers=far).status_code in (401, 403)

    def test_flood_from_one_address_is_limited_and_probes_are_not(self, proxied):
        def flood(path, address, count=1500):
            headers = {"X-Forwarded-For": address}

            def some(_):
                api = proxied.api()
                return [api.get(path, headers=headers) for _ in range(count // 10)]

            with ThreadPoolExecutor(10) as pool:
                return [answer for answers in pool.map(some, range(10)) for answer in answers]

        answers = flood("/", "203.0.113.20")
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused, "1,500 requests at once met no limit"
        assert assert_problem(refused[0], 429)
        assert refused[0].headers["Retry-After"] == "1"
        # Another address is served all the while, and probes always are.
        other = proxied.api().get("/", headers={"X-Forwarded-For": "203.0.113.21"})
        assert other.status_code == 200
        assert {answer.status_code for answer in flood("/livez", "203.0.113.20", 600)} == {200}


class TestApplicationAway:
    """nginx alone: the application is gone, stopped or too slow."""

    @pytest.fixture(scope="class")
    def lonely(self):
        stack = RunningStack("--workers", "1")
        try:
            yield stack.start()
        finally:
            stack.remove()

    def test_no_socket_is_502(self, lonely):
        path = os.path.join(lonely.run, "app", "fcgi.sock")
        os.rename(path, path + ".away")
        try:
            # New workers of nginx have no kept connections.
            lonely.kill("nginx", signal.SIGHUP)
            answers = []

            def failed():
                answers.append(lonely.api().get("/health"))
                return answers[-1].status_code != 200

            wait_for(failed, 10, "an error")
        finally:
            os.rename(path + ".away", path)
        assert_problem(answers[-1], 502, "/health")
        lonely.wait_ready()

    def test_silence_is_504_at_ten_seconds(self, lonely):
        (worker,) = lonely.pids("ziggie-worker")
        supervisor = lonely.record["parts"]["ziggied"]["pid"]
        # The supervisor sleeps too, lest it replace a worker that does not answer.
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(worker, signal.SIGSTOP)
        try:
            since = time.monotonic()
            answer = lonely.api().get("/health", timeout=30)
            seconds = time.monotonic() - since
        finally:
            os.kill(worker, signal.SIGCONT)
            os.kill(supervisor, signal.SIGCONT)
        assert_problem(answer, 504, "/health")
        assert 9.5 < seconds < 11.5
        lonely.wait_ready()


def test_dead_host_in_the_upstream_is_passed_over(fresh_stack):
    """With several hosts a request goes to the next when one can't be reached."""
    stack = fresh_stack()
    config = os.path.join(stack.run, "web", "ziggie.conf")
    with open(config, encoding="utf-8") as f:
        text = f.read()
    live = f"server unix:{stack.run}/app/fcgi.sock;"
    assert live in text
    with open(config, "w", encoding="utf-8") as f:
        f.write(text.replace(live, f"server unix:{stack.run}/app/gone.sock; {live}"))
    stack.kill("nginx", signal.SIGHUP)
    wait_for(lambda: "gone.sock" in (stack.api().get("/health") and stack.log("nginx")), 10,
             "the new configuration")
    assert {stack.api().get("/health").status_code for _ in range(40)} == {200}


def test_configuration_for_a_plain_server_is_valid():
    """What `make install` ships, checked by nginx itself with its paths moved."""
    folder = scratch_dir()
    conf = os.path.join(folder, "conf")
    os.mkdir(conf)
    nginx_dir = os.path.join(SOURCE, "deploy", "nginx")
    for name in ("ziggie-fastcgi.conf", "ziggie-headers.conf", "ziggie-realip.conf"):
        with open(os.path.join(nginx_dir, name), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(conf, name), "w", encoding="utf-8") as f:
            f.write(text)
    with open(os.path.join(BUILD, "deploy", "nginx", "ziggie.conf"), encoding="utf-8") as f:
        text = f.read()
    assert not re.findall(r"@[A-Z_]+@", text)
    text = text.replace("/etc/nginx/ziggie", conf).replace("/var/log/nginx", folder)
    text = text.replace("listen 80 ", "listen 127.0.0.1:8 ").replace("listen [::]:80 backlog=4096;", "")
    with open(os.path.join(conf, "ziggie.conf"), "w", encoding="utf-8") as f:
        f.write(text)
    main = os.path.join(folder, "nginx.conf")
    with open(main, "w", encoding="utf-8") as f:
        f.write(f"pid {folder}/pid; error_log stderr; events {{}} http {{"
                + "".join(f"{kind}_temp_path {folder}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
                + f"include {conf}/ziggie.conf; }}")
    done = subprocess.run(["/usr/sbin/nginx", "-t", "-e", "stderr", "-p", folder, "-c", main],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_repeated_header_fields_are_a_list(stack):
    """What proxies and browsers send; http.client sends each as a line of its own."""
    address = urllib.parse.urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
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
