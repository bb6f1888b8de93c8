"""The keeper starts the parts, restarts what dies, and ends everything."""

import json
import os
import select
import shlex
import signal
import socket
import time

from stack import StackError, layout, parts, proc, web

OWN_VARIABLES = {"ZIGGIE_ADMIN_PASSWORD", "ZIGGIE_BUILD"}
# Pauses before a part that keeps dying is started again.
BACK_OFF = (0, 0.2, 0.5, 1, 2, 5)
STEADY = 10  # seconds alive after which it no longer counts as dying
ADMIN = "admin"


class Stopped(Exception):
    """Somebody asked for the end while the stack was starting."""


class Stack:
    """What the parts know of the whole."""

    def __init__(self, state, source, build, *, address="127.0.0.1", port=8080, settings=None,
                 web_server="nginx", web_settings=None, proxies=(), hosts=1, db_connections=200,
                 progress=print):
        self.state = state
        self.source = source
        self.build = build
        self.address = address
        self.port = port
        self.settings = settings or {}
        self.web_server = web_server
        self.web_settings = web_settings or {}
        self.proxies = proxies
        self.hosts = hosts
        self.db_connections = db_connections
        self.progress = progress
        self.run = None
        self.app_account = layout.account("ziggie", "daemon", "nobody")
        self.web_account = layout.account("www-data", "nginx", "nobody")
        self.environment = {k: v for k, v in os.environ.items()
                            if k not in OWN_VARIABLES and not k.startswith(("LISTEN_", "NOTIFY_"))}

    @property
    def url(self):
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"

    @property
    def backends(self):
        """The FastCGI sockets that the web server hands requests to."""
        return [self.run / parts.app_socket(number) for number in range(1, self.hosts + 1)]


class Keeper:
    def __init__(self, stack):
        self.stack = stack
        self.parts = []
        self.running = {}  # part name → (Popen, start time, when we started it)
        self.failures = {}  # part name → how often it died without having been steady
        self.due = {}  # part name → when to start it again
        self.phase = "starting"
        self.wanted = True
        self._wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_wanted)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop_wanted(self, *_):
        self.wanted = False

    def _sleep(self, seconds):
        """Waits, but not past a signal."""
        if select.select([self._wake], [], [], seconds)[0]:
            os.read(self._wake, 512)

    def _record(self):
        stack = self.stack
        stack.state.write_record({
            "keeper": {"pid": os.getpid(), "started": proc.start_time(os.getpid())},
            "boot_id": proc.boot_id(),
            "phase": self.phase,
            "url": stack.url,
            "address": stack.address,
            "port": stack.port,
            "build": stack.build,
            "runtime": stack.run.path if stack.run else None,
            "parts": {
                part.name: {"pid": self.running[part.name][0].pid,
                            "started": self.running[part.name][1], "patience": part.patience}
                for part in self.parts if part.name in self.running
            },
        })

    def _spawn(self, part):
        child = part.spawn()
        self.running[part.name] = (child, proc.start_time(child.pid), time.monotonic())
        self._record()

    def _await(self, part):
        """Waits until a part is ready; its end or its silence is the start's failure."""
        child, _, since = self.running[part.name]
        while not part.ready():
            if not self.wanted:
                raise Stopped
            for other in self.parts:
                if other.name in self.running and self.running[other.name][0].poll() is not None:
                    status = self.running[other.name][0].returncode
                    raise StackError(f"{other.name} {_ending(status)} while starting:\n"
                                     + other.last_words())
            if time.monotonic() > since + part.start_limit:
                raise StackError(f"{part.name} (pid {child.pid}) is not ready after "
                                 f"{part.start_limit} s:\n{part.last_words()}")
            self._sleep(0.05)

    def start(self):
        stack = self.stack
        stack.state.repair(stack.progress)
        stack.state.rotate_logs()
        check_port(stack)
        stack.run = layout.Runtime()
        os.symlink(stack.run.path, stack.state / "run")
        self._record()
        database, cache, front = (kind(stack) for kind in (parts.MariaDB, parts.Memcached,
                                                           web.SERVERS[stack.web_server]))
        apps = [parts.Ziggied(stack, number) for number in range(1, stack.hosts + 1)]
        self.parts = [database, cache, *apps, front]
        for part in (database, cache):
            self._start_part(part)
        for part in (database, cache):
            self._await(part)
        apps[0].prepare()
        stack.progress("bringing the schema up to date")
        apps[0].control("migrate")
        self._admin(apps[0])
        for part in (*apps, front):
            self._start_part(part, prepared=part is apps[0])
            self._await(part)
        self.phase = "ready"
        self._record()

    def _start_part(self, part, prepared=False):
        if not self.wanted:
            raise Stopped
        if not prepared:
            part.prepare()
        self.stack.progress(f"starting {part.name}")
        self._spawn(part)

    def _admin(self, app):
        """The administrator: made at the first start, given a new password when one is asked for."""
        wanted = os.environ.get("ZIGGIE_ADMIN_PASSWORD")
        state = self.stack.state
        made = state / "secrets/admin-made"
        if os.path.exists(made) and wanted in (None, "", state.secret("admin-password")):
            return
        password = wanted or state.secret("admin-password")
        verb = ["passwd", ADMIN] if os.path.exists(made) else ["add", ADMIN, "--role", "admin"]
        try:
            app.control("user", *verb, text=password + "\n")
        except parts.AlreadyThere:
            # A start that was cut short has made the account.
            app.control("user", "passwd", ADMIN, text=password + "\n")
        layout.write_file(state / "secrets/admin-password", password + "\n")
        layout.write_file(made, "")

    def watch(self):
        """Keeps all parts alive until a signal asks for the end."""
        while self.wanted:
            self._sleep(0.2)
            now = time.monotonic()
            for part in self.parts:
                if part.name in self.running:
                    self._check(part, now)
                elif now >= self.due[part.name]:
                    self.stack.progress(f"starting {part.name} again")
                    self._spawn(part)

    def _check(self, part, now):
        child, started, since = self.running[part.name]
        status = child.poll()
        if status is None:
            return
        del self.running[part.name]
        # Its children may hold sockets and files that its successor needs.
        proc.end_session(child.pid, started, 0)
        failures = 0 if now - since > STEADY else self.failures.get(part.name, 0) + 1
        self.failures[part.name] = failures
        pause = BACK_OFF[min(failures, len(BACK_OFF) - 1)] if failures > 1 else 0
        self.due[part.name] = now + pause
        self.stack.progress(f"{part.name} (pid {child.pid}) {_ending(status)}")
        if pause == 0:
            self.stack.progress(f"starting {part.name} again")
            self._spawn(part)

    def stop(self):
        """Ends all parts, the ones that others need last, and forgets the runtime directory."""
        self.phase = "stopping"
        for part in reversed(self.parts):
            if part.name in self.running:
                child, started, _ = self.running.pop(part.name)
                self.stack.progress(f"stopping {part.name}")
                if not proc.end_session(child.pid, started, part.patience):
                    self.stack.progress(f"{part.name} (pid {child.pid}) does not end")
        state = self.stack.state
        if os.path.islink(state / "run"):
            os.unlink(state / "run")
        if self.stack.run:
            self.stack.run.remove()
        if os.path.exists(state / "run.json"):
            os.unlink(state / "run.json")


def banner(url, state):
    """What a person needs to use the stack."""
    password = state.secret("admin-password")
    login = json.dumps({"username": ADMIN, "password": password})
    return f"""
  Ziggie runs at  {url}
  administrator   {ADMIN}
  password        {password}

  curl -s {url}/api/auth/login -H 'Content-Type: application/json' -d {shlex.quote(login)}
"""


def _ending(status):
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def check_port(stack):
    """Fails when the port is taken; picks a free one for port 0."""
    family = socket.AF_INET6 if ":" in stack.address else socket.AF_INET
    with socket.socket(family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((stack.address, stack.port))
            s.listen(1)
        except PermissionError as e:
            raise StackError(f"port {stack.port} needs root; choose one above 1023 with --port") from e
        except OSError as e:
            raise StackError(f"can't listen on {stack.address} port {stack.port} ({e.strerror}); "
                             "choose another with --port") from e
        stack.port = s.getsockname()[1]
