"""Pages of other sites: what a browser would let them do, through nginx and Apache."""

import signal

import pytest

from exchange import LOGIN, assert_problem
from front import SeenThrough, WebServer
from harness import ADMIN_PASSWORD, RunningStack

OURS = ["https://dash.example.org", "http://localhost:3000"]
THEIRS = ["https://evil.example", "https://dash.example.org.evil.example",
          "http://dash.example.org", "https://dash.example.org:8443", "null", "*"]
ME, INFO = "/api/auth/me", "/api/system/info"


@pytest.fixture(scope="module")
def open_stack():
    running = RunningStack("--workers", "1", settings={
        "cors_origins": ", ".join(OURS), "ratelimit_enabled": "yes", "ratelimit_login": "0",
        "ratelimit_read": "1000000"})
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture(scope="module", params=["nginx", "apache"])
def front(request, open_stack):
    if request.param == "nginx":
        yield open_stack
        return
    with WebServer("apache", [open_stack.fcgi_socket]) as apache:
        yield SeenThrough(open_stack, apache)


def preflight(stack, origin, method, path, headers="authorization, content-type"):
    return stack.api().request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers})


def listed(answer, name):
    return {item.strip().lower() for item in answer.headers[name].split(",")}


def access_headers(answer):
    return {name: value for name, value in answer.headers.items()
            if name.lower().startswith("access-control-")}


def assert_readable(answer, origin):
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert {"etag", "idempotency-replayed", "location", "link", "ratelimit", "ratelimit-policy",
            "retry-after", "x-ratelimit-remaining", "x-request-id"} <= listed(
                answer, "Access-Control-Expose-Headers")
    assert "origin" in listed(answer, "Vary")


@pytest.mark.parametrize("origin", OURS)
def test_a_listed_page_may_ask_and_read(front, origin):
    asked = preflight(front, origin, "PUT", ME)
    assert asked.status_code == 204 and not asked.content
    assert asked.headers["Access-Control-Allow-Origin"] == origin
    assert asked.headers["Access-Control-Allow-Credentials"] == "true"
    assert listed(asked, "Access-Control-Allow-Methods") == {"get", "head", "put", "options"}
    assert {"authorization", "content-type", "x-api-key", "if-match",
            "idempotency-key"} <= listed(asked, "Access-Control-Allow-Headers")
    assert int(asked.headers["Access-Control-Max-Age"]) > 0
    assert "origin" in listed(asked, "Vary")

    signed_in = front.api().post(LOGIN, headers={"Origin": origin},
                                 json={"username": "admin", "password": ADMIN_PASSWORD})
    assert signed_in.status_code == 200
    assert_readable(signed_in, origin)
    info = front.api().get(INFO, signed_in.json()["access_token"], headers={"Origin": origin})
    assert info.status_code == 200
    assert_readable(info, origin)


@pytest.mark.parametrize("origin", THEIRS)
def test_other_pages_may_not(front, origin):
    asked = preflight(front, origin, "PUT", ME)
    assert asked.status_code == 204
    assert access_headers(asked) == {}
    answer = front.api().get(INFO, front.token(), headers={"Origin": origin})
    assert answer.status_code == 200
    assert access_headers(answer) == {}
    assert "origin" in listed(answer, "Vary")


def test_a_page_can_read_what_went_wrong(front):
    origin = {"Origin": OURS[0]}
    for method, path, status in (("GET", INFO, 401), ("GET", "/api/nowhere", 404),
                                 ("DELETE", "/livez", 405), ("POST", LOGIN, 400)):
        answer = front.api().request(method, path, headers=origin)
        assert_problem(answer, status, path)
        assert_readable(answer, OURS[0])
    unknown = preflight(front, OURS[0], "GET", "/api/nowhere")
    assert_problem(unknown, 404)


def test_without_an_origin_nothing_is_allowed(front):
    answer = front.api().get(INFO, front.token())
    assert access_headers(answer) == {}
    assert "origin" in listed(answer, "Vary")


def test_a_preflight_needs_no_database(front):
    """Nor credentials: a stopped MariaDB would hold up who asks it."""
    front.kill("mariadbd", signal.SIGSTOP)
    try:
        for _ in range(20):
            assert preflight(front, OURS[0], "PUT", ME).status_code == 204
            assert preflight(front, OURS[0], "POST", LOGIN).elapsed.total_seconds() < 1
    finally:
        front.kill("mariadbd", signal.SIGCONT)


def test_without_a_list_no_page_may(stack):
    assert preflight(stack, OURS[0], "PUT", ME).status_code == 204
    assert access_headers(preflight(stack, OURS[0], "PUT", ME)) == {}
    answer = stack.api().get("/livez", headers={"Origin": OURS[0]})
    assert access_headers(answer) == {}
