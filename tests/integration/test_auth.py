"""Sign-in, sign-out, the own account, and what a token opens, on the running stack."""

import concurrent.futures
import datetime
import json
import os
import signal
import statistics
import time

import pytest

from accounts import (PASSWORD, TRUSTED_SECONDS, assert_problem, fields_of, new_name,
                      seconds_let_in)
from harness import Api, freeze, wait_for
from traffic import at_once

pytestmark = pytest.mark.http

UNKNOWN_TOKEN = "zgt_" + "A" * 43
HOST_ROUTE = "/api/system/stats"


def without_request(problem):
    return {key: value for key, value in problem.items() if key not in ("request_id", "instance")}


def legacy_time(text):
    """Without a zone, meaning UTC."""
    moment = datetime.datetime.fromisoformat(text)
    assert moment.tzinfo is None
    return moment.replace(tzinfo=datetime.timezone.utc)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


# Signing in


def assert_session(api, answer, name):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    session = answer.json()
    assert session["token_type"] == "bearer"
    assert session["expires_in"] == 86400
    assert session["access_token"].startswith("zgt_")
    assert api.get("/api/auth/validate", session["access_token"]).json()["username"] == name


def test_login_gives_a_token_that_works(api, account):
    person = account()
    assert_session(api, person.login(api), person.name)


def test_login_form_gives_a_token_that_works(api, account):
    person = account()
    form = {"grant_type": "password", "username": person.name, "password": PASSWORD, "scope": ""}
    assert_session(api, api.post("/api/auth/login/form", data=form), person.name)
    del form["grant_type"]
    assert_session(api, api.post("/api/auth/login/form", data=form), person.name)


def test_each_login_gives_another_token(api, account):
    person = account()
    tokens = {person.login(api).json()["access_token"] for _ in range(3)}
    assert len(tokens) == 3


def test_a_name_with_blanks_and_accents_signs_in(stack, api):
    name = new_name("Zoë Ω ")
    stack.add_user(name, "user", "pässwörter sind lang & 100%+ gut")
    body = {"username": name, "password": "pässwörter sind lang & 100%+ gut"}
    assert_session(api, api.post("/api/auth/login", json=body), name)
    assert_session(api, api.post("/api/auth/login/form", data=body), name)


@pytest.mark.parametrize("path,kind", [("/api/auth/login", "json"), ("/api/auth/login/form", "data")])
def test_wrong_password_and_unknown_user_look_the_same(api, account, path, kind):
    person = account()
    wrong = api.post(path, **{kind: {"username": person.name, "password": "not the one"}})
    unknown = api.post(path, **{kind: {"username": person.name + "x", "password": PASSWORD}})
    problem = assert_problem(wrong, 401, "Incorrect username or password")
    assert without_request(problem) == without_request(assert_problem(unknown, 401))
    assert set(wrong.headers) == set(unknown.headers)


def test_names_are_told_apart_by_case(api, account):
    person = account()
    assert_problem(api.post("/api/auth/login",
                            json={"username": person.name.upper(), "password": PASSWORD}), 401)


def test_disabled_is_told_only_to_who_knows_the_password(stack, api, account):
    person = account()
    stack.ctl("user", "disable", person.name)
    assert_problem(person.login(api), 403)
    assert_problem(person.login(api, "not the one"), 401, "Incorrect username or password")
    stack.ctl("user", "enable", person.name)
    assert person.login(api).status_code == 200


@pytest.mark.parametrize("body,fields", [
    ({}, {"username", "password"}),
    ({"username": "ab", "password": "12345"}, {"username", "password"}),
    ({"username": "u" * 101, "password": "p" * 1025}, {"username", "password"}),
    ({"username": "abc"}, {"password"}),
    ({"username": 7, "password": ["x"]}, {"username", "password"}),
    ({"username": None, "password": PASSWORD}, {"username"}),
    (["abc"], {"body"}),
    (None, {"body"}),
])
def test_login_names_every_bad_field(api, body, fields):
    answer = api.post("/api/auth/login", data=json.dumps(body),
                      headers={"Content-Type": "application/json"})
    assert fields_of(answer) == fields


@pytest.mark.parametrize("form,fields", [
    ({"grant_type": "password"}, {"username", "password"}),
    ({"username": "ab", "password": "12345"}, {"username", "password"}),
    ({"username": "abc", "password": PASSWORD, "grant_type": "client_credentials"}, {"grant_type"}),
])
def test_login_form_names_every_bad_field(api, form, fields):
    assert fields_of(api.post("/api/auth/login/form", data=form)) == fields


@pytest.mark.parametrize("body", ["", "{", "nope", '{"username": "a"} x', '{"password": "a\\u0000b"}'])
def test_login_refuses_what_is_no_json(api, body):
    answer = api.post("/api/auth/login", data=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400)


@pytest.mark.parametrize("form", ["username=%zz&password=aaaaaa", "username=abc&username=abd",
                                  "username=%00abc&password=aaaaaa", "username=%ff%fe%fd"])
def test_login_form_refuses_what_is_no_form(api, form):
    answer = api.post("/api/auth/login/form", data=form,
                      headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert_problem(answer, 422)


def test_each_login_takes_its_own_kind_of_body(api):
    body = {"username": "abc", "password": PASSWORD}
    assert_problem(api.post("/api/auth/login", data=body), 415)
    assert_problem(api.post("/api/auth/login/form", json=body), 415)


def test_login_is_a_post(api):
    answer = api.get("/api/auth/login")
    assert_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


@pytest.mark.behind_web
def test_an_unknown_user_takes_as_long_as_a_wrong_password(api, account):
    person = account()

    def took(name):
        start = time.monotonic()
        answer = api.post("/api/auth/login", json={"username": name, "password": "not the one"})
        assert answer.status_code == 401
        return time.monotonic() - start

    took(person.name)
    known, unknown = [], []
    for turn in range(30):  # until a busy machine has held up neither
        known.append(took(person.name))
        unknown.append(took("nobody-has-this-name"))
        slow, fast = sorted((min(known), min(unknown)), reverse=True)
        if turn >= 5 and slow < 2 * fast:
            break
    assert slow < 2 * fast, (known, unknown)
    assert min(known + unknown) > 0.01  # a password hash was computed


@pytest.mark.concurrency
@pytest.mark.behind_web
def test_a_burst_of_sign_ins_leaves_room_for_others(stack, account):
    person = account()

    def sign_in(_):
        return person.login(stack.api())

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        running = [pool.submit(sign_in, i) for i in range(32)]
        health = []
        while not all(task.done() for task in running):
            start = time.monotonic()
            assert stack.api().get("/api/health").status_code == 200
            health.append(time.monotonic() - start)
        answers = [task.result() for task in running]
    for answer in answers:
        if answer.status_code != 200:
            assert_problem(answer, 503)
    assert any(answer.status_code == 200 for answer in answers)
    assert statistics.median(health) < 1


@pytest.mark.concurrency
def test_who_waits_too_long_for_a_hash_is_told_to_try_again(fresh_stack):
    """One hash at a time, and 31 that wait for it longer than the time limit: 503, no 504."""
    stack = fresh_stack("--workers", "1", settings={
        "threads": 64, "password_hashes": 1, "request_timeout": "1000ms"})
    stack.add_user("person", password=PASSWORD)
    sign_in = {"username": "person", "password": PASSWORD}
    answers = at_once(lambda _: stack.api().post("/api/auth/login", json=sign_in), range(32))
    refused = [answer for answer in answers if answer.status_code != 200]
    for answer in refused:
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"]
    assert 0 < len(refused) < 32


def test_sign_ins_and_token_checks_are_counted(api, account):
    person = account()

    def counted():
        found = {}
        for line in api.get("/metrics").text.splitlines():
            if line.startswith(("ziggie_logins_total", "ziggie_token_lookups_total")):
                name, value = line.rsplit(" ", 1)
                found[name.partition("result=")[2].strip('"}')] = int(value)
        return found

    before = counted()
    token = person.login(api).json()["access_token"]
    person.login(api, "not the one")
    for _ in range(3):
        assert api.get("/api/auth/validate", token).status_code == 200
    assert api.get("/api/auth/validate", UNKNOWN_TOKEN).status_code == 401

    def grown():
        now = counted()
        return all(now[name] > before[name]
                   for name in ("accepted", "refused", "database", "unknown")) and now

    now = wait_for(grown, what="the counts")
    assert (now["accepted"], now["refused"]) == (before["accepted"] + 1, before["refused"] + 1)
    assert now["remembered"] + now["database"] >= before["remembered"] + before["database"] + 3


# Whose token it is


def test_validate_tells_whose_token_it_is(api, account):
    person = account("readonly")
    answer = api.get("/api/auth/validate", person.token("--lifetime", "2h"))
    assert answer.status_code == 200
    body = answer.json()
    assert body["valid"] is True
    assert (body["username"], body["role"]) == (person.name, "readonly")
    left = (legacy_time(body["expires_at"]) - now()).total_seconds()
    assert 7200 - 60 < left <= 7200


@pytest.mark.parametrize("headers", [
    {},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "Bearer " + UNKNOWN_TOKEN},
    {"Authorization": "Bearer " + "A" * 4000},
    {"Authorization": UNKNOWN_TOKEN},
    {"X-API-Key": "zgk_abc"},
])
@pytest.mark.parametrize("method,path", [
    ("GET", "/api/auth/validate"), ("GET", "/api/auth/me"), ("PUT", "/api/auth/me"),
    ("POST", "/api/auth/logout"), ("GET", HOST_ROUTE),
])
def test_without_a_good_token_it_is_401(api, method, path, headers):
    assert_problem(api.request(method, path, headers=headers), 401)


def test_the_scheme_takes_any_case_and_an_api_key_does_no_harm(api, user_token):
    for headers in ({"Authorization": "bearer " + user_token},
                    {"Authorization": "BEARER  " + user_token},
                    {"Authorization": "Bearer " + user_token, "X-API-Key": "zgk_abc"}):
        assert api.get("/api/auth/validate", headers=headers).status_code == 200


def test_an_expired_token_is_refused_while_it_is_remembered(api, account, db):
    person = account()
    token = person.token()
    assert api.get("/api/auth/validate", token).status_code == 200
    with db.cursor() as cursor:
        cursor.execute("UPDATE tokens t JOIN users u ON u.id = t.user_id SET t.expires_at ="
                       " UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE u.username = %s", person.name)
        assert cursor.rowcount == 1
    assert seconds_let_in(lambda: api.get("/api/auth/validate", token).status_code != 401) \
        < TRUSTED_SECONDS


@pytest.mark.behind_web
def test_the_database_holds_no_token_and_no_password(api, account, db):
    person = account()
    token = person.login(api).json()["access_token"]
    with db.cursor() as cursor:
        for table in ("users", "tokens"):
            cursor.execute(f"SELECT * FROM {table}")
            held = b"\n".join(value if isinstance(value, bytes) else str(value).encode()
                              for row in cursor for value in row)
            assert token.encode() not in held and token[4:].encode() not in held
            assert PASSWORD.encode() not in held


@pytest.mark.behind_web
def test_signing_in_clears_expired_tokens_away(api, account, db):
    person = account()
    person.token("--count", "20")

    def left():
        with db.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM tokens t JOIN users u ON u.id = t.user_id"
                           " WHERE u.username = %s AND t.expires_at < UTC_TIMESTAMP(6)", person.name)
            return cursor.fetchone()[0]

    with db.cursor() as cursor:
        cursor.execute("UPDATE tokens t JOIN users u ON u.id = t.user_id SET t.expires_at ="
                       " '2020-01-01' WHERE u.username = %s", person.name)
    assert left() == 20

    def signed_in_and_clean():
        assert person.login(api).status_code == 200
        return left() == 0

    wait_for(signed_in_and_clean, 30, "clearing")


# The own account


def test_me_shows_the_own_account(stack, api):
    name = new_name("whole")
    stack.ctl("user", "add", name, "--role", "admin", "--email", "w@example.org", "--full-name",
              "Whole Person", text=PASSWORD + "\n")
    token = stack.ctl("token", name).stdout.strip()
    me = api.get("/api/auth/me", token)
    assert me.status_code == 200
    me = me.json()
    assert set(me) >= {"id", "username", "email", "full_name", "role", "is_active", "created_at",
                       "last_login"}
    assert (me["username"], me["email"], me["full_name"]) == (name, "w@example.org", "Whole Person")
    assert (me["role"], me["is_active"], me["last_login"]) == ("admin", True, None)
    assert "password" not in json.dumps(me)
    assert abs((now() - legacy_time(me["created_at"])).total_seconds()) < 60
    api.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    again = api.get("/api/auth/me", token).json()
    assert abs((now() - legacy_time(again["last_login"])).total_seconds()) < 60
    assert again["id"] == me["id"]


def test_put_me_changes_what_it_names(api, account):
    token = account().token()
    both = api.put("/api/auth/me", token, json={"email": "a@b.example", "full_name": "Ann B"})
    assert both.status_code == 200
    assert (both.json()["email"], both.json()["full_name"]) == ("a@b.example", "Ann B")
    one = api.put("/api/auth/me", token, json={"full_name": "Ann Ünlü"}).json()
    assert (one["email"], one["full_name"]) == ("a@b.example", "Ann Ünlü")
    cleared = api.put("/api/auth/me", token, json={"email": None}).json()
    assert (cleared["email"], cleared["full_name"]) == (None, "Ann Ünlü")
    assert api.put("/api/auth/me", token, json={}).json() == cleared
    assert api.get("/api/auth/me", token).json() == cleared


def test_put_me_changes_nothing_else(api, account):
    person = account()
    token = person.token()
    before = api.get("/api/auth/me", token).json()
    after = api.put("/api/auth/me", token, json={
        "role": "admin", "username": "other", "is_active": False, "id": "x", "password": "x"})
    assert after.status_code == 200
    assert after.json() == before
    assert person.login(api).status_code == 200


def test_put_me_names_every_bad_field(api, account):
    token = account().token()
    for email in ("nobody", "@x", "x@", "a@b@c", "a b@c.example", "a" * 250 + "@b.example", 7,
                  "a\u009b31m@b.example", "a\n@b.example"):
        assert fields_of(api.put("/api/auth/me", token, json={
            "email": email, "full_name": "x" * 201})) == {"email", "full_name"}
    for name in ("two\nlines", "\u001b[31mred", "\u009b31mred", "del\u007f"):
        assert fields_of(api.put("/api/auth/me", token, json={"full_name": name})) == {"full_name"}
    assert_problem(api.put("/api/auth/me", token, data="{", headers={
        "Content-Type": "application/json"}), 400)
    assert_problem(api.put("/api/auth/me", token, data={"email": "a@b.example"}), 415)


def test_a_readonly_user_reads_and_signs_out_but_writes_nothing(api, account):
    token = account("readonly").token()
    assert api.get("/api/auth/me", token).status_code == 200
    assert_problem(api.put("/api/auth/me", token, json={"full_name": "x"}), 403)
    assert api.post("/api/auth/logout", token).status_code == 200


# What ends a session


def statuses(stack, path, token, count):
    """Over as many connections, so that every worker is asked."""
    def ask(_):
        return Api(stack.url).get(path, token).status_code

    return set(at_once(ask, range(count), clients=16))


@pytest.mark.concurrency
def test_logout_ends_the_token_in_every_worker_at_once(stack, api, account):
    person = account()
    token, other = person.token(), person.token()
    assert statuses(stack, "/api/auth/validate", token, 64) == {200}
    answer = api.post("/api/auth/logout", token)
    assert answer.status_code == 200
    assert isinstance(answer.json()["message"], str)
    assert statuses(stack, "/api/auth/validate", token, 64) == {401}
    assert statuses(stack, HOST_ROUTE, token, 64) == {401}
    assert_problem(api.post("/api/auth/logout", token), 401)
    assert api.get("/api/auth/validate", other).status_code == 200


@pytest.mark.behind_web
def test_a_disabled_user_is_out_within_two_seconds(stack, api, account):
    person = account()
    token = person.token()
    assert statuses(stack, HOST_ROUTE, token, 32) == {200}
    stack.ctl("user", "disable", person.name)
    time.sleep(2)
    assert statuses(stack, HOST_ROUTE, token, 64) == {401}
    stack.ctl("user", "enable", person.name)
    time.sleep(2)
    assert statuses(stack, HOST_ROUTE, token, 32) == {401}


@pytest.mark.behind_web
def test_a_new_password_ends_the_sessions(stack, api, account):
    person = account()
    token = person.login(api).json()["access_token"]
    stack.ctl("user", "passwd", person.name, text="another long one\n")
    assert seconds_let_in(lambda: api.get("/api/auth/validate", token).status_code != 401) \
        < TRUSTED_SECONDS
    assert_problem(person.login(api), 401)
    assert person.login(api, "another long one").status_code == 200


# What else may go wrong


def test_no_secret_in_logs_and_answers(stack, api, account):
    person = account()
    secret = "a secret nobody-may-see"
    stack.ctl("user", "passwd", person.name, text=secret + "\n")
    token = person.login(api, secret).json()["access_token"]
    answers = [
        person.login(api, secret + "!"),
        api.post("/api/auth/login", json={"username": "ab", "password": secret}),
        api.post("/api/auth/login", data=secret, headers={"Content-Type": "application/json"}),
        api.post("/api/auth/login/form", data={"username": "ab", "password": secret}),
        api.get("/api/auth/me", token),
        api.get("/api/auth/me", token + "x"),
        api.post("/api/auth/logout", token),
        api.get("/api/auth/me", token),
    ]
    for answer in answers:
        shown = answer.text + str(answer.headers)
        assert secret not in shown and token not in shown
    wait_for(lambda: stack.log_lines(event="request", route="/api/auth/logout"), what="a log line")
    time.sleep(0.5)
    for name in ("mariadbd", "memcached", "ziggied", "nginx", "access"):
        assert secret not in stack.log(name) and token not in stack.log(name), name


@pytest.mark.concurrency
@pytest.mark.limit(180)
def test_without_the_database_host_routes_go_on(fresh_stack):
    stack = fresh_stack("--workers", "2")
    api = stack.api()
    token = stack.token("admin")
    unseen = stack.ctl("token", "admin").stdout.strip()

    def both_workers_know_it():
        assert statuses(stack, HOST_ROUTE, token, 32) == {200}
        served = {line["pid"] for line in stack.log_lines(route=HOST_ROUTE, status=200)}
        return served == set(stack.pids("ziggie-worker"))

    wait_for(both_workers_know_it, what="a request to each worker")
    database = stack.record["parts"]["mariadbd"]["pid"]
    freeze(stack.process.pid)  # or it would bring the database back
    try:
        os.kill(database, signal.SIGKILL)
        time.sleep(2)  # longer than a token is trusted without asking
        for _ in range(3):
            assert statuses(stack, HOST_ROUTE, token, 32) == {200}
            time.sleep(0.7)
        assert api.get("/api/health").status_code == 200
        assert_problem(api.get(HOST_ROUTE, unseen), 503)
        assert_problem(api.get("/api/auth/validate", token), 503)
        assert_problem(api.get("/api/auth/me", token), 503)
        assert_problem(api.put("/api/auth/me", token, json={"full_name": "x"}), 503)
        assert_problem(api.post("/api/auth/logout", token), 503)
        body = {"username": "admin", "password": PASSWORD}
        assert_problem(api.post("/api/auth/login", json=body), 503)
        assert_problem(api.post("/api/auth/login/form", data=body), 503)
    finally:
        stack.process.send_signal(signal.SIGCONT)
    wait_for(lambda: api.get("/api/auth/me", token).status_code == 200, 30, "the database")
    assert api.get(HOST_ROUTE, unseen).status_code == 200


@pytest.mark.limit(180)
def test_a_silent_database_holds_up_host_routes_for_a_second_at_most(fresh_stack):
    stack = fresh_stack("--workers", "1")
    api = stack.api()
    token = stack.token("admin")
    assert statuses(stack, HOST_ROUTE, token, 16) == {200}
    database = stack.record["parts"]["mariadbd"]["pid"]
    freeze(stack.process.pid)
    freeze(database)
    try:
        time.sleep(1.5)
        took = []
        for _ in range(10):
            start = time.monotonic()
            assert api.get(HOST_ROUTE, token).status_code == 200
            took.append(time.monotonic() - start)
        assert statistics.median(took) < 2, took  # a busy machine holds up one or the other
    finally:
        os.kill(database, signal.SIGCONT)
        stack.process.send_signal(signal.SIGCONT)
    wait_for(lambda: api.get("/api/auth/me", token).status_code == 200, 30, "the database")
