"""ziggiectl routes: the table that the workers serve, for people and for programs."""

import json
import os
import subprocess

import pytest

from harness import BUILD

WORDS = {
    "method": {"GET", "POST", "PUT", "PATCH", "DELETE"},
    "access": {"public", "optional", "host", "readonly", "user", "admin", "register", "local"},
    "others": {"none", "read", "kept", "changed"},
    "weight": {"light", "normal", "heavy"},
    "body": {"none", "json", "form", "json_or_form"},
}


def routes(*arguments):
    return subprocess.run([os.path.join(BUILD, "ziggiectl"), "routes", *arguments], check=True,
                          capture_output=True, text=True, timeout=30).stdout


@pytest.fixture(scope="module")
def rows():
    return json.loads(routes("--json"))["routes"]


def test_a_row_says_its_policy_in_words(rows):
    login = next(row for row in rows if row["path"] == "/api/auth/login")
    assert {key: login[key] for key in ("method", "access", "others", "scope", "rate", "weight",
                                        "body", "status")} == {
        "method": "POST", "access": "public", "others": "none", "scope": "-", "rate": "login",
        "weight": "light", "body": "json", "status": 200}
    for row in rows:
        for column, words in WORDS.items():
            assert row[column] in words, row
        assert row["summary"]


def test_the_table_has_a_line_for_each_row(rows):
    head, *lines = routes().splitlines()
    assert head.split()[:3] == ["METHOD", "PATH", "ACCESS"]
    assert [line.split()[:3] for line in lines] == [
        [row["method"], row["path"], row["access"]] for row in rows]


def test_the_rows_are_those_that_the_workers_serve(rows, api, admin_token):
    """Every path is there, and takes the methods of its rows."""
    methods = {}
    for row in rows:
        methods.setdefault(row["path"], set()).add(row["method"])
    for path, wanted in methods.items():
        answer = api.request("OPTIONS", path.replace("{", "").replace("}", ""), admin_token)
        assert answer.status_code == 204, path
        assert wanted <= set(answer.headers["Allow"].split(", ")), path
