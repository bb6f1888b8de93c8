"""Accounts: registering, another password, and what administrators do with them."""

import os
import re

import pytest

from accounts import (PASSWORD, TRUSTED_SECONDS, assert_problem, fields_of, new_name,
                      seconds_let_in)
from harness import ADMIN_PASSWORD
from traffic import at_once

pytestmark = pytest.mark.http

USER_FIELDS = {"id", "username", "email", "full_name", "role", "is_active", "created_at",
               "last_login"}


def id_of(api, token):
    return api.get("/api/auth/me", token).json()["id"]


def users_path(api, token):
    return "/api/auth/users/" + id_of(api, token)


def audited(db, **wanted):
    """The newest row of the audit with these values, as a dict."""
    where = " AND ".join(f"{column} = %s" for column in wanted)
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT username, action, resource, before_json, after_json, remote_address,"
            f" request_id FROM audit WHERE {where} ORDER BY id DESC LIMIT 1", list(wanted.values()))
        row = cursor.fetchone()
        return row and dict(zip([column[0] for column in cursor.description], row))


# Registering


def registration(**more):
    return {"username": new_name("new"), "password": "one fine password", **more}


def test_an_administrator_registers_a_user_who_can_sign_in(api, admin_token, db):
    body = registration(email="n@example.org", full_name="New One", role="admin")
    answer = api.post("/api/auth/register", admin_token, json=body)
    assert answer.status_code == 201, answer.text
    user = answer.json()
    assert set(user) >= USER_FIELDS and "password" not in answer.text
    assert (user["username"], user["email"], user["full_name"]) == (
        body["username"], "n@example.org", "New One")
    assert (user["role"], user["is_active"], user["last_login"]) == ("user", True, None)
    login = api.post("/api/auth/login", json={"username": body["username"],
                                              "password": body["password"]})
    assert login.status_code == 200
    row = audited(db, action="create", request_id=answer.headers["X-Request-Id"])
    assert row["username"] == "admin" and body["username"] in row["after_json"]
    assert "argon" not in row["after_json"]
    assert_problem(api.post("/api/auth/register", admin_token, json=body), 409)


def test_registering_is_closed_to_others(api, user_token, readonly_token):
    assert_problem(api.post("/api/auth/register", json=registration()), 401)
    for token in (user_token, readonly_token):
        assert_problem(api.post("/api/auth/register", token, json=registration()), 403)


@pytest.mark.parametrize("change,fields", [
    ({"password": "short one"}, {"password"}),
    ({"password": "qwertyuiop"}, {"password"}),
    ({"password": "é" * 10}, {"password"}),
    ({"password": None}, {"password"}),
    ({"username": "ab"}, {"username"}),
    ({"username": " abc"}, {"username"}),
    ({"username": "a\nbc"}, {"username"}),
    ({"username": "Some Long Name", "password": "some long name"}, {"password"}),
    ({"email": "nobody"}, {"email"}),
    ({"email": "nobody", "full_name": "", "username": "ab "}, {"email", "full_name", "username"}),
])
def test_registering_names_every_bad_field(api, admin_token, change, fields):
    body = registration(**change)
    assert fields_of(api.post("/api/auth/register", admin_token, json=body)) == fields


@pytest.mark.behind_web
def test_anybody_registers_where_it_is_open(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={"open_registration": "yes"})
    api = stack.api()
    body = registration()
    assert api.post("/api/auth/register", json=body).status_code == 201
    login = api.post("/api/auth/login", json=body)
    assert login.status_code == 200
    assert api.get("/api/auth/me", login.json()["access_token"]).json()["role"] == "user"


# Another password


def change_password(api, token, current, new):
    return api.post("/api/auth/change-password", token,
                    json={"current_password": current, "new_password": new})


@pytest.mark.parametrize("role", ["readonly", "user"])
def test_a_new_password_ends_all_other_sessions(api, account, db, role):
    person = account(role)
    this, other = (person.login(api).json()["access_token"] for _ in range(2))
    answer = change_password(api, this, PASSWORD, "another long one")
    assert answer.status_code == 200
    assert isinstance(answer.json()["message"], str)
    assert api.get("/api/auth/me", this).status_code == 200
    assert api.get("/api/auth/me", other).status_code == 401
    assert_problem(person.login(api), 401)
    assert person.login(api, "another long one").status_code == 200
    row = audited(db, action="update", request_id=answer.headers["X-Request-Id"])
    assert row["username"] == person.name and "new_password" in row["after_json"]


def test_a_wrong_current_password_changes_nothing(api, account, db):
    person = account()
    token = person.token()
    answer = change_password(api, token, "not the one", "another long one")
    assert fields_of(answer) == {"current_password"}
    assert person.login(api).status_code == 200
    row = audited(db, action="login_failed", request_id=answer.headers["X-Request-Id"])
    assert row["username"] == person.name


def test_a_new_password_has_rules(api, account):
    person = account()
    token = person.token()
    for bad in ("short one", "1234567890", "ß" * 12, person.name, person.name.upper()):
        assert fields_of(change_password(api, token, PASSWORD, bad)) == {"new_password"}
    assert person.login(api).status_code == 200


@pytest.mark.concurrency
@pytest.mark.behind_web
def test_of_two_new_passwords_at_once_one_counts(stack, account):
    person = account()
    tokens = [person.token() for _ in range(2)]
    passwords = ["the first of two", "the second of two"]
    answers = at_once(lambda each: change_password(stack.api(), each[0], PASSWORD, each[1]),
                      zip(tokens, passwords))
    good = [i for i, answer in enumerate(answers) if answer.status_code == 200]
    assert len(good) == 1, [answer.text for answer in answers]
    # The other was too late, or its session had ended.
    assert answers[1 - good[0]].status_code in (401, 409, 422)
    assert person.login(stack.api(), passwords[good[0]]).status_code == 200


# What administrators do


def test_administrators_list_users_page_by_page(api, account, admin_token):
    names = sorted(account().name for _ in range(3))
    first = api.get("/api/auth/users?page_size=2", admin_token)
    assert first.status_code == 200
    body = first.json()
    meta = body["meta"]
    assert body["total"] == meta["total"] >= 4 and body["cached"] is False
    assert (meta["page"], meta["page_size"]) == (1, 2)
    assert meta["total_pages"] == -(-meta["total"] // 2)
    assert (meta["has_next"], meta["has_prev"]) == (True, False)
    assert (meta["next_page"], meta["prev_page"]) == (2, None)
    assert all(set(user) >= USER_FIELDS for user in body["users"])
    seen, page = [], 1
    while page:
        answer = api.get(f"/api/auth/users?page={page}&page_size=200", admin_token).json()
        seen += [user["username"] for user in answer["users"]]
        page = answer["meta"]["next_page"]
    assert [name for name in seen if name in names] == names and len(set(seen)) == len(seen)
    behind = api.get(f"/api/auth/users?offset={len(seen) - 1}", admin_token).json()
    assert [user["username"] for user in behind["users"]] == seen[-1:]
    beyond = api.get("/api/auth/users?page=1000000&page_size=200", admin_token).json()
    assert beyond["users"] == [] and beyond["meta"]["has_next"] is False


@pytest.mark.parametrize("query", ["page=0", "page=x", "page_size=0", "page_size=201", "offset=-1",
                                   "page=1&page=2"])
def test_bad_paging_is_named(api, admin_token, query):
    assert fields_of(api.get("/api/auth/users?" + query, admin_token)) == {query.split("=")[0]}


def test_an_administrator_changes_a_user(api, account, admin_token, db):
    person = account()
    token = person.token()
    path = users_path(api, token)
    assert api.get(path, admin_token).json()["username"] == person.name
    answer = api.put(path, admin_token, json={"role": "readonly", "email": "p@example.org",
                                              "username": "is not changed"})
    assert answer.status_code == 200
    assert (answer.json()["role"], answer.json()["email"]) == ("readonly", "p@example.org")
    assert answer.json()["username"] == person.name
    # The next request of the session that was there has the new role.
    assert_problem(api.put("/api/auth/me", token, json={"full_name": "x"}), 403)
    row = audited(db, action="update", request_id=answer.headers["X-Request-Id"])
    assert re.search('"role":"user"', row["before_json"])
    assert re.search('"role":"readonly"', row["after_json"])
    assert row["username"] == "admin" and row["remote_address"] == "127.0.0.1"


def test_a_password_set_by_an_administrator_ends_the_sessions(api, account, admin_token):
    person = account()
    token = person.token()
    path = users_path(api, token)
    assert fields_of(api.put(path, admin_token, json={"password": person.name})) == {"password"}
    assert api.get("/api/auth/me", token).status_code == 200
    assert api.put(path, admin_token, json={"password": "set by another"}).status_code == 200
    assert api.get("/api/auth/me", token).status_code == 401
    assert person.login(api, "set by another").status_code == 200


def test_a_disabled_user_is_out_at_once(api, account, admin_token):
    person = account()
    token = person.token()
    path = users_path(api, token)
    assert api.put(path, admin_token, json={"is_active": False}).json()["is_active"] is False
    assert api.get("/api/auth/me", token).status_code == 401
    assert_problem(person.login(api), 403)
    assert api.put(path, admin_token, json={"is_active": True}).status_code == 200
    assert api.get("/api/auth/me", token).status_code == 401
    assert person.login(api).status_code == 200


def test_a_removed_user_is_gone(api, account, admin_token, db):
    person = account()
    token = person.token()
    path = users_path(api, token)
    answer = api.delete(path, admin_token)
    assert answer.status_code == 200 and isinstance(answer.json()["message"], str)
    assert api.get("/api/auth/me", token).status_code == 401
    assert_problem(person.login(api), 401)
    assert_problem(api.get(path, admin_token), 404)
    assert_problem(api.put(path, admin_token, json={"role": "user"}), 404)
    assert_problem(api.put(path, admin_token, json={"password": "a new password"}), 404)
    assert_problem(api.delete(path, admin_token), 404)
    row = audited(db, action="delete", request_id=answer.headers["X-Request-Id"])
    assert person.name in row["before_json"] and row["after_json"] is None
    for nothing in ("/api/auth/users/admin", "/api/auth/users/1"):
        assert_problem(api.get(nothing, admin_token), 404)


@pytest.mark.parametrize("change,fields", [
    ({"role": "root"}, {"role"}), ({"role": None}, {"role"}), ({"is_active": 1}, {"is_active"}),
    ({"password": "short"}, {"password"}), ({"email": "@"}, {"email"}),
    ({"full_name": 7, "role": 7}, {"full_name", "role"}),
])
def test_a_bad_change_is_named(api, account, admin_token, change, fields):
    path = users_path(api, account().token())
    assert fields_of(api.put(path, admin_token, json=change)) == fields


def test_users_are_counted(api, account, admin_token):
    before = api.get("/api/auth/stats", admin_token).json()
    person = account("readonly")
    path = users_path(api, person.token())
    api.put(path, admin_token, json={"is_active": False})
    after = api.get("/api/auth/stats", admin_token).json()
    assert after["total_users"] == before["total_users"] + 1
    assert after["active_users"] == before["active_users"]
    assert after["inactive_users"] == before["inactive_users"] + 1
    assert set(after["by_role"]) == {"admin", "user", "readonly"}
    assert after["by_role"]["readonly"] == before["by_role"]["readonly"] + 1
    assert sum(after["by_role"].values()) == after["total_users"]
    assert isinstance(after["timestamp"], str)


# The last administrator


@pytest.mark.concurrency
@pytest.mark.behind_web
@pytest.mark.limit(180)
def test_the_last_administrator_stays_whoever_asks(fresh_stack):
    stack = fresh_stack("--workers", "2")
    api = stack.api()
    token = stack.token("admin")
    own = users_path(api, token)
    for change in ({"role": "user"}, {"is_active": False}):
        problem = assert_problem(api.put(own, token, json=change), 409)
        assert "admin" in problem["detail"]
    assert_problem(api.delete(own, token), 409)
    for command in (["disable", "admin"], ["role", "admin", "user"], ["remove", "admin"]):
        done = stack.ctl("user", *command, check=False)
        assert done.returncode == os.EX_CANTCREAT and "last" in done.stderr
    assert api.post("/api/auth/login",
                    json={"username": "admin", "password": ADMIN_PASSWORD}).status_code == 200

    # Two take each other's role away, over and over: one of them is always left.
    stack.add_user("second", "admin")
    tokens = [token, stack.ctl("token", "second").stdout.strip()]
    paths = [users_path(api, each) for each in tokens]
    for _ in range(10):
        answers = at_once(
            lambda i: stack.api().put(paths[1 - i], tokens[i], json={"role": "user"}), (0, 1))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) == 1 and set(statuses) <= {200, 403, 409}, statuses
        winner = statuses.index(200)
        again = api.put(paths[1 - winner], tokens[winner], json={"role": "admin"})
        assert again.status_code == 200, again.text


@pytest.mark.behind_web
def test_ziggiectl_changes_are_audited_and_end_sessions(stack, api, account, db):
    person = account()
    token = person.token()
    user_id = bytes.fromhex(id_of(api, token).replace("-", ""))
    stack.ctl("user", "role", person.name, "readonly")
    row = audited(db, action="update", record_id=user_id)
    assert row["remote_address"] == "ziggiectl" and '"role":"readonly"' in row["after_json"]
    assert seconds_let_in(lambda: api.put("/api/auth/me", token, json={}).status_code != 403) \
        < TRUSTED_SECONDS
    stack.ctl("user", "remove", person.name)
    assert seconds_let_in(lambda: api.get("/api/auth/me", token).status_code != 401) \
        < TRUSTED_SECONDS
    assert stack.ctl("user", "remove", person.name, check=False).returncode == os.EX_NOUSER
    assert stack.ctl("user", "role", "admin", "king", check=False).returncode == os.EX_USAGE
    assert audited(db, action="delete", record_id=user_id)["remote_address"] == "ziggiectl"


# Signing in and out is audited


def test_signing_in_and_out_is_audited(api, account, db):
    person = account()
    good = person.login(api)
    row = audited(db, action="login", request_id=good.headers["X-Request-Id"])
    assert (row["username"], row["remote_address"]) == (person.name, "127.0.0.1")
    bad = person.login(api, "a wrong password!")
    row = audited(db, action="login_failed", request_id=bad.headers["X-Request-Id"])
    assert (row["username"], row["remote_address"]) == (person.name, "127.0.0.1")
    assert "a wrong password!" not in str(row)
    nobody = api.post("/api/auth/login", json={"username": "no such name", "password": PASSWORD})
    row = audited(db, action="login_failed", request_id=nobody.headers["X-Request-Id"])
    assert row["username"] == "no such name"
    out = api.post("/api/auth/logout", good.json()["access_token"])
    assert audited(db, action="logout", request_id=out.headers["X-Request-Id"])["username"] == person.name
