"""/api/openapi.json: what the rows say, as clients and linters read it."""

import base64
import hashlib
import html.parser
import json
import os
import re
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


def test_limited_routes_say_what_headers_tell_of_it(document):
    shown = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert document["components"]["headers"].keys() == shown
    refusal = document["components"]["responses"]["TooManyRequests"]["headers"].keys()
    assert refusal >= shown | {"RateLimit", "RateLimit-Policy", "Retry-After"}
    for methods in document["paths"].values():
        for operation in methods.values():
            answer = next(answer for status, answer in operation["responses"].items()
                          if status < "400")
            limited = operation["x-rate-class"] != "none"
            assert (shown <= answer.get("headers", {}).keys()) == limited, operation["summary"]


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


@pytest.mark.http
def test_the_page_for_people_is_public_and_has_a_tag(api):
    answer = api.get("/api/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    again = api.get("/api/docs", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.http
def test_the_policy_of_the_page_lets_its_style_in_and_nothing_else(api):
    answer = api.get("/api/docs")
    style = re.search(r"<style>(.*)</style>", answer.text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # One header: of two, both would hold, and the web server's own forbids every style.
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'")
    other = api.get("/api/openapi.json").headers["Content-Security-Policy"]
    assert other == "default-src 'none'; frame-ancestors 'none'"


class Page(html.parser.HTMLParser):
    """What is in a page, and whether its elements are closed in order."""

    VOID = {"meta", "br", "link"}

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open = [], [], []
        self.tags, self.attributes = set(), set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.attributes |= attrs.keys()
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_has_every_operation_and_its_links_lead_somewhere(api, document):
    page = Page(api.get("/api/docs").text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    operations = {operation["operationId"] for methods in document["paths"].values()
                  for operation in methods.values()}
    assert operations <= set(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(api):
    text = api.get("/api/docs").text
    page = Page(text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert page.attributes <= {"lang", "charset", "name", "content", "id", "class", "href", "scope"}
    style = re.search(r"<style>(.*)</style>", text, re.S).group(1)
    assert not re.search(r"url\(|@import|@font-face", style)
