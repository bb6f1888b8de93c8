"""Two hosts on one database and one memcached, both in the web server's upstream."""

import datetime
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fcgi_client import Connection
from front import WebServer
from harness import (ADMIN_PASSWORD, BUILD, RunningStack, freeze, proc, quickest, server_command,
                     wait_for)
from traffic import Load

FIRST = socket.gethostname()
SECOND = FIRST + "-2"
INTEREST_SECONDS = 2
KINDS = ("stats", "info", "processes", "ports", "network", "disk", "resources")


@pytest.fixture(scope="module")
def fleet():
    """Heartbeats and processes often, everything else once a minute."""
    stack = RunningStack("--hosts", "2", "--workers", "1", settings={
        "heartbeat_interval": "1s", "interest_ttl": f"{INTEREST_SECONDS}s",
        "processes_interval": "500ms", "sample_interval": "60s"})
    try:
        stack.start()
        wait_for(lambda: statuses(stack) == {FIRST: "up", SECOND: "up"}, what="two hosts up")
        yield stack
    finally:
        stack.remove()


def ask(stack, number, method, path, query="", token=None):
    """Asks one host past the web server."""
    name = "app" if number == 1 else f"app-{number}"
    headers = {"Authorization": f"Bearer {token or stack.token()}"}
    with Connection(os.path.join(stack.run, name, "fcgi.sock")) as c:
        return c.request(method, path, query, headers)


def hosts(stack):
    answer = ask(stack, 1, "GET", "/api/v1/hosts")
    assert answer.status == 200, answer.body
    return {item["id"]: item for item in answer.json()["items"]}


def statuses(stack):
    return {name: item["status"] for name, item in hosts(stack).items()}


def processes_of(stack, number):
    """ziggied, workers and jobs of one host."""
    part = stack.record["parts"]["ziggied" if number == 1 else f"ziggied-{number}"]
    return proc.session_members(part["pid"], part["started"])


def jobs_of(stack, number):
    (pid,) = set(processes_of(stack, number)) & set(stack.pids("ziggie-jobs"))
    return pid


# The list

def test_the_list_names_all_hosts(fleet):
    answer = fleet.api().get("/api/v1/hosts", fleet.token("readonly"))
    assert answer.status_code == 200
    page = answer.json()
    assert (page["total"], page["limit"], page["next_cursor"]) == (2, 50, None)
    assert [item["id"] for item in page["items"]] == [FIRST, SECOND]
    assert "Link" not in answer.headers
    for item in page["items"]:
        assert item["hostname"] == FIRST
        assert item["version"] == fleet.api().get("/api/v1/info").json()["version"]
        assert item["status"] == "up"
        for name in ("first_seen", "last_seen"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item[name])
        seen = datetime.datetime.fromisoformat(item["last_seen"].replace("Z", "+00:00"))
        age = datetime.datetime.now(datetime.timezone.utc) - seen
        assert abs(age.total_seconds()) < 60


def test_the_list_needs_a_principal(fleet):
    assert fleet.api().get("/api/v1/hosts").status_code == 401
    assert fleet.api().get(f"/api/v1/hosts/{FIRST}").status_code == 401


def test_the_list_comes_in_pages(fleet):
    api, token = fleet.api(), fleet.token()
    first = api.get("/api/v1/hosts?limit=1", token)
    page = first.json()
    assert [item["id"] for item in page["items"]] == [FIRST]
    assert (page["total"], page["limit"]) == (2, 1)
    following = re.fullmatch('<(.*)>; rel="next"', first.headers["Link"]).group(1)
    assert following == f"/api/v1/hosts?limit=1&cursor={page['next_cursor']}"
    last = api.get(following, token)
    assert [item["id"] for item in last.json()["items"]] == [SECOND]
    assert last.json()["next_cursor"] is None and "Link" not in last.headers
    by_offset = api.get("/api/v1/hosts/?limit=1&offset=1", token).json()
    assert [item["id"] for item in by_offset["items"]] == [SECOND]


@pytest.mark.parametrize("query, name", [
    ("limit=0", "limit"), ("limit=201", "limit"), ("offset=-1", "offset"),
    ("offset=10001", "offset"), ("cursor=", "cursor"), ("cursor=!", "cursor"),
    ("cursor=_w", "cursor"), ("cursor=YQBi", "cursor"), ("cursor=" + "YWFh" * 86, "cursor"),
    ("cursor=YQ&offset=1", "offset"),
])
def test_bad_pages_are_named(fleet, query, name):
    answer = fleet.api().get("/api/v1/hosts?" + query, fleet.token())
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [name]


def test_one_host(fleet):
    api, token = fleet.api(), fleet.token()
    host = api.get(f"/api/v1/hosts/{SECOND}", token).json()
    listed = hosts(fleet)[SECOND]
    assert {**host, "last_seen": None} == {**listed, "last_seen": None}
    missing = api.get("/api/v1/hosts/elsewhere", token)
    assert missing.status_code == 404
    assert '"elsewhere"' in missing.json()["detail"]


# ?host=

def samples(stack, number):
    for line in ask(stack, number, "GET", "/metrics").body.decode().splitlines():
        if line.startswith('ziggie_samples_total{result="published"}'):
            return int(line.split()[-1])
    raise AssertionError("no count of samples")


def both_rest(stack):
    time.sleep(INTEREST_SECONDS + 0.1)
    before = samples(stack, 1), samples(stack, 2)
    time.sleep(1.1)
    return (samples(stack, 1), samples(stack, 2)) == before


def test_costly_samples_are_taken_where_they_are_asked_for(fleet):
    wait_for(lambda: both_rest(fleet), what="rest")
    before = samples(fleet, 1), samples(fleet, 2)
    taken = set()

    def taken_there():
        answer = ask(fleet, 1, "GET", "/api/system/processes", f"host={SECOND}")
        assert answer.status == 200, answer.body
        taken.add(answer.json()["timestamp"])
        return len(taken) >= 2 and samples(fleet, 2) - before[1] >= 2

    wait_for(taken_there, what="samples of the second host")
    assert samples(fleet, 1) == before[0]
    wait_for(lambda: both_rest(fleet), what="rest after the interest has gone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked, about", [(1, SECOND), (2, FIRST), (2, SECOND)])
def test_any_host_answers_for_any(fleet, kind, asked, about):
    answer = ask(fleet, asked, "GET", f"/api/system/{kind}", f"host={about}")
    assert answer.status == 200, answer.body
    assert answer.json()["success"] is True
    assert "stale" not in answer.json()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", [1, 2])
def test_a_host_that_there_is_not(fleet, kind, asked):
    answer = ask(fleet, asked, "GET", f"/api/system/{kind}", "host=elsewhere")
    assert answer.status == 404
    assert answer.json()["detail"] == 'host: there is no host "elsewhere"'


# A host that stops

def test_a_host_that_stops_is_seen_as_silent(fleet):
    path, query = "/api/system/processes", f"host={SECOND}"
    assert ask(fleet, 1, "GET", path, query).status == 200
    jobs = jobs_of(fleet, 2)
    freeze(jobs)
    try:
        wait_for(lambda: statuses(fleet) == {FIRST: "up", SECOND: "silent"}, what="silence")
        last_seen = hosts(fleet)[SECOND]["last_seen"]
        answer = ask(fleet, 1, "GET", path, query)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        detail = answer.json()["detail"]
        assert f'"{SECOND}"' in detail and last_seen[:19] in detail and "processes" in detail
        # The other one is as it was, and what it asks of itself too.
        assert ask(fleet, 2, "GET", path, f"host={FIRST}").status == 200
        assert hosts(fleet)[SECOND]["last_seen"] == last_seen
    finally:
        os.kill(jobs, signal.SIGCONT)
    wait_for(lambda: statuses(fleet)[SECOND] == "up", what="the host's return")
    wait_for(lambda: ask(fleet, 1, "GET", path, query).status == 200, what="its processes")


def test_without_memcached_each_host_knows_itself(fleet):
    path, query = "/api/system/processes", f"host={SECOND}"
    fleet.kill("memcached", signal.SIGSTOP)
    try:
        answer = wait_for(lambda: not_ok(ask(fleet, 1, "GET", path, query)), what="an error")
        assert answer.status == 503
        detail = answer.json()["detail"]
        assert "memcached" in detail and hosts(fleet)[SECOND]["last_seen"][:16] in detail
        assert ask(fleet, 1, "GET", path, f"host={FIRST}").status == 200
        assert statuses(fleet)[SECOND] == "up"
    finally:
        fleet.kill("memcached", signal.SIGCONT)
    wait_for(lambda: ask(fleet, 1, "GET", path, query).status == 200, what="its processes")


def test_heartbeats_go_on_when_the_database_is_back(fleet):
    before = hosts(fleet)
    fleet.kill("mariadbd")

    def both_were_seen():
        answer = ask(fleet, 1, "GET", "/api/v1/hosts")
        return answer.status == 200 and all(
            item["status"] == "up" and item["last_seen"] > before[item["id"]]["last_seen"]
            for item in answer.json()["items"])

    wait_for(both_were_seen, 30, "new heartbeats of both")
    fleet.wait_ready()
    for number in (1, 2):
        log = "ziggied" if number == 1 else "ziggied-2"
        registered = [line["event"] for line in fleet.json_lines(log)
                      if line["event"] in ("host_registered", "host_not_registered")]
        # Nothing is said twice.
        assert registered[0] == "host_registered"
        assert all(a != b for a, b in zip(registered, registered[1:]))


def not_ok(answer):
    return answer if answer.status != 200 else None


# One account on all hosts

def login(stack):
    answer = stack.api().post("/api/auth/login",
                              json={"username": "admin", "password": ADMIN_PASSWORD})
    assert answer.status_code == 200
    return answer.json()["access_token"]


@pytest.mark.parametrize("out, elsewhere", [(1, 2), (2, 1)])
def test_signing_out_is_felt_on_other_hosts_within_a_second(fleet, out, elsewhere):
    def validate(number, token):
        return ask(fleet, number, "GET", "/api/auth/validate", token=token).status

    def felt():
        token = login(fleet)
        assert [validate(number, token) for number in (out, elsewhere)] == [200, 200]
        assert ask(fleet, out, "POST", "/api/auth/logout", token=token).status == 200
        since = time.monotonic()
        assert validate(out, token) == 401
        wait_for(lambda: validate(elsewhere, token) == 401, what="the token's end elsewhere")
        return time.monotonic() - since

    assert quickest(felt, 1.3) < 1.3


# A host that dies

def kill_host(stack, number):
    """kill -9 of all its processes at once; when that began, and when all were gone."""
    victims = processes_of(stack, number)
    assert len(victims) >= 3
    began = time.monotonic()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(victims) & set(processes_of(stack, number)), what="its end")
    return began, time.monotonic()


def serves_again(stack, number):
    try:
        return ask(stack, number, "GET", "/readyz").status == 200
    except (OSError, EOFError):
        return False


def access_lines(stack, request_ids):
    """nginx's log lines of these requests, by id; they are written within a second."""
    def found():
        lines = {line["request_id"]: line for line in stack.json_lines("access")}
        return lines if set(request_ids) <= set(lines) else None

    lines = wait_for(found, what="the lines of the access log")
    return [lines[request_id] for request_id in request_ids]


def upstreams(line):
    return [os.path.basename(os.path.dirname(path)) for path in line["upstream"].split(", ")]


def tokens_of(stack):
    with stack.database() as db, db.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM tokens WHERE label = 'login'")
        return cursor.fetchone()[0]


def test_a_killed_host_takes_only_writes_that_were_in_it(fleet):
    """Twenty requests hang in both hosts, as a table is locked, when one is killed."""
    fleet.token()
    logins = tokens_of(fleet)
    with fleet.database() as db, ThreadPoolExecutor(20) as pool, db.cursor() as cursor:
        cursor.execute("LOCK TABLES users WRITE")
        credentials = {"username": "admin", "password": ADMIN_PASSWORD}
        posts = [pool.submit(fleet.api().post, "/api/auth/login", json=credentials)
                 for _ in range(6)]
        wait_for(lambda: sum(both_in_flight(fleet)) == 6, what="six in flight")
        assert min(both_in_flight(fleet)) > 0
        gets = [pool.submit(fleet.api().get, "/api/auth/me", fleet.token()) for _ in range(14)]
        wait_for(lambda: sum(both_in_flight(fleet)) == 20, what="twenty in flight")
        kill_host(fleet, 2)
        cursor.execute("UNLOCK TABLES")
        posts, gets = ([future.result() for future in futures] for futures in (posts, gets))
    assert [answer.status_code for answer in gets] == [200] * 14
    assert {answer.status_code for answer in posts} == {200, 502}
    lines = access_lines(fleet, [answer.headers["X-Request-Id"] for answer in posts])
    for answer, line in zip(posts, lines):
        # What was in the dead host was not tried again; what was in the other is well.
        assert upstreams(line) == (["app"] if answer.status_code == 200 else ["app-2"])
    # No sign-in happened twice, or without an answer.
    done = sum(answer.status_code == 200 for answer in posts)
    assert tokens_of(fleet) == logins + done
    wait_for(lambda: serves_again(fleet, 2), what="the host's return")


def in_flight(stack, number):
    """Requests that a host is serving, besides this one."""
    answer = ask(stack, number, "GET", "/metrics").body.decode()
    found = re.search(r"^ziggie_threads_busy (\d+)", answer, re.M)
    return int(found.group(1)) - 1


def both_in_flight(stack):
    return in_flight(stack, 1), in_flight(stack, 2)


REQUESTS = [("GET", "/api/system/stats", None), ("GET", "/api/auth/me", None),
            ("PUT", "/api/auth/me", {"full_name": "Some Name"}),
            ("POST", "/api/auth/login", {"username": "admin", "password": ADMIN_PASSWORD}),
            ("POST", "/api/auth/login", {"username": "nobody", "password": "no password"})]


def client_of(stack, method, path, body):
    """Its answers: the method, whether the status is right, and the request's id."""
    token = stack.token()
    expected = 401 if body and body.get("username") == "nobody" else 200

    def client(api, _):
        answer = api.request(method, path, token, json=body)
        return method, answer.status_code == expected, answer.headers["X-Request-Id"]
    return client


def test_killing_hosts_in_turn_under_load(fleet):
    """Each time only writes fail that were in that host at that moment."""
    kills = []
    with Load(fleet.url, [client_of(fleet, *request) for request in REQUESTS * 2]) as load:
        for number, name in ((2, "app-2"), (1, "app"), (2, "app-2")):
            load.wait_for_more(50)
            kills.append((name, *kill_host(fleet, number)))
            wait_for(lambda: serves_again(fleet, number), what=f"the return of host {number}")
        load.wait_for_more(50)
    assert load.failures() == []
    failed = [one for one in load.asked if not one.got[1]]
    lines = access_lines(fleet, [one.got[2] for one in failed])
    for one, line in zip(failed, lines):
        assert one.got[0] == "POST" and line["status"] == 502, line
        # Where it was last, after others that may have refused it.
        last = upstreams(line)[-1]
        assert any(name == last and one.began <= gone and one.ended >= killed
                   for name, killed, gone in kills), (line, one, kills)


def requests_seen(stack, log):
    return {line["request_id"] for line in stack.json_lines(log) if line["event"] == "request"}


def test_apache_uses_both_hosts_and_outlives_one(fleet):
    sockets = [os.path.join(fleet.run, name, "fcgi.sock") for name in ("app", "app-2")]
    with WebServer("apache", sockets) as apache:
        api, token = apache.api(), fleet.token()
        sent = {api.get("/api/auth/me", token).headers["X-Request-Id"] for _ in range(10)}
        for log in ("ziggied", "ziggied-2"):
            wait_for(lambda: sent & requests_seen(fleet, log), what=f"a request in {log}")
        kill_host(fleet, 2)
        assert {api.get("/api/auth/me", token).status_code for _ in range(20)} == {200}
    wait_for(lambda: serves_again(fleet, 2), what="the host's return")


# Hosts on other machines: their FastCGI comes over TCP

@pytest.fixture
def upstream(fleet):
    """Replaces the servers of nginx's upstream for one test."""
    config = os.path.join(fleet.run, "web", "ziggie.conf")
    with open(config, encoding="utf-8") as f:
        before = f.read()

    def write(text):
        masters = fleet.pids("nginx")
        with open(config, "w", encoding="utf-8") as f:
            f.write(text)
        fleet.kill("nginx", signal.SIGHUP)
        master = fleet.record["parts"]["nginx"]["pid"]
        wait_for(lambda: not set(masters) - {master} & set(fleet.pids("nginx")), what="new workers")

    yield lambda servers: write(re.sub(r"( *server unix:.*\n)+", servers + "\n", before))
    write(before)


@pytest.fixture
def third(fleet):
    """A ziggied that is given a TCP socket, as by a socket unit of systemd; its address."""
    give = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_FDS'] = '1'; "
            "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-c", give, str(listener.fileno()),
             os.path.join(BUILD, "ziggied"), "--config", fleet.config, "--libexec-dir", BUILD,
             "--host-id", "third", "--pid-file", os.path.join(fleet.directory, "third.pid"),
             "--workers", "1", "--user", ""],
            pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
        address = "127.0.0.1:%d" % listener.getsockname()[1]
    yield address
    process.terminate()
    process.wait(30)
    fleet.ctl("host", "remove", "third")


def test_a_host_that_nginx_reaches_over_tcp(fleet, upstream, third):
    wait_for(lambda: statuses(fleet).get("third") == "up", what="a third host")
    upstream(f"server {third};")
    api, token = fleet.api(), fleet.token()
    for about in ("third", SECOND):
        answer = api.get(f"/api/system/info?host={about}", token)
        assert answer.status_code == 200
    (line,) = access_lines(fleet, [answer.headers["X-Request-Id"]])
    assert line["upstream"] == third


def test_a_host_that_was_taken_out_is_forgotten(fleet):
    with fleet.database() as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO hosts SELECT 'gone', hostname, version, interval_ms, first_seen,"
                       " last_seen - INTERVAL 1 DAY FROM hosts LIMIT 1")
    assert statuses(fleet)["gone"] == "silent"
    assert re.search(r"^gone +silent ", fleet.ctl("host", "list").stdout, re.M)
    fleet.ctl("host", "remove", "gone")
    with fleet.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT action, before_json FROM audit WHERE resource = 'host'"
                       " ORDER BY id DESC LIMIT 1")
        assert cursor.fetchone() == ("delete", '{"id":"gone"}')
    assert set(statuses(fleet)) == {FIRST, SECOND}
    again = fleet.ctl("host", "remove", "gone", check=False)
    assert again.returncode != 0 and '"gone"' in again.stderr


def test_a_machine_that_is_off_delays_few_and_fails_none(fleet, upstream):
    """It does not even refuse: here a listener whose backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        with ThreadPoolExecutor(8) as pool, socket.create_connection(listener.getsockname()):
            live = f"server unix:{fleet.run}/app/fcgi.sock max_fails=0;"
            upstream(f"server {address} max_fails=1 fail_timeout=5s; {live}")
            token = fleet.token()

            def request(number):
                since = time.monotonic()
                if number % 2:
                    answer = fleet.api().get("/api/system/stats", token)
                else:
                    answer = fleet.api().post("/api/auth/logout", token="unknown")
                return answer, time.monotonic() - since

            answers = list(pool.map(request, range(8)))
            answers += [request(number) for number in range(20)]
    assert {answer.status_code for answer, _ in answers} == {200, 401}
    lines = access_lines(fleet, [answer.headers["X-Request-Id"] for answer, _ in answers])
    delayed, others = [], []
    for line, (_, seconds) in zip(lines, answers):
        (delayed if line["upstream"].startswith(address) else others).append(seconds)
    assert 1 <= len(delayed) <= 8
    assert min(delayed) > 1.5
    assert sorted(others)[len(others) // 2] < 1.5, others  # a busy machine may hold up some


# script/server

def test_each_host_has_its_own_files(fleet):
    assert re.search(r"^db_hosts += 2 ", fleet.ctl("print-config").stdout, re.M)
    for number, name in ((1, "app"), (2, "app-2")):
        folder = os.path.join(fleet.run, name)
        assert {"fcgi.sock", "ziggied.pid", "ziggie.conf", "db-password"} <= set(os.listdir(folder))
        with open(os.path.join(folder, "ziggied.pid"), encoding="ascii") as f:
            assert int(f.read().split()[0]) in processes_of(fleet, number)
    assert fleet.log("ziggied-2")
    said = subprocess.run(server_command(fleet.state_path, "--status"), capture_output=True,
                          text=True, timeout=30, check=True).stdout
    for name in ("ziggied", "ziggied-2"):
        assert re.search(rf"^{name} +pid {fleet.record['parts'][name]['pid']}$", said, re.M)
