"""That the check of every answer against the API description (contract.py) can fail."""

import json

import pytest
import requests

from contract import Contract, Violation

PROBLEM = {"type": "t", "detail": "d"}
DOCUMENT = {
    "paths": {
        "/toys": {"get": {"responses": {
            "200": {"content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/Toys"}}}},
            "503": {"$ref": "#/components/responses/ServiceUnavailable"}}}},
        "/toys/{id}": {
            "get": {"responses": {"200": {"content": {"text/plain": {"schema": {}}}}}},
            "delete": {"responses": {"204": {"description": "gone"}}}},
        "/toys/best": {"get": {"responses": {"304": {"description": "known"}}}},
    },
    "components": {
        "responses": {"ServiceUnavailable": {"content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"}}}}},
        "schemas": {
            "Problem": {"type": "object", "required": ["type", "detail"],
                        "properties": {"type": {"type": "string"}, "detail": {"type": "string"}}},
            "Toys": {"type": "object", "required": ["items"], "properties": {
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/Toy"}}}},
            "Toy": {"type": "object", "required": ["id"], "properties": {
                "id": {"type": "string", "format": "uuid"},
                "size": {"type": ["integer", "null"]},
                "made": {"type": "string", "format": "date-time"}}},
        },
    },
}
ID = "01a21412-de99-70d6-964d-71d26801dd6c"


def answer(path, status, body=None, media="application/json", method="GET", app=True, **headers):
    made = requests.Response()
    made.status_code = status
    made.request = requests.Request(method, "http://localhost" + path).prepare()
    made._content = body.encode() if isinstance(body, str) else (
        b"" if body is None else json.dumps(body).encode())
    if made._content or method == "HEAD":
        made.headers["Content-Type"] = media
    if app:
        made.headers["Server-Timing"] = "total;dur=1"
    made.headers.update(headers)
    return made


def toys(**fields):
    return answer("/toys", 200, {"items": [{"id": ID, **fields}]})


GOOD = [
    toys(), toys(size=1), toys(size=None), toys(made="2026-11-25T18:58:33.279Z"),
    answer("/toys/?limit=1", 200, {"items": []}),
    answer("/toys/7", 200, "a toy", "text/plain; charset=utf-8"),
    answer("/toys/7", 204, method="DELETE"), answer("/toys/best", 304),
    answer("/toys", 200, method="HEAD"), answer("/toys", 204, method="OPTIONS"),
    answer("/toys", 503, PROBLEM, "application/problem+json"),
    answer("/toys", 405, PROBLEM, "application/problem+json", "POST"),
    answer("/nowhere", 404, PROBLEM, "application/problem+json"),
    answer("/toys", 431, PROBLEM, "application/problem+json", app=False),
]
BAD = {
    "a field that is not described": toys(colour="red"),
    "a field of another type": toys(size="big"),
    "a field that is missing": answer("/toys", 200, {"items": [{}]}),
    "a UUID that is none": answer("/toys", 200, {"items": [{"id": "7"}]}),
    "a time without a zone": toys(made="2026-11-25T18:58:33.279"),
    "a list for an object": answer("/toys", 200, [{"id": ID}]),
    "a type that is not described": answer("/toys", 200, "toys", "text/plain"),
    "a status that is not described": answer("/toys", 201, {"items": []}),
    "an error that is not described": answer("/toys", 404, PROBLEM, "application/problem+json"),
    "an error that is no problem": answer("/toys", 503, {"error": 1}, "application/problem+json"),
    "an error of another type": answer("/toys", 503, PROBLEM),
    "a body where none belongs": answer("/toys/7", 204, {}, method="DELETE"),
    "a header that is not described": answer("/toys", 200, {"items": []}, Link="<>"),
    "a route that is not described": answer("/nowhere", 200, {}),
    "a method that is not described": answer("/toys", 200, {}, method="PUT"),
    "the row of {id} for a path of its own": answer("/toys/best", 200, "a toy", "text/plain"),
    "an error of the web server that is no problem": answer("/toys", 502, "<html>", "text/html",
                                                            app=False),
}


@pytest.mark.parametrize("given", GOOD, ids=range(len(GOOD)))
def test_what_is_described_passes(given):
    Contract(DOCUMENT).check(given)


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_described_fails(what):
    with pytest.raises(Violation):
        Contract(DOCUMENT).check(BAD[what])
