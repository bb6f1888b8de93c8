"""Each route of the program's own list answers a good request with 2xx."""

import functools
import json
import os
import socket
import subprocess
import uuid

import pytest

from harness import ADMIN_PASSWORD, BUILD, wait_for

pytestmark = pytest.mark.http

ADMIN = {"username": "admin", "password": ADMIN_PASSWORD}
A_PASSWORD = "correct horse battery"


def name():
    return f"user-{uuid.uuid4()}"


def user(api, token):
    """The account that {id} stands for, made for one request."""
    account = {"username": name(), "password": A_PASSWORD}
    made = api.post("/api/auth/register", token, json=account)
    assert made.ok, made.text
    return {"id": made.json()["id"], **account}


def own_password(api, token):
    """Somebody who changes the own password, so that nobody else's session ends."""
    account = user(api, token)
    signed_in = api.post("/api/auth/login", json={
        "username": account["username"], "password": A_PASSWORD}).json()
    return {"token": signed_in["access_token"],
            "json": {"current_password": A_PASSWORD, "new_password": A_PASSWORD + "!"}}


# What a good request needs beside its token: a value, or what makes one.
REQUESTS = {
    ("POST", "/api/auth/login"): {"json": ADMIN},
    ("POST", "/api/auth/login/form"): {"data": ADMIN},
    ("PUT", "/api/auth/me"): {"json": {"full_name": "A Name"}},
    ("POST", "/api/auth/change-password"): own_password,
    ("POST", "/api/auth/register"):
        lambda api, token: {"json": {"username": name(), "password": A_PASSWORD}},
    ("PUT", "/api/auth/users/{id}"): {"json": {"full_name": "A Name"}},
    ("PUT", "/api/performance/threshold"): {"json": {"threshold_ms": 1000}},
    ("POST", "/api/v1/api-keys"): {"json": {"name": "a key", "scopes": ["agents:read"]}},
}

# Kinds of records, and what makes one.
RECORDS = {
    "/api/v1/agents": lambda: {"name": "an agent"},
    "/api/v1/projects": lambda: {"name": f"project {uuid.uuid4()}"},
    "/api/v1/goals": lambda: {"description": "a goal"},
    "/api/v1/plans": dict,
    "/api/v1/tasks": lambda: {"description": "a task"},
}


def record(collection, api, token):
    made = api.post(collection, token, json=RECORDS[collection]())
    assert made.status_code == 201, made.text
    return made.json()["id"]


def claimed_task(api, token):
    """A task that an agent works on."""
    kind = f"work-{uuid.uuid4()}"
    made = api.post("/api/v1/tasks", token, json={"description": "t", "task_type": kind})
    agent = record("/api/v1/agents", api, token)
    claim = {"agent_id": agent, "task_type": kind}
    assert api.post("/api/v1/tasks/claim", token, json=claim).status_code == 200
    return made.json()["id"]


for collection, body in RECORDS.items():
    REQUESTS["POST", collection] = lambda _api, _token, body=body: {"json": body()}
    REQUESTS["PATCH", collection + "/{id}"] = {"json": {}}
REQUESTS["POST", "/api/v1/tasks/claim"] = lambda api, token: {
    "json": {"agent_id": record("/api/v1/agents", api, token)}}
REQUESTS["POST", "/api/v1/tasks/{id}/complete"] = {"json": {}}
REQUESTS["POST", "/api/v1/tasks/{id}/fail"] = {"json": {"error": "a reason"}}

def job_type_at_rest(api, token):
    """Of a type, one job at a time is queued or runs."""
    def none():
        jobs = api.get("/api/v1/jobs?job_type=remove-old-jobs", token).json()["items"]
        return all(job["completed_at"] for job in jobs)
    wait_for(none, 30, "the end of the jobs")
    return "remove-old-jobs"


REQUESTS["POST", "/api/v1/jobs"] = lambda api, token: {
    "json": {"job_type": job_type_at_rest(api, token)}}


def cancelled_job(api, token):
    """A job that was cancelled before it was done, which takes one or the other try."""
    def attempt():
        made = api.post("/api/v1/jobs", token, json={"job_type": job_type_at_rest(api, token)})
        if made.status_code != 201:
            return None
        path = "/api/v1/jobs/" + made.json()["id"]
        api.post(path + "/cancel", token)
        return api.get(path, token).json()["status"] == "cancelled" and made.json()["id"]
    return wait_for(attempt, 30, "a cancelled job")


def api_key(api, token):
    made = api.post("/api/v1/api-keys", token, json={"name": "a key", "scopes": ["agents:read"]})
    assert made.status_code == 201, made.text
    return made.json()["id"]


# What {id} is made by, for paths that begin so; the longest that fits counts.
IDS = {
    "/api/v1/hosts/": lambda api, token: socket.gethostname(),
    "/api/agents/": functools.partial(record, "/api/v1/agents"),
    "/api/v1/api-keys/": api_key,
    "/api/v1/jobs/": cancelled_job,
    "/api/auth/users/": lambda api, token: user(api, token)["id"],
    "/api/v1/tasks/{id}/complete": claimed_task,
    "/api/v1/tasks/{id}/fail": claimed_task,
    **{collection + "/": functools.partial(record, collection) for collection in RECORDS},
}


def routes():
    """Method and path of every row: those that nobody wrote a test for too."""
    printed = subprocess.run([os.path.join(BUILD, "ziggiectl"), "routes", "--json"], check=True,
                             capture_output=True, text=True, timeout=60).stdout
    rows = json.loads(printed)["routes"]
    return [(row["method"], row["path"]) for row in rows]


def test_the_rows_are_found():
    assert ("GET", "/api/health") in routes() and ("POST", "/api/auth/logout") in routes()
    assert set(REQUESTS) <= set(routes())


@pytest.mark.parametrize("method, path", routes())
def test_route_answers(stack, api, method, path):
    token = stack.ctl("token", "admin").stdout.split()[-1]
    # A host is known a moment after it has started.
    wait_for(lambda: api.get("/api/v1/hosts", token).json()["total"] > 0, what="a known host")
    if "{id}" in path:
        maker = IDS[max((start for start in IDS if path.startswith(start)), key=len)]
        filled = path.format(id=maker(api, token))
    else:
        filled = path
    request = REQUESTS.get((method, path), {})
    request = request(api, token) if callable(request) else request
    answer = api.request(method, filled, **{"token": token, **request})
    assert 200 <= answer.status_code < 300, answer.text
