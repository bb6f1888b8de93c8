"""Bad input, made from the route rows: every field of every body, and every parameter.

A bad value is 422 and names its field; a body that is no JSON at all is 400; nothing is 500.
"""

import http.client
import json

import pytest
import requests

import rows
from accounts import Account, assert_problem

LONGEST = 1 << 17  # of the bad texts; the body itself must be taken
BODIES = [row for row in rows.ROWS if row["accepts"] and row["body"] == "json"]
FIELDS = [(row, field) for row in BODIES for field in rows.fields_of(row["accepts"])]
FORMS = [(row, field) for row in rows.ROWS if row["body"] == "form"
         for field in rows.fields_of(row["accepts"])]
PARAMETERS = [(row, field) for row in rows.ROWS for field in rows.fields_of(row["takes"])]
TOO_LARGE = "9" * 400
# Asked through Apache as well, since a web server may mend or refuse a request on its way: one
# route of each method that takes a body, and one with parameters.
AT_APACHE = (("POST", "/api/v1/tasks"), ("PATCH", "/api/v1/tasks/{id}"), ("GET", "/api/v1/audit"))


def name_of(value):
    return value["name"] if "type" in value else rows.name_of(value)


class Raw(str):
    """JSON text as it is."""


def bad_texts(field):
    if field["max"] < LONGEST:
        yield "é" * (field["max"] + 1)
    if field["min"] > 0:
        yield "é" * (field["min"] - 1)
    if field["type"] in ("string", "text"):
        filling = "x" * max(1, min(field["min"], LONGEST))
        yield "\u0007" + filling[1:]
        yield filling[1:] + "\u007f"
    if field["type"] == "string":
        yield "\u009b" + "x" * max(1, field["min"] - 1)


def bad_values(field):
    """Values of a right JSON text that the field does not take."""
    kind = field["type"]
    if kind in ("string", "text", "secret"):
        yield from (7, True, {}, [], *bad_texts(field))
    elif kind == "word":
        yield from (7, True, {}, [], "", "no such word", field["words"][0] + " ")
    elif kind == "int":
        yield from ("7", True, {}, [], 1.5, field["min"] - 1, Raw(TOO_LARGE), Raw("-" + TOO_LARGE),
                    Raw("1e400"), Raw("1e3"))
        yield field["max"] + 1
    elif kind == "real":
        yield from ("7", True, {}, [], field["min"] - 1, field["max"] + 1, Raw("1e400"))
    elif kind == "bool":
        yield from (0, 1, "true", {}, [])
    elif kind == "id":
        yield from (7, True, {}, [], "", "x", "0190a5c3-7b1e-7f00-8c11-0123456789a")
    elif kind == "time":
        yield from (7, True, {}, [], "", "tomorrow", "2026-13-01T00:00:00Z", "2026-01-01")
    elif kind == "object":
        yield from (7, True, "x", [], Raw('{"a":' + TOO_LARGE + "}"), Raw('{"a":[1e400]}'))
        if field["max"] < LONGEST:
            yield {"a": "x" * field["max"]}
    elif kind == "list":
        yield from (7, True, "x", {}, [7], [None], [[]], [{}])
        if field["item"] in ("word", "id"):
            yield ["no such item"]
        if field["max"] < 1000:
            yield [str(i) for i in range(field["max"] + 1)]
        if field["min"] > 0:
            yield []
    else:
        raise AssertionError(f"no bad values are known of a field of type {kind}")
    if not field["null"]:
        yield None


def text_of(name, value):
    return json.dumps({name: 0})[:-2] + (value if isinstance(value, Raw) else json.dumps(value)) + "}"


@pytest.fixture(scope="module")
def admin(stack):
    """Of an administrator who can be spared."""
    return Account(stack, "admin").token()


def send(api, row, token, text):
    data = text if isinstance(text, bytes) else text.encode()
    return api.request(row["method"], rows.path_of(row), token, data=data,
                       headers={"Content-Type": "application/json"})


def assert_names(answer, name, sent):
    assert answer.status_code == 422, (sent[:200], answer.text)
    named = [error["field"].partition("[")[0] for error in assert_problem(answer, 422)["errors"]]
    assert name in named, (sent[:200], answer.text)


@pytest.mark.parametrize("row,field", FIELDS, ids=name_of)
def test_a_bad_value_names_its_field(api, admin, row, field):
    for value in bad_values(field):
        sent = text_of(field["name"], value)
        assert_names(send(api, row, admin, sent), field["name"], sent)


@pytest.mark.parametrize("row,field", FIELDS, ids=name_of)
def test_a_field_that_must_be_there_is_missed(api, admin, row, field):
    answer = send(api, row, admin, '{"no such field": 1}')
    named = {error["field"] for error in answer.json().get("errors", [])}
    assert (field["name"] in named) == field["required"], answer.text
    if field["required"] or not row["accepts"]["open"]:
        assert answer.status_code == 422
    assert ("no such field" in named) == (not row["accepts"]["open"])


@pytest.mark.parametrize("row,field", FIELDS, ids=name_of)
def test_what_is_no_json_is_400(api, admin, row, field):
    name = json.dumps(field["name"])
    for sent in (f"{{{name}: 1, {name}: 1}}", f"{{{name}: {'[' * 33}{']' * 33}}}",
                 f'{{{name}: "\\ud800"}}', f'{{{name}: "\\u0000"}}', f'{{{name}: "a', f"{{{name}: }}",
                 f"{{{name}: 01}}", f"{{{name}: NaN}}", f"{{{name}: 'x'}}",
                 f'{{{name}: "'.encode() + b"\xff\xfe\"}", f'{{{name}: "'.encode() + b"\0\"}"):
        answer = send(api, row, admin, sent)
        assert answer.status_code == 400, (sent, answer.text)
        assert_problem(answer, 400)


@pytest.mark.parametrize("row", BODIES, ids=name_of)
def test_a_body_must_be_an_object(api, admin, row):
    for sent in ("[]", "7", '"x"', "true", "null", '[{"a": 1}]'):
        assert_names(send(api, row, admin, sent), "body", sent)
    for sent in ("", " ", "{", "}", "{}x", "{} {}"):
        assert_problem(send(api, row, admin, sent), 400)
    assert_problem(api.request(row["method"], rows.path_of(row), admin, data="a=b", headers={
        "Content-Type": "application/x-www-form-urlencoded"}), 415)


@pytest.mark.parametrize("row,field", FORMS, ids=name_of)
def test_a_bad_field_of_a_form_is_named(api, row, field):
    name = field["name"]
    bad = [f"{name}=%zz", f"{name}=%ff", f"{name}=%00", f"{name}=a&{name}=b"]
    if field["required"]:
        bad += ["", f"{name}="]
    if field["type"] == "word":
        bad.append(f"{name}=nonsense")
    else:
        bad += [f"{name}=" + "x" * (field["max"] + 1), f"{name}=" + "x" * (field["min"] - 1)]
    for sent in bad:
        answer = api.post(rows.path_of(row), data=sent, headers={
            "Content-Type": "application/x-www-form-urlencoded"})
        assert_names(answer, name, sent)


def get_as_written(stack, path, token):
    """The usual client would mend a broken escape."""
    connection = http.client.HTTPConnection(*stack.address, timeout=20)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer " + token})
        answer = connection.getresponse()
        made = requests.Response()
        made.status_code, made._content = answer.status, answer.read()
        made.headers.update(answer.getheaders())
        return made
    finally:
        connection.close()


@pytest.mark.parametrize("row,parameter", PARAMETERS, ids=name_of)
def test_a_bad_parameter_is_named(stack, admin, row, parameter):
    name, kind = parameter["name"], parameter["type"]
    bad = ["%zz", "%ff", "%00", f"1&{name}=1"]
    if kind == "int":
        bad += ["", "x", "1.5", "1e3", str(parameter["min"] - 1), str(parameter["max"] + 1), TOO_LARGE]
    elif kind == "id":
        bad += ["x", "0190a5c3-7b1e-7f00-8c11-0123456789a"]
    elif kind == "time":
        bad += ["x", "2026-01-01"]
    elif kind == "word":
        bad += ["nonsense"]
    elif kind in ("string", "text"):
        bad.append("x" * (parameter["max"] + 1))
    for value in bad:
        query = f"{name}={value}"
        assert_names(get_as_written(stack, rows.path_of(row) + "?" + query, admin), name, query)


def at_apache(cases):
    """The cases of a few routes, through Apache."""
    few = [case for case in cases if (case[0]["method"], case[0]["path"]) in AT_APACHE]
    stacks = pytest.mark.parametrize("stack", ["apache"], indirect=True, scope="session")
    return lambda test: stacks(pytest.mark.parametrize("row,field", few, ids=name_of)(test))


@at_apache(FIELDS)
def test_a_bad_value_names_its_field_through_apache(api, admin, row, field):
    test_a_bad_value_names_its_field(api, admin, row, field)


@at_apache(FIELDS)
def test_a_field_that_must_be_there_is_missed_through_apache(api, admin, row, field):
    test_a_field_that_must_be_there_is_missed(api, admin, row, field)


@at_apache(FIELDS)
def test_what_is_no_json_is_400_through_apache(api, admin, row, field):
    test_what_is_no_json_is_400(api, admin, row, field)


@at_apache(PARAMETERS)
def test_a_bad_parameter_is_named_through_apache(stack, admin, row, field):
    test_a_bad_parameter_is_named(stack, admin, row, field)


def test_each_type_of_field_has_bad_values():
    for _, field in FIELDS:
        assert list(bad_values(field))
