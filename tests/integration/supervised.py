"""A ziggied with toy children (tests/toy_child.c), and what looks at it from outside."""

import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import psutil
import pytest

from harness import BUILD, connections_of, scratch_dir, wait_for

ZIGGIED = os.path.join(BUILD, "ziggied")
TOY = os.path.join(BUILD, "tests", "toy_child")


class Supervisor:
    """One ziggied in a directory of its own; everything it started ends with the test."""

    def __init__(self, **settings):
        self.directory = scratch_dir()
        self.libexec = self.path("libexec")
        self.flags = self.path("flags")
        os.mkdir(self.libexec)
        os.mkdir(self.flags, 0o777)
        os.chmod(self.flags, 0o777)
        for name in ("ziggie-worker", "ziggie-jobs"):
            shutil.copy(TOY, os.path.join(self.libexec, name))
        self.program = ZIGGIED
        self.socket = self.path("sock")
        self.pid_file = self.path("pid")
        self.settings = {"workers": 2, "threads": 5, "socket": self.socket,
                         "pid_file": self.pid_file, "drain_timeout": "3s", **settings}
        self.config = self.path("conf")
        self.write_config()
        self.log_path = self.path("log")
        self.process = None
        self.seen = set()

    def path(self, name):
        return os.path.join(self.directory, name)

    def write_config(self, **changes):
        self.settings.update(changes)
        self.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items()))

    def write_text(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def flag(self, name):
        with open(os.path.join(self.flags, name), "w", encoding="utf-8"):
            pass

    def unflag(self, name):
        os.unlink(os.path.join(self.flags, name))

    def command(self, *arguments):
        return [self.program, "--config", self.config, "--libexec-dir", self.libexec, *arguments]

    def environment(self, **more):
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("ZIGGIE_", "LISTEN_", "NOTIFY_", "WATCHDOG_"))}
        return {**clean, "ZIGGIE_TEST_TOY_DIR": self.flags, **more}

    def spawn(self, *arguments, prefix=(), environment=None, **popen):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command(*arguments)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.environment(**(environment or {})), **popen)
        return self

    def start(self, *arguments, **more):
        self.spawn(*arguments, **more)
        self.wait_event("generation_serves")
        return self

    def try_start(self, *arguments, timeout=20):
        """Another ziggied on the same files, which is expected to end by itself."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              timeout=timeout, check=False, env=self.environment())

    def send(self, number):
        self.process.send_signal(number)

    def children(self):
        try:
            found = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            found = []
        self.seen |= {child.pid for child in found}
        return found

    def children_named(self, name):
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
                if child.name() == name:
                    found.append(child)
        return found

    def workers(self):
        return self.children_named("ziggie-worker")

    def events(self, name, **wanted):
        found = []
        with open(self.log_path, encoding="utf-8") as log:
            for line in log:
                if line.startswith("{"):
                    entry = json.loads(line)
                    if entry["event"] == name and all(entry.get(k) == v for k, v in wanted.items()):
                        found.append(entry)
        return found

    def wait_event(self, name, seconds=30, count=1, **wanted):
        try:
            wait_for(lambda: len(self.events(name, **wanted)) >= count, seconds, f"event {name}")
        except AssertionError as over:
            with open(self.log_path, encoding="utf-8") as log:
                raise AssertionError(f"{over}\n{log.read()}") from over
        return self.events(name, **wanted)

    def ask(self, line="hello", timeout=10):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(self.socket)
            client.sendall(line.encode() + b"\n")
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        return answer.decode()

    def hello(self, line="hello"):
        words = dict(word.split("=") for word in self.ask(line).split())
        assert words, "the connection was closed without an answer"
        return {key: int(value) for key, value in words.items()}

    def wait_until_asked(self):
        """Until a worker has taken a request, and so will answer it."""
        wait_for(lambda: any(connections_of(worker.pid, self.socket) for worker in self.workers()),
                 what="a request in a worker")

    def reload(self, generation):
        """Until the old workers have heard of it they may still take a connection."""
        old = {worker.pid for worker in self.workers()}
        self.send(signal.SIGHUP)
        self.wait_event("generation_serves", generation=generation)
        wait_for(lambda: not old & {worker.pid for worker in self.workers()},
                 what="the old generation's end")

    def stop(self, number=signal.SIGTERM, timeout=30):
        self.send(number)
        return self.process.wait(timeout)

    def remove(self):
        if self.process is not None:
            self.children()
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(10)
        try:
            for pid in self.seen:
                gone(pid)
        finally:
            self._kill_leftovers()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _kill_leftovers(self):
        """What should have ended, and did not, must not outlive the tests."""
        for process in psutil.process_iter(["exe"]):
            if (process.info["exe"] or "").startswith(self.libexec + "/"):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def seconds(entry):
    """When a line was logged."""
    return datetime.datetime.fromisoformat(entry["time"]).timestamp()


def ended(pid):
    """True for a zombie too: an orphan's is its new parent's to bury."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone(pid):
    wait_for(lambda: ended(pid), what=f"the end of process {pid}")


@pytest.fixture
def make():
    made = []

    def new(**settings):
        made.append(Supervisor(**settings))
        return made[-1]

    yield new
    for supervisor in made:
        supervisor.remove()


@pytest.fixture
def running(make):
    return make().start()


class Load:
    """Clients that ask without a pause; stop() returns the answers and the failures."""

    def __init__(self, supervisor, clients=8):
        self.supervisor = supervisor
        self.over = threading.Event()
        self.answers = []
        self.failures = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def wait_for_answers(self, generation, count=50):
        """Until so many more of them are of a generation."""
        before = len(self.answers)
        wait_for(lambda: sum(a["generation"] == generation for a in self.answers[before:]) >= count,
                 what=f"answers of generation {generation}")

    def _ask(self):
        while not self.over.is_set():
            try:
                self.answers.append(self.supervisor.hello())
            except (OSError, AssertionError, ValueError) as failure:
                self.failures.append(failure)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)
        return self.answers, self.failures


class Manager:
    """A service manager's end of sd_notify."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.messages = []

    def wait(self, line, seconds=30):
        """Reads messages until one has that line, and returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            self.messages.append(message)
            if line in message.split("\n"):
                return message
        raise AssertionError(f"no {line} in {self.messages}")

    def close(self):
        self.socket.close()
