"""API keys: made, shown once, used within their scopes, revoked; and tickets for WebSockets."""

import datetime
import re
import time

import pytest

from accounts import assert_problem, fields_of
from harness import Api, wait_for

pytestmark = pytest.mark.http

AGENTS = "/api/v1/agents"
KEYS = "/api/v1/api-keys"


def make(api, token, *scopes, **more):
    answer = api.post(KEYS, token, json={"name": "a test", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def use(api, key, path=AGENTS, method="GET", **more):
    return api.request(method, path, headers={"X-API-Key": key["key"]}, **more)


def in_seconds(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_key_is_shown_once_and_works(api, account, db):
    person = account()
    token = person.token()
    key = make(api, token, "agents:write", "agents:read", "agents:read", expires_at=in_seconds(3600))
    assert re.fullmatch(r"zk_[A-Za-z0-9_-]{43}", key["key"])
    assert key["prefix"] == key["key"][:11]
    assert (key["name"], key["username"]) == ("a test", person.name)
    assert key["scopes"] == ["agents:read", "agents:write"]
    assert key["agent_id"] is key["last_used_at"] is key["revoked_at"] is None
    assert use(api, key).status_code == 200
    validated = use(api, key, "/api/auth/validate").json()
    assert (validated["username"], validated["role"]) == (person.name, "user")
    assert validated["expires_at"].startswith(key["expires_at"][:19])
    listed = api.get(KEYS, token).json()
    assert [each["id"] for each in listed["items"]] == [key["id"]] and listed["total"] == 1
    assert key["key"] not in str(listed)
    with db.cursor() as cursor:
        for table in ("api_keys", "audit"):
            cursor.execute(f"SELECT * FROM {table}")
            held = b"\n".join(value if isinstance(value, bytes) else str(value).encode()
                              for row in cursor for value in row)
            assert key["key"].encode() not in held and key["key"][11:].encode() not in held


def test_a_key_does_no_more_than_its_scopes(api, user_token):
    reads, writes = make(api, user_token, "agents:read"), make(api, user_token, "agents:write")
    every = make(api, user_token, "*:read", "*:write")
    body = {"name": "made by a key", "agent_type": "test"}
    assert use(api, reads).status_code == 200
    assert "agents:write" in assert_problem(use(api, reads, method="POST", json=body), 403)["detail"]
    assert use(api, writes, method="POST", json=body).status_code == 201
    assert_problem(use(api, writes), 403)
    assert_problem(use(api, reads, "/api/system/stats"), 403)
    for path in (AGENTS, "/api/system/stats", "/api/v1/hosts", "/api/auth/me"):
        assert use(api, every, path).status_code == 200
    # Accounts and keys are no concern of a key's, whatever its scopes.
    for method, path in (("GET", KEYS), ("POST", KEYS), ("POST", "/api/auth/logout"),
                         ("PUT", "/api/auth/me"), ("POST", "/api/auth/ws-ticket")):
        assert_problem(use(api, every, path, method, json={}), 403)


def test_a_key_never_exceeds_its_owners_role(api, account, admin_token):
    person = account()
    token = person.token()
    key = make(api, token, "*:read", "*:write")
    user = "/api/auth/users/" + api.get("/api/auth/me", token).json()["id"]
    body = {"name": "made by a key", "agent_type": "test"}
    assert use(api, key, method="POST", json=body).status_code == 201
    api.put(user, admin_token, json={"role": "readonly"})
    assert use(api, key).status_code == 200
    assert_problem(use(api, key, method="POST", json=body), 403)
    api.put(user, admin_token, json={"is_active": False})
    assert_problem(use(api, key), 401)
    api.put(user, admin_token, json={"is_active": True})
    wait_for(lambda: use(api, key).status_code == 200, what="taken again")
    api.delete(user, admin_token)
    assert_problem(use(api, key), 401)


def test_a_key_expires(api, user_token):
    key = make(api, user_token, "agents:read", expires_at=in_seconds(4))
    assert use(api, key).status_code == 200
    wait_for(lambda: use(api, key).status_code == 401, what="expiry")


def test_a_key_is_revoked_by_its_owner_or_an_administrator(api, account, admin_token, db):
    person = account()
    token, other = person.token(), account().token()
    mine, theirs = make(api, token, "agents:read"), make(api, token, "agents:read")
    assert use(api, mine).status_code == use(api, theirs).status_code == 200
    assert_problem(api.delete(f"{KEYS}/{mine['id']}", other), 403)
    revoked = api.delete(f"{KEYS}/{mine['id']}", token)
    assert revoked.status_code == 204 and revoked.text == ""
    assert_problem(use(api, mine), 401)
    assert use(api, theirs).status_code == 200
    assert api.delete(f"{KEYS}/{theirs['id']}", admin_token).status_code == 204
    assert_problem(use(api, theirs), 401)
    # It stays in the list, for the audit's sake, and may be revoked again.
    items = {each["id"]: each for each in api.get(KEYS, token).json()["items"]}
    first = items[mine["id"]]["revoked_at"]
    assert first and items[theirs["id"]]["revoked_at"]
    assert api.delete(f"{KEYS}/{mine['id']}", token).status_code == 204
    again = {each["id"]: each for each in api.get(KEYS, token).json()["items"]}
    assert again[mine["id"]]["revoked_at"] == first
    assert_problem(api.delete(f"{KEYS}/{account().name}", token), 404)
    with db.cursor() as cursor:
        cursor.execute("SELECT username, action FROM audit WHERE record_id = %s ORDER BY id",
                       bytes.fromhex(theirs["id"].replace("-", "")))
        assert cursor.fetchall() == ((person.name, "create"), ("admin", "revoke"))


def test_a_key_ends_with_the_agent_that_it_acts_as(api, user_token):
    agents = [api.post(AGENTS, user_token, json={"name": "an agent"}).json() for _ in range(2)]
    bound, of_other = (make(api, user_token, "agents:read", agent_id=agent["id"]) for agent in agents)
    free = make(api, user_token, "agents:read")
    assert use(api, bound).status_code == 200
    assert api.delete(f"{AGENTS}/{agents[0]['id']}", user_token).status_code == 204
    wait_for(lambda: use(api, bound).status_code == 401, 5, "the end of its key")
    assert_problem(use(api, bound), 401)
    assert use(api, of_other).status_code == use(api, free).status_code == 200
    left = {key["id"] for key in api.get(KEYS, user_token, params={"limit": 200}).json()["items"]}
    assert {of_other["id"], free["id"]} <= left and bound["id"] not in left


def test_lists_show_the_own_keys_and_administrators_all(api, account, admin_token):
    token, other = account().token(), account().token()
    made = [make(api, token, "tasks:read")["id"] for _ in range(3)]
    foreign = make(api, other, "tasks:read")["id"]
    assert [each["id"] for each in api.get(KEYS, token).json()["items"]] == made[::-1]
    seen, query = [], "?limit=2"
    while query:
        page = api.get(KEYS + query, token).json()
        assert page["total"] == 3 and page["limit"] == 2
        seen += [each["id"] for each in page["items"]]
        query = page["next_cursor"] and f"?limit=2&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    everybody = [each["id"] for each in api.get(KEYS + "?limit=200", admin_token).json()["items"]]
    assert {foreign, *made} <= set(everybody)
    assert fields_of(api.get(KEYS + "?cursor=YWJj", token)) == {"cursor"}


@pytest.mark.parametrize("change,fields", [
    ({"scopes": []}, {"scopes"}), ({"scopes": ["agents"]}, {"scopes[0]"}),
    ({"scopes": ["agents:read", "nonsense:read"]}, {"scopes[1]"}), ({"scopes": "agents:read"}, {"scopes"}),
    ({"name": ""}, {"name"}), ({"name": "x" * 101}, {"name"}), ({"expires_at": "tomorrow"}, {"expires_at"}),
    ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}), ({"agent_id": "x"}, {"agent_id"}),
    ({"agent_id": "0190a5c3-7b1e-7f00-8c11-0123456789ab"}, {"agent_id"}), ({"key": "zk_mine"}, {"key"}),
])
def test_a_bad_key_is_named(api, user_token, change, fields):
    body = {"name": "a test", "scopes": ["agents:read"], **change}
    assert fields_of(api.post(KEYS, user_token, json=body)) == fields


def test_making_keys_needs_the_role_user(api, readonly_token):
    assert_problem(api.post(KEYS, readonly_token, json={"name": "x", "scopes": ["*:read"]}), 403)
    assert_problem(api.post(KEYS, json={"name": "x", "scopes": ["*:read"]}), 401)
    assert api.get(KEYS, readonly_token).json()["items"] == []


@pytest.mark.parametrize("key", ["", "nonsense", "zk_" + "A" * 43, "zk_" + "A" * 4000, "zgt_" + "A" * 43])
def test_what_is_no_key_is_401(api, key):
    assert_problem(api.get(AGENTS, headers={"X-API-Key": key}), 401)


def test_the_use_of_a_key_is_noted(api, user_token, db):
    key = make(api, user_token, "agents:read")
    identity = bytes.fromhex(key["id"].replace("-", ""))

    def noted():
        with db.cursor() as cursor:
            cursor.execute("SELECT last_used_at FROM api_keys WHERE id = %s", identity)
            return cursor.fetchone()[0]

    assert use(api, key).status_code == 200
    first = wait_for(noted, what="the use")
    for _ in range(20):
        assert use(api, key).status_code == 200
        time.sleep(0.1)
    assert noted() == first  # not again within the minute
    with db.cursor() as cursor:
        cursor.execute("UPDATE api_keys SET last_used_at = last_used_at - INTERVAL 61 SECOND"
                       " WHERE id = %s", identity)

    def used_and_noted():
        assert use(api, key).status_code == 200
        return noted() > first

    wait_for(used_and_noted, what="another note")
    listed = {each["id"]: each for each in api.get(KEYS, user_token).json()["items"]}
    assert listed[key["id"]]["last_used_at"]


@pytest.mark.concurrency
@pytest.mark.behind_web
@pytest.mark.limit(180)
def test_a_revoked_key_is_refused_on_all_hosts_within_a_second(fresh_stack):
    stack = fresh_stack("--hosts", "2", "--workers", "1")
    api = stack.api()
    key = make(api, stack.token("admin"), "*:read")

    def status():
        """On a connection of its own, so that the hosts take turns."""
        return use(Api(stack.url), key, "/api/system/stats").status_code

    assert {status() for _ in range(16)} == {200}
    assert api.delete(f"{KEYS}/{key['id']}", stack.token("admin")).status_code == 204
    last_good = start = time.monotonic()
    while time.monotonic() - start < 3:
        begun = time.monotonic()
        if status() == 200:
            last_good = begun
    assert last_good - start < 1.0, f"still taken after {last_good - start:.2f} s"


# Tickets


def test_a_ticket_is_of_the_session_that_asked(api, account, db):
    person = account("readonly")
    token = person.token()
    answer = api.post("/api/auth/ws-ticket", token)
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 30 and answer.json()["ticket"]
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT u.username, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), w.expires_at) FROM ws_tickets w"
            " JOIN tokens t ON t.hash = w.token_hash JOIN users u ON u.id = t.user_id"
            " WHERE w.hash = UNHEX(SHA2(%s, 256))", answer.json()["ticket"])
        name, left = cursor.fetchone()
        assert name == person.name and 20 <= left <= 30
    assert_problem(api.get("/api/auth/me", answer.json()["ticket"]), 401)  # it is no token
    assert_problem(api.post("/api/auth/ws-ticket"), 401)
