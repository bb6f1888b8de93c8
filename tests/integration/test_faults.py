"""What the ground does to a running stack: descriptors, the log's disk, the database.

docs/faults.md says what each fault may cost.  memcached's faults stand in
test_cache_faults.py, faults of single calls in tests/unit/test_faults_request.c.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time

import psutil
import pymysql
import pytest

from fcgi_client import Connection
from harness import ADMIN_PASSWORD, RunningStack, quickest, row_is_awaited, wait_for
from traffic import Load

LIMIT_MS = 2000
SPARE_FILES = 3
CROWD = 30
HOST_PATHS = ("/api/health", "/api/system/stats", "/livez", "/api/system/processes")


@pytest.fixture(scope="module")
def faulty():
    """A stack of this file's own with one worker, whose figures are then the stack's."""
    running = RunningStack("--workers", "1", settings={"request_timeout": f"{LIMIT_MS}ms"})
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture
def worker(faulty):
    return psutil.Process(faulty.pids("ziggie-worker")[0])


def socket_of(stack):
    return os.path.join(stack.run, "app", "fcgi.sock")


def metric(text, name):
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"{name} is missing")


def prlimit(process, *arguments):
    """Only its own account may change a process's limits; root may not everywhere."""
    uid, gid = process.uids().real, process.gids().real
    become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    command = ["prlimit", f"--pid={process.pid}", *arguments]
    done = subprocess.run((become if uid != os.geteuid() else []) + command, check=True, text=True,
                          capture_output=True)
    return done.stdout


class Limit:
    """A lower soft limit of a running process, for a while: "nofile" or "fsize"."""

    def __init__(self, process, which, value):
        self.process, self.which, self.value = process, which, value

    def __enter__(self):
        self.before = prlimit(self.process, f"--{self.which}", "--noheadings", "-o", "SOFT").strip()
        prlimit(self.process, f"--{self.which}={self.value}:")

    def __exit__(self, *_):
        prlimit(self.process, f"--{self.which}={self.before}:")


def processor_seconds(process):
    times = process.cpu_times()
    return times.user + times.system


# Descriptors


def health_status(connection):
    return connection.request("GET", "/api/health").status


def connect_crowd(path):
    crowd = []
    for _ in range(CROWD):
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        crowd.append(one)
    return crowd


def close_all(crowd):
    for one in crowd:
        one.close()


def seconds_until_let_in(stack, kept):
    """How long who comes last waits once the crowd goes, for whom there was no descriptor."""
    crowd, errors = connect_crowd(socket_of(stack)), accept_errors(kept)
    # 10 ms and twice as long each time: by now it rests for a second.
    wait_for(lambda: accept_errors(kept) >= errors + 8, what="long rests")
    with Connection(socket_of(stack)) as late:
        close_all(crowd)
        began = time.monotonic()
        assert health_status(late) == 200
        return time.monotonic() - began


def accept_errors(connection):
    return metric(connection.request("GET", "/metrics").body.decode(),
                  'ziggie_accept_pauses_total{reason="error"}')


def test_without_descriptors_accepting_waits_and_all_else_goes_on(faulty, worker):
    bearer = {"Authorization": "Bearer " + faulty.token()}
    with Connection(socket_of(faulty)) as kept:
        assert kept.request("GET", "/api/system/stats", headers=bearer).status == 200
        errors = accept_errors(kept)
        with Limit(worker, "nofile", worker.num_fds() + SPARE_FILES):
            crowd = connect_crowd(socket_of(faulty))
            began, used = time.monotonic(), processor_seconds(worker)
            while time.monotonic() < began + 2:
                assert health_status(kept) == 200
                assert kept.request("GET", "/api/system/stats", headers=bearer).status == 200
                time.sleep(0.1)
            used = processor_seconds(worker) - used
            # It tried again and again, ever more slowly, and rested meanwhile.
            wait_for(lambda: 2 <= accept_errors(kept) - errors, what="pauses in the metrics")
            assert accept_errors(kept) - errors < 30
            assert used < 0.3
            close_all(crowd)
            assert quickest(lambda: seconds_until_let_in(faulty, kept), 0.5) < 0.5
        assert health_status(kept) == 200
    assert faulty.log_lines(event="accept_failed", program="ziggie-worker")
    assert worker.is_running()


# The log's disk


def lost_lines(stack):
    return metric(stack.api().get("/metrics").text, "ziggie_log_lines_lost_total")


def test_a_full_disk_costs_log_lines_and_nothing_else(faulty, worker):
    api, token = faulty.api(), faulty.token()
    lost = lost_lines(faulty)
    with Limit(worker, "fsize", 0):
        for _ in range(20):
            assert api.get("/api/system/stats", token=token).status_code == 200
        wait_for(lambda: lost_lines(faulty) >= lost + 20, what="lost lines in the metrics")
    answer = api.get("/livez")
    wait_for(lambda: faulty.log_lines(request_id=answer.headers["X-Request-Id"]),
             what="a line once there is room again")
    assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE


def test_a_line_that_the_full_disk_cut_spoils_no_other(faulty, worker):
    api = faulty.api()
    wait_for(lambda: faulty.log().endswith("\n"), what="a log at rest")
    with Limit(worker, "fsize", os.path.getsize(faulty.state.log("ziggied")) + 99):
        assert api.get("/livez").status_code == 200
        wait_for(lambda: not faulty.log().endswith("\n"), what="a line that is cut")
    answer = api.get("/livez")
    wait_for(lambda: f'"{answer.headers["X-Request-Id"]}"' in faulty.log(), what="the next line")
    after = faulty.log().rpartition(answer.headers["X-Request-Id"])[0]
    assert after.rpartition("\n")[2].startswith('{"time":')


def size_of_a_large_log(stack):
    """Makes it larger than any other file that the programs write: a build that counts writes
    its counters before each exec, and ends there when they do not fit."""
    with open(stack.state.log("ziggied"), "ab") as log:
        log.write(b"\n" * 2 ** 20)
        return log.tell()


def test_the_supervisor_works_without_its_log(faulty, worker):
    """It replaces a worker, although neither of them can say so."""
    ziggied = psutil.Process(faulty.pids("ziggied")[0])
    with Limit(ziggied, "fsize", size_of_a_large_log(faulty)):
        worker.kill()
        fresh = wait_for(lambda: [pid for pid in faulty.pids("ziggie-worker") if pid != worker.pid],
                         30, "a new worker")
        faulty.wait_ready()
        assert faulty.api().get("/api/health").status_code == 200
    assert ziggied.is_running()
    # What it started has inherited the limit.
    for pid in fresh:
        prlimit(psutil.Process(pid), "--fsize=unlimited:")


# The database


OF_THE_DATABASE = {"me", "rename", "sign_in"}
ALL_CLIENTS = {"host"} | OF_THE_DATABASE


class Clients(Load):
    """Asks for host routes, the own account, changes of it and sign-ins, each on a thread."""

    def __init__(self, stack):
        super().__init__(stack.url, [self.host, self.host, self.me, self.rename, self.sign_in],
                         pause=0.02)
        self.stack, self.token = stack, stack.token()
        self.tokens = []  # of acknowledged sign-ins
        self.named = 0  # the last change of name that was acknowledged
        self.tried = 0

    def host(self, api, turn):
        return api.get(HOST_PATHS[turn % len(HOST_PATHS)], self.token)

    def me(self, api, _):
        return api.get("/api/auth/me", self.token)

    def rename(self, api, turn):
        self.tried = turn + 1
        answer = api.put("/api/auth/me", self.token, json={"full_name": f"Number {turn + 1}"})
        if answer.status_code == 200:
            self.named = turn + 1
        return answer

    def sign_in(self, api, _):
        answer = api.post("/api/auth/login", json={"username": "admin", "password": ADMIN_PASSWORD})
        if answer.status_code == 200:
            self.tokens.append(answer.json()["access_token"])
        return answer

    def check_answers(self, refusals=(503,)):
        """Host routes noticed nothing; the others were answered in time, and in our words."""
        refused = 0
        assert self.failures() == []
        assert self.slowest() < LIMIT_MS / 1000 + 1
        for one in self.asked:
            answer = one.got
            if answer.status_code == 200:
                continue
            refused += 1
            assert one.by != "host", answer.text
            assert answer.status_code in refusals, answer.text
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.status_code != 503 or int(answer.headers["Retry-After"]) > 0
        return refused

    def wait_for_each(self, names, statuses):
        """Until each of those clients has asked from now on, and got one of those answers."""
        since = time.monotonic()

        def answered():
            return {one.by for one in list(self.asked) if one.began >= since
                    and not isinstance(one.got, Exception) and one.got.status_code in statuses}

        wait_for(lambda: names <= answered(), 30, f"{statuses} for {names}")

    def check_writes(self):
        """Whatever was acknowledged is there."""
        api = self.stack.api()
        assert len(self.tokens) > 1
        for token in self.tokens:
            assert api.get("/api/auth/validate", token).status_code == 200
        number = int(api.get("/api/auth/me", self.token).json()["full_name"].split()[1])
        assert self.named <= number <= self.tried


def database_answers(stack):
    try:
        stack.database().close()
        return True
    except pymysql.MySQLError:
        return False


def wait_until_whole(stack, seconds=30):
    """Requests are answered, and the pool is as it was."""
    api, token = stack.api(), stack.token()
    wait_for(lambda: api.get("/api/auth/me", token).status_code == 200, seconds, "the own account")
    wait_for(lambda: api.get("/readyz").status_code == 200, seconds, "readiness")

    def pool():
        text = api.get("/metrics").text
        return [metric(text, name) for name in
                ('ziggie_pool_connections{state="in_use"}', "ziggie_pool_waiting",
                 'ziggie_pool_connections{state="idle"}')]

    wait_for(lambda: pool()[:2] == [0, 0] and pool()[2] >= 5, seconds, "a pool at rest")
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE user = 'ziggie'")
        assert cursor.fetchone()[0] <= metric(api.get("/metrics").text, "ziggie_pool_max")


@contextlib.contextmanager
def requests_in_the_database(stack):
    """While it lasts, one of the clients at least waits there for the administrator's row."""
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT id FROM users WHERE username = 'admin' FOR UPDATE")
        wait_for(lambda: row_is_awaited(database), 30, "a request that waits for the row")
        yield


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_database_restarts_under_load(faulty, number):
    with Clients(faulty) as clients:
        clients.wait_for_each(ALL_CLIENTS, [200])
        before = faulty.record["parts"]["mariadbd"]
        with requests_in_the_database(faulty):
            faulty.kill("mariadbd", number)
        wait_for(lambda: faulty.record["parts"].get("mariadbd", before) != before, 60,
                 "a new mariadbd")
        wait_for(lambda: database_answers(faulty), 60, "the database")
        clients.wait_for_each(ALL_CLIENTS, [200])
    assert clients.check_answers() > 0
    wait_until_whole(faulty)
    clients.check_writes()


def test_a_database_that_does_not_answer(faulty):
    with Clients(faulty) as clients:
        clients.wait_for_each(ALL_CLIENTS, [200])
        faulty.kill("mariadbd", signal.SIGSTOP)
        try:
            clients.wait_for_each({"host"}, [200])
            clients.wait_for_each(OF_THE_DATABASE, [503, 504])
        finally:
            faulty.kill("mariadbd", signal.SIGCONT)
        clients.wait_for_each(ALL_CLIENTS, [200])
    assert clients.check_answers(refusals=(503, 504)) > 0
    wait_until_whole(faulty)
    clients.check_writes()
