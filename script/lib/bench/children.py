"""The processes of one run, and the folder that they work in; all of it ends with the run."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from bench import BenchError

PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 90  # seconds between asking a child to end and killing it; a database takes its time


def find_program(*names):
    """The path of the first of these that is installed."""
    for name in names:
        path = shutil.which(name, path=PATH)
        if path:
            return path
    raise BenchError(f"{names[0]} is not installed (script/bootstrap --with-bench installs it)")


def built_program(build, name):
    """The path of a program of build/bench/."""
    path = os.path.join(build, "bench", name)
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is missing (script/build makes it; bare_fcgi only where "
                         "libfcgi-dev is installed)")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_true(what, limit, test):
    """Asks `test` until it says yes; BenchError after `limit` seconds."""
    end = time.monotonic() + limit
    while not test():
        if time.monotonic() > end:
            raise BenchError(f"{what} is not ready after {limit} s")
        time.sleep(0.05)


class Children:
    """Use as a context: leaving it ends what was started, the last first, and removes the folder."""

    def __init__(self):
        self.folder = None
        self._running = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="zbench-")
        # The web server's workers run as another user, and must reach their files.
        os.chmod(self.folder, 0o711)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C would leave behind what the first one is about to end.
        before = [(number, signal.signal(number, signal.SIG_IGN))
                  for number in (signal.SIGINT, signal.SIGTERM)]
        for name, child in reversed(self._running):
            child.terminate()
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                print(f"{name} (pid {child.pid}) does not end; killing it", flush=True)
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        for number, handler in before:
            signal.signal(number, handler)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, name, argv, limit, ready, **options):
        """Starts a program that ends with us, and waits until `ready` says that it serves."""
        log = self.path(name + ".out")
        with open(log, "ab") as out:
            child = subprocess.Popen(
                [find_program("setpriv"), "--pdeathsig", "TERM", *argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                **options)
        self._running.append((name, child))

        def ready_or_dead():
            if child.poll() is not None:
                raise BenchError(f"{name} ended with status {child.returncode}:\n{_tail(log)}")
            return ready()

        try:
            await_true(name, limit, ready_or_dead)
        except BenchError as error:
            raise BenchError(f"{error}\n{_tail(log)}") from None
        return child


def web_user():
    """Whom servers started by root should run as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "nginx", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BenchError("there is no account www-data, nginx or nobody for the web server")


def _tail(path, lines=15):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:]).rstrip()
    except OSError:
        return ""
