"""deploy/apache and script/server --web apache; test_web*.py have what both web servers do."""

import os
import pwd
import re
import shutil
import subprocess

import pytest

from exchange import raw
from harness import BUILD, SOURCE, RunningStack, quickest, scratch_dir, wait_for
from stack.web import Apache
from traffic import Load, health


@pytest.fixture(scope="module")
def behind():
    """A stack behind Apache that believes the X-Forwarded-For of loopback."""
    stack = RunningStack("--web", "apache", "--workers", "2", "--trust-proxy", "127.0.0.1")
    try:
        yield stack.start()
    finally:
        stack.remove()


def test_the_server_script_puts_apache_in_front(behind):
    assert "apache2" in behind.record["parts"] and "nginx" not in behind.record["parts"]
    answer = behind.api().get("/health", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 200 and answer.headers["Server"] == "Apache"
    line = wait_for(lambda: behind.log_lines(event="request",
                                             request_id=answer.headers["X-Request-Id"]), what="a line")
    assert line[0]["remote_addr"] == "203.0.113.9"


def test_it_is_restarted_when_it_dies(behind):
    assert quickest(lambda: behind.restart_seconds("apache2"), 1.5) < 1.5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another account")
def test_its_children_do_not_run_as_root(behind):
    children = [pid for pid in behind.pids("apache2")
                if pid != behind.record["parts"]["apache2"]["pid"]]
    www = pwd.getpwnam("www-data").pw_uid
    assert children and all(os.stat(f"/proc/{pid}").st_uid == www for pid in children)


def test_reloads_lose_no_request(behind):
    with Load(behind.url, [health] * 6) as load:
        for _ in range(2):
            load.wait_for_more(50)
            behind.replace_generation()
        load.wait_for_more(50)
    assert load.failures() == []
    assert set(load.count()) == {200}


def test_kept_connections_of_a_dead_worker_cost_no_request(behind):
    api = behind.api()
    assert {api.get("/health").status_code for _ in range(50)} == {200}
    for pid in behind.kill("ziggie-worker"):
        wait_for(lambda gone=pid: gone not in behind.pids("ziggie-worker"), what="its end")
    behind.wait_ready()
    assert {api.get("/health").status_code for _ in range(200)} == {200}


# Of each answer's own, of the connection, and of ids that differ in length.
OWN_HEADERS = {"Date", "Server", "Server-Timing", "X-Request-Id", "Connection", "Content-Length",
               "Transfer-Encoding"}


@pytest.mark.parametrize("request_line, fields, body", [
    ("GET /health", {}, ""),
    ("GET /", {"Accept-Encoding": "gzip"}, ""),
    ("GET /metrics", {"Accept-Encoding": "gzip"}, ""),
    ("GET /metrics", {}, ""),
    ("GET http://x/api/v1/info", {"Range": "bytes=0-3"}, ""),
    ("GET /api/auth/me", {}, ""),
    ("GET /nowhere?x=%00", {"If-None-Match": "*"}, ""),
    ("DELETE /health", {}, ""),
    ("PROPFIND /health", {}, ""),
    ("OPTIONS /api/auth/me", {}, ""),
    ("TRACE /", {}, ""),
    ("GET /%zz", {}, ""),
    ("POST /api/auth/login", {"Content-Type": "application/json"}, "{}"),
    ("POST /api/auth/login", {"Content-Type": "text/xml"}, "<a/>"),
    ("POST /api/auth/login", {"Content-Length": "2000000"}, ""),
])
def test_answers_are_those_of_nginx(shared_stack, stack_through_apache, request_line, fields, body):
    fields = {"Host": "x", **({"Content-Length": len(body)} if body else {}), **fields}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"{request_line} HTTP/1.1\r\n{head}\r\n{body}".encode()
    answers = []
    for stack in (shared_stack, stack_through_apache):
        status, headers, _ = raw(stack, request)
        answers.append((status, {n: v for n, v in headers.items() if n not in OWN_HEADERS}))
    assert answers[0] == answers[1]


# What a2enmod enables with those it is told, and what Debian has enabled already.
ALONG = ["authz_core", "mpm_event", "proxy", "slotmem_shm"]


def test_configuration_for_a_plain_server_is_valid():
    """What `make install` ships, with the modules that its README names, by Apache itself."""
    folder = scratch_dir()
    try:
        deploy = os.path.join(SOURCE, "deploy", "apache")
        conf = os.path.join(folder, "conf")
        shutil.copytree(deploy, conf)
        with open(os.path.join(BUILD, "deploy", "apache", "ziggie.conf"), encoding="utf-8") as f:
            site = f.read()
        assert not re.findall(r"@[A-Z_]+@", site)
        site = site.replace("/etc/apache2/ziggie", conf).replace("${APACHE_LOG_DIR}", folder)
        with open(os.path.join(deploy, "README.md"), encoding="utf-8") as f:
            enabled = re.search(r"a2enmod (buffer .*?[^\\])\n", f.read(), re.S).group(1)
        modules = ALONG + enabled.replace("\\", " ").split()
        main = os.path.join(folder, "apache2.conf")
        with open(main, "w", encoding="utf-8") as f:
            f.writelines(f"LoadModule {name}_module {Apache.modules()}/mod_{name}.so\n"
                         for name in modules)
            f.write(f"ServerName localhost\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\n"
                    f"Listen 127.0.0.1:8\nErrorLog {folder}/log\n{site}")
        done = subprocess.run(["/usr/sbin/apache2", "-t", "-f", main, "-d", folder],
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "Syntax OK\n"
    finally:
        shutil.rmtree(folder)


def test_shipped_configuration_trusts_no_proxy():
    """RemoteIPHeader alone would trust everybody."""
    with open(os.path.join(SOURCE, "deploy", "apache", "ziggie-realip.conf"), encoding="utf-8") as f:
        assert all(line.startswith("#") for line in f)
