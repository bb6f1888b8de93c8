"""How long requests and statements take, of all workers of the host together."""

import threading
import uuid

import pytest

from harness import RunningStack, wait_for
from traffic import Load

METRICS, SLOW, SUMMARY, THRESHOLD, RESET = (
    "/api/performance/" + name
    for name in ("metrics", "slow-queries", "summary", "threshold", "reset"))
SLOW_MS = 20


@pytest.fixture(scope="module")
def two_workers():
    running = RunningStack("--workers", "2", settings={"db_slow_statement": "60s"})
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture
def client(two_workers):
    api = two_workers.api()
    api.token = two_workers.token()
    assert api.post(RESET, api.token).status_code == 200
    assert api.put(THRESHOLD, api.token, json={"threshold_ms": 60000}).status_code == 200
    yield api
    api.session.close()


def figures_of(api, route):
    rows = api.get(METRICS, api.token).json()["routes"]
    return next((row for row in rows if f"{row['method']} {row['route']}" == route), None)


def total_of(api, metric):
    return sum(float(line.split()[-1]) for line in api.get("/metrics").text.splitlines()
               if line.startswith(metric))


def test_requests_of_all_workers_are_counted_by_route(two_workers, client):
    def ask(api, _):
        return api.get("/api/v1/hosts/no-such-host", client.token).status_code

    with Load(two_workers.url, [ask] * 4) as load:
        wait_for(lambda: len(load.asked) > 50, what="requests")
    assert set(load.count()) == {404}
    figures = figures_of(client, "GET /api/v1/hosts/{id}")
    assert figures["requests"] == len(load.asked) and figures["errors"] == 0
    assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
    assert figures["avg_ms"] > 0


def test_a_reset_begins_anew_and_leaves_metrics_alone(client):
    client.get("/api/v1/hosts", client.token)
    before = total_of(client, "ziggie_requests_total")
    assert figures_of(client, "GET /api/v1/hosts")
    answer = client.post(RESET, client.token)
    assert set(answer.json()) == {"status", "message", "timestamp"}
    shown = client.get(METRICS, client.token).json()
    assert figures_of(client, "GET /api/v1/hosts") is None
    assert shown["since"] is not None and shown["requests"] < 10
    assert total_of(client, "ziggie_requests_total") > before


def test_a_threshold_is_that_of_all_workers_and_generations(two_workers, client):
    def threshold(api, _):
        return api.get(SLOW, client.token).json()["threshold_ms"]

    answer = client.put(THRESHOLD, client.token, json={"threshold_ms": 1234})
    assert answer.json()["threshold_ms"] == 1234
    with Load(two_workers.url, [threshold] * 8) as load:
        wait_for(lambda: len(load.asked) > 50, what="requests")
    assert load.failures() == [] and set(load.count()) == {1234}
    two_workers.replace_generation()
    assert threshold(client, 0) == 1234
    line = two_workers.log_lines(event="slow_threshold_changed")[-1]
    assert (line["before_ms"], line["threshold_ms"]) == (60000, 1234)


def test_the_setting_is_where_it_begins(fresh_stack):
    stack = fresh_stack("--workers", "1", settings={"db_slow_statement": "4321ms"})
    assert stack.api().get(SLOW, stack.token()).json()["threshold_ms"] == 4321


def patch_that_waits(stack, api, name):
    """Changes an agent whose row another holds for so long."""
    made = api.post("/api/v1/agents", api.token, json={"name": name})
    path = "/api/v1/agents/" + made.json()["id"]
    with stack.database() as holder, holder.cursor() as cursor, stack.database() as watcher:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT id FROM agents WHERE name = %s FOR UPDATE", name)
        answers = []
        changing = threading.Thread(target=lambda: answers.append(
            stack.api().patch(path, api.token, json={"name": name + " again"})))
        changing.start()
        wait_for(lambda: longest_statement_ms(watcher, "ziggie") > 2 * SLOW_MS,
                 what="a statement that waits")
        cursor.execute("COMMIT")
        changing.join(20)
    assert [answer.status_code for answer in answers] == [200]


def longest_statement_ms(database, user):
    with database.cursor() as cursor:
        cursor.execute("SELECT COALESCE(MAX(time_ms), 0) FROM information_schema.processlist"
                       " WHERE user = %s AND command = 'Execute'", user)
        return cursor.fetchone()[0]


def test_a_slow_statement_is_listed_without_its_values(two_workers, client):
    client.put(THRESHOLD, client.token, json={"threshold_ms": SLOW_MS})
    name = f"secret-{uuid.uuid4()}"
    patch_that_waits(two_workers, client, name)
    answer = client.get(SLOW, client.token)
    assert "secret" not in answer.text
    listed = answer.json()
    assert listed["count"] == len(listed["slow_queries"]) and listed["uncounted"] == 0
    waited = next(row for row in listed["slow_queries"] if "agents" in row["statement"] and
                  row["route"] == "PATCH /api/v1/agents/{id}")
    assert waited["count"] >= 1 and SLOW_MS <= waited["avg_ms"] <= waited["max_ms"]
    assert len(waited["digest"]) == 16 and "?" in waited["statement"]
    summary = client.get(SUMMARY, client.token).json()
    assert summary["slow_statements"] >= 1 and summary["slow_executions"] >= waited["count"]
    client.post(RESET, client.token)
    assert client.get(SLOW, client.token).json()["slow_queries"] == []


def test_a_summary_has_the_slowest_routes_first(client):
    for _ in range(3):
        client.get("/api/v1/hosts", client.token)
        client.get("/api/health")
    summary = client.get(SUMMARY, client.token).json()
    spent = [row["requests"] * row["avg_ms"] for row in summary["slowest_routes"]]
    assert spent == sorted(spent, reverse=True) and len(spent) <= 5
    assert summary["requests"] >= 6
    assert summary["workers"] >= 2 and 1 <= summary["threads_busy"] <= summary["threads"]
