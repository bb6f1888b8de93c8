"""Who may call what: every route row with every kind of caller, and every row that changes
records with records of one's own and of others.

What is expected follows from the row's columns alone. A request that is let in is one that does
not end with 401 or 403: its body is empty and its ids are nobody's, so most end with 404 or 422.
"""

import itertools

import pytest

import rows
from accounts import Account, assert_problem
from harness import wait_for

pytestmark = pytest.mark.http

CALLERS = ("nobody", "readonly", "user", "admin", "expired token", "disabled user",
           "key without the scope", "key with the scope", "key of an agent",
           "key of a disabled user", "expired key", "revoked key")
RANK = {"readonly": 1, "user": 2, "admin": 3}
# The least role that an access level asks for; others ask for none of a caller on this machine.
NEEDS = {"host": 1, "readonly": 1, "user": 2, "admin": 3, "register": 3}
NO_SCOPE = ["usage:read"]  # of no route that there is
NUMBERS = itertools.count(1)
TOKENS = 10 * len(rows.ROWS)  # for each caller: one a request
OPEN = ("public", "optional", "local")


def expected(row, caller):
    """200 for whoever is let in, or 401 or 403."""
    if row["access"] in OPEN:
        return 200
    if caller in RANK:
        return 200 if RANK[caller] >= NEEDS[row["access"]] else 403
    # Of one agent, and the path's id is not its: what is no record of that id yet.
    if caller == "key of an agent" and row["path"] == "/api/v1/agents/{id}/heartbeat":
        return 403
    if caller in ("key with the scope", "key of an agent"):  # an administrator's
        return 403 if row["scope"] == "-" else 200
    if caller == "key without the scope":
        return 200 if row["scope"] == "*" else 403
    return 401


class Callers:
    """Headers for each kind of caller; tokens are used once, as some requests end them."""

    def __init__(self, stack):
        self.stack = stack
        self.api = stack.api()
        self.accounts = {role: Account(stack, role) for role in RANK}
        self.expired, self.disabled = Account(stack, "admin"), Account(stack, "admin")
        self.tokens = {name: self._mint(account) for name, account in (
            *self.accounts.items(), ("expired token", self.expired),
            ("disabled user", self.disabled))}
        self.keys = {"key without the scope": self._key("admin", NO_SCOPE),
                     "key with the scope": self._key("admin", ["*:read", "*:write"]),
                     "key of an agent": self._key("admin", ["*:read", "*:write"], agent_id=(
                         self._agent())),
                     "expired key": self._key("admin", ["*:read", "*:write"]),
                     "revoked key": self._key("admin", ["*:read", "*:write"]),
                     "key of a disabled user": self._key("disabled user", ["*:read", "*:write"])}
        self._spoil()

    def _mint(self, account):
        return iter(account.token("--count", str(TOKENS)).split())

    def _key(self, owner, scopes, **more):
        answer = self.api.post("/api/v1/api-keys", next(self.tokens[owner]),
                               json={"name": "matrix", "scopes": scopes, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def _agent(self):
        answer = self.api.post("/api/v1/agents", next(self.tokens["admin"]), json={"name": "a"})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def _spoil(self):
        """Behind the back of the workers, which would delete the tokens with the right."""
        with self.stack.database() as database, database.cursor() as cursor:
            cursor.execute("UPDATE tokens t JOIN users u ON u.id = t.user_id SET t.expires_at ="
                           " UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE u.username = %s",
                           self.expired.name)
            assert cursor.rowcount == TOKENS
            cursor.execute("UPDATE users SET is_active = 0 WHERE username = %s",
                           self.disabled.name)
            for key, column in (("expired key", "expires_at"), ("revoked key", "revoked_at")):
                cursor.execute(f"UPDATE api_keys SET {column} = UTC_TIMESTAMP(6) - INTERVAL 1"
                               " SECOND WHERE id = UNHEX(REPLACE(%s, '-', ''))",
                               self.keys[key]["id"])
                assert cursor.rowcount == 1

    def account_of(self, caller):
        spoilt = {"expired token": self.expired, "disabled user": self.disabled}
        return spoilt.get(caller) or self.accounts["admin" if "key" in caller else caller]

    def hand_over(self, table, record, owner):
        """Makes a record another's."""
        with self.stack.database() as database, database.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET owner_id = (SELECT id FROM users WHERE username ="
                           " %s) WHERE id = UNHEX(REPLACE(%s, '-', ''))",
                           (self.account_of(owner).name, record))
            assert cursor.rowcount <= 1  # it may be theirs already

    def headers(self, caller):
        if caller == "nobody":
            return {}
        if caller in self.keys:
            return {"X-API-Key": self.keys[caller]["key"]}
        return {"Authorization": "Bearer " + next(self.tokens[caller])}


@pytest.fixture(scope="module")
def callers(stack):
    return Callers(stack)


def call(api, row, headers, identity=None):
    body = {} if row["body"] in ("json", "json_or_form") else None
    return api.request(row["method"], rows.path_of(row, identity), headers=headers, json=body)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("row", rows.ROWS, ids=rows.name_of)
def test_a_row_lets_in_whom_its_columns_name(api, callers, row, caller):
    answer = call(api, row, callers.headers(caller))
    wanted = expected(row, caller)
    if wanted == 200:
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
    else:
        assert_problem(answer, wanted)


def test_the_matrix_has_all_kinds_of_rows():
    """Else it would say less than it seems to."""
    assert {row["access"] for row in rows.ROWS} >= {*OPEN, *NEEDS}
    assert {row["others"] for row in rows.ROWS} == {"none", "read", "kept", "changed"}
    wanted = {expected(row, caller) for row, caller in itertools.product(rows.ROWS, CALLERS)}
    assert wanted == {200, 401, 403}


# Records of one's own, and of others

AGENT_ROW = {"path": "/api/v1/agents/{id}"}
CHANGING = [row for row in rows.ROWS if row["record"] and row["others"] in ("kept", "changed") and
            "{id}" in row["path"]]


def least_body(schema):
    """What must be said to make a record; its texts are like no other's."""
    body = {}
    for field in rows.fields_of(schema):
        if field["required"] and field["type"] == "word":
            body[field["name"]] = field["words"][0]
        elif field["required"]:
            assert field["type"] in ("string", "text"), f"a value for {field} is not known"
            body[field["name"]] = f"of the matrix {next(NUMBERS)}"
    return body


def make_record(api, callers, row, owner, **more):
    """One of the kind that the row changes; for who may not make one an administrator does."""
    path = row["path"].partition("/{id}")[0]
    making = next(each for each in rows.ROWS if each["method"] == "POST" and each["path"] == path)
    maker = owner if expected(making, owner) == 200 else "admin"

    def made():
        body = {**least_body(making["accepts"]), **more}
        answer = api.post(path, headers=callers.headers(maker), json=body)
        return answer if answer.status_code != 409 else None  # one that is alone has not ended
    answer = wait_for(made, what="a new record")
    assert answer.status_code == 201, answer.text
    if maker != owner:
        callers.hand_over(path.rpartition("/")[2], answer.json()["id"], owner)
    return answer.json()["id"]


@pytest.mark.parametrize("caller,whose", [
    ("nobody", "other's"), ("expired token", "own"), ("expired token", "other's"),
    ("disabled user", "own"), ("disabled user", "other's"), ("key without the scope", "own"),
    ("key without the scope", "other's"), ("readonly", "own"),
    ("readonly", "other's"), ("user", "own"), ("user", "other's"), ("admin", "own"),
    ("admin", "other's"), ("key with the scope", "own"), ("key with the scope", "other's")])
@pytest.mark.parametrize("row", CHANGING, ids=rows.name_of)
def test_a_row_changes_the_records_that_it_says(api, callers, row, caller, whose):
    owner = caller if whose == "own" else "admin" if caller == "user" else "user"
    record = make_record(api, callers, row, owner)
    answer = call(api, row, callers.headers(caller), record)
    if expected(row, caller) != 200:
        assert_problem(answer, expected(row, caller))
    elif caller == "user" and whose == "other's" and row["others"] == "kept":
        assert_problem(answer, 403)
    else:
        assert answer.status_code not in (401, 403, 404), answer.text
        assert answer.status_code < 500, answer.text
    still = api.get(row["path"].partition("/{id}")[0] + "/" + record,
                    headers=callers.headers("admin"))
    gone = row["method"] == "DELETE" and answer.status_code == 204
    assert still.status_code == (404 if gone else 200)


# Records of an agent, by a key that is bound to an agent

BELONGING = [row for row in CHANGING if row["path"].startswith(("/api/v1/goals", "/api/v1/tasks"))]


@pytest.mark.parametrize("whose", ["own", "other's"])
@pytest.mark.parametrize("row", BELONGING, ids=rows.name_of)
def test_a_key_of_an_agent_changes_what_belongs_to_that_agent(api, callers, row, whose):
    agent = callers.keys["key of an agent"]["agent_id"]
    if whose == "other's":
        agent = make_record(api, callers, AGENT_ROW, "admin")
    record = make_record(api, callers, row, "admin", agent_id=agent)
    answer = call(api, row, callers.headers("key of an agent"), record)
    if whose == "own":
        assert answer.status_code not in (401, 403, 404) and answer.status_code < 500, answer.text
    elif row["path"].endswith(("/complete", "/fail")):  # of what nobody holds
        assert answer.status_code in (409, 422), answer.text
    else:
        assert_problem(answer, 403)


@pytest.fixture
def bound(api, callers):
    """Asks with the key that is bound to an agent."""
    def ask(method, path, **body):
        return api.request(method, path, headers=callers.headers("key of an agent"), json=body)
    return ask


@pytest.fixture
def strange_agent(api, callers):
    return make_record(api, callers, AGENT_ROW, "admin")


@pytest.mark.parametrize("verb,body", [("complete", {}), ("fail", {"error": "x"})])
def test_a_key_of_an_agent_hands_back_what_that_agent_holds(api, callers, bound, strange_agent,
                                                            verb, body):
    admin = {"headers": callers.headers("key with the scope")}
    kind = f"of the matrix {next(NUMBERS)}"
    task = api.post("/api/v1/tasks", json={"description": "t", "task_type": kind}, **admin).json()
    held = api.post("/api/v1/tasks/claim", json={"agent_id": strange_agent, "task_type": kind},
                    **admin)
    assert held.status_code == 200, held.text
    path = f"/api/v1/tasks/{task['id']}"
    assert_problem(bound("POST", f"{path}/{verb}", agent_id=strange_agent, **body), 403)
    assert_problem(bound("POST", f"{path}/{verb}", **body), 409)
    assert api.get(path, **admin).json() == held.json()


def test_a_key_of_an_agent_takes_and_makes_for_that_agent_alone(callers, bound, strange_agent):
    agent = callers.keys["key of an agent"]["agent_id"]
    kind = f"of the matrix {next(NUMBERS)}"
    for path, body in (("/api/v1/tasks/claim", {"task_type": kind}),
                       ("/api/v1/tasks", {"description": "t", "task_type": kind}),
                       ("/api/v1/goals", {"description": "g"})):
        assert_problem(bound("POST", path, agent_id=strange_agent, **body), 403)
    made = bound("POST", "/api/v1/tasks", description="t", task_type=kind)
    assert (made.status_code, made.json()["agent_id"]) == (201, agent)
    given_away = bound("PATCH", "/api/v1/tasks/" + made.json()["id"], agent_id=strange_agent)
    assert_problem(given_away, 403)
    taken = bound("POST", "/api/v1/tasks/claim", task_type=kind)
    assert (taken.status_code, taken.json()["id"]) == (200, made.json()["id"])
    assert taken.json()["agent_id"] == agent
    goal = bound("POST", "/api/v1/goals", description="g")
    assert (goal.status_code, goal.json()["agent_id"]) == (201, agent)


@pytest.mark.parametrize("row", [row for row in CHANGING if row["path"].startswith("/api/v1/agents")],
                         ids=rows.name_of)
def test_a_key_of_an_agent_changes_no_other_agent(api, callers, row):
    record = make_record(api, callers, AGENT_ROW, "admin")
    assert_problem(call(api, row, callers.headers("key of an agent"), record), 403)
