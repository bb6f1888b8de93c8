"""Each route of the rows in fcgi-app/api answers a good request with 2xx."""

import glob
import os
import re
import socket

import pytest

from harness import ADMIN_PASSWORD, SOURCE, wait_for

pytestmark = pytest.mark.http

ADMIN = {"username": "admin", "password": ADMIN_PASSWORD}

# What a good request needs beside its token.
REQUESTS = {
    ("POST", "/api/auth/login"): {"json": ADMIN},
    ("POST", "/api/auth/login/form"): {"data": ADMIN},
    ("PUT", "/api/auth/me"): {"json": {"full_name": "A Name"}},
}


# Kinds of records, and the body that makes one.
RECORDS = {"/api/v1/agents": {"name": "an agent"}}
for collection, body in RECORDS.items():
    REQUESTS["POST", collection] = {"json": body}
    REQUESTS["PATCH", collection + "/{id}"] = {"json": {}}


def argument(api, token, path):
    """What stands for the {id} of a path."""
    for collection, body in RECORDS.items():
        if path.startswith(collection + "/{id}"):
            made = api.post(collection, token, json=body)
            assert made.status_code == 201, made.text
            return made.json()["id"]
    return {"/api/v1/hosts/{id}": socket.gethostname()}[path]


def routes():
    """Method and path of every row, read from the source: those that nobody wrote a test for too."""
    found = []
    for path in sorted(glob.glob(os.path.join(SOURCE, "fcgi-app", "api", "*.c"))):
        with open(path, encoding="utf-8") as f:
            for table in re.findall(r"const struct route \w+_routes\[\] = \{\n(.*?)\n\};", f.read(),
                                    re.S):
                paths = re.findall(r'"(/[^"\s]*)"', table)
                methods = re.findall(r"HTTP_(GET|POST|PUT|PATCH|DELETE)", table)
                found += zip(methods or ["GET"] * len(paths), paths)
    return found


def test_the_rows_are_found():
    assert len(routes()) >= 25
    assert ("GET", "/api/health") in routes() and ("POST", "/api/auth/logout") in routes()
    assert set(REQUESTS) <= set(routes())


@pytest.mark.parametrize("method, path", routes())
def test_route_answers(stack, api, method, path):
    token = stack.ctl("token", "admin").stdout.split()[-1]
    # A host is known a moment after it has started.
    wait_for(lambda: api.get("/api/v1/hosts", token).json()["total"] > 0, what="a known host")
    filled = path.format(id=argument(api, token, path)) if "{id}" in path else path
    answer = api.request(method, filled, token=token, **REQUESTS.get((method, path), {}))
    assert 200 <= answer.status_code < 300, answer.text
