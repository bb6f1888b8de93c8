"""GET /api/system/*: the contract's fields, the parameters, other hosts, stale answers."""

import datetime
import os
import shutil
import socket
import time

import pytest

from harness import quickest, scratch_dir, wait_for

NUMBER = (int, float)
NULLABLE = type(None)

CPU = {"usage_percent": NUMBER, "count": int, "frequency": (dict, NULLABLE), "per_cpu": list}
MEMORY = {"total": int, "available": int, "used": int, "percent": NUMBER, "total_gb": NUMBER,
          "used_gb": NUMBER, "available_gb": NUMBER}
DISK = {"total": int, "used": int, "free": int, "percent": NUMBER, "total_gb": NUMBER,
        "used_gb": NUMBER, "free_gb": NUMBER}
TRAFFIC = {name: int for name in ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv",
                                  "errin", "errout", "dropin", "dropout")}
TRAFFIC |= {"bytes_sent_per_sec": NUMBER, "bytes_recv_per_sec": NUMBER}

ROUTES = {
    "stats": {"success": bool, "timestamp": str, "cpu": CPU, "memory": MEMORY, "disk": DISK,
              "load": list, "swap": dict, "pressure": (dict, NULLABLE)},
    "info": {"success": bool, "os": str, "hostname": str, "uptime": NUMBER, "platform": str,
             "platform_release": str, "platform_version": str, "arch": str, "processor": str,
             "totalMemory": int, "cpuCores": int, "cpuCoresPhysical": (int, NULLABLE),
             "boot_time": NUMBER},
    "processes": {"success": bool, "count": int, "processes": list},
    "ports": {"success": bool, "count": int, "ports": list},
    "network": {"success": bool, "timestamp": str, "interfaces": list, "total": TRAFFIC,
                "connections": dict},
    "disk": {"success": bool, "timestamp": str, "partitions": list, "io": list},
    "resources": {"success": bool, "timestamp": str, "cpu": dict, "memory": dict, "disk": dict,
                  "network": dict},
}

# Seconds after which a sample is too old: three of its intervals.
AGE = {"processes": 6, "ports": 30}

ITEMS = {
    ("processes", "processes"): {
        "pid": int, "ppid": int, "name": str, "username": (str, NULLABLE), "status": str,
        "cpu_percent": NUMBER, "memory_percent": NUMBER, "rss": int, "threads": int,
        "started": str},
    ("ports", "ports"): {
        "port": int, "pid": (int, NULLABLE), "process_name": (str, NULLABLE),
        "process": (str, NULLABLE), "service": (str, NULLABLE), "protocol": str, "status": str,
        "address": str},
    ("network", "interfaces"): TRAFFIC | {
        "name": str, "is_up": bool, "speed": int, "mtu": int, "addresses": list},
    ("disk", "partitions"): {
        "device": str, "mountpoint": str, "fstype": str, "total": int, "used": int, "free": int,
        "percent": NUMBER, "inodes_percent": NUMBER},
    ("disk", "io"): {
        "device": str, "read_bytes": int, "write_bytes": int, "read_count": int,
        "write_count": int, "read_bytes_per_sec": NUMBER, "write_bytes_per_sec": NUMBER,
        "busy_percent": NUMBER},
}


def has_shape(value, shape, where):
    for name, kind in shape.items():
        assert name in value, f"{where}.{name} is missing"
        if isinstance(kind, dict):
            has_shape(value[name], kind, f"{where}.{name}")
        else:
            assert isinstance(value[name], kind), f"{where}.{name} is {value[name]!r}"
            assert kind is not int or not isinstance(value[name], bool), f"{where}.{name}"


@pytest.mark.parametrize("kind", ROUTES)
def test_fields_and_types(api, admin_token, kind):
    answer = api.get(f"/api/system/{kind}", admin_token)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    data = answer.json()
    has_shape(data, ROUTES[kind], kind)
    assert data["success"] is True
    assert "stale" not in data
    for (of, name), shape in ITEMS.items():
        if of == kind:
            for item in data[name]:
                has_shape(item, shape, f"{kind}.{name}[]")
    if "timestamp" in data:
        taken = datetime.datetime.fromisoformat(data["timestamp"])
        assert taken.tzinfo is None
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        assert abs((now - taken).total_seconds()) < AGE.get(kind, 5)


@pytest.mark.parametrize("kind", ROUTES)
def test_a_principal_is_needed(api, readonly_token, kind):
    assert api.get(f"/api/system/{kind}").status_code == 401
    assert api.get(f"/api/system/{kind}", "no such token").status_code == 401
    assert api.get(f"/api/system/{kind}", readonly_token).status_code == 200
    assert api.post(f"/api/system/{kind}", readonly_token).status_code == 405


def test_the_values_are_of_this_machine(api, admin_token):
    stats = api.get("/api/system/stats", admin_token).json()
    assert stats["cpu"]["count"] == os.cpu_count() == len(stats["cpu"]["per_cpu"])
    assert stats["memory"]["total"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    info = api.get("/api/system/info", admin_token).json()
    assert info["hostname"] == socket.gethostname()
    assert info["platform_release"] == os.uname().release


def processes(api, token, **query):
    answer = api.get("/api/system/processes", token, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_processes_come_by_use_of_the_processor(api, admin_token):
    data = processes(api, admin_token)
    used = [process["cpu_percent"] for process in data["processes"]]
    assert used == sorted(used, reverse=True)
    assert len(used) == min(50, data["count"])


def test_processes_parameters(api, stack, admin_token):
    few = processes(api, admin_token, limit=3)
    assert len(few["processes"]) == 3
    assert few["count"] > 3

    many = processes(api, admin_token, limit=500, sort="pid")
    pids = [process["pid"] for process in many["processes"]]
    assert pids == sorted(pids)
    assert len(pids) == min(500, many["count"])

    by_memory = processes(api, admin_token, sort="memory")
    used = [process["rss"] for process in by_memory["processes"]]
    assert used == sorted(used, reverse=True)

    names = [process["name"] for process in processes(api, admin_token, sort="name")["processes"]]
    assert names == sorted(names, key=str.casefold) or names == sorted(names)

    found = processes(api, admin_token, search="ZIGGIE-WORK", limit=500)
    assert {process["name"] for process in found["processes"]} == {"ziggie-worker"}
    assert set(stack.pids("ziggie-worker")) <= {process["pid"] for process in found["processes"]}
    assert processes(api, admin_token, search="no such process")["processes"] == []


@pytest.mark.parametrize("query, name", [
    ("limit=0", "limit"), ("limit=501", "limit"), ("limit=ten", "limit"), ("limit=", "limit"),
    ("limit=-1", "limit"), ("limit=1&limit=2", "limit"), ("sort=size", "sort"),
    ("sort=CPU", "sort"), ("search=", "search"), ("search=%ff", "search"),
    ("search=" + "x" * 256, "search"), ("search=a%0ab", "search"),
    ("host=", "host"), ("host=" + "x" * 65, "host"), ("host=a%00b", "host"),
])
def test_bad_parameters_are_named(api, admin_token, query, name):
    answer = api.get(f"/api/system/processes?{query}", admin_token)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = answer.json()
    assert name in problem["detail"]
    assert [error["field"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("kind", ROUTES)
def test_a_bad_host_is_refused_everywhere(api, admin_token, kind):
    answer = api.get(f"/api/system/{kind}?host=a%01b", admin_token)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "host"


def test_this_host_by_its_name(stack, api, admin_token):
    started = wait_for(lambda: stack.log_lines(program="ziggie-jobs", event="started"))
    answer = api.get("/api/system/info", admin_token, params={"host": started[-1]["host"]})
    assert answer.status_code == 200
    assert answer.json()["hostname"] == socket.gethostname()


def test_a_host_that_nobody_knows(api, admin_token):
    answer = api.get("/api/system/stats?host=elsewhere", admin_token)
    assert answer.status_code == 404
    assert answer.json()["detail"] == 'host: there is no host "elsewhere"'


def test_samples_go_on_while_nobody_asks(stack, api, admin_token):
    """stats is published every second; the answer is never older than that and the L1 time."""
    def age():
        time.sleep(3)
        data = api.get("/api/system/stats", admin_token).json()
        taken = datetime.datetime.fromisoformat(data["timestamp"] + "+00:00")
        return (datetime.datetime.now(datetime.timezone.utc) - taken).total_seconds()

    assert quickest(age, 2.5) < 2.5


def copy_proc(to):
    """As much of /proc as a sample of stats needs, in plain files."""
    os.mkdir(to)
    for name in ("stat", "meminfo", "loadavg", "uptime", "cpuinfo"):
        shutil.copyfile("/proc/" + name, os.path.join(to, name))
    os.chmod(to, 0o755)


def counted_stale(api):
    for line in api.get("/metrics").text.splitlines():
        if line.startswith('ziggie_host_answers_total{source="stale"}'):
            return int(line.split()[-1])
    return 0


def test_what_can_no_longer_be_read_is_marked_stale(fresh_stack):
    directory = scratch_dir()
    try:
        root = os.path.join(directory, "proc")
        copy_proc(root)
        stack = fresh_stack("--workers", "1", settings={"proc_root": root})
        api, token = stack.api(), stack.token()
        first = api.get("/api/system/stats", token)
        assert first.status_code == 200
        assert "stale" not in first.json()

        os.unlink(os.path.join(root, "meminfo"))

        def stale():
            answer = api.get("/api/system/stats", token)
            assert answer.status_code == 200, answer.text
            return answer.json() if "stale" in answer.json() else None

        data = wait_for(stale, what="a stale answer")
        assert data["stale"] is True
        has_shape(data, ROUTES["stats"], "stats")
        assert api.get("/api/system/stats", token).json()["timestamp"] == data["timestamp"]
        wait_for(lambda: counted_stale(api) > 0, what="the count of stale answers")

        shutil.copyfile("/proc/meminfo", os.path.join(root, "meminfo"))
        wait_for(lambda: "stale" not in api.get("/api/system/stats", token).json(),
                 what="a fresh answer")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
