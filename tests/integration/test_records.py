"""What all records of /api/v1 have in common, tried on agents."""

import threading
import uuid

import pytest

from traffic import Load, at_once

pytestmark = pytest.mark.http


@pytest.fixture(scope="module")
def api(stack):
    return stack.api()


@pytest.fixture(scope="module")
def token(stack):
    return stack.token("user")


@pytest.fixture(scope="module")
def stranger(stack):
    name = f"stranger-{uuid.uuid4()}"
    stack.add_user(name, "user")
    return stack.ctl("token", name).stdout.split()[-1]


def make(api, token, **fields):
    answer = api.post("/api/v1/agents", token, json={"name": "an agent", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer, status, field=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    if field:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_record_comes_and_goes(api, token):
    made = api.post("/api/v1/agents", token, json={
        "name": "Ada", "agent_type": "worker", "level": "L1", "did": f"did:x:{uuid.uuid4()}",
        "configuration": {"a": [1, {"b": None}]}})
    assert made.status_code == 201
    record = made.json()
    assert uuid.UUID(record["id"]).version == 7
    assert made.headers["Location"] == f"/api/v1/agents/{record['id']}"
    assert made.headers["ETag"] == '"1"'
    assert record["status"] == "created"
    assert record["configuration"] == {"a": [1, {"b": None}]}
    assert record["metadata"] == {} and record["parent_id"] is None
    assert record["task_counts"] == dict.fromkeys(
        ("pending", "ready", "running", "completed", "failed", "cancelled", "blocked"), 0)

    path = made.headers["Location"]
    read = api.get(path, token)
    assert read.json() == record and read.headers["ETag"] == '"1"'
    changed = api.patch(path, token, json={"status": "idle", "did": None})
    assert changed.status_code == 200 and changed.headers["ETag"] == '"2"'
    after = changed.json()
    assert (after["status"], after["did"], after["name"]) == ("idle", None, "Ada")
    assert after["updated_at"] > record["updated_at"]
    assert after["created_at"] == record["created_at"]
    assert api.get(path, token).json() == after

    gone = api.delete(path, token)
    assert gone.status_code == 204 and gone.text == ""
    refused(api.get(path, token), 404)
    refused(api.delete(path, token), 404)
    refused(api.patch(path, token, json={"name": "x"}), 404)


def test_a_change_that_changes_nothing_is_no_new_version(api, token):
    record = make(api, token)
    path = f"/api/v1/agents/{record['id']}"
    assert api.patch(path, token, json={"name": record["name"]}).headers["ETag"] == '"1"'
    assert api.patch(path, token, json={}).json() == record


def test_if_match(api, token):
    path = f"/api/v1/agents/{make(api, token)['id']}"

    def patch(tag, name):
        return api.patch(path, token, json={"name": name}, headers={"If-Match": tag})

    assert patch('"1"', "one").headers["ETag"] == '"2"'
    refused(patch('"1"', "two"), 412)
    refused(patch('W/"2"', "two"), 412)
    assert patch('"7", "2"', "two").headers["ETag"] == '"3"'
    assert patch("*", "three").headers["ETag"] == '"4"'
    refused(patch("3", "four"), 400)
    refused(api.delete(path, token, headers={"If-Match": '"3"'}), 412)
    assert api.get(path, token).json()["name"] == "three"
    assert api.delete(path, token, headers={"If-Match": '"4"'}).status_code == 204


def test_only_one_of_many_writers_with_a_version_wins(api, token):
    path = f"/api/v1/agents/{make(api, token)['id']}"

    def patch(number):
        return api.patch(path, token, json={"name": f"writer {number}"},
                         headers={"If-Match": '"1"'}).status_code

    assert sorted(at_once(patch, range(16))) == [200] + [412] * 15


def test_no_change_is_lost(api, token):
    path = f"/api/v1/agents/{make(api, token)['id']}"
    answers = at_once(lambda n: api.patch(path, token, json={"name": f"n{n}"}), range(40), clients=8)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["ETag"] for answer in answers} == {f'"{n}"' for n in range(2, 42)}


def test_an_idempotency_key_makes_one_record(api, token):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post("/api/v1/agents", token, json={"name": "once"}, headers=key)
    again = api.post("/api/v1/agents", token, json={"name": "once"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    for name in ("Location", "ETag"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    refused(api.post("/api/v1/agents", token, json={"name": "twice"}, headers=key), 422,
            "Idempotency-Key")
    refused(api.post("/api/v1/agents", token, json={"name": "x"},
                     headers={"Idempotency-Key": "k" * 256}), 400)


def test_many_requests_with_one_key_make_one_record(api, token):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = at_once(
        lambda _: api.post("/api/v1/agents", token, json={"name": "once"}, headers=key),
        range(24), clients=12)
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert made and len({answer.json()["id"] for answer in made}) == 1


def test_a_key_is_free_again_when_nothing_was_made(api, token):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    missing = {"name": "orphan", "parent_id": str(uuid.uuid4())}
    for _ in range(2):
        refused(api.post("/api/v1/agents", token, json=missing, headers=key), 422, "parent_id")
    assert api.post("/api/v1/agents", token, json={"name": "x"}, headers=key).status_code == 201


def test_references_and_unique_fields(api, token):
    did = f"did:x:{uuid.uuid4()}"
    parent = make(api, token, did=did)
    refused(api.post("/api/v1/agents", token, json={"name": "b", "did": did}), 409)
    child = make(api, token, parent_id=parent["id"])
    path = f"/api/v1/agents/{child['id']}"
    refused(api.patch(path, token, json={"parent_id": str(uuid.uuid4())}), 422, "parent_id")
    refused(api.patch(path, token, json={"parent_id": child["id"]}), 422, "parent_id")
    assert api.delete(f"/api/v1/agents/{parent['id']}", token).status_code == 204
    after = api.get(path, token)
    assert after.json()["parent_id"] is None and after.headers["ETag"] == '"2"'


def test_others_records_are_read_and_kept(stack, api, token, stranger):
    path = f"/api/v1/agents/{make(api, token)['id']}"
    assert api.get(path, stranger).status_code == 200
    refused(api.patch(path, stranger, json={"name": "mine"}), 403)
    refused(api.delete(path, stranger), 403)
    refused(api.patch(path, stack.token("readonly"), json={"name": "mine"}), 403)
    assert api.patch(path, stack.token("admin"), json={"name": "ours"}).status_code == 200
    assert api.delete(path, stack.token("admin")).status_code == 204


def test_bodies_are_checked(api, token):
    def post(**fields):
        return api.post("/api/v1/agents", token, json=fields)

    refused(post(), 422, "name")
    refused(post(name=""), 422, "name")
    refused(post(name="x", status="asleep"), 422, "status")
    refused(post(name="x", naem="y"), 422, "naem")
    refused(post(name="x", id=str(uuid.uuid4())), 422, "id")
    refused(post(name="x", configuration=[]), 422, "configuration")
    refused(api.post("/api/v1/agents", token, data=b"{", headers={
        "Content-Type": "application/json"}), 400)


def walk(api, token, query):
    """All items of a list, page after page by its Link headers."""
    path, items = f"/api/v1/agents?{query}", []
    while path:
        answer = api.get(path, token)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= page["limit"]
        items += page["items"]
        link = answer.headers.get("Link")
        assert (link is None) == (page["next_cursor"] is None)
        path = link[1:link.index(">")] if link else None
    return items


@pytest.fixture(scope="module")
def family(api, token):
    """Twenty agents below one, some with the same name, made in a known order."""
    parent = make(api, token)
    names = ["b", "a", "c", "a", "é"] * 4
    return parent, [make(api, token, name=name, parent_id=parent["id"]) for name in names]


@pytest.mark.parametrize("limit", [1, 3, 20, 50])
def test_a_filtered_list_in_both_directions(api, token, family, limit):
    parent, made = family
    ids = [record["id"] for record in made]
    query = f"parent_id={parent['id']}&limit={limit}"
    assert [item["id"] for item in walk(api, token, query)] == ids
    assert [item["id"] for item in walk(api, token, query + "&sort=-created_at")] == ids[::-1]
    page = api.get(f"/api/v1/agents?{query}", token).json()
    assert (page["total"], page["total_is_min"]) == (20, False)


@pytest.mark.parametrize("sort", ["name", "-name", "updated_at", "-updated_at"])
def test_a_sorted_list_has_everything_once(api, token, family, sort):
    items = walk(api, token, f"sort={sort}&limit=7")
    ids = [item["id"] for item in items]
    assert len(ids) == len(set(ids))
    assert {record["id"] for record in family[1]} <= set(ids)
    by_name = "name" in sort  # times are shown in milliseconds and compared in microseconds
    order = [(item[sort.lstrip("-")].replace("é", "e").lower(), by_name and item["id"])
             for item in items]
    assert order == sorted(order, reverse=sort[0] == "-")


def test_a_list_is_whole_while_others_write(stack, api, token, family):
    parent, made = family
    wanted = {record["id"] for record in made}

    def disturb(client, _):
        record = make(client, token, name="passing")
        return client.delete(f"/api/v1/agents/{record['id']}", token).status_code

    with Load(stack.url, [disturb] * 2) as load:
        for sort in ("name", "-created_at", "name"):
            ids = [item["id"] for item in walk(api, token, f"sort={sort}&limit=5")]
            assert len(ids) == len(set(ids)) and wanted <= set(ids)
    assert load.failures() == [] and set(load.count()) == {204}


@pytest.mark.parametrize("query, field", [
    ("sort=colour", "sort"), ("sort=--name", "sort"), ("sort=name&status=idle", "sort"),
    ("status=asleep", "status"), ("parent_id=7", "parent_id"), ("naem=x", "naem"),
    ("status=idle&level=L1", "status"), ("limit=0", "limit"), ("cursor=AAAA", "cursor"),
    ("cursor=YWFhYWFhYWFhYWFhYWFhYWI", "cursor"), ("status=idle&status=busy", "status"),
])
def test_bad_lists_are_named(api, token, query, field):
    refused(api.get(f"/api/v1/agents?{query}", token), 422, field)


def test_the_total_follows(api, token):
    before = api.get("/api/v1/agents?limit=1", token).json()["total"]
    record = make(api, token)
    assert api.get("/api/v1/agents?limit=1", token).json()["total"] == before + 1
    api.delete(f"/api/v1/agents/{record['id']}", token)
    assert api.get("/api/v1/agents?limit=1", token).json()["total"] == before


def test_heartbeats_are_no_change(api, token):
    record = make(api, token)
    path = f"/api/v1/agents/{record['id']}"
    beat = api.post(path + "/heartbeat", token)
    assert beat.status_code == 200 and beat.json()["id"] == record["id"]
    after = api.get(path, token)
    assert after.headers["ETag"] == '"1"'
    assert after.json()["last_heartbeat"] == beat.json()["last_heartbeat"]
    refused(api.post(f"/api/v1/agents/{uuid.uuid4()}/heartbeat", token), 404)


def test_a_record_outlives_its_owner(stack, api, token):
    name = f"owner-{uuid.uuid4()}"
    stack.add_user(name, "user")
    record = make(api, stack.ctl("token", name).stdout.split()[-1])
    path = f"/api/v1/agents/{record['id']}"
    gone = api.delete(f"/api/auth/users/{record['owner_id']}", stack.token("admin"))
    assert gone.status_code in (200, 204), gone.text
    left = api.get(path, token)
    assert left.json() == {**record, "owner_id": None}
    assert left.headers["ETag"] == '"1"'
    refused(api.patch(path, token, json={"name": "b"}), 403)
    assert api.patch(path, stack.token("admin"), json={"name": "b"}).status_code == 200


def test_ids_that_are_none(api, token):
    for path in ("/api/v1/agents/x", f"/api/v1/agents/{uuid.uuid4()}"):
        refused(api.get(path, token), 404)


def statements(stack):
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
        return int(cursor.fetchone()[1])


def statements_of(stack, ask, times=10):
    """How many statements one request takes: others may run some, so the fewest of three tries."""
    tries = []
    for _ in range(3):
        before = statements(stack)
        for _ in range(times):
            assert ask().status_code == 200
        tries.append((statements(stack) - before) // times)
    return min(tries)


def ask_behind_a_lock(stack, paths, get):
    """The answers of all, and the statements they took; the table is locked until they wait."""
    before = statements(stack)
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES agents WRITE")
        unlock = threading.Timer(0.2, cursor.execute, ("UNLOCK TABLES",))
        unlock.start()
        answers = at_once(get, paths)
        unlock.join()
    return answers, statements(stack) - before


def test_those_who_ask_at_once_are_read_together(stack, api, token):
    """Each gets its own record.  They need not meet, on a slow machine, but some time they do."""
    ids = [make(api, token)["id"] for _ in range(8)]
    paths = [f"/api/v1/agents/{i}" for i in [*ids, uuid.uuid4()]]
    taken = []
    while min(taken, default=len(paths)) >= len(paths):
        answers, count = ask_behind_a_lock(stack, paths, lambda path: api.get(path, token))
        assert [answer.json()["id"] for answer in answers[:-1]] == ids
        refused(answers[-1], 404)
        taken.append(count)
        assert len(taken) < 20, taken


@pytest.mark.parametrize("kind", ["agents", "projects", "goals", "plans", "tasks"])
def test_a_page_takes_one_statement_and_two_with_a_filter(stack, api, token, kind):
    fields = {"agents": {"name": "a"}, "goals": {"description": "g"}, "plans": {},
              "tasks": {"description": "t"}}
    for _ in range(20):
        body = fields.get(kind) if kind != "projects" else {"name": f"p {uuid.uuid4()}"}
        made = api.post(f"/api/v1/{kind}", token, json=body)
        assert made.status_code == 201
    owner = made.json()["owner_id"]
    for query, expected in (("", 1), (f"owner_id={owner}&", 2)):
        few = statements_of(stack, lambda q=query: api.get(f"/api/v1/{kind}?{q}limit=1", token))
        many = statements_of(stack, lambda q=query: api.get(f"/api/v1/{kind}?{q}limit=20", token))
        assert few == many == expected
