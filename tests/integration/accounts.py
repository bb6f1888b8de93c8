"""Accounts for the tests that need some of their own."""

import itertools
import os
import time

PASSWORD = "a long password"
NUMBERS = itertools.count(1)


def new_name(word="person"):
    return f"{word}-{os.getpid()}-{next(NUMBERS)}"


class Account:
    def __init__(self, stack, role):
        self.stack = stack
        self.name = new_name()
        self.role = role
        stack.add_user(self.name, role, PASSWORD)

    def token(self, *arguments):
        return self.stack.ctl("token", self.name, *arguments).stdout.strip()

    def login(self, api, password=PASSWORD):
        return api.post("/api/auth/login", json={"username": self.name, "password": password})


# For so long a worker trusts a token that it has read, without asking again.
TRUSTED_SECONDS = 1


def seconds_let_in(is_let_in):
    """Asks until that says no: how long after the call it was asked when it said yes last.

    So the answer's own way does not count, however slow the machine is.
    """
    since = last = time.monotonic()
    while (began := time.monotonic()) < since + 30:
        if not is_let_in():
            return last - since
        last = began
    raise AssertionError("still let in after 30 s")


def assert_problem(answer, status, detail=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert isinstance(problem["detail"], str) and problem["detail"]
    assert problem["title"] and problem["type"] and problem["request_id"]
    if detail is not None:
        assert problem["detail"] == detail
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return problem


def fields_of(answer):
    return {error["field"] for error in assert_problem(answer, 422)["errors"]}
