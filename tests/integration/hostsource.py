"""Two ways to what this project reads of the host: the HTTP API, and lib/host alone."""

import codecs
import datetime
import json
import os
import selectors
import subprocess
import threading
import time

import psutil

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.realpath(os.environ.get("ZIGGIE_BUILD", os.path.join(SOURCE, "build")))

SORTS = {"cpu": 0, "memory": 1, "pid": 2, "name": 3}

codecs.register_error("each_byte", lambda e: ("\ufffd" * (e.end - e.start), e.end))


def repaired(text):
    """A name as JSON shows it: every byte that is not UTF-8 becomes U+FFFD."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "each_byte")


def seconds_of(timestamp):
    """A time without zone, which is UTC, in seconds since 1970."""
    moment = datetime.datetime.fromisoformat(timestamp)
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


class HostSource:
    """Reads kinds: "stats", "processes", …"""

    poll_seconds = 0.3

    def get(self, kind):
        raise NotImplementedError

    def processes(self, limit=500, sort="pid", search=None):
        raise NotImplementedError

    def may_see_descriptors_of(self, pid):
        raise NotImplementedError

    def fresh(self, read, seconds=30):
        """The first answer of read() that was taken after this call."""
        start = time.time()
        while True:
            answer = read()
            if seconds_of(answer["timestamp"]) >= start:
                return answer
            assert time.time() < start + seconds, f"no answer after {seconds} s is new"
            time.sleep(self.poll_seconds)

    def fresh_kind(self, kind):
        return self.fresh(lambda: self.get(kind))

    def fresh_processes(self, **query):
        return self.fresh(lambda: self.processes(**query))


class CollectorSource(HostSource):
    """lib/host without anything around it."""

    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests", "host_dump")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(timeout=20) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()

    def _ask(self, question):
        self.process.stdin.write(question.encode() + b"\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(20), f"no answer to {question}"
        line = self.process.stdout.readline()
        assert line.endswith(b"\n"), f"host_dump ended at {question}"
        return json.loads(line)

    def get(self, kind):
        return self._ask(kind)

    def processes(self, limit=500, sort="pid", search=None):
        question = f"processes {limit} {SORTS[sort]}"
        return self._ask(question if search is None else f"{question} {search}")

    def may_see_descriptors_of(self, pid):
        return psutil.Process(pid).uids().effective == os.geteuid()


class ApiSource(HostSource):
    """Through nginx, a worker, memcached and the sampler."""

    poll_seconds = 0.7

    def __init__(self, stack, name):
        self.stack = stack
        self.client = stack.api()
        stack.add_user(name, "readonly")  # a user of its own, for a rate limit of its own
        self.token = stack.ctl("token", name).stdout.split()[-1]

    def close(self):
        self.client.session.close()

    def _get(self, path, **query):
        answer = self.client.get(path, self.token, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, kind):
        return self._get("/api/system/" + kind)

    def processes(self, limit=500, sort="pid", search=None):
        query = {"limit": limit, "sort": sort}
        if search is not None:
            query["search"] = search
        return self._get("/api/system/processes", **query)

    def may_see_descriptors_of(self, pid):
        sampler = psutil.Process(self.stack.pids("ziggie-jobs")[0])
        user = sampler.uids().effective
        return user in (0, psutil.Process(pid).uids().effective)


class Recorder:
    """Calls read() every 20 ms in a thread; says what it returned at any time between."""

    def __init__(self, read):
        self.read = read
        self.points = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopping.wait(0.02):
            self.points.append((time.time(), self.read()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(10)

    def nearest(self, moment):
        return min(self.points, key=lambda point: abs(point[0] - moment))
