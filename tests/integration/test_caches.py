"""What is cached: shown for all workers of the host together, and dropped on all of them."""

import signal

import pytest

from accounts import Account, assert_problem
from harness import RunningStack, wait_for
from traffic import Load

KEPT = {"l1_ttl": "60s", "sample_interval": "60s", "sample_ttl": "60s", "token_cache_ttl": "60s"}


@pytest.fixture(scope="module")
def keeping():
    """Two workers that keep what they have for a minute, and memcached too."""
    running = RunningStack("--workers", "2", settings=KEPT)
    try:
        yield running.start()
    finally:
        running.remove()


def requests_by_worker(api):
    workers = api.get("/api/health/memory").json()["workers"]
    return {i: worker["requests"] for i, worker in enumerate(workers)}


def answers_of_all_workers(stack, ask):
    """What ask(api, turn) returned, asked until each worker has answered often."""
    api = stack.api()
    before = requests_by_worker(api)
    # So many that each worker has connections: of a few one worker may have all.
    with Load(stack.url, [ask] * 24) as load:
        wait_for(lambda: all(now - before[i] > 20 for i, now in requests_by_worker(api).items()),
                 what="an answer of each worker")
    assert load.failures() == []
    return set(load.count())


def test_invalidation_drops_a_sample_everywhere(keeping):
    """ziggie-jobs stands still meanwhile: what is newer, a worker has read itself.

    Not /api/system/stats: of that a worker takes a sample itself for /api/health, too.
    """
    token = keeping.token()

    def sampled_at(api, _):
        return api.get("/api/system/network", token).json()["timestamp"]

    def read_from_memcached():
        """What all workers have anew; it is one sample once they have it from memcached."""
        assert keeping.api().post("/api/cache/invalidate/agents", token).status_code == 200
        return answers_of_all_workers(keeping, sampled_at)

    wait_for(lambda: len(read_from_memcached()) == 1, what="a sample of ziggie-jobs")
    keeping.kill("ziggie-jobs", signal.SIGSTOP)
    try:
        before = answers_of_all_workers(keeping, sampled_at)
        assert len(before) == 1
        dropped = keeping.api().post("/api/cache/invalidate", token)
        assert dropped.status_code == 200 and dropped.json()["status"] == "success"
        after = answers_of_all_workers(keeping, sampled_at)
        assert min(after) > max(before) and min(after) > dropped.json()["timestamp"][:19]
    finally:
        keeping.kill("ziggie-jobs", signal.SIGCONT)


def test_invalidation_has_tokens_read_again(keeping):
    token = Account(keeping, "user").token()

    def status(api, _):
        return api.get("/api/system/info", token).status_code

    assert answers_of_all_workers(keeping, status) == {200}
    with keeping.database() as database, database.cursor() as cursor:
        cursor.execute("DELETE FROM tokens WHERE user_id IN (SELECT id FROM users WHERE role = 'user')")
    assert answers_of_all_workers(keeping, status) == {200}  # or the next line shows nothing
    assert keeping.api().post("/api/cache/invalidate", keeping.token()).status_code == 200
    assert answers_of_all_workers(keeping, status) == {401}


@pytest.mark.parametrize("what", ["agents", "knowledge"])
def test_what_is_made_of_records_is_dropped_alone(keeping, what):
    api, token = keeping.api(), keeping.token()
    answer = api.post(f"/api/cache/invalidate/{what}", token)
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "message", "timestamp"}
    assert what in answer.json()["message"]
    line = keeping.log_lines(event="cache_invalidated")[-1]
    assert line["route"] == f"/api/cache/invalidate/{what}" and line["user"] == "admin"


def test_figures_are_those_of_all_workers(keeping):
    api, token = keeping.api(), keeping.token()

    def hits(client, _):
        return client.get("/api/cache/stats", token).json()["caches"]["tokens"]["hits"]

    before = hits(api, 0)
    with Load(keeping.url, [hits] * 4) as load:
        wait_for(lambda: len(load.asked) > 100, what="a hundred requests")
    # Workers copy their counts once a second.
    wait_for(lambda: hits(api, 0) - before >= len(load.asked) - 2, what="the hits of both workers")


def test_figures_add_up(keeping):
    caches = keeping.api().get("/api/cache/stats", keeping.token()).json()["caches"]
    assert set(caches) == {"l1", "memcached", "tokens"}
    for name, figures in caches.items():
        lookups = figures["hits"] + figures["misses"]
        wanted = 100 * figures["hits"] / lookups if lookups else 0
        assert figures["hit_rate"] == pytest.approx(wanted, abs=0.01), name
    assert caches["memcached"]["size"] > 0 and caches["memcached"]["size_bytes"] > 0
    assert caches["tokens"]["size"] > 0


def test_health_says_when_memcached_is_away(keeping):
    api, token = keeping.api(), keeping.token()

    def health():
        return api.get("/api/cache/health", token).json()

    wait_for(lambda: health()["status"] == "healthy", what="a good start")
    keeping.kill("memcached", signal.SIGSTOP)
    try:
        wait_for(lambda: health()["workers_without_memcached"] == 2, what="what both workers say")
        assert health()["status"] == "degraded" and health()["caching"] == "unavailable"
        refused = api.post("/api/cache/invalidate", token)
        assert "memcached" in assert_problem(refused, 503)["detail"]
        assert api.get("/api/cache/stats", token).json()["caches"]["memcached"]["size"] == 0
    finally:
        keeping.kill("memcached", signal.SIGCONT)
    wait_for(lambda: health()["status"] == "healthy", what="memcached's return")


def test_a_host_without_memcached_can_be_told_to_forget(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={"memcached": ""})
    assert stack.api().post("/api/cache/invalidate", stack.token()).status_code == 200


def test_invalidation_is_limited_as_control(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={"ratelimit_enabled": "yes",
                                                    "ratelimit_control": "2"})
    answers = [stack.api().post("/api/cache/invalidate", stack.token()) for _ in range(7)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert 429 in [answer.status_code for answer in answers]  # a minute may begin in between
