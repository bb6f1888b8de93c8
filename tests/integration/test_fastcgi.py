"""The worker's FastCGI as a web server meets it, on the stack's own socket."""

import os
import time

import pytest

import fcgi_client as f


@pytest.fixture
def socket_path(stack):
    return os.path.join(stack.run, "app", "fcgi.sock")


@pytest.fixture
def fcgi(socket_path):
    with f.Connection(socket_path) as connection:
        yield connection


def assert_healthy(connection):
    answer = connection.request("GET", "/api/health")
    assert answer.status == 200
    assert answer.json()["status"] == "healthy"


def assert_problem(answer, status):
    assert answer.status == status, answer.stdout
    assert answer.protocol_status == f.COMPLETE
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body["status"] == status
    assert isinstance(body["detail"], str) and body["detail"]
    assert body["request_id"]
    return body


def test_a_kept_connection_serves_many(fcgi):
    for number in range(100):
        fcgi.send(f.whole_request(f.parameters("GET", "/api/health"), request_id=number + 1))
        answer = fcgi.answer()
        assert (answer.status, answer.id, answer.app_status) == (200, number + 1, 0)


def test_the_connection_ends_without_keep_conn(fcgi):
    fcgi.send(f.whole_request(f.parameters("GET", "/api/health"), flags=0))
    assert fcgi.answer().status == 200
    assert fcgi.is_closed()


def test_padding_and_small_fragments(fcgi):
    params = f.pairs(f.parameters("GET", "/api/health"))
    records = (f.begin() + f.record(f.PARAMS, content=params[:7], padding=255)
               + f.record(f.PARAMS, content=params[7:], padding=1) + f.record(f.PARAMS, padding=8)
               + f.record(f.STDIN, padding=3))
    for at in range(0, len(records), 11):
        fcgi.send(records[at:at + 11])
    assert fcgi.answer().status == 200
    assert_healthy(fcgi)


def test_management_records(fcgi):
    names = ["FCGI_MAX_CONNS", "FCGI_MPXS_CONNS", "FCGI_MAX_CONNS", "FCGI_OTHER"]
    fcgi.send(f.record(f.GET_VALUES, 0, f.pairs([(name, "") for name in names]), 5))
    reply = fcgi.receive()
    assert (reply.kind, reply.id) == (f.GET_VALUES_RESULT, 0)
    values = f.decode_pairs(reply.content)
    assert set(values) == {"FCGI_MAX_CONNS", "FCGI_MPXS_CONNS"}
    assert values["FCGI_MPXS_CONNS"] == "0" and int(values["FCGI_MAX_CONNS"]) >= 16

    fcgi.send(f.record(77, 0, b"what is this"))
    reply = fcgi.receive()
    assert (reply.kind, reply.id, reply.content[0]) == (f.UNKNOWN_TYPE, 0, 77)
    assert_healthy(fcgi)


LOGIN = b'{"username": "nobody", "password": "nothing"}'


@pytest.mark.parametrize("length", [None, "", str(len(LOGIN) - 1), str(len(LOGIN) + 1), "+45",
                                    "45 ", "0x2d", "-1", "many"])
def test_a_missing_or_false_content_length_is_400(fcgi, length):
    params = f.parameters("POST", "/api/auth/login", CONTENT_TYPE="application/json")
    if length is not None:
        params["CONTENT_LENGTH"] = length
    fcgi.send(f.whole_request(params, LOGIN))
    assert_problem(fcgi.answer(), 400)
    assert_healthy(fcgi)


@pytest.mark.parametrize("name", ["CONTENT_LENGTH", "HTTP_AUTHORIZATION", "REQUEST_URI"])
def test_a_repeated_parameter_is_400(fcgi, name):
    params = [(k, v) for k, v in f.parameters("GET", "/api/health").items() if k != name]
    fcgi.send(f.whole_request([*params, (name, "0"), (name, "0")]))
    assert_problem(fcgi.answer(), 400)
    assert_healthy(fcgi)


@pytest.mark.parametrize("pair", [b"\1\3A\0BC", b"\3\1A\0BC", b"\0\1C", b"\5\1A", b"\x80\0"])
def test_broken_parameters_are_400(fcgi, pair):
    params = f.pairs(f.parameters("GET", "/api/health")) + pair
    fcgi.send(f.begin(), f.stream(f.PARAMS, params), f.record(f.STDIN))
    assert_problem(fcgi.answer(), 400)
    assert_healthy(fcgi)


@pytest.mark.parametrize("headers", [{"X-Large": "v" * 70000},
                                     {f"X-{number}": "v" for number in range(300)}])
def test_too_many_parameters_are_413(fcgi, headers):
    assert_problem(fcgi.request("GET", "/api/health", headers=headers), 413)
    assert_healthy(fcgi)


def test_a_body_over_the_limit_is_413(fcgi):
    big = b"x" * (1 << 20)
    json_type = {"CONTENT_TYPE": "application/json"}
    assert fcgi.request("POST", "/api/auth/login", body=big, **json_type).status in (400, 422)
    assert_problem(fcgi.request("POST", "/api/auth/login", body=big + b"x", **json_type), 413)
    assert_healthy(fcgi)


def test_a_begin_inside_a_request_is_refused(fcgi):
    params = f.pairs(f.parameters("GET", "/api/health"))
    fcgi.send(f.begin(1), f.record(f.PARAMS, 1, params[:9]),
              f.whole_request(f.parameters("GET", "/livez"), request_id=2))
    refused = fcgi.answer()
    assert (refused.id, refused.protocol_status, refused.stdout) == (2, f.CANT_MPX, b"")
    fcgi.send(f.stream(f.PARAMS, params[9:], 1), f.record(f.STDIN, 1))
    answer = fcgi.answer()
    assert (answer.id, answer.status) == (1, 200)
    assert answer.json()["status"] == "healthy"


@pytest.mark.parametrize("role", [f.AUTHORIZER, f.FILTER, 0, 9])
def test_other_roles_are_refused(fcgi, role):
    fcgi.send(f.begin(4, role))
    answer = fcgi.answer()
    assert (answer.id, answer.protocol_status) == (4, f.UNKNOWN_ROLE)
    assert_healthy(fcgi)


def test_an_abort_ends_the_request(fcgi):
    fcgi.send(f.begin(3), f.record(f.ABORT, 3))
    answer = fcgi.answer()
    assert (answer.id, answer.stdout) == (3, b"")
    assert_healthy(fcgi)


def test_another_protocol_is_closed(fcgi):
    fcgi.send(b"GET /api/health HTTP/1.1\r\nHost: here\r\n\r\n")
    assert fcgi.is_closed()


def test_half_requests_hold_no_thread(stack, socket_path):
    """More half requests than the stack has threads; other requests don't wait for them."""
    slow = [f.Connection(socket_path) for _ in range(200)]
    try:
        for number, connection in enumerate(slow):
            records = f.whole_request(f.parameters("GET", "/api/health"))
            connection.send(records[:number % len(records)])
        started = time.monotonic()
        with f.Connection(socket_path) as connection:
            for _ in range(20):
                assert_healthy(connection)
        assert time.monotonic() - started < 5
        for number, connection in enumerate(slow):
            records = f.whole_request(f.parameters("GET", "/api/health"))
            connection.send(records[number % len(records):])
        for connection in slow:
            assert connection.answer().status == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_request_that_does_not_end_is_closed(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={"read_timeout": "300ms"})
    path = os.path.join(stack.run, "app", "fcgi.sock")
    with f.Connection(path) as idle, f.Connection(path) as half:
        assert_healthy(idle)
        half.send(f.begin())
        assert half.is_closed(5)
        assert_healthy(idle)
