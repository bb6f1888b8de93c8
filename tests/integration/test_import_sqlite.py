"""ziggiectl import sqlite: what the predecessor's database knows comes over, and can come again."""

import contextlib
import crypt
import itertools
import json
import os
import sqlite3
import subprocess
import uuid

import pytest

from accounts import assert_problem
from harness import ADMIN_PASSWORD, BUILD, wait_until_blocked

ZIGGIECTL = os.path.join(BUILD, "ziggiectl")
PASSWORD = "an old password"
HASH = crypt.crypt(PASSWORD, "$2b$04$abcdefghijklmnopqrstuu")  # the least cost, to be quick
THEN, LATER = "2025-11-08 10:00:00.000000", "2025-11-09 10:00:00.000000"
FUTURE = "2999-01-01 00:00:00"
NUMBERS = itertools.count(5000)  # for ids of agents; test_agents_legacy.py has those before

TABLES = """
CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR, email VARCHAR, hashed_password VARCHAR,
 full_name VARCHAR, role VARCHAR, is_active BOOLEAN, created_at DATETIME, updated_at DATETIME,
 last_login DATETIME, favourite VARCHAR);
CREATE TABLE agents (id VARCHAR PRIMARY KEY, name VARCHAR, level VARCHAR, title VARCHAR, role VARCHAR,
 category VARCHAR, description TEXT, parent_l1 VARCHAR, parent_l2 VARCHAR, status VARCHAR, filename VARCHAR,
 updated_at DATETIME);
CREATE TABLE services (id INTEGER PRIMARY KEY, name VARCHAR, description TEXT, status VARCHAR, health VARCHAR,
 port INTEGER, pid INTEGER, is_system BOOLEAN, created_at DATETIME, updated_at DATETIME);
CREATE TABLE api_usage (id INTEGER PRIMARY KEY, provider VARCHAR, model VARCHAR, tokens INTEGER, cost FLOAT,
 timestamp DATETIME);
CREATE TABLE knowledge_files (id INTEGER PRIMARY KEY, name VARCHAR, path VARCHAR, agent VARCHAR, size INTEGER,
 modified DATETIME, category VARCHAR);
CREATE TABLE job_history (id INTEGER PRIMARY KEY, job_type VARCHAR, status VARCHAR, started_at DATETIME,
 completed_at DATETIME, result TEXT, error TEXT);
"""


class Old:
    """A database of the predecessor, with names that no other test has."""

    def __init__(self, path):
        self.path = str(path)
        self.tag = uuid.uuid4().hex[:12]
        self.n = next(NUMBERS)
        self.run(TABLES)

    def run(self, script):
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def add(self, table, **values):
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES "
                               f"({', '.join('?' * len(values))})", tuple(values.values()))

    def user(self, name, **more):
        name = f"{name}-{self.tag}"
        self.add("users", **{"username": name, "email": f"{name}@example.org", "hashed_password": HASH,
                             "full_name": "Some Body", "role": "user", "is_active": 1, "created_at": THEN,
                             "updated_at": THEN, **more})
        return name


@pytest.fixture
def old(tmp_path):
    return Old(tmp_path / "ziggie.db")


@pytest.fixture
def full(old):
    """One of everything."""
    old.user("ada", role="readonly", last_login=LATER)
    n = old.n
    for identity, level, above in ((f"L3.{n}.1.1", "L3", f"L2.{n}.1"), (f"L2.{n}.1", "L2", None),
                                   (f"L1.{n}", "L1", None)):
        old.add("agents", id=identity, name=f"Agent {identity}", level=level, title="The Title", role="Works",
                category="art", description="Long.", parent_l2=above, status="idle", filename="a.md",
                updated_at=THEN)
    old.add("services", name=f"web-{old.tag}", description="Serves", status="running", health="healthy",
            port=8080, pid=77, is_system=1, created_at=THEN, updated_at=THEN)
    old.add("api_usage", provider=f"p-{old.tag}", model="m", tokens=1200, cost=0.0125, timestamp=THEN)
    old.add("api_usage", provider=f"p-{old.tag}", model="m", tokens=1200, cost=0.0125, timestamp=THEN)
    old.add("knowledge_files", name="a.md", path=f"/k/{old.tag}/a.md", agent=f"L1.{n}", size=7, modified=THEN,
            category="notes")
    old.add("job_history", job_type=f"scan-{old.tag}", status="completed", started_at=THEN, completed_at=LATER,
            result='{"files": 7}')
    return old


NOTE = "table users: columns not taken over: id, favourite"


def report(created=0, updated=0, unchanged=0, kept=0):
    newer = f", {kept} newer here and kept" if kept else ""
    return f"{created} created, {updated} updated, {unchanged} unchanged{newer}, 0 left out"


def lines(done):
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def rows(db, sql, *values):
    with db.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def sign_in(api, name, password=PASSWORD):
    return api.post("/api/auth/login", json={"username": name, "password": password})


def account(db, name):
    return rows(db, "SELECT email, full_name, role, is_active, password_hash, created_at, updated_at, last_login"
                    " FROM users WHERE username = %s", name)[0]


def test_everything_comes_over(stack, db, full):
    done = stack.ctl("import", "sqlite", full.path)
    assert lines(done) == {"users": report(1), "agents": report(3), "services": report(1),
                           "knowledge files": report(1), "usage": report(2), "jobs": report(1)}
    assert NOTE in done.stderr and "left out" not in done.stderr
    email, full_name, role, active, _, created, updated, login = account(db, f"ada-{full.tag}")
    assert (email, full_name, role, active) == (f"ada-{full.tag}@example.org", "Some Body", "readonly", 1)
    assert created == updated and str(created).startswith("2025-11-08 10:00") and "11-09" in str(login)
    assert rows(db, "SELECT a.name, p.did, a.status FROM agents a JOIN agents p ON p.id = a.parent_id"
                    " WHERE a.did = %s", f"did:ziggie:L3.{full.n}.1.1") == (
        (f"Agent L3.{full.n}.1.1", f"did:ziggie:L2.{full.n}.1", "idle"),)
    assert rows(db, "SELECT status, health, port, pid, is_system FROM services WHERE name = %s",
                f"web-{full.tag}") == (("running", "healthy", 8080, 77, 1),)
    assert rows(db, "SELECT model, tokens, CAST(cost AS CHAR), COUNT(*) FROM usage_records WHERE provider = %s",
                f"p-{full.tag}") == (("m", 1200, "0.012500000", 2),)
    assert rows(db, "SELECT status, result, error FROM job_history WHERE job_type = %s",
                f"scan-{full.tag}") == (("completed", '{"files": 7}', None),)
    assert rows(db, "SELECT action FROM audit JOIN users ON users.id = record_id WHERE remote_address ="
                    " 'ziggiectl' AND users.username = %s", f"ada-{full.tag}") == (("create",),)


def test_its_files_are_what_agents_know(stack, api, readonly_token, full):
    stack.ctl("import", "sqlite", full.path)
    known = api.get(f"/api/agents/L1.{full.n}/knowledge", readonly_token).json()
    assert [(file["name"], file["size"], file["category"]) for file in known["files"]] == [("a.md", 7, "notes")]


def test_a_second_run_changes_nothing_and_says_so(stack, full):
    stack.ctl("import", "sqlite", full.path)
    done = stack.ctl("import", "sqlite", full.path)
    assert lines(done) == {"users": report(unchanged=1), "agents": report(unchanged=3),
                           "services": report(unchanged=1), "knowledge files": report(unchanged=1),
                           "usage": report(unchanged=2), "jobs": report(unchanged=1)}
    assert done.stdout.endswith("\nnothing changed\n")


def test_a_dry_run_changes_nothing(stack, db, full):
    done = stack.ctl("import", "sqlite", "--dry-run", full.path)
    assert lines(done)["users"] == report(1) and lines(done)["agents"] == report(3)
    assert rows(db, "SELECT 1 FROM users WHERE username = %s", f"ada-{full.tag}") == ()
    assert rows(db, "SELECT 1 FROM services WHERE name = %s", f"web-{full.tag}") == ()


def test_the_file_is_only_read(stack, full):
    os.chmod(full.path, 0o444)
    with open(full.path, "rb") as file:
        before = file.read()
    stack.ctl("import", "sqlite", full.path)
    with open(full.path, "rb") as file:
        assert file.read() == before
    assert os.listdir(os.path.dirname(full.path)) == [os.path.basename(full.path)]


# The audit


def service_audit(db, full):
    found = rows(db, "SELECT action, before_json, after_json, remote_address FROM audit JOIN services"
                     " ON services.id = record_id WHERE resource = 'service' AND name = %s ORDER BY audit.id",
                 f"web-{full.tag}")
    return [(action, before and json.loads(before), json.loads(after), address)
            for action, before, after, address in found]


def batch_audit(db, path):
    """What the audit says of the rows of a file: (kind, created, updated)."""
    found = rows(db, "SELECT resource, after_json FROM audit WHERE action = 'import' AND record_id IS NULL"
                     " AND remote_address = 'ziggiectl' AND before_json IS NULL"
                     " AND JSON_VALUE(after_json, '$.file') = %s ORDER BY id", path)
    return [(kind, json.loads(after)["created"], json.loads(after)["updated"]) for kind, after in found]


def test_each_change_of_a_service_is_in_the_audit(stack, db, full):
    stack.ctl("import", "sqlite", full.path)
    new = {"name": f"web-{full.tag}", "description": "Serves", "status": "running", "health": "healthy",
           "port": 8080, "pid": 77, "is_system": True}
    assert service_audit(db, full) == [("create", None, new, "ziggiectl")]
    full.run(f"UPDATE services SET port = NULL, status = 'stopped', updated_at = '{LATER}'")
    for _ in range(2):  # the second changes nothing
        stack.ctl("import", "sqlite", full.path)
    assert service_audit(db, full)[1:] == [
        ("update", new, {**new, "port": None, "status": "stopped"}, "ziggiectl")]


def test_rows_without_a_name_are_in_the_audit_by_their_number(stack, db, full):
    stack.ctl("import", "sqlite", full.path)
    assert batch_audit(db, full.path) == [("knowledge_file", 1, 0), ("usage", 2, 0), ("job_history", 1, 0)]
    full.run("UPDATE job_history SET status = 'failed', error = 'no room'")
    full.add("api_usage", provider=f"p-{full.tag}", model="m", tokens=1, cost=0, timestamp=LATER)
    for _ in range(2):  # the second changes nothing
        stack.ctl("import", "sqlite", full.path)
    assert batch_audit(db, full.path)[3:] == [("usage", 1, 0), ("job_history", 0, 1)]


def test_each_transaction_counts_its_own_rows(stack, db, old):
    old.run("WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 249)"
            f" INSERT INTO api_usage (provider, timestamp) SELECT 'p-{old.tag}',"
            f" CASE i WHEN 0 THEN 'tomorrow' ELSE '{THEN}' END FROM n")
    stack.ctl("import", "sqlite", "--dry-run", old.path)
    assert batch_audit(db, old.path) == []
    stack.ctl("import", "sqlite", old.path)
    assert batch_audit(db, old.path) == [("usage", 99, 0), ("usage", 100, 0), ("usage", 50, 0)]


# Passwords


@pytest.mark.http
def test_an_imported_password_works_and_gets_a_hash_of_ours(stack, api, db, old):
    name = old.user("bob")
    stack.ctl("import", "sqlite", old.path)
    assert account(db, name)[4] == HASH
    assert_problem(sign_in(api, name, "another password"), 401)
    assert account(db, name)[4] == HASH
    before = account(db, name)
    assert sign_in(api, name).status_code == 200
    after = account(db, name)
    assert after[4].startswith("$argon2id$") and after[6] == before[6]
    assert sign_in(api, name).status_code == 200
    assert account(db, name)[4] == after[4]
    assert_problem(sign_in(api, name, "another password"), 401)


def test_a_run_behind_the_first_sign_in_leaves_the_hash(stack, api, db, old):
    name = old.user("bob")
    stack.ctl("import", "sqlite", old.path)
    assert sign_in(api, name).status_code == 200
    assert lines(stack.ctl("import", "sqlite", old.path))["users"] == report(unchanged=1)
    assert account(db, name)[4].startswith("$argon2id$")


def test_who_is_not_active_stays_out(stack, api, old):
    name = old.user("bob", is_active=0)
    stack.ctl("import", "sqlite", old.path)
    assert_problem(sign_in(api, name), 403)


@pytest.mark.parametrize("said,role", [("admin", "admin"), ("UserRole.ADMIN", "admin"), ("USER", "user"),
                                       ("viewer", "readonly")])
def test_roles_are_kept(stack, db, old, said, role):
    name = old.user("bob", role=said)
    stack.ctl("import", "sqlite", old.path)
    assert account(db, name)[2] == role
    stack.ctl("user", "remove", name)


# What is newer


def test_what_changed_here_since_is_kept(stack, db, full):
    stack.ctl("import", "sqlite", full.path)
    name = f"ada-{full.tag}"
    stack.ctl("user", "role", name, "user")
    for sql in ("UPDATE services SET status = 'failed', updated_at = NOW(6) WHERE name = %s",):
        rows(db, sql, f"web-{full.tag}")
    rows(db, "UPDATE knowledge_files SET size = 8, modified_at = NOW(6) WHERE path = %s",
         f"/k/{full.tag}/a.md")
    full.run(f"UPDATE users SET full_name = 'Old', updated_at = '{LATER}';"
             f"UPDATE agents SET title = 'Old', updated_at = '{LATER}';"
             f"UPDATE services SET port = 1, updated_at = '{LATER}';"
             f"UPDATE knowledge_files SET size = 9, modified = '{LATER}';")
    done = stack.ctl("import", "sqlite", full.path)
    found = lines(done)
    assert found["users"] == report(kept=1) and found["agents"] == report(kept=3)
    assert found["services"] == report(kept=1) and found["knowledge files"] == report(kept=1)
    assert account(db, name)[1:3] == ("Some Body", "user")
    assert rows(db, "SELECT status, port FROM services WHERE name = %s", f"web-{full.tag}") == (("failed", 8080),)


def test_what_changed_there_since_is_changed(stack, api, db, full):
    stack.ctl("import", "sqlite", full.path)
    name = f"ada-{full.tag}"
    other = crypt.crypt("a newer password", "$2b$04$abcdefghijklmnopqrstuu")
    full.run(f"UPDATE users SET full_name = 'New', hashed_password = '{other}', updated_at = '{LATER}';"
             f"UPDATE agents SET title = 'New', updated_at = '{FUTURE}';"
             f"UPDATE services SET port = 1, updated_at = '{LATER}';"
             "UPDATE job_history SET status = 'failed', error = 'no room';")
    found = lines(stack.ctl("import", "sqlite", full.path))
    assert found["users"] == report(updated=1) and found["agents"] == report(updated=3)
    assert found["services"] == report(updated=1) and found["jobs"] == report(updated=1)
    assert account(db, name)[1] == "New"
    assert sign_in(api, name, "a newer password").status_code == 200
    assert rows(db, "SELECT status, error FROM job_history WHERE job_type = %s",
                f"scan-{full.tag}") == (("failed", "no room"),)


def test_the_last_administrator_is_not_touched(fresh_stack, old):
    stack = fresh_stack()
    old.run(f"INSERT INTO users (username, hashed_password, role, is_active, created_at, updated_at) VALUES"
            f" ('admin', '{HASH}', 'readonly', 0, '{THEN}', '{FUTURE}')")
    assert lines(stack.ctl("import", "sqlite", old.path))["users"] == report(kept=1)
    api = stack.api()
    assert sign_in(api, "admin", ADMIN_PASSWORD).status_code == 200
    api.session.close()


# What can't be taken


def test_what_is_left_out_is_said_with_its_row_and_reason(stack, old):
    old.user("x", username="ab")
    old.user("y", role="emperor")
    old.user("z", hashed_password="plain")
    old.user("costly", hashed_password="$2b$31$" + HASH[7:])
    old.add("agents", id="L2.7", name="Few", level="L2")
    old.add("api_usage", provider="p", timestamp="tomorrow")
    old.add("api_usage", provider="p", cost="much", timestamp=THEN)
    old.add("services", name=None)
    done = stack.ctl("import", "sqlite", old.path)
    said = [line.removeprefix(old.path + ", table ") for line in done.stderr.splitlines() if "left out" in line]
    assert said == [
        "users, row 1: left out: the name must have 3 to 100 characters, has 2",
        f"users, row 2: left out: y-{old.tag}: its role is none of ours",
        f"users, row 3: left out: z-{old.tag}: its password's hash is of no known kind",
        f"users, row 4: left out: costly-{old.tag}: its password's hash is of no known kind",
        "agents, row 1: left out: the id must be of the form L1.2, L2.1.3 or L3.2.1.4",
        "services, row 1: left out: it has no name",
        "api_usage, row 1: left out: its time can't be read",
        "api_usage, row 2: left out: its cost is no number",
    ]
    assert stack.ctl("import", "sqlite", "--strict", old.path, check=False).returncode == 65


def test_other_names_of_columns_are_known(stack, db, tmp_path):
    path, name = str(tmp_path / "other.db"), f"bob-{uuid.uuid4().hex}"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users (name, PASSWORD_HASH, role, extra)")
        connection.execute("INSERT INTO users VALUES (?, ?, 'user', 1)", (name, HASH))
    done = stack.ctl("import", "sqlite", path)
    assert account(db, name)[2:5] == ("user", 1, HASH)
    assert "table users: columns not taken over: extra" in done.stderr
    assert "table services: there is none" in done.stderr


def test_a_column_that_must_be_there_is_missed(stack, tmp_path):
    path = str(tmp_path / "other.db")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users (username, role)")
    done = stack.ctl("import", "sqlite", path, check=False)
    assert done.returncode == 65
    assert done.stderr == f"ziggiectl: {path}, table users: it has no column hashed_password\n"


@pytest.mark.parametrize("damage,status,reason", [
    ("none", 66, "No such file"), ("text", 65, "it is no SQLite database"), ("cut", 65, "it is damaged"),
    ("foreign", 65, "it has none of the predecessor's tables"), ("empty", 65, "none of the predecessor's")])
def test_a_file_that_is_no_use_is_told(stack, full, tmp_path, damage, status, reason):
    path = str(tmp_path / "bad.db")
    with open(full.path, "rb") as file:
        good = file.read()
    if damage == "foreign":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE birds (name)")
    elif damage != "none":
        with open(path, "wb") as file:
            file.write({"text": b"no database, but long enough" * 100, "cut": good[:len(good) // 2],
                        "empty": b""}[damage])
    done = stack.ctl("import", "sqlite", path, check=False)
    assert done.returncode == status and done.stderr.startswith(f"ziggiectl: {path}: "), done.stderr
    assert reason in done.stderr and done.stdout == ""


def test_a_locked_file_is_75(stack, full):
    with contextlib.closing(sqlite3.connect(full.path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        done = stack.ctl("import", "sqlite", full.path, check=False)
    assert done.returncode == 75 and "another program keeps it locked" in done.stderr


def test_a_run_that_is_killed_is_finished_by_the_next(stack, db, old):
    """In the third batch it comes to a row that another transaction holds."""
    names = [f"s{number:03}-{old.tag}" for number in range(350)]
    old.add("services", id=250, name=names[250], created_at=THEN)
    stack.ctl("import", "sqlite", old.path)
    with contextlib.closing(sqlite3.connect(old.path)) as connection, connection:
        connection.executemany("INSERT OR IGNORE INTO services (id, name, created_at) VALUES (?, ?, ?)",
                               [(number, name, THEN) for number, name in enumerate(names)])
    db.begin()
    rows(db, "SELECT 1 FROM services WHERE name = %s FOR UPDATE", names[250])
    count = "SELECT COUNT(*) FROM services WHERE name LIKE %s"
    with subprocess.Popen([ZIGGIECTL, "--config", stack.config, "import", "sqlite", old.path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child, \
            stack.database() as watch:
        wait_until_blocked(child, watch)
        child.kill()
    db.rollback()
    taken = rows(db, count, f"s%-{old.tag}")[0][0]
    assert taken % 100 == 1 and taken < 350
    assert lines(stack.ctl("import", "sqlite", old.path))["services"] == report(350 - taken, unchanged=taken)
    assert rows(db, count, f"s%-{old.tag}")[0][0] == 350
