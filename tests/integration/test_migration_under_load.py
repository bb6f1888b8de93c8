"""An upgrade with a schema change, and the way back, while a hundred users read and write."""

import glob
import os
import shutil
import signal
import subprocess

import pytest

from accounts import Account
from harness import BUILD, SOURCE, RunningStack, scratch_dir, wait_for
from load import clients

USERS, PAUSE, ACCOUNTS = 100, 2, 10
PROGRAMS = ("ziggied", "ziggie-worker", "ziggie-jobs", "ziggiectl")
MIGRATION = "schema/9001_notes.sql"
NOTES = "".join(f"""\
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS note VARCHAR(100) NULL, ALGORITHM=INSTANT, LOCK=NONE;
ALTER TABLE {table} ADD KEY IF NOT EXISTS {table}_note (note), ALGORITHM=INPLACE, LOCK=NONE;
""" for table in ("agents", "goals", "tasks"))


def without_tests(folder, names):
    """Of a build: everything but the test programs; make wants their dependencies' files."""
    inside = os.path.relpath(folder, BUILD).split(os.sep)
    if inside[0] != "tests" or ".deps" in inside:
        return []
    return [name for name in names if os.path.isfile(os.path.join(folder, name))]


def build_next_release(folder):
    """The same programs with one migration more; only what that changes is made again."""
    for name in os.listdir(SOURCE):
        if name != "schema" and not name.startswith((".", "build")) or name == "build-aux":
            os.symlink(os.path.join(SOURCE, name), os.path.join(folder, name))
    shutil.copytree(os.path.join(SOURCE, "schema"), os.path.join(folder, "schema"))
    with open(os.path.join(folder, MIGRATION), "w", encoding="utf-8") as f:
        f.write(NOTES)
    built = os.path.join(folder, "build")
    shutil.copytree(BUILD, built, ignore=without_tests)
    files = sorted("schema/" + os.path.basename(path)
                   for path in glob.glob(os.path.join(folder, "schema", "*.sql")))
    made = subprocess.run(["make", "-C", built, "SCHEMA_FILES=" + " ".join(files), *PROGRAMS],
                          capture_output=True, text=True, timeout=100, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return built


def install(built, folder):
    """Puts programs in the place of those that run, as a package does."""
    for name in PROGRAMS:
        shutil.copy(os.path.join(built, name), os.path.join(folder, name + ".new"))
        os.rename(os.path.join(folder, name + ".new"), os.path.join(folder, name))


@pytest.fixture
def folder():
    made = scratch_dir()
    for name in ("next", "installed"):
        os.mkdir(os.path.join(made, name))
    yield made
    shutil.rmtree(made)


def ask(database, query, *values):
    with database.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()[0]


def await_writes(database, count=300):
    """Until the users have written so much more."""
    before = ask(database, "SELECT COUNT(*) FROM audit")
    wait_for(lambda: ask(database, "SELECT COUNT(*) FROM audit") - before > count, 60, "writes")


def waits_for_a_table(database):
    return ask(database, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE"
                         " 'ALTER TABLE%%' AND state LIKE 'Waiting for table metadata lock%%'") > 0


def migrate_behind_a_long_transaction(stack, database):
    """It gives way, so that the users do not wait for that transaction too."""
    with stack.database() as long, long.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT COUNT(*) FROM agents")
        command = [os.path.join(stack.programs, "ziggiectl"), "--config", stack.config, "migrate"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as migrating:
            try:
                wait_for(lambda: waits_for_a_table(database), 30, "a migration that waits")
                wait_for(lambda: not waits_for_a_table(database), 30, "one that gives way")
                await_writes(database, 50)
                assert migrating.poll() is None
            finally:
                cursor.execute("COMMIT")
            said = migrating.communicate(timeout=60)[0]
    assert migrating.returncode == 0 and "applied 9001 notes" in said, said


def pending(stack):
    return stack.ctl("migrate", "--check", check=False).returncode == 78


@pytest.mark.limit(300)
def test_a_hundred_users_notice_neither_an_upgrade_nor_the_way_back(folder):
    newer, installed = build_next_release(os.path.join(folder, "next")), folder + "/installed"
    install(BUILD, installed)
    stack = RunningStack("--workers", "2", programs=installed)
    try:
        stack.start()
        tokens = [Account(stack, "user").token() for _ in range(ACCOUNTS)]
        with stack.database() as database:
            users = clients.Running(stack.address[1], tokens, USERS, PAUSE)
            try:
                await_writes(database)
                install(newer, installed)
                assert pending(stack)
                migrate_behind_a_long_transaction(stack, database)
                assert not pending(stack)
                await_writes(database)  # the old workers, on the new schema
                stack.replace_generation(signal.SIGUSR2)
                await_writes(database)
                install(BUILD, installed)
                stack.replace_generation(signal.SIGUSR2)
                await_writes(database)
            finally:
                seen = users.stop()
            assert seen.wrong == []
            assert {status for _, status in seen.answers} == {200, 201, 204, 404}
            assert seen.answers["GET", 404] == seen.answers["DELETE", 204]  # what was removed
            assert ask(database, "SELECT COUNT(*) FROM information_schema.statistics WHERE"
                                 " table_schema = 'ziggie' AND index_name LIKE '%%\\_note'") == 3
        assert stack.log_lines(event="database_refused") == []
        assert stack.log_lines(event="child_died") == []
        assert len(stack.log_lines(event="upgraded")) == 2
    finally:
        stack.remove()
