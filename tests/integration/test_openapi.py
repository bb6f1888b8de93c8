"""/api/openapi.json: what the rows say, as clients and linters read it."""

import json
import os
import subprocess

import pytest

from harness import BUILD, SOURCE

LINTER = os.path.join(SOURCE, "tests", "openapi")


@pytest.fixture(scope="module")
def document(stack):
    return stack.api().get("/api/openapi.json").json()


@pytest.mark.http
def test_it_is_public_and_has_a_tag(api):
    answer = api.get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.json()["openapi"] == "3.1.0"
    again = api.get("/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Type" not in again.headers


@pytest.mark.http
@pytest.mark.parametrize("tags, status", [
    ('"0123456789abcdef0123456789abcdef"', 200), ("*", 304), ("{bare}", 200),
    ('"a", W/"{bare}"', 304), ('"{bare}-gzip"', 304), ('"{bare}-other"', 200), ('"x{bare}"', 200)])
def test_a_tag_is_compared_weakly(api, tags, status):
    plain = api.get("/api/openapi.json", headers={"Accept-Encoding": "identity"})
    wanted = tags.format(bare=plain.headers["ETag"].strip('"'))
    answer = api.get("/api/openapi.json", headers={"If-None-Match": wanted})
    assert answer.status_code == status


def test_every_worker_answers_the_same(stack):
    tags = set()
    for _ in range(20):
        client = stack.api()
        tags.add(client.get("/api/openapi.json", headers={"Accept-Encoding": "identity"})
                 .headers["ETag"])
        client.session.close()
    assert len(tags) == 1


def test_every_row_is_described_and_nothing_else(document):
    listed = subprocess.run([os.path.join(BUILD, "ziggiectl"), "routes", "--json"], check=True,
                            capture_output=True, text=True, timeout=30).stdout
    rows = {(row["path"], row["method"].lower()): row for row in json.loads(listed)["routes"]}
    operations = {(path, method): operation for path, methods in document["paths"].items()
                  for method, operation in methods.items()}
    assert rows.keys() == operations.keys()
    for key, row in rows.items():
        assert operations[key]["summary"] == row["summary"]
        assert operations[key]["x-access"] == row["access"]
        assert str(row["status"]) in operations[key]["responses"]


def lint(path):
    """spectral's findings; it ends with 1 when there are errors."""
    assert os.path.isdir(os.path.join(LINTER, "node_modules")), "script/bootstrap installs it"
    done = subprocess.run(
        [os.path.join(LINTER, "node_modules", ".bin", "spectral"), "lint", str(path), "--ruleset",
         os.path.join(LINTER, "ruleset.yaml"), "--format", "json", "--quiet"],
        capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode in (0, 1), done.stderr
    return [(found["code"], ".".join(map(str, found["path"])), found["message"])
            for found in json.loads(done.stdout or "[]")]


def test_a_public_linter_finds_nothing(document, tmp_path):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert lint(path) == []


def test_the_linter_finds_what_is_wrong(document, tmp_path):
    wrong = json.loads(json.dumps(document))
    wrong["paths"]["/livez"]["get"]["responses"]["200"]["content"]["application/json"] = {
        "schema": {"$ref": "#/components/schemas/Nowhere"}}
    del wrong["paths"]["/health"]["get"]["operationId"]
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(wrong), encoding="utf-8")
    assert {"invalid-ref", "operation-operationId"} <= {code for code, _, _ in lint(path)}
