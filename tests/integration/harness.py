"""A running stack as the tests use it: started by script/server, ended with the tests."""

import glob
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

import psutil
import pymysql
import requests

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.realpath(os.environ.get("ZIGGIE_BUILD", os.path.join(SOURCE, "build")))
sys.path.insert(0, os.path.join(SOURCE, "script", "lib"))

from contract import Watch  # noqa: E402
from stack import proc  # noqa: E402
from stack.layout import State  # noqa: E402


def _sanitizer():
    """What the build was instrumented with: "address,undefined", "thread" or nothing."""
    with open(os.path.join(BUILD, "Makefile"), encoding="utf-8") as f:
        found = re.search(r"^ZIGGIE_INSTR_CFLAGS = -fsanitize=(\S+)", f.read(), re.M)
    return found.group(1) if found else ""


SANITIZER = _sanitizer()
START_LIMIT = 120
WATCH = Watch(os.path.join(BUILD, "ziggiectl"))
ADMIN_PASSWORD = "correct horse battery"


def scratch_dir():
    """A short directory that any account may pass through."""
    path = tempfile.mkdtemp(prefix="zgt.", dir="/tmp")
    os.chmod(path, 0o755)
    return path


def wait_for(condition, seconds=30, what="condition"):
    """Waits until condition() is true and returns its value; fails after `seconds`.

    The limit is for what never comes: on a busy machine all may take many times as long.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} is not so after {seconds} s")
        time.sleep(0.05)


def row_is_awaited(database):
    """Whether a statement waits for a row that a transaction of the test's has locked."""
    with database.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
        return int(cursor.fetchone()[1]) > 0


def wait_until_blocked(child, database, seconds=60):
    """Waits until a program waits for a row that a transaction of the test's has locked."""

    def blocked():
        assert child.poll() is None, f"it has ended with {child.returncode}"
        return row_is_awaited(database)

    wait_for(blocked, seconds, "a wait for the locked row")


def _threads_stopped(pid):
    """Whether no thread of a process runs any more, because it was stopped or has ended."""
    states = set()
    for stat in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            with open(stat, "rb") as f:
                states.add(f.read().rpartition(b")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return states <= {b"T", b"Z", b"X"}


def freeze(*pids):
    """Stops processes, and returns once they are: one thread takes SIGSTOP and then stops the
    others, and until it has had its turn on a busy machine they go on and answer. SIGCONT ends it.
    """
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(map(_threads_stopped, pids)), what=f"a stop of {pids}")


def quickest(measure, limit, tries=5):
    """How many seconds something takes at best: a busy machine makes it longer, but not always.

    measure() returns how long it took, and is called again while that is not below `limit`.
    """
    took = measure()
    for _ in range(1, tries):
        if took < limit:
            break
        took = measure()
    return took


def connections_of(pid, path):
    """How many connections to the Unix socket `path` a worker has open; it listens there too."""
    return sum(c.laddr == path for c in psutil.Process(pid).connections("unix")) - 1


def server_command(state, *arguments, build=BUILD):
    """script/server on a state directory, with the built programs."""
    command = [os.path.join(SOURCE, "script", "server"), "--state", state, *arguments]
    if "--stop" not in arguments and "--status" not in arguments:
        command += ["--build-dir", build]
    return command


class Api:
    """A client of one stack through its web server; every answer must be as described."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def request(self, method, path, token=None, headers=None, timeout=20, **more):
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        answer = self.session.request(method, self.url + path, headers=headers, timeout=timeout,
                                      allow_redirects=False, **more)
        if not more.get("stream"):  # the body is the test's to read
            WATCH.check(answer)
        return answer

    def get(self, path, token=None, **more):
        return self.request("GET", path, token, **more)

    def post(self, path, token=None, **more):
        return self.request("POST", path, token, **more)

    def put(self, path, token=None, **more):
        return self.request("PUT", path, token, **more)

    def patch(self, path, token=None, **more):
        return self.request("PATCH", path, token, **more)

    def delete(self, path, token=None, **more):
        return self.request("DELETE", path, token, **more)


class RunningStack:
    """script/server in the foreground of this process; it ends when this process ends."""

    def __init__(self, *arguments, settings=None, state=None, port=0, environment=None,
                 programs=BUILD):
        self.directory = None if state else scratch_dir()
        self.state_path = state or os.path.join(self.directory, "state")
        self.state = State(self.state_path)
        self.arguments = ["--port", str(port), *arguments]
        # Tests of other things ask as often as they like.
        for name, value in {"ratelimit_enabled": "no", **(settings or {})}.items():
            self.arguments += ["--set", f"{name}={value}"]
        self.environment = {**os.environ, "ZIGGIE_ADMIN_PASSWORD": ADMIN_PASSWORD,
                            **(environment or {})}
        self.programs = programs
        self.process = None
        self.said = ""
        self._tokens = {}

    def start(self):
        command = ["setpriv", "--pdeathsig", "TERM", *server_command(
            self.state_path, *self.arguments, build=self.programs)]
        self.said = ""
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment)
        self._await_banner()
        return self

    def _await_banner(self):
        output = self.process.stdout
        os.set_blocking(output.fileno(), False)
        deadline = time.monotonic() + START_LIMIT
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while "curl" not in self.said:
                selector.select(max(0, deadline - time.monotonic()))
                chunk = output.read()
                if chunk == b"" or time.monotonic() > deadline:
                    said = self.said
                    self.stop()
                    raise RuntimeError(f"the stack did not start:\n{said}")
                self.said += (chunk or b"").decode("utf-8", "replace")

    def stop(self):
        """Ends the stack in order; True when it ended by itself with status 0."""
        if self.process is None:
            return True
        self.process.terminate()
        try:
            self.process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        status, self.process = self.process.returncode, None
        return status == 0

    def remove(self):
        self.stop()
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # What runs

    @property
    def record(self):
        return self.state.record()

    @property
    def url(self):
        return self.record["url"]

    @property
    def address(self):
        """Host and port."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname, parts.port

    @property
    def web_server(self):
        """"nginx" or "apache"."""
        return "nginx" if "nginx" in self.record["parts"] else "apache"

    @property
    def fcgi_socket(self):
        return os.path.join(self.run, "app", "fcgi.sock")

    @property
    def run(self):
        """The runtime directory: sockets and the generated configuration."""
        return self.record["runtime"]

    @property
    def config(self):
        return os.path.join(self.run, "app", "ziggie.conf")

    def api(self):
        return Api(self.url)

    def pids(self, name):
        """The processes of this stack with that name: "ziggie-worker", "nginx" …"""
        found = []
        for part in self.record["parts"].values():
            for pid in proc.session_members(part["pid"], part["started"]):
                try:
                    if psutil.Process(pid).name() == name:
                        found.append(pid)
                except psutil.NoSuchProcess:
                    pass
        return found

    def kill(self, name, number=signal.SIGKILL):
        """Signals a part's main process, or all processes of a name that is not a part's.

        After SIGKILL it returns when they are gone, and a part's successor is there; after
        SIGSTOP when they stand still.
        """
        part = self.record["parts"].get(name)
        pids = [part["pid"]] if part else self.pids(name)
        assert pids, f"no {name} runs"
        if number == signal.SIGSTOP:
            freeze(*pids)
            return pids
        for pid in pids:
            os.kill(pid, number)
        if number == signal.SIGKILL:
            wait_for(lambda: not set(pids) & set(self.pids(name)), what=f"the end of {name}")
        if number == signal.SIGKILL and part:
            wait_for(lambda: self.record["parts"].get(name, part) != part, what=f"a new {name}")
        return pids

    def restart_seconds(self, name):
        """Kills a part's main process; how long it took until there was another."""
        before, since = self.record["parts"][name]["pid"], time.monotonic()
        self.kill(name)
        took = time.monotonic() - since
        assert self.record["parts"][name]["pid"] != before
        self.wait_ready(30)
        return took

    def replace_generation(self, number=signal.SIGHUP):
        """Has ziggied put new children in the place of its own, by SIGHUP or SIGUSR2."""
        before = len(self.log_lines(event="generation_serves"))
        os.kill(self.record["parts"]["ziggied"]["pid"], number)
        wait_for(lambda: len(self.log_lines(event="generation_serves")) > before, 30,
                 "a new generation")

    def wait_ready(self, seconds=15):
        def ready():
            try:
                return requests.get(self.url + "/readyz", timeout=5).status_code == 200
            except requests.RequestException:
                return False

        wait_for(ready, seconds, "readiness")

    def log(self, name="ziggied"):
        """The text of a part's log, or of the access log."""
        with open(self.state.log(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_lines(self, **wanted):
        """ziggied's JSON log lines, those that have all the given values."""
        return [entry for entry in self.json_lines("ziggied")
                if all(entry.get(key) == value for key, value in wanted.items())]

    def json_lines(self, name):
        """The JSON lines of a log; the last may be half written yet, and is left out."""
        complete = self.log(name).rpartition("\n")[0]
        return [json.loads(line) for line in complete.split("\n") if line.startswith("{")]

    # Its accounts and its database

    def ctl(self, *arguments, text="", check=True):
        """Runs ziggiectl on this stack."""
        command = [os.path.join(self.programs, "ziggiectl"), "--config", self.config, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60,
                              check=False)
        assert not check or done.returncode == 0, f"ziggiectl {arguments}: {done.stderr}"
        return done

    def add_user(self, name, role="user", password="a long password"):
        self.ctl("user", "add", name, "--role", role, text=password + "\n")

    def token(self, role="admin"):
        """A token of the administrator, or of a user of that role, made when first asked for."""
        if role not in self._tokens:
            name = role if role == "admin" else "some-" + role
            if role != "admin":
                self.add_user(name, role)
            self._tokens[role] = self.ctl("token", name).stdout.split()[-1]
        return self._tokens[role]

    def database(self, user="root", **more):
        """A connection to the stack's MariaDB that commits each statement."""
        secret = "db-root-password" if user == "root" else "db-password"
        return pymysql.connect(
            unix_socket=os.path.join(self.run, "db", "mariadb.sock"), user=user,
            password=self.state.secret(secret), database="ziggie", autocommit=True, **more)
