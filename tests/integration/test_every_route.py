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


# What stands for the {arguments} of a path.
ARGUMENTS = {"/api/v1/hosts/{id}": {"id": socket.gethostname()}}


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
    assert set(ARGUMENTS) == {path for _, path in routes() if "{" in path}


@pytest.mark.parametrize("method, path", routes())
def test_route_answers(stack, api, method, path):
    token = stack.ctl("token", "admin").stdout.split()[-1]
    # A host is known a moment after it has started.
    wait_for(lambda: api.get("/api/v1/hosts", token).json()["total"] > 0, what="a known host")
    answer = api.request(method, path.format(**ARGUMENTS.get(path, {})), token=token,
                         **REQUESTS.get((method, path), {}))
    assert 200 <= answer.status_code < 300, answer.text
