"""The worker's FastCGI as a web server meets it, on the stack's own socket.

What no web server in order would send is in test_hostile.py.
"""

import os

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
