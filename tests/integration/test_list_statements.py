"""What the database does for a page of a list, as its own log of statements says: as many
statements for a long page as for a short one, and they look at no more rows than the page and what
it leaves out, however many records there are.  So it neither sorts nor builds anything over all."""

import os
import re
import time

import pytest

import rows
from harness import RunningStack

RECORDS = 2000
PAGE, SKIPPED = 20, 100
# Of each record what belongs to it may be looked up, too: who made it, what is above it.
LOOKED_AT = 5 * (SKIPPED + PAGE + 1)
FIRST = "01900000-0000-7000-8000-000000000001"
ID = "UNHEX(CONCAT('0190000000007000', RPAD('8', 16 - LENGTH(seq), '0'), seq))"
ONE = f"UNHEX('{FIRST.replace('-', '')}')"
THEN = "UTC_TIMESTAMP(6) - INTERVAL seq SECOND"
# table → what its rows have beside id, created_at and updated_at
TABLES = {
    "users": {"username": "CONCAT('user ', seq)", "role": "'user'", "password_hash": "'x'"},
    "agents": {"name": "CONCAT('agent ', seq)", "agent_type": "'generic'", "status": "'active'",
               "level": "'L1'", "did": "CONCAT('did:ziggie:L1.', seq)", "owner_id": ONE,
               "parent_id": f"IF(seq > 1, {ONE}, NULL)", "configuration": "'{}'",
               "metadata": "'{}'", "resource_limits": "'{}'"},
    "projects": {"name": "CONCAT('project ', seq)", "status": "'active'", "owner_id": ONE},
    "goals": {"description": "'goal'", "success_criteria": "'[]'", "status": "'active'",
              "priority": "5", "owner_id": ONE, "agent_id": ONE, "project_id": ONE,
              "parent_goal_id": f"IF(seq > 1, {ONE}, NULL)"},
    "plans": {"status": "'active'", "owner_id": ONE, "goal_id": ONE},
    "tasks": {"description": "'task'", "task_type": "'generic'", "status": "'failed'",
              "input_data": "'{}'", "priority": "5", "owner_id": ONE, "agent_id": ONE,
              "goal_id": ONE, "plan_id": ID},
    "jobs": {"job_type": "'verify-counts'", "status": "'completed'", "payload": "'{}'",
             "max_attempts": "1", "repeatable": "1", "run_after": THEN, "owner_id": ONE},
}
# Those without the two times.
OTHERS = {
    "api_keys": {"id": ID, "user_id": ONE, "name": "'key'", "prefix": "'zk_12345678'", "scopes": "'all'",
                 "hash": "UNHEX(SHA2(seq, 256))", "created_at": THEN},
    "hosts": {"id": "CONCAT('host-', seq)", "hostname": "'host'", "version": "'1'",
              "interval_ms": "1000", "first_seen": THEN, "last_seen": THEN},
    "audit": {"id": ID, "at": THEN, "username": "'user 1'", "action": "'update'",
              "resource": "'task'", "record_id": ONE},
    "knowledge_files": {"id": ID, "name": "'file'", "path": "CONCAT('/', seq)",
                        "agent": "'L1.1'", "size": "1", "modified_at": THEN},
}
# What a parameter is asked for, so that (nearly) all records have it.
VALUES = {"agent_type": "generic", "job_type": "verify-counts", "resource": "task",
          "user": "user 1", "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z",
          "level": "L1", "parent": "L1.1",
          "/api/v1/tasks status": "failed", "/api/v1/jobs status": "completed", "status": "active"}
PAGING = ("limit", "cursor", "offset", "page", "page_size")
# It reads texts, of 10,000 agents at most: agent_profiles.h.
READS_ALL = ("search",)


def lists():
    """Each list with each of its orders and filters: path, parameters."""
    for row in rows.ROWS:
        fields = {field["name"]: field for field in rows.fields_of(row.get("takes"))}
        if row["method"] != "GET" or not {"cursor", "page"} & fields.keys():
            continue
        path = row["path"].replace("{id}", "L1.1")
        yield path, {}
        for name in fields.keys() - {*PAGING, *READS_ALL}:
            known = VALUES.get(f"{path} {name}", VALUES.get(name, FIRST))
            for value in fields[name]["words"] if name == "sort" else [known]:
                yield path, {name: value}


LISTS = sorted(lists(), key=str)


def size(path, number):
    return {"limit" if path.startswith("/api/v1/") else "page_size": number}


def fill(database):
    with database.cursor() as cursor:
        for table, values in {**TABLES, **OTHERS}.items():
            if table in TABLES:
                values = {"id": ID, "created_at": THEN, "updated_at": THEN, **values}
            cursor.execute(f"INSERT INTO {table} ({', '.join(values)})"
                           f" SELECT {', '.join(values.values())} FROM seq_1_to_{RECORDS}")
            cursor.execute(f"ANALYZE TABLE {table}")


class Statements:
    """What the workers have the database do."""

    def __init__(self, stack):
        self.stack, self.api, self.token = stack, stack.api(), stack.token()
        self.log = os.path.join(stack.state.path, "mariadb", "statements.log")
        self.database = stack.database()
        self._set(slow_query_log_file=self.log, long_query_time=0, slow_query_log=1)
        stack.replace_generation()  # it holds for new connections

    def _set(self, **variables):
        with self.database.cursor() as cursor:
            for name, value in variables.items():
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))

    def of(self, path, parameters, token=None):
        """The answer, and of each SELECT for it how many rows were looked at, and its text."""
        os.truncate(self.log, 0)
        answer = self.api.get(path, token or self.token, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json(), [
            (int(count), text) for count, text in re.findall(
                r"Rows_examined: (\d+)\n(?:#.*\n)*(?:use .*\n)?SET timestamp.*\n(SELECT [^;]*)",
                self._settled())]

    def _settled(self):
        """The log once it is at rest: a statement is written there after its rows were sent."""
        size = -1
        while size != os.path.getsize(self.log):
            size = os.path.getsize(self.log)
            time.sleep(0.02)
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


@pytest.fixture(scope="module")
def statements():
    running = RunningStack("--workers", "1")
    try:
        running.start()
        with running.database() as database:
            fill(database)
        yield Statements(running)
    finally:
        running.remove()


def test_there_are_lists():
    assert len({path for path, _ in LISTS}) == 13 and len(LISTS) > 60


@pytest.mark.parametrize("path, parameters", LISTS, ids=str)
def test_a_page_looks_at_the_rows_of_the_page(statements, path, parameters):
    first, seen = statements.of(path, {**parameters, **size(path, PAGE)})
    asked = [{"offset": SKIPPED}]
    if first.get("next_cursor"):
        asked.append({"cursor": first["next_cursor"]})
    for more in asked:
        seen += statements.of(path, {**parameters, **size(path, PAGE), **more})[1]
    of_pages = [(count, text) for count, text in seen if "COUNT(*)" not in text]
    assert len(of_pages) > len(asked)
    assert [(count, text) for count, text in of_pages if count > LOOKED_AT] == []
    # A total is counted along an index; of a derived table each row counts twice.
    assert [(count, text) for count, text in seen if count > 2 * RECORDS + LOOKED_AT] == []


@pytest.mark.parametrize("path, parameters", LISTS, ids=str)
def test_a_page_takes_as_many_statements_whatever_its_size(statements, path, parameters):
    """ziggie-jobs and the token's own reading come in between, so the fewest of three tries."""
    few, many = (min(len(statements.of(path, {**parameters, **size(path, number)})[1])
                     for _ in range(3)) for number in (1, PAGE))
    assert few == many > 0


def test_a_page_of_the_own_keys_looks_at_no_others(statements):
    """One has nearly all of them, and another's are read along the owner."""
    with statements.database.cursor() as cursor:
        cursor.execute(f"UPDATE api_keys SET user_id = {ID.replace('seq', '2')}"
                       f" WHERE id IN ({ID.replace('seq', '7')}, {ID.replace('seq', '8')})")
    for name, keys in ("user 1", RECORDS - 2), ("user 2", 2):
        token = statements.stack.ctl("token", name).stdout.split()[-1]
        page, seen = statements.of("/api/v1/api-keys", {"limit": PAGE}, token)
        assert page["total"] == keys and len(page["items"]) == min(keys, PAGE)
        assert [(count, text) for count, text in seen
                if count > (keys if "COUNT(*)" in text else LOOKED_AT)] == []
