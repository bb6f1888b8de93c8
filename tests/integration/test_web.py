"""deploy/nginx and deploy/apache: what a client sees must be the same through both."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import time

import pytest

from exchange import (JSON, LOGIN, MEMBERS, SECURITY_HEADERS, assert_problem, log_line, raw,
                      read_answer)
from harness import freeze, wait_for

pytestmark = pytest.mark.http


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

    entry = wait_for(access_lines, what="access log line")[0]
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
    freeze(*asleep)
    try:
        s = socket.create_connection(stack.address, 15)
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2)
    finally:
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    with s:
        status, headers, _ = read_answer(s)
    assert status == 200
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
