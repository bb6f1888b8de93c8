"""ziggiectl migrate on databases of its own, beside the stack's."""

import os
import subprocess
import threading
import uuid

import pytest

from harness import BUILD


class Database:
    """An empty database on the stack's server, and ziggiectl for it."""

    def __init__(self, stack):
        self.stack = stack
        self.name = "m" + uuid.uuid4().hex[:12]
        self.sql(f"CREATE DATABASE {self.name}")
        self.sql(f"GRANT ALL ON {self.name}.* TO ziggie@localhost")

    def sql(self, statement, *values):
        with self.stack.database() as root:
            with root.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()

    def rows(self, columns="version, name"):
        return self.sql(f"SELECT {columns} FROM {self.name}.schema_migrations ORDER BY version")

    def migrate(self, *arguments):
        command = [os.path.join(BUILD, "ziggiectl"), "--config", self.stack.config,
                   "migrate", *arguments, "--db-name", self.name]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def remove(self):
        self.sql(f"REVOKE ALL ON {self.name}.* FROM ziggie@localhost")
        self.sql(f"DROP DATABASE {self.name}")


@pytest.fixture
def database(stack):
    made = Database(stack)
    yield made
    made.remove()


def test_an_empty_database_is_brought_up_to_date(database):
    before = database.migrate("--check")
    assert before.returncode == 78, before.stderr
    assert "missing" in before.stderr and "ziggiectl migrate" in before.stderr
    assert database.sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s",
                        database.name) == ((0,),)

    done = database.migrate()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("applied 0001 users_and_tokens (")

    assert database.migrate("--check").returncode == 0
    assert database.rows()[0] == (1, "users_and_tokens")
    columns = database.sql(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = 'users' ORDER BY ordinal_position", database.name)
    assert [name for (name,) in columns] == [
        "id", "username", "email", "full_name", "role", "is_active", "password_hash",
        "created_at", "updated_at", "last_login"]


def test_a_second_run_does_nothing(database):
    assert database.migrate().returncode == 0
    before = database.rows("version, HEX(checksum), applied_at")
    again = database.migrate()
    assert (again.returncode, again.stdout) == (0, "")
    assert database.rows("version, HEX(checksum), applied_at") == before


def test_two_hosts_start_at_once(database):
    done = []
    threads = [threading.Thread(target=lambda: done.append(database.migrate())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.returncode for run in done] == [0] * 6, [run.stderr for run in done]
    applied = "".join(run.stdout for run in done)
    assert applied.count("applied 0001 ") == 1
    assert len(database.rows()) == applied.count("applied ")


def test_another_text_is_an_error(database):
    assert database.migrate().returncode == 0
    database.sql(f"UPDATE {database.name}.schema_migrations SET checksum = REPEAT('x', 32) "
                 "WHERE version = 1")
    for arguments in ([], ["--check"]):
        refused = database.migrate(*arguments)
        assert refused.returncode not in (0, 78), arguments
        assert "0001_users_and_tokens" in refused.stderr


def test_an_older_release_accepts_a_newer_schema(database):
    assert database.migrate().returncode == 0
    database.sql(f"INSERT INTO {database.name}.schema_migrations "
                 "VALUES (9999, 'from_the_future', REPEAT('x', 32), NOW(6))")
    assert database.migrate("--check").returncode == 0
    assert database.migrate().returncode == 0
