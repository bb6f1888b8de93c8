"""A lock held by somebody else makes requests wait: each ends at the limit, and nothing stays."""

import http.client
import json
import time

import pytest

from harness import row_is_awaited, wait_for
from traffic import at_once

LIMIT_MS = 1500
LONG_MS = 60000
# Fewer than one worker lets run at once (all threads but two), so that none waits for a thread.
WRITERS = 12


def statements_of_ours(database):
    with database.cursor() as cursor:
        cursor.execute("SELECT id, info FROM information_schema.processlist "
                       "WHERE user = 'ziggie' AND command NOT IN ('Sleep', 'Daemon')")
        return cursor.fetchall()


def gauge(api, name):
    for line in api.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"{name} is missing")


@pytest.fixture
def locked(fresh_stack, request):
    """A stack with a limit whose users table is locked by a foreign session."""
    server, limit_ms = request.param
    stack = fresh_stack("--web", server, settings={"request_timeout": f"{limit_ms}ms"})
    token = stack.token("admin")
    api = stack.api()
    assert api.get("/api/auth/me", token=token).status_code == 200
    with stack.database() as holder:
        holder.begin()
        with holder.cursor() as cursor:
            cursor.execute("SELECT * FROM users FOR UPDATE")
        yield stack, api, token, holder


def change_name(stack, token, number):
    began = time.monotonic()
    answer = stack.api().put("/api/auth/me", token=token, json={"full_name": f"Number {number}"})
    return answer, time.monotonic() - began


@pytest.mark.concurrency
@pytest.mark.parametrize("locked", [("nginx", LIMIT_MS), ("apache", LIMIT_MS)], indirect=True,
                         ids=["nginx", "apache"])
def test_waiting_requests_end_at_the_limit_and_leave_nothing(locked):
    stack, api, token, holder = locked
    answers = at_once(lambda n: change_name(stack, token, n), range(WRITERS))
    for answer, seconds in answers:
        assert answer.status_code == 504, answer.text
        body = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert body["status"] == 504 and "phase db" in body["detail"]
        assert body["request_id"] == answer.headers["X-Request-Id"]
        assert LIMIT_MS / 1000 - 0.1 <= seconds
    # The quickest: a busy machine holds up some of them for longer.
    assert min(seconds for _, seconds in answers) < LIMIT_MS / 1000 + 1
    with stack.database() as other:
        wait_for(lambda: statements_of_ours(other) == (), what="the end of all statements")
    wait_for(lambda: gauge(api, 'ziggie_pool_connections{state="in_use"}') == 0,
             what="a pool without borrowers")
    wait_for(lambda: gauge(api, "ziggie_threads_busy") <= 1, what="idle threads")
    # The host answers meanwhile, and writes go on as soon as the lock is gone.
    assert api.get("/api/system/stats", token=token).status_code == 200
    holder.rollback()
    answer, _ = change_name(stack, token, 1)
    assert answer.status_code == 200 and answer.json()["full_name"] == "Number 1"


@pytest.mark.concurrency
@pytest.mark.parametrize("locked", [("nginx", LONG_MS)], indirect=True, ids=["nginx"])
def test_a_client_that_hangs_up_is_noticed(locked):
    """Long before its request, or its wait for the lock, meets a limit."""
    stack, _, token, _ = locked
    client = http.client.HTTPConnection(*stack.address)
    client.request("PUT", "/api/auth/me", json.dumps({"full_name": "Gone"}),
                   {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    with stack.database() as other:
        wait_for(lambda: row_is_awaited(other), what="a statement that waits")
        client.close()
        wait_for(lambda: statements_of_ours(other) == (), 8, "the end of the statement")
    line = wait_for(lambda: stack.log_lines(event="request", status=499), what="a line with 499")[0]
    assert line["route"] == "/api/auth/me"
