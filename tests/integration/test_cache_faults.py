"""Whatever happens to memcached or ziggie-jobs, under load, no status code changes."""

import signal
import threading
import time

import pytest

from harness import Api, RunningStack, wait_for

PATHS = ["/api/system/" + kind for kind in
         ("stats", "info", "processes", "ports", "network", "disk", "resources",
          "processes?limit=5&sort=memory")] + ["/api/health", "/readyz", "/health/detailed"]
CLIENTS = 8


class Load:
    """Clients that ask for all paths in turn until told to stop."""

    def __init__(self, stack):
        self.url, self.token = stack.url, stack.token()
        self.stopping = threading.Event()
        self.answers = []  # (status, seconds, path)
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]

    def run(self, first):
        api = Api(self.url)
        turn = first
        while not self.stopping.is_set():
            path = PATHS[turn % len(PATHS)]
            turn += 1
            start = time.monotonic()
            try:
                status = api.get(path, self.token).status_code
            except OSError as error:
                status = repr(error)
            self.answers.append((status, time.monotonic() - start, path))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def odd(self):
        return [answer for answer in self.answers if answer[0] != 200]

    def slowest(self):
        return max(seconds for _, seconds, _ in self.answers)


@pytest.fixture(scope="module")
def faulty():
    """A stack of this file's own, as its parts are killed."""
    running = RunningStack("--workers", "2")
    try:
        yield running.start()
    finally:
        running.remove()


def check(load, at_least=200, slowest=2.0):
    assert load.odd() == []
    assert len(load.answers) > at_least
    assert load.slowest() < slowest


def metric(stack, name):
    for line in Api(stack.url).get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[-1])
    raise AssertionError(f"{name} is missing")


def samples_published(stack):
    return metric(stack, 'ziggie_samples_total{result="published"}')


@pytest.mark.concurrency
def test_killing_memcached(faulty):
    with Load(faulty) as load:
        time.sleep(1)
        for _ in range(3):
            faulty.kill("memcached")
            time.sleep(1.5)
    check(load)
    before = samples_published(faulty)
    wait_for(lambda: samples_published(faulty) > before, 15, "sampling to go on")


def test_a_memcached_that_does_not_answer(faulty):
    """It costs a time limit now and then, not one for each request; then it is used again."""
    hits = 'ziggie_cache_lookups_total{tier="memcached",result="hit"}'
    with Load(faulty) as load:
        time.sleep(1)
        errors, skipped = (metric(faulty, f"ziggie_cache_{what}_total")
                           for what in ("errors", "skipped"))
        faulty.kill("memcached", signal.SIGSTOP)
        try:
            time.sleep(5)
            while_stalled = len(load.answers)
            errors = metric(faulty, "ziggie_cache_errors_total") - errors
            skipped = metric(faulty, "ziggie_cache_skipped_total") - skipped
            assert Api(faulty.url).get("/api/health").json()["caching"] == "unavailable"
        finally:
            faulty.kill("memcached", signal.SIGCONT)
        before = metric(faulty, hits)
        wait_for(lambda: metric(faulty, hits) > before + 3, 10, "use of memcached")
    check(load)
    assert while_stalled > 100
    # Each process waits for one exchange a second, whatever it is asked.
    assert 0 < errors <= 3 * 8 and skipped > 0


def test_killing_ziggie_jobs(faulty):
    restarted = len(faulty.log_lines(program="ziggie-jobs", event="started"))
    with Load(faulty) as load:
        time.sleep(1)
        faulty.kill("ziggie-jobs")
        time.sleep(4)
    check(load)
    wait_for(lambda: len(faulty.log_lines(program="ziggie-jobs", event="started")) > restarted,
             what="a new ziggie-jobs")


def test_a_ziggie_jobs_that_hangs(faulty):
    """Its samples grow old; the workers read the host themselves."""
    with Load(faulty) as load:
        time.sleep(1)
        faulty.kill("ziggie-jobs", signal.SIGSTOP)
        try:
            time.sleep(7)
            text = Api(faulty.url).get("/metrics").text
        finally:
            faulty.kill("ziggie-jobs", signal.SIGCONT)
    check(load)
    collected = [line for line in text.splitlines()
                 if line.startswith('ziggie_host_answers_total{source="collected"}')]
    assert int(collected[0].split()[-1]) > 3


@pytest.mark.concurrency
def test_both_are_gone(faulty):
    with Load(faulty) as load:
        time.sleep(1)
        faulty.kill("memcached", signal.SIGSTOP)
        faulty.kill("ziggie-jobs")
        try:
            time.sleep(4)
        finally:
            faulty.kill("memcached", signal.SIGCONT)
    check(load)
    api = Api(faulty.url)
    wait_for(lambda: api.get("/api/health").json()["caching"] == "enabled", 15, "caching")
    assert "stale" not in api.get("/api/system/stats", faulty.token()).json()


def test_a_restart_of_memcached_is_logged_once(fresh_stack):
    stack = fresh_stack("--workers", "1")
    stack.kill("memcached", signal.SIGSTOP)
    time.sleep(4)
    stack.kill("memcached", signal.SIGCONT)
    wait_for(lambda: stack.log_lines(program="ziggie-jobs", event="memcached_up"), 15,
             "memcached_up in the log")
    assert len(stack.log_lines(program="ziggie-jobs", event="memcached_down")) == 1
    assert len(stack.log_lines(program="ziggie-jobs", event="memcached_up")) == 1
