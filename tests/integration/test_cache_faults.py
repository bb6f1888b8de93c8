"""Whatever happens to memcached or ziggie-jobs, under load, no status code changes."""

import signal
import time

import pytest

from harness import Api, RunningStack, wait_for
from traffic import Load

PATHS = ["/api/system/" + kind for kind in
         ("stats", "info", "processes", "ports", "network", "disk", "resources",
          "processes?limit=5&sort=memory")] + ["/api/health", "/readyz", "/health/detailed"]
CLIENTS = 8


def clients(stack):
    """Each asks for all paths in turn, each beginning with another one."""
    token = stack.token()

    def client(first):
        def ask(api, turn):
            path = PATHS[(first + turn) % len(PATHS)]
            status = api.get(path, token).status_code
            return status if status == 200 else f"{status} for {path}"
        return ask

    return Load(stack.url, [client(i) for i in range(CLIENTS)])


@pytest.fixture(scope="module")
def faulty():
    """A stack of this file's own, as its parts are killed."""
    running = RunningStack("--workers", "2")
    try:
        yield running.start()
    finally:
        running.remove()


def check(load):
    """Nor does one of the PATHS wait; but a busy machine holds up a request now and then."""
    assert load.failures() == []
    assert set(load.count()) == {200}
    assert load.slowest(but=1 / (2 * len(PATHS))) < 2


def metric(stack, name):
    for line in Api(stack.url).get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[-1])
    raise AssertionError(f"{name} is missing")


def samples_published(stack):
    return metric(stack, 'ziggie_samples_total{result="published"}')


@pytest.mark.concurrency
def test_killing_memcached(faulty):
    with clients(faulty) as load:
        for _ in range(3):
            load.wait_for_more(100)
            faulty.kill("memcached")
            time.sleep(1.5)
        load.wait_for_more(100)
    check(load)
    before = samples_published(faulty)
    wait_for(lambda: samples_published(faulty) > before, what="sampling to go on")


def test_a_memcached_that_does_not_answer(faulty):
    """It costs a time limit now and then, not one for each request; then it is used again."""
    hits = 'ziggie_cache_lookups_total{tier="memcached",result="hit"}'
    with clients(faulty) as load:
        load.wait_for_more(100)
        began = time.monotonic()
        errors, skipped = (metric(faulty, f"ziggie_cache_{what}_total")
                           for what in ("errors", "skipped"))
        faulty.kill("memcached", signal.SIGSTOP)
        try:
            time.sleep(5)
            load.wait_for_more(200)
            errors = metric(faulty, "ziggie_cache_errors_total") - errors
            skipped = metric(faulty, "ziggie_cache_skipped_total") - skipped
            lasted = time.monotonic() - began
            wait_for(lambda: Api(faulty.url).get("/api/health").json()["caching"] == "unavailable",
                     what="a health that says so")
        finally:
            faulty.kill("memcached", signal.SIGCONT)
        before = metric(faulty, hits)
        wait_for(lambda: metric(faulty, hits) > before + 3, what="use of memcached")
    check(load)
    # Each process waits for one exchange a second, whatever it is asked.
    assert 0 < errors <= 3 * (lasted + 3) and skipped > 0


def test_killing_ziggie_jobs(faulty):
    restarted = len(faulty.log_lines(program="ziggie-jobs", event="started"))
    with clients(faulty) as load:
        load.wait_for_more(100)
        faulty.kill("ziggie-jobs")
        time.sleep(4)
        load.wait_for_more(100)
    check(load)
    wait_for(lambda: len(faulty.log_lines(program="ziggie-jobs", event="started")) > restarted,
             what="a new ziggie-jobs")


def test_a_ziggie_jobs_that_hangs(faulty):
    """Its samples grow old; the workers read the host themselves."""
    collected = 'ziggie_host_answers_total{source="collected"}'
    with clients(faulty) as load:
        load.wait_for_more(100)
        faulty.kill("ziggie-jobs", signal.SIGSTOP)
        before = metric(faulty, collected)
        try:
            wait_for(lambda: metric(faulty, collected) > before + 3, what="samples of the workers'")
            load.wait_for_more(100)
        finally:
            faulty.kill("ziggie-jobs", signal.SIGCONT)
    check(load)


@pytest.mark.concurrency
def test_both_are_gone(faulty):
    with clients(faulty) as load:
        load.wait_for_more(100)
        faulty.kill("memcached", signal.SIGSTOP)
        faulty.kill("ziggie-jobs")
        try:
            time.sleep(4)
            load.wait_for_more(100)
        finally:
            faulty.kill("memcached", signal.SIGCONT)
    check(load)
    api = Api(faulty.url)
    wait_for(lambda: api.get("/api/health").json()["caching"] == "enabled", what="caching")
    wait_for(lambda: "stale" not in api.get("/api/system/stats", faulty.token()).json(),
             what="a new sample")


def test_a_restart_of_memcached_is_logged_once(fresh_stack):
    stack = fresh_stack("--workers", "1")
    stack.kill("memcached", signal.SIGSTOP)
    wait_for(lambda: stack.log_lines(program="ziggie-jobs", event="memcached_down"),
             what="memcached_down in the log")
    time.sleep(3)  # of more exchanges that fail
    stack.kill("memcached", signal.SIGCONT)
    wait_for(lambda: stack.log_lines(program="ziggie-jobs", event="memcached_up"),
             what="memcached_up in the log")
    assert len(stack.log_lines(program="ziggie-jobs", event="memcached_down")) == 1
    assert len(stack.log_lines(program="ziggie-jobs", event="memcached_up")) == 1
