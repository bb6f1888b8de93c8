"""Another web server in front of an application that runs already.

It is the one that script/server would start, from the same templates, so that a test
needs no stack of its own for it:

    with WebServer("apache", backends=[stack.fcgi_socket]) as apache:
        assert Api(apache.url).get("/health").status_code == 200
"""

import os
import shutil
import socket

from harness import BUILD, SOURCE, Api, RunningStack, State, proc, scratch_dir, wait_for
from stack import keeper, layout, web


class _Stack(keeper.Stack):
    """What the web server's part wants to know of its stack."""

    def __init__(self, state, backends, **options):
        super().__init__(state, SOURCE, BUILD, port=0, **options)
        self._backends = backends

    @property
    def backends(self):
        return self._backends


class WebServer:
    """nginx or Apache on a free port of loopback."""

    def __init__(self, kind, backends, proxies=(), settings=None):
        self.kind = kind
        self.directory = scratch_dir()
        self.state = State(os.path.join(self.directory, "state"))
        self.state.create()
        self._stack = _Stack(self.state, backends, web_server=kind, proxies=proxies,
                             web_settings=settings)
        self._stack.run = layout.Runtime()
        keeper.check_port(self._stack)
        self.part = web.SERVERS[kind](self._stack)
        self.part.prepare()
        self.process = self.part.spawn()
        self._started = proc.start_time(self.process.pid)
        try:
            wait_for(self._listens, what="a socket")
        except AssertionError as e:
            said = self.log(self.part.name)
            self.stop()
            raise AssertionError(f"{e}\n{said}") from e

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _listens(self):
        """No request: there may be no application behind it, or one that counts."""
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}"
        with socket.socket() as s:
            return s.connect_ex(self.address) == 0

    @property
    def url(self):
        return self._stack.url

    @property
    def address(self):
        return self._stack.address, self._stack.port

    def api(self):
        return Api(self.url)

    def log(self, name):
        with open(self.state.log(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def pids(self):
        return proc.session_members(self.process.pid, self._started)

    def stop(self):
        proc.end_session(self.process.pid, self._started, self.part.patience)
        self.process.wait(10)
        self._stack.run.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


class SeenThrough(RunningStack):
    """A running stack, with another web server where its own was."""

    def __init__(self, stack, front):
        vars(self).update(vars(stack))
        self.front = front

    @property
    def url(self):
        return self.front.url

    @property
    def web_server(self):
        return self.front.kind

    def log(self, name="ziggied"):
        if name in ("access", self.front.part.name):
            return self.front.log(name)
        return super().log(name)

    def start(self):
        raise NotImplementedError("it runs already, and is somebody else's")

    stop = remove = start
