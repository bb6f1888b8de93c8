"""Requests as bytes, and answers as every web server must give them."""

import socket

from harness import wait_for

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


def _more(s, answer):
    chunk = s.recv(65536)
    assert chunk, f"closed after {answer!r}"
    return answer + chunk


def read_answer(s):
    """(status, headers, body) of the next answer on a connection; a header twice is an error."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer = _more(s, answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for name, value in (line.split(": ", 1) for line in lines[1:]):
        # Apache adds an empty Allow to ours; an empty list element means nothing.
        assert name not in headers or (name, value) == ("Allow", ""), f"{name} is there twice"
        headers.setdefault(name, value)
    while len(body) < int(headers.get("Content-Length", 0)):
        body = _more(s, body)
    return int(lines[0].split()[1]), headers, body


def raw(stack, request, timeout=15):
    with socket.create_connection(stack.address, timeout) as s:
        s.sendall(request)
        return read_answer(s)


def log_line(stack, request_id):
    """ziggied's line of a request."""
    return wait_for(lambda: stack.log_lines(event="request", request_id=request_id),
                    what="a log line")[0]
