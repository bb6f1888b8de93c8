"""Health, probes, info and the front page: fields and types of the contract."""

import datetime
import os
import shutil
import signal
import time

import pytest

from harness import freeze, scratch_dir, wait_for

pytestmark = pytest.mark.http


def check_types(value, wanted):
    """`wanted` maps field names to types, or to such a mapping again."""
    for name, kind in wanted.items():
        assert name in value, f"{name} is missing"
        if isinstance(kind, dict):
            check_types(value[name], kind)
        else:
            assert isinstance(value[name], kind) and not (
                kind is int and isinstance(value[name], bool)), f"{name}: {value[name]!r}"


def fresh(text):
    """A legacy timestamp (UTC without a zone) of this very moment."""
    then = datetime.datetime.fromisoformat(text)
    assert then.tzinfo is None
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return abs((now - then).total_seconds()) < 5


@pytest.mark.parametrize("path", ["/health", "/api/health", "/api/health/"])
def test_health(api, path):
    answer = api.get(path)
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert body["database"] == "connected"
    assert body["caching"] == "enabled"
    assert body["version"] == "0.1.0"
    assert fresh(body["timestamp"])


@pytest.mark.parametrize("path", ["/health/live", "/livez"])
def test_live(api, path):
    body = api.get(path).json()
    assert body["alive"] is True and body["status"] == "alive" and fresh(body["timestamp"])


@pytest.mark.parametrize("path", ["/health/ready", "/readyz"])
def test_ready(api, path):
    answer = api.get(path)
    assert answer.status_code == 200
    body = answer.json()
    assert body["ready"] is True and body["status"] == "ready"
    assert body["checks"] == {name: "ok" for name in ("service", "system", "database", "cache")}
    people = api.get(path + "?verbose")
    assert people.headers["Content-Type"].startswith("text/plain")
    assert "[+] database ok\n" in people.text and people.text.endswith("ready\n")


def test_startup(api):
    body = api.get("/health/startup").json()
    assert body["startup_complete"] is True and body["version"] and fresh(body["timestamp"])


def test_detailed_hides_the_pid_from_strangers(api, readonly_token):
    body = api.get("/health/detailed").json()
    assert body["status"] in ("healthy", "warning", "critical")
    numbers = (int, float)
    check_types(body, {"timestamp": str, "version": str, "system": {
        "cpu_percent": numbers, "cpu_count": int, "memory_percent": numbers,
        "memory_used_gb": numbers, "memory_available_gb": numbers, "memory_total_gb": numbers,
        "disk_percent": numbers, "disk_used_gb": numbers, "disk_free_gb": numbers,
        "disk_total_gb": numbers}})
    assert "process_id" not in body
    assert isinstance(api.get("/health/detailed", token=readonly_token).json()["process_id"], int)


def test_memory_lists_the_workers(stack, api, readonly_token):
    body = api.get("/api/health/memory", token=readonly_token).json()
    numbers = (int, float)
    check_types(body, {"memory": {
        "process_rss_mb": numbers, "process_percent": numbers, "system_total_mb": numbers,
        "system_used_mb": numbers, "system_available_mb": numbers, "system_percent": numbers,
        "timestamp": str}})
    assert body["status"] == "ok" and body["health"] in ("ok", "warning", "critical")
    assert {worker["pid"] for worker in body["workers"]} == set(stack.pids("ziggie-worker"))
    for worker in body["workers"]:
        assert worker["rss_mb"] > 1 and worker["state"] == "ready" and worker["requests"] >= 0
    assert all("pid" not in worker for worker in api.get("/api/health/memory").json()["workers"])


def write_meminfo(root, used_percent):
    """A machine of 10^6 kB, so that tenths of a percent are exact."""
    available = round(1_000_000 - used_percent * 10_000)
    with open(os.path.join(root, "new"), "w", encoding="utf-8") as f:
        f.write(f"MemTotal: 1000000 kB\nMemFree: {available} kB\nMemAvailable: {available} kB\n"
                "Buffers: 0 kB\nCached: 0 kB\nShmem: 0 kB\nSReclaimable: 0 kB\n"
                "SwapTotal: 0 kB\nSwapFree: 0 kB\n")
    os.rename(os.path.join(root, "new"), os.path.join(root, "meminfo"))


@pytest.mark.limit(120)
def test_health_grades_a_full_memory(fresh_stack):
    """/health/detailed warns above 90 and 95 %, /api/health/memory from 75 and 85 % on."""
    root = os.path.join(scratch_dir(), "proc")
    os.mkdir(root)
    for name in ("stat", "loadavg", "uptime", "cpuinfo"):  # the processor stands still
        shutil.copyfile("/proc/" + name, os.path.join(root, name))
    write_meminfo(root, 50)
    try:
        stack = fresh_stack("--workers", "1", settings={
            "proc_root": root, "sample_interval": "100ms", "l1_ttl": "10ms"})
        api = stack.api()
        for percent, detailed, memory in (
                (74.9, "healthy", "ok"), (75, "healthy", "warning"), (84.9, "healthy", "warning"),
                (85, "healthy", "critical"), (90, "healthy", "critical"),
                (90.1, "warning", "critical"), (95, "warning", "critical"),
                (95.1, "critical", "critical")):
            write_meminfo(root, percent)
            wait_for(lambda p=percent: api.get("/health/detailed").json()["system"][
                "memory_percent"] == p, 10, f"{percent} % of memory")
            body = api.get("/health/detailed").json()
            if body["system"]["disk_percent"] <= 90:  # the root disk is this machine's
                assert body["status"] == detailed, percent
            assert api.get("/api/health/memory").json()["health"] == memory, percent
    finally:
        shutil.rmtree(os.path.dirname(root))


def test_info_and_front_page(api):
    info = api.get("/api/v1/info").json()
    check_types(info, {"name": str, "version": str, "commit": str, "api_version": str,
                       "features": list})
    front = api.get("/").json()
    assert front["status"] == "running" and front["caching_enabled"] is True
    check_types(front, {"name": str, "version": str, "websocket_url": str})


def test_head_has_the_length_and_no_body(api):
    answer = api.request("HEAD", "/api/v1/info", headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200 and answer.content == b""
    assert int(answer.headers["Content-Length"]) == len(
        api.get("/api/v1/info", headers={"Accept-Encoding": "identity"}).content)


@pytest.mark.limit(90)
def test_health_does_not_wait_for_a_dead_database(fresh_stack):
    stack = fresh_stack()
    api = stack.api()
    database = stack.record["parts"]["mariadbd"]["pid"]
    freeze(database)
    try:
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert api.get("/api/health").status_code == 200
            took.append(time.monotonic() - began)
        assert sorted(took)[-3] < 0.5, took  # a busy machine holds up one or the other
    finally:
        os.kill(database, signal.SIGCONT)
