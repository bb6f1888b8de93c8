"""ziggie-fcgi through each gateway that can start it: the routes, and the refusals."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest
import requests

import fcgi_client as f
from gateways import GATEWAYS, NginxSpawnFcgi, PlainCgi, SpawnFcgi, end_with, parameters
from harness import ADMIN_PASSWORD, BUILD, wait_for

MAX_BODY = 1 << 20
LOGIN = json.dumps({"username": "admin", "password": ADMIN_PASSWORD}).encode()


@pytest.fixture(scope="module", params=GATEWAYS)
def gateway(request, stack):
    with GATEWAYS[request.param](stack) as started:
        yield started


@pytest.fixture
def spawn(stack):
    """Starts one process under spawn-fcgi, with settings of the test's own."""
    started = []

    def start(**settings):
        started.append(SpawnFcgi(stack, **settings))
        return started[-1].__enter__()

    yield start
    for one in started:
        one.__exit__()


def bearer(token):
    return {"Authorization": "Bearer " + token}


def assert_problem(reply, status):
    assert reply.status == status, reply.body
    assert reply.headers["content-type"].startswith("application/problem+json")
    body = reply.json()
    assert body["status"] == status and body["detail"] and body["request_id"]
    return body


# Through each gateway

def test_health(gateway):
    reply = gateway.request("GET", "/api/health")
    assert reply.status == 200
    body = reply.json()
    assert (body["status"], body["database"], body["caching"]) == ("healthy", "connected", "enabled")
    assert gateway.request("GET", "/readyz").status == 200


def test_sign_in_and_validate(gateway):
    reply = gateway.request("POST", "/api/auth/login", body=LOGIN)
    assert reply.status == 200, reply.body
    token = reply.json()["access_token"]
    valid = gateway.request("GET", "/api/auth/validate", headers=bearer(token))
    assert (valid.status, valid.json()["username"]) == (200, "admin")
    assert_problem(gateway.request("GET", "/api/auth/validate"), 401)


def test_a_system_route(gateway, admin_token):
    reply = gateway.request("GET", "/api/system/processes?limit=3&sort=pid", bearer(admin_token))
    assert reply.status == 200
    body = reply.json()
    assert body["success"] is True and len(body["processes"]) == 3


def test_head_has_no_body(gateway):
    reply = gateway.request("HEAD", "/api/health")
    assert (reply.status, reply.body) == (200, b"")


def test_a_path_that_is_not_there(gateway):
    body = assert_problem(gateway.request("GET", "/api/nothing%20here?a=1"), 404)
    assert body["instance"] == "/api/nothing%20here"


def test_a_body_over_the_limit(gateway):
    assert gateway.request("POST", "/api/auth/login", body=b"x" * MAX_BODY).status == 400
    assert_problem(gateway.request("POST", "/api/auth/login", body=b"x" * (MAX_BODY + 1)), 413)


def test_a_false_length(gateway):
    reply = gateway.request("POST", "/api/auth/login/form", body=LOGIN, length=str(len(LOGIN) + 1))
    if gateway.own_refusal:
        assert reply.status == gateway.own_refusal
        assert not gateway.log_lines(event="request", path="/api/auth/login/form")
    else:
        assert "CONTENT_LENGTH" in assert_problem(reply, 400)["detail"]
    # And the next one is served as if nothing had been.
    assert gateway.request("GET", "/api/health").status == 200


def test_the_log_is_a_workers(gateway, api, stack):
    """The same fields for the same request, whoever served it."""
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    gateway.request("GET", "/api/v1/info", headers)
    api.get("/api/v1/info", headers=headers)
    wanted = {"event": "request", "path": "/api/v1/info",
              "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    ours = wait_for(lambda: gateway.log_lines(**wanted), what="the log line")[-1]
    workers = wait_for(lambda: stack.log_lines(**wanted), what="the worker's log line")[-1]
    assert (ours["program"], workers["program"]) == ("ziggie-fcgi", "ziggie-worker")
    assert ours.keys() == workers.keys()
    for name in ("method", "route", "status", "bytes", "remote_addr"):
        assert ours[name] == workers[name]


# The program

def test_it_needs_a_web_server():
    run = subprocess.run([os.path.join(BUILD, "ziggie-fcgi")], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, env={}, check=False, timeout=20)
    assert run.returncode == os.EX_UNAVAILABLE
    assert "no listening socket on descriptor 0" in run.stderr


def test_its_command_line(stack):
    cgi = PlainCgi(stack)
    shown = cgi.run({}, arguments=["--help"])
    assert shown.returncode == 0 and shown.stdout.startswith(b"Usage: ziggie-fcgi")
    assert cgi.run({}, arguments=["--version"]).stdout.startswith(b"ziggie-fcgi ")
    assert cgi.run({}, arguments=["--check"]).returncode == 0
    assert cgi.run({}, arguments=["--nothing"]).returncode == os.EX_USAGE
    assert cgi.run({"ZIGGIE_MAX_BODY": "1"}).returncode == os.EX_CONFIG


@pytest.mark.parametrize("way", [PlainCgi, SpawnFcgi])
def test_health_without_a_database_and_a_cache(stack, way):
    settings = {"db_socket": "/nowhere/db.sock", "memcached": "/nowhere/cache.sock"}
    with way(stack, **settings) as gateway:
        reply = gateway.request("GET", "/health")
        assert reply.status == 200
        assert (reply.json()["database"], reply.json()["caching"]) == ("unavailable", "unavailable")
        assert gateway.request("GET", "/readyz").status == 503
        assert gateway.request("GET", "/health/detailed").json()["system"]["cpu_count"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_it_between_requests(spawn, number):
    gateway = spawn()
    assert gateway.request("GET", "/api/health").status == 200
    assert end_with(gateway.process, number) == 0
    assert gateway.log_lines(event="stopped", clean=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_waits_for_the_request(spawn, number):
    gateway = spawn()
    request = f.whole_request(parameters("GET", "/api/health"))
    with f.Connection(gateway.socket) as connection:
        connection.send(request[:100])
        wait_for(lambda: accepted(gateway), what="the connection")
        gateway.process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            gateway.process.wait(0.5)
        connection.send(request[100:])
        assert connection.answer().status == 200
    assert gateway.process.wait(10) == 0


def accepted(gateway):
    """Whether the process holds a connection of a client (its listening socket's path is known)."""
    import psutil
    mine = psutil.Process(gateway.process.pid).connections("unix")
    return sum(c.laddr == gateway.socket for c in mine) > 1


def test_a_client_that_went_away_is_not_served(spawn):
    gateway = spawn()
    request = f.whole_request(parameters("GET", "/api/health"))
    with f.Connection(gateway.socket) as connection:
        connection.send(request[:100])  # holds the process, so that the next one waits
        with f.Connection(gateway.socket) as hasty:
            hasty.send(f.whole_request(parameters("GET", "/api/v1/info")))
        connection.send(request[100:])
        assert connection.answer().status == 200
    (line,) = wait_for(lambda: gateway.log_lines(path="/api/v1/info"), what="its log line")
    assert line["status"] == 499
    assert "ziggie_clients_gone_total 1\n" in gateway.request("GET", "/metrics").body.decode()


def test_processes_share_a_socket(stack):
    """As under spawn-fcgi -F: what one is busy with another one takes, and each ends when told."""
    gateway = SpawnFcgi(stack)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(gateway.socket)
        listener.listen()
        processes = [gateway.popen(gateway.program, stdin=listener) for _ in range(2)]
    try:
        with f.Connection(gateway.socket) as busy:
            busy.send(f.begin())
            pids = {gateway.request("GET", "/api/health/memory",
                                    bearer(stack.token("admin"))).json()["workers"][0]["pid"]
                    for _ in range(5)}
            assert len(pids) == 1 and pids < {process.pid for process in processes}
        assert [end_with(process) for process in processes] == [0, 0]
    finally:
        gateway.__exit__()


def test_hup_opens_the_log_again(spawn):
    gateway = spawn()
    gateway.request("GET", "/api/health")
    os.rename(gateway.log, gateway.log + ".1")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.request("GET", "/livez")
    wait_for(lambda: os.path.exists(gateway.log) and gateway.log_lines(path="/livez"),
             what="a line in the new log")


def test_a_connection_ends_with_its_answer(spawn):
    """One that asks to be kept would shut out all others."""
    gateway = spawn()
    with f.Connection(gateway.socket) as kept:
        assert kept.request("GET", "/livez").status == 200
        assert kept.is_closed()
        assert gateway.request("GET", "/api/health").status == 200


def test_nginx_loses_no_post(stack):
    """It must not keep connections, as one that is about to be closed costs the next POST."""
    with NginxSpawnFcgi(stack) as gateway, requests.Session() as client:
        seen = {client.post(gateway.url + "/api/auth/login", data=b"x", timeout=20,
                            headers={"Content-Type": "application/json"}).status_code
                for _ in range(2000)}
    assert seen == {400}


def test_a_silent_peer_is_given_up(spawn):
    gateway = spawn(read_timeout="300ms")
    with f.Connection(gateway.socket) as silent, f.Connection(gateway.socket) as half:
        half.send(f.begin())
        started = time.monotonic()
        assert gateway.request("GET", "/api/health").status == 200
        assert time.monotonic() - started < 5
        assert silent.is_closed() and half.is_closed()


@pytest.mark.parametrize("cut", [8, 16, 40, -8])
def test_half_a_request_is_not_served(spawn, cut):
    """libfcgi gives a request whose peer went away as if it were whole."""
    gateway = spawn()
    params = parameters("GET", "/livez")
    with f.Connection(gateway.socket) as connection:
        connection.send(f.begin(), f.record(f.PARAMS, content=f.pairs(params))[:cut])
    assert gateway.request("GET", "/api/health").status == 200
    lines = wait_for(lambda: gateway.log_lines(event="request"), what="the log line")
    assert [line["path"] for line in lines] == ["/api/health"]


@pytest.mark.parametrize("role", [f.AUTHORIZER, f.FILTER])
def test_it_is_a_responder(spawn, role):
    gateway = spawn()
    with f.Connection(gateway.socket) as connection:
        connection.send(f.begin(role=role), f.stream(f.PARAMS, f.pairs({"A": "b"})),
                        f.record(f.STDIN))
        assert connection.is_closed()
    assert gateway.request("GET", "/api/health").status == 200


@pytest.mark.parametrize("params, status", [
    ([("CONTENT_LENGTH", "0"), ("CONTENT_LENGTH", "0")], 400),
    ([("HTTP_HOST", "a"), ("HTTP_HOST", "b")], 400),
    ([("", "value")], 400),
    ([("HTTP_X_LARGE", "v" * 70000)], 413),
    ([(f"HTTP_X_{number}", "v") for number in range(300)], 413),
    ([("HTTP_X_LIST", "a"), ("HTTP_X_LIST", "b")], 200),
])
def test_parameters_are_judged_as_by_a_worker(spawn, stack, params, status):
    gateway = spawn()
    worker = os.path.join(stack.run, "app", "fcgi.sock")
    details = []
    for path in (gateway.socket, worker):
        with f.Connection(path) as connection:
            connection.send(f.whole_request([*f.parameters("GET", "/livez").items(), *params]))
            answer = connection.answer()
        assert answer.status == status
        details.append(answer.json().get("detail"))
    assert details[0] == details[1]


def test_metrics_are_those_of_the_process(spawn):
    gateway = spawn()
    for _ in range(3):
        gateway.request("GET", "/api/health")
    text = gateway.request("GET", "/metrics").body.decode()
    assert 'ziggie_requests_total{method="GET",route="/api/health",status="200"} 3' in text
    assert "ziggie_threads 1\n" in text and "ziggie_pool_max 1\n" in text
