"""Rate limits as clients meet them: exact over all workers, through nginx and Apache."""

import functools
import re
import signal
import threading
import time
import zlib

import pytest

from exchange import LOGIN, assert_problem
from fcgi_client import TIMEOUT, Connection
from front import SeenThrough, WebServer
from gateways import SpawnFcgi
from harness import Api, RunningStack, wait_for
from traffic import at_once

INFO, PORTS = "/api/system/info", "/api/system/ports"
READ, LOGS, LOGINS, ACCOUNT_LOGINS, TOTAL = 40, 15, 4, 6, 100
UNLIMITED = ["/", "/health", "/api/health", "/livez", "/readyz", "/health/startup", "/metrics"]


@pytest.fixture(scope="module")
def limited():
    """Four workers, low limits, and clients whose addresses the tests choose."""
    running = RunningStack("--workers", "4", "--trust-proxy", "127.0.0.1", settings={
        "ratelimit_enabled": "yes", "ratelimit_read": READ, "ratelimit_logs": LOGS,
        "ratelimit_login": LOGINS, "ratelimit_login_account": ACCOUNT_LOGINS,
        "ratelimit_total": TOTAL})
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture(scope="module")
def limited_through_apache(limited):
    with WebServer("apache", [limited.fcgi_socket], proxies=["127.0.0.1"]) as apache:
        yield SeenThrough(limited, apache)


@pytest.fixture(params=["nginx", "apache"])
def front(request):
    """The stack as seen through one of the web servers."""
    return request.getfixturevalue(
        "limited" if request.param == "nginx" else "limited_through_apache")


def token_of_a_new_user(stack, test):
    name = re.sub(r"\W+", "-", test)[-90:].strip("-")
    stack.add_user(name)
    return stack.ctl("token", name).stdout.split()[-1]


@pytest.fixture
def someone(limited, request):
    """A token of a user that no other test has."""
    return token_of_a_new_user(limited, request.node.name)


@pytest.fixture
def address(request):
    """An address that no other test has."""
    number = zlib.crc32(request.node.nodeid.encode()) % 60000
    return f"198.51.{number // 250}.{number % 250 + 1}"


def in_one_minute(test):
    """A test that counts within a window: when the minute turned meanwhile it begins again.

    Counts are anew in the minute after, so a whole new run is as good as the first.
    """
    @functools.wraps(test)
    def run(*args, **kwargs):
        while True:
            if time.time() % 60 > 50:
                time.sleep(60.1 - time.time() % 60)
            minute = time.time() // 60
            try:
                return test(*args, **kwargs)
            except AssertionError:
                if time.time() // 60 == minute:
                    raise
                time.sleep(60.1 - time.time() % 60)

    return run


def ask_often(stack, count, path, token=None, clients=8, **more):
    """Asks in parallel, each client on a connection of its own; the answers."""
    def some(number):
        api = Api(stack.url)
        with api.session:
            return [api.get(path, token, **more) for _ in range(number)]

    shares = [count // clients + (i < count % clients) for i in range(clients)]
    return [answer for answers in at_once(some, shares) for answer in answers]


def statuses(answers):
    """status → how many"""
    found = {}
    for answer in answers:
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


def metric(stack, name):
    for line in Api(stack.url).get("/metrics", stack.token()).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"{name} is missing")


# The boundary

@pytest.mark.concurrency
@in_one_minute
def test_exactly_the_limit_is_admitted(front, someone):
    assert statuses(ask_often(front, READ + 30, INFO, someone)) == {200: READ, 429: 30}


@in_one_minute
def test_each_route_and_each_user_has_its_own_window(limited, someone):
    assert statuses(ask_often(limited, LOGS + 5, PORTS, someone)) == {200: LOGS, 429: 5}
    assert limited.api().get(INFO, someone).status_code == 200
    assert limited.api().get(PORTS, limited.token()).status_code == 200


@in_one_minute
def test_the_total_is_exact_too(front, someone):
    paths = ["/api/system/" + kind for kind in ("info", "stats", "disk", "network")]
    answers = [answer for path in paths for answer in ask_often(front, READ - 5, path, someone)]
    assert statuses(answers) == {200: TOTAL, 429: 4 * (READ - 5) - TOTAL}
    assert '"total";r=0' in answers[-1].headers["RateLimit"]


# What the answers say

FIELD = re.compile(r'"([a-z0-9-]+)";(\w)=(\d+);(\w)=(\d+)')


def fields(answer, header):
    """policy → {parameter: number} of a structured field."""
    value = answer.headers[header]
    items = [FIELD.fullmatch(item) for item in value.split(", ")]
    assert all(items), value
    return {m[1]: {m[2]: int(m[3]), m[4]: int(m[5])} for m in items}


@in_one_minute
def test_headers_of_an_admitted_request(front, someone):
    for used in (1, 2, 3):
        answer = front.api().get(INFO, someone)
        assert answer.status_code == 200
        after = 60 - time.time() % 60
        assert not {"RateLimit", "RateLimit-Policy"} & answer.headers.keys()
        assert answer.headers["X-RateLimit-Limit"] == str(READ)
        assert answer.headers["X-RateLimit-Remaining"] == str(READ - used)
        assert abs(int(answer.headers["X-RateLimit-Reset"]) - (time.time() + after)) <= 2
        assert "Retry-After" not in answer.headers


@in_one_minute
def test_headers_of_a_refusal(front, someone):
    ask_often(front, READ, INFO, someone)
    before = 60 - time.time() % 60
    answer = front.api().get(INFO, someone)
    after = 60 - time.time() % 60
    problem = assert_problem(answer, 429, INFO)
    assert problem["type"] == "urn:ziggie:problem:rate_limited"
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 60
    states = fields(answer, "RateLimit")
    assert {name: state["r"] for name, state in states.items()} == {
        "read": 0, "total": TOTAL - READ}
    assert all(after - 1 <= state["t"] <= before + 1 for state in states.values())
    assert states["read"]["t"] == wait
    assert fields(answer, "RateLimit-Policy") == {"read": {"q": READ, "w": 60},
                                                  "total": {"q": TOTAL, "w": 60}}
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == \
        (str(READ), "0")
    assert int(answer.headers["X-RateLimit-Reset"]) % 60 == 0


def test_what_is_never_limited(front):
    for path in UNLIMITED:
        answers = ask_often(front, 2 * READ, path, front.token())
        assert statuses(answers) == {200: 2 * READ}, path
        assert "X-RateLimit-Limit" not in answers[-1].headers
    for method, path, status in (("OPTIONS", INFO, 204), ("GET", "/api/nowhere", 404)):
        for _ in range(READ + 5):
            assert front.api().request(method, path).status_code == status


# Who is meant

@in_one_minute
def test_without_a_good_token_the_address_counts(front, someone, address):
    from_there = {"X-Forwarded-For": address}
    answers = ask_often(front, READ + 10, INFO, "zgt_" + "x" * 43, headers=from_there)
    assert statuses(answers) == {401: READ, 429: 10}
    assert front.api().get(INFO, headers=from_there).status_code == 429
    # A user at that address is somebody else, and so is another address.
    assert front.api().get(INFO, someone, headers=from_there).status_code == 200
    assert front.api().get(INFO, headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 401


@in_one_minute
def test_an_api_key_is_a_principal_of_its_own(front, someone):
    made = front.api().post("/api/v1/api-keys", someone,
                            json={"name": "limits", "scopes": ["system:read"]})
    assert made.status_code == 201, made.text
    key = {"X-API-Key": made.json()["key"]}
    assert statuses(ask_often(front, READ + 5, INFO, headers=key)) == {200: READ, 429: 5}
    assert statuses(ask_often(front, READ + 5, INFO, someone)) == {200: READ, 429: 5}


@in_one_minute
def test_one_network_of_ipv6_is_one_address(limited):

    def ask(host):
        return limited.api().get(INFO, headers={"X-Forwarded-For": host}).status_code

    assert {ask(f"2001:db8:0:7::{i:x}") for i in range(READ)} == {401}
    assert ask("2001:db8:0:7:ffff::1") == 429
    assert ask("2001:db8:0:8::1") == 401


# Signing in

def sign_in(stack, name, address, password="not this one"):
    return stack.api().post(LOGIN, json={"username": name, "password": password},
                            headers={"X-Forwarded-For": address})


@in_one_minute
def test_sign_ins_are_limited_by_address(front, address):
    seen = [sign_in(front, f"nobody-{i}", address) for i in range(LOGINS + 2)]
    assert [answer.status_code for answer in seen] == [401] * LOGINS + [429] * 2
    assert seen[0].headers["X-RateLimit-Limit"] == str(LOGINS)
    assert fields(seen[-1], "RateLimit").keys() == {"login"}
    by_form = front.api().post(LOGIN + "/form", headers={"X-Forwarded-For": address},
                               data={"username": "nobody-0", "password": "not this one"})
    assert by_form.status_code == 429
    other = sign_in(front, "nobody-0", "192.0.2.77")
    assert other.status_code == 401


@pytest.mark.parametrize("exists", [True, False], ids=["known", "unknown"])
@in_one_minute
def test_sign_ins_are_limited_by_account(front, exists):
    name = f"target-{front.web_server}-{'known' if exists else 'unknown'}"
    if exists and name not in front.ctl("user", "list").stdout:
        front.add_user(name, password="the right password")
    tens = 10 + 40 * exists + 20 * (front.web_server == "apache")
    seen = [sign_in(front, name, f"203.0.113.{tens + i}") for i in range(ACCOUNT_LOGINS + 2)]
    assert [answer.status_code for answer in seen] == [401] * ACCOUNT_LOGINS + [429] * 2
    # Nothing tells of the others' attempts until the account's own limit is reached …
    assert {answer.headers["X-RateLimit-Limit"] for answer in seen[:-2]} == {str(LOGINS)}
    assert fields(seen[-1], "RateLimit")["login-account"]["r"] == 0
    assert_problem(seen[-1], 429, LOGIN)
    # … and then not even the right password is tried.
    right = sign_in(front, name, f"203.0.113.{tens + 15}", "the right password")
    assert right.status_code == 429
    assert sign_in(front, name.upper(), f"203.0.113.{tens + 16}").status_code == 401


# What becomes of the counts

@in_one_minute
def test_a_killed_worker_takes_no_counts_along(limited, someone):
    assert statuses(ask_often(limited, READ - 10, INFO, someone)) == {200: READ - 10}
    limited.kill("ziggie-worker")
    limited.wait_ready()
    assert statuses(ask_often(limited, 20, INFO, someone)) == {200: 10, 429: 10}


@in_one_minute
def test_a_reload_changes_a_limit_and_keeps_the_counts(limited, someone):
    with open(limited.config, encoding="utf-8") as f:
        before = f.read()

    def set_limit(limit):
        serving = len(limited.log_lines(event="generation_serves"))
        with open(limited.config, "w", encoding="utf-8") as f:
            f.write(before.replace(f'ratelimit_read = "{READ}"', f'ratelimit_read = "{limit}"'))
        limited.kill("ziggied", signal.SIGHUP)
        wait_for(lambda: len(limited.log_lines(event="generation_serves")) > serving, 30, "reload")
        wait_for(lambda: len(limited.pids("ziggie-worker")) == 4, 30, "the old workers' end")

    try:
        assert statuses(ask_often(limited, READ + 2, INFO, someone)) == {200: READ, 429: 2}
        set_limit(READ + 7)
        assert statuses(ask_often(limited, 12, INFO, someone)) == {200: 7, 429: 5}
        set_limit(5)
        assert statuses(ask_often(limited, 4, INFO, someone)) == {429: 4}
    finally:
        set_limit(READ)


@in_one_minute
def test_the_metrics_tell(limited, someone):
    names = ("ziggie_ratelimit_admitted_total", 'ziggie_ratelimit_refused_total{class="read"}')
    before = [metric(limited, name) for name in names]
    ask_often(limited, READ + 9, INFO, someone)
    assert [metric(limited, name) for name in names] == [before[0] + READ, before[1] + 9]
    assert metric(limited, "ziggie_ratelimit_uncounted_total") == 0
    assert 0 <= metric(limited, "ziggie_ratelimit_table_used_ratio") < 0.01


@in_one_minute
def test_a_refusal_asks_neither_database_nor_memcached(limited, someone):
    ask_often(limited, READ, INFO, someone)
    lookups = "ziggie_cache_lookups_total{tier=\"memcached\",result=\"hit\"}"

    def statements(db):
        db.execute("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_select', 'Com_stmt_execute')")
        return sum(int(row[1]) for row in db.fetchall())

    with limited.database() as connection, connection.cursor() as db:
        before = statements(db), metric(limited, lookups)
        start = time.monotonic()
        assert statuses(ask_often(limited, 600, INFO, someone)) == {429: 600}
        seconds = time.monotonic() - start
        after = statements(db), metric(limited, lookups)
    # A token is looked up once a second by each worker, and hosts and workers keep watch; each of
    # five processes looks whether the database is well every 10 s, with some statements at once.
    beside = 20 * (seconds + 1) + 5 * 10
    assert beside < 600
    assert after[0] - before[0] < beside
    assert after[1] - before[1] < beside


# Several hosts

@pytest.fixture(scope="module")
def fleet():
    running = RunningStack("--hosts", "2", "--workers", "2", settings={
        "ratelimit_enabled": "yes", "ratelimit_scope": "fleet", "ratelimit_read": READ,
        "ratelimit_total": TOTAL, "memcached_timeout": "1s", "memcached_retry": "1s"})
    try:
        yield running.start()
    finally:
        running.remove()


def ask_hosts(stack, count, path, token, hosts=(1, 2)):
    """Asks the hosts past the web server, in rounds in which all ask at once; statuses by host."""
    workers = [host for host in hosts for _ in range(3)]
    together = threading.Barrier(len(workers), timeout=TIMEOUT)

    def some(host):
        name = "app" if host == 1 else f"app-{host}"
        found = {}
        for _ in range(count):
            together.wait()
            with Connection(f"{stack.run}/{name}/fcgi.sock") as c:
                status = c.request("GET", path, headers={"Authorization": "Bearer " + token}).status
            found[status] = found.get(status, 0) + 1
        return found

    results = at_once(some, workers)
    return {host: {status: sum(r.get(status, 0) for r, w in zip(results, workers) if w == host)
                   for status in (200, 429)} for host in hosts}


@pytest.fixture
def fleet_token(fleet, request):
    """Of a user that no other test has."""
    return token_of_a_new_user(fleet, request.node.name)


@pytest.mark.concurrency
@in_one_minute
def test_two_hosts_admit_exactly_the_limit_together(fleet, fleet_token):
    seen = ask_hosts(fleet, 15, INFO, fleet_token)
    assert seen[1][200] + seen[2][200] == READ, seen
    assert min(seen[1][200], seen[2][200]) > 0, "one host did all the work"
    assert ask_hosts(fleet, 1, INFO, fleet_token) == {1: {200: 0, 429: 3}, 2: {200: 0, 429: 3}}


@in_one_minute
def test_two_hosts_share_the_total(fleet, fleet_token):
    sums = {200: 0, 429: 0}
    for kind in ("info", "stats", "disk", "network"):
        for answers in ask_hosts(fleet, 6, "/api/system/" + kind, fleet_token).values():
            sums = {status: sums[status] + answers[status] for status in sums}
    assert sums == {200: TOTAL, 429: 4 * 36 - TOTAL}


@in_one_minute
def test_without_memcached_each_host_counts_alone_and_says_so(fleet, fleet_token):
    seen = ask_hosts(fleet, 2, INFO, fleet_token)
    assert seen[1][200] + seen[2][200] == 12
    counted = metric(fleet, "ziggie_ratelimit_alone_total")
    (memcached,) = fleet.pids("memcached")
    fleet.kill("memcached", signal.SIGSTOP)
    try:
        alone = ask_hosts(fleet, 15, INFO, fleet_token)
    finally:
        fleet.kill("memcached", signal.SIGCONT)
    # What it knew of the fleet's count each host keeps, and goes on from there.
    for host in (1, 2):
        assert READ - 12 <= alone[host][200] <= READ - seen[host][200], (seen, alone)
    assert fleet.pids("memcached") == [memcached]
    assert metric(fleet, "ziggie_ratelimit_alone_total") > counted
    assert fleet.log_lines(event="ratelimit_alone")

    def together():
        # As long as memcached_retry: what is asked sooner only uses up the limit, and a host that
        # refuses by its own count need not ask memcached.
        time.sleep(1)
        ask_hosts(fleet, 1, "/api/system/stats", fleet_token)
        return fleet.log_lines(event="ratelimit_together")

    wait_for(together, what="counting together")


# Without ziggied

@in_one_minute
def test_ziggie_fcgi_counts_for_itself(shared_stack):
    token = shared_stack.token()
    with SpawnFcgi(shared_stack, ratelimit_enabled="yes", ratelimit_read="5") as gateway:
        headers = {"Authorization": "Bearer " + token}
        seen = [gateway.request("GET", INFO, headers) for _ in range(7)]
        assert [reply.status for reply in seen] == [200] * 5 + [429] * 2
