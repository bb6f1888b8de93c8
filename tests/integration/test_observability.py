"""What operators see of a request: log line, ids, traces, Server-Timing, metrics."""

import json
import re
import uuid

import pytest

from fcgi_client import Connection
from harness import wait_for

pytestmark = pytest.mark.http

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def request_line(stack, request_id):
    def find():
        return stack.log_lines(event="request", request_id=request_id)

    return wait_for(find, what="a log line of the request")[0]


def test_every_request_has_a_line_with_spans(stack, api, readonly_token):
    answer = api.get("/api/system/stats", token=readonly_token)
    line = request_line(stack, answer.headers["X-Request-Id"])
    assert line["method"] == "GET" and line["route"] == "/api/system/stats"
    assert line["status"] == 200 and line["user"] == "some-readonly"
    for span in ("queue_ms", "auth_ms", "cache_ms", "db_ms", "handler_ms"):
        assert 0 <= line[span] < 10000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_the_shares_of_the_pool_are_logged_at_the_start(stack):
    starts = {line["worker"]: line
              for line in stack.log_lines(program="ziggie-worker", event="started")}
    assert len(starts) == len(stack.pids("ziggie-worker"))
    assert sum(line["db_pool_min"] for line in starts.values()) == 5
    assert sum(line["db_pool_max"] for line in starts.values()) == 40
    for line in starts.values():
        assert (line["db_pool_wait_ms"], line["db_pool_recycle_ms"]) == (30_000, 3_600_000)
        assert line["db_pool_max_of_host"] == 40


def test_server_timing_names_phases(api, readonly_token):
    timing = api.get("/api/system/stats", token=readonly_token).headers["Server-Timing"]
    entries = dict(part.split(";dur=") for part in timing.split(", "))
    assert "total" in entries and set(entries) <= {
        "queue", "auth", "cache", "db", "handler", "total"}
    assert all(float(value) >= 0 for value in entries.values())


def test_traceparent_is_honoured(stack, api):
    answer = api.get("/health", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    version, trace, span, flags = answer.headers["Traceresponse"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01") and re.fullmatch("[0-9a-f]{16}", span)
    line = request_line(stack, answer.headers["X-Request-Id"])
    assert line["trace_id"] == TRACE and line["span_id"] == span


@pytest.mark.parametrize("bad", [
    f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}", "x"])
def test_a_wrong_traceparent_is_ignored(api, bad):
    answer = api.get("/health", headers={"traceparent": bad})
    assert answer.status_code == 200 and "Traceresponse" not in answer.headers


def test_the_log_is_json_and_escaped(stack, api):
    marker = uuid.uuid4().hex
    answer = api.get(f"/{marker}%0a%1b%22%5c%7f")
    line = request_line(stack, answer.headers["X-Request-Id"])
    assert marker in line["path"] and line["status"] == 404
    for text in stack.log().splitlines():
        assert not re.search(r"[\x00-\x1f\x7f]", text)
        if text.startswith("{"):
            json.loads(text)


def test_no_secrets_in_the_log(stack, api, admin_token):
    secret = "sEcReT-" + uuid.uuid4().hex
    api.post("/api/auth/login", json={"username": "admin", "password": secret})
    api.post("/api/auth/login/form", data={"username": "admin", "password": secret})
    api.get("/api/auth/me", token=secret)
    last = api.get("/api/auth/me", token=admin_token)
    request_line(stack, last.headers["X-Request-Id"])
    for name in ("ziggied", "nginx", "access"):
        text = stack.log(name)
        assert secret not in text and admin_token not in text


def samples(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def test_metrics_in_openmetrics(api):
    answer = api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE ziggie_requests counter\n" in answer.text
    assert "ziggie_requests_total{" in answer.text


def test_metrics_count_requests_of_all_workers(stack, api):
    name = 'ziggie_requests_total{method="GET",route="/api/v1/info",status="200"}'
    before = samples(api.get("/metrics").text).get(name, 0)
    for _ in range(25):
        # A connection of its own, so that every worker gets some.
        stack.api().get("/api/v1/info", headers={"Connection": "close"})
    after = samples(api.get("/metrics").text)
    assert after[name] == before + 25
    latency = 'ziggie_request_duration_seconds_count{method="GET",route="/api/v1/info"}'
    assert after[latency] == after[name]


def test_metrics_name_what_the_operator_needs(stack, api):
    found = samples(api.get("/metrics").text)
    for name in ("ziggie_threads", "ziggie_threads_busy", "ziggie_queue_duration_seconds_count",
                 'ziggie_pool_connections{state="in_use"}', 'ziggie_pool_connections{state="idle"}',
                 "ziggie_pool_waits_total", "ziggie_pool_timeouts_total",
                 'ziggie_cache_lookups_total{tier="l1",result="hit"}',
                 'ziggie_cache_lookups_total{tier="memcached",result="miss"}',
                 'ziggie_host_answers_total{source="stale"}',
                 'ziggie_restarts_total{program="worker"}'):
        assert name in found, name
    assert found["ziggie_threads"] == 16 * len(stack.pids("ziggie-worker"))
    assert found['ziggie_pool_connections{state="idle"}'] >= 1
    rss = [value for name, value in found.items() if name.startswith("ziggie_resident_memory")]
    assert len(rss) >= 3 and min(rss) > 1 << 20


def test_metrics_are_not_for_strangers(stack, readonly_token, admin_token):
    def status(address, token=None, **more):
        parameters = {"REMOTE_ADDR": address, **more}
        if token:
            parameters["HTTP_AUTHORIZATION"] = "Bearer " + token
        with Connection(stack.run + "/app/fcgi.sock") as worker:
            return worker.request("GET", "/metrics", **parameters).status

    assert status("127.0.0.1") == 200
    assert status("192.0.2.7") == 401
    assert status("192.0.2.7", HTTP_X_FORWARDED_FOR="127.0.0.1") == 401
    assert status("192.0.2.7", readonly_token) == 403
    assert status("192.0.2.7", admin_token) == 200
