"""deploy/nginx: what only nginx does; test_web*.py have what both web servers do."""

import os
import re
import subprocess

from front import WebServer
from harness import BUILD, SOURCE, scratch_dir
from traffic import at_once


def test_large_answers_do_not_go_to_files(stack, api, admin_token):
    answer = api.get("/api/system/processes?limit=500", admin_token)
    assert answer.status_code == 200
    assert "upstream response is buffered" not in stack.log("nginx")


def test_flood_from_one_address_is_limited_and_probes_are_not(stack):
    with WebServer("nginx", [stack.fcgi_socket], proxies=["127.0.0.1"]) as nginx:
        def flood(path, address, count=1500):
            headers = {"X-Forwarded-For": address}

            def some(_):
                api = nginx.api()
                return [api.get(path, headers=headers) for _ in range(count // 10)]

            return [answer for answers in at_once(some, range(10)) for answer in answers]

        answers = flood("/", "203.0.113.20")
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused, "1,500 requests at once met no limit"
        problem = refused[0].json()
        assert refused[0].headers["Content-Type"] == "application/problem+json"
        assert problem["status"] == 429
        assert problem["request_id"] == refused[0].headers["X-Request-Id"]
        assert refused[0].headers["Retry-After"] == "1"
        # Another address is served all the while, and probes always are.
        other = nginx.api().get("/", headers={"X-Forwarded-For": "203.0.113.21"})
        assert other.status_code == 200
        assert {answer.status_code for answer in flood("/livez", "203.0.113.20", 600)} == {200}


def test_configuration_for_a_plain_server_is_valid():
    """What `make install` ships, checked by nginx itself with its paths moved."""
    folder = scratch_dir()
    conf = os.path.join(folder, "conf")
    os.mkdir(conf)
    nginx_dir = os.path.join(SOURCE, "deploy", "nginx")
    for name in ("ziggie-fastcgi.conf", "ziggie-headers.conf", "ziggie-realip.conf"):
        with open(os.path.join(nginx_dir, name), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(conf, name), "w", encoding="utf-8") as f:
            f.write(text)
    with open(os.path.join(BUILD, "deploy", "nginx", "ziggie.conf"), encoding="utf-8") as f:
        text = f.read()
    assert not re.findall(r"@[A-Z_]+@", text)
    text = text.replace("/etc/nginx/ziggie", conf).replace("/var/log/nginx", folder)
    text = text.replace("listen 80 ", "listen 127.0.0.1:8 ")
    text = text.replace("listen [::]:80 backlog=4096 reuseport;", "")
    with open(os.path.join(conf, "ziggie.conf"), "w", encoding="utf-8") as f:
        f.write(text)
    main = os.path.join(folder, "nginx.conf")
    with open(main, "w", encoding="utf-8") as f:
        f.write(f"pid {folder}/pid; error_log stderr; events {{}} http {{"
                + "".join(f"{kind}_temp_path {folder}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
                + f"include {conf}/ziggie.conf; }}")
    done = subprocess.run(["/usr/sbin/nginx", "-t", "-e", "stderr", "-p", folder, "-c", main],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
