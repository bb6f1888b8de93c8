"""The audit: what it shows to administrators, and how long it is kept."""

import datetime
import urllib.parse

import pytest

from accounts import assert_problem, fields_of
from harness import wait_for

pytestmark = pytest.mark.http

AUDIT = "/api/v1/audit"
FIELDS = {"id", "at", "username", "user_id", "key_id", "agent_id", "action", "resource",
          "record_id", "before", "after", "remote_address", "request_id"}


def entries(api, token, **query):
    answer = api.get(AUDIT + "?" + urllib.parse.urlencode(query), token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def make_agent(api, token=None, headers=None):
    answer = api.post("/api/v1/agents", token, headers=headers,
                      json={"name": "of the audit", "agent_type": "test"})
    assert answer.status_code == 201, answer.text
    return answer


def test_a_write_of_a_record_is_there_with_who_what_and_where_from(api, account, admin_token):
    person = account()
    token = person.token()
    made = make_agent(api, token)
    agent = made.json()["id"]
    api.patch(f"/api/v1/agents/{agent}", token, json={"name": "another name"})
    api.delete(f"/api/v1/agents/{agent}", token)
    page = entries(api, admin_token, record=agent)
    assert [each["action"] for each in page["items"]] == ["delete", "update", "create"]
    assert page["total"] == 3 and page["total_is_min"] is False and page["next_cursor"] is None
    deleted, updated, created = page["items"]
    for each in page["items"]:
        assert set(each) >= FIELDS
        assert (each["username"], each["resource"], each["record_id"]) == (
            person.name, "agent", agent)
        assert (each["key_id"], each["agent_id"]) == (None, None)
        assert each["remote_address"] == "127.0.0.1"
        assert each["at"].endswith("Z")
    assert created["request_id"] == made.headers["X-Request-Id"]
    assert created["before"] is None and created["after"]["name"] == "of the audit"
    assert (updated["before"]["name"], updated["after"]["name"]) == ("of the audit", "another name")
    assert deleted["after"] is None and deleted["before"]["name"] == "another name"


def test_a_write_with_a_key_names_the_key(api, account, admin_token):
    token = account().token()
    key = api.post("/api/v1/api-keys", token, json={"name": "k", "scopes": ["*:write"]}).json()
    made = make_agent(api, headers={"X-API-Key": key["key"]})
    entry = entries(api, admin_token, record=made.json()["id"])["items"][0]
    assert entry["key_id"] == key["id"]


def test_the_list_is_filtered(api, account, admin_token):
    person = account()
    token = person.token()
    make_agent(api, token)
    api.put("/api/auth/me", token, json={"full_name": "Some One"})
    assert {each["resource"] for each in entries(api, admin_token, user=person.name)["items"]} == {
        "agent", "user"}
    only = entries(api, admin_token, user=person.name, resource="agent")
    assert only["total"] == len(only["items"]) == 1
    at = datetime.datetime.fromisoformat(only["items"][0]["at"].replace("Z", "+00:00"))
    before, after = (at + datetime.timedelta(seconds=s) for s in (-1, 1))
    text = "%Y-%m-%dT%H:%M:%S.%fZ"
    for wanted, query in (
            (1, {"from": before.strftime(text)}), (0, {"from": after.strftime(text)}),
            (0, {"to": before.strftime(text)}), (1, {"to": after.strftime(text)}),
            (1, {"from": "1970-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"})):
        found = entries(api, admin_token, user=person.name, resource="agent", **query)
        assert found["total"] == len(found["items"]) == wanted, query
    assert entries(api, admin_token, user="nobody of that name")["items"] == []


def test_pages_follow_each_other_while_others_write(api, account, admin_token):
    person = account()
    token = person.token()
    for number in range(7):
        api.put("/api/auth/me", token, json={"full_name": f"Number {number}"})
    seen, query = [], {"user": person.name, "limit": 2}
    while True:
        page = entries(api, admin_token, **query)
        seen += [each["after"]["full_name"] for each in page["items"]]
        api.put("/api/auth/me", token, json={"full_name": "later"})
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [f"Number {number}" for number in reversed(range(7))]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "cursor=YWJj", "record=x",
                                   "from=yesterday", "to=1", "nonsense=1"])
def test_a_bad_query_is_named(api, admin_token, query):
    assert fields_of(api.get(f"{AUDIT}?{query}", admin_token)) == {query.partition("=")[0]}


def test_it_is_for_administrators(api, user_token, readonly_token):
    assert_problem(api.get(AUDIT), 401)
    for token in (user_token, readonly_token):
        assert_problem(api.get(AUDIT, token), 403)


@pytest.mark.behind_web
@pytest.mark.limit(120)
def test_old_entries_are_removed(stack, api, account, admin_token, db):
    person = account()
    api.put("/api/auth/me", person.token(), json={"full_name": "kept"})
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO audit (id, at, username, action, resource) SELECT"
                       " UNHEX(CONCAT('015', LPAD(HEX(seq), 29, '0'))), '2017-01-01', %s, 'x', 'old'"
                       " FROM seq_1_to_700", person.name)

    def left():
        with db.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM audit WHERE resource = 'old'")
            return cursor.fetchone()[0]

    def removed():
        """By a job of which one at a time is queued."""
        answer = api.post("/api/v1/jobs", admin_token, json={"job_type": "remove-old-audit"})
        assert answer.status_code in (201, 409), answer.text
        return left() == 0

    wait_for(removed, 60, "the removal")
    assert entries(api, admin_token, user=person.name)["items"]
