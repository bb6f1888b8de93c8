"""ziggiectl: what operators type, and what the running workers make of it."""

import os
import pty
import select
import subprocess
import time

import pytest

from accounts import TRUSTED_SECONDS, seconds_let_in
from harness import BUILD, SOURCE

ZIGGIECTL = os.path.join(BUILD, "ziggiectl")
COMMANDS = ["user add", "user passwd", "user disable", "user enable", "user list", "token",
            "host list", "host remove", "job list", "job show", "job retry", "job cancel", "import agents", "import sqlite", "migrate", "check-config", "print-config",
            "config-example", "config-reference", "routes"]
PASSWORD = "a long password"


def run(*arguments, text="", environment=None):
    """Without a stack, and without what the tester's environment says."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ZIGGIE_")}
    return subprocess.run([ZIGGIECTL, *arguments], input=text, capture_output=True, text=True,
                          timeout=30, check=False, env={**clean, **(environment or {})})


def assert_fails(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stderr.startswith("ziggiectl: ")
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


@pytest.fixture
def name(request):
    return f"ctl-{os.getpid()}-{abs(hash(request.node.name)) % 1000000}"


# Help and usage


def test_help_lists_every_command():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_manual(command):
    done = run(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ziggiectl {command}")
    with open(os.path.join(SOURCE, "man", "ziggiectl.8"), encoding="utf-8") as f:
        assert "\\fB" + command.replace("-", "\\-") + "\\fR" in f.read()


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("ziggiectl ")


@pytest.mark.parametrize("arguments", [
    [], ["nope"], ["user"], ["user", "nope"], ["user", "add"], ["user", "add", "a", "b"],
    ["user", "add", "bob", "--rank", "x"], ["user", "add", "bob", "--role"], ["user", "list", "x"],
    ["token"], ["token", "bob", "--count", "0"], ["token", "bob", "--count", "x"],
    ["token", "bob", "--lifetime", "soon"], ["token", "bob", "--lifetime", "1s"],
    ["job"], ["job", "list", "--status", "ill"], ["job", "list", "--limit", "0"], ["job", "list", "x"],
    ["job", "show"], ["job", "show", "x"], ["job", "retry", "x"], ["job", "cancel", "x"],
    ["migrate", "--check=yes"], ["--config"], ["--nope", "user", "list"], ["--nope=1", "user", "list"],
])
def test_wrong_usage_is_64(arguments):
    assert_fails(run(*arguments), 64)


def test_output_that_can_not_be_written_is_an_error():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([ZIGGIECTL, "config-example"], stdout=full, stderr=subprocess.PIPE,
                              timeout=30, check=False)
    assert done.returncode == 74


# Settings


def test_check_config_reports_every_error(tmp_path):
    file = tmp_path / "ziggie.conf"
    file.write_text("workrs = 3\n# fine\nthreads = 1\ndb_port = x\nlog_level = loud\n")
    assert_fails(run("check-config", str(file)), 78, f"{file}:1: ", f"{file}:3: threads", "3 to 64",
                 f"{file}:4: db_port", f"{file}:5: log_level", "debug, info, warning, error")
    assert_fails(run("--config", str(file), "check-config"), 78, f"{file}:1: ")


def test_check_config_sees_what_must_agree(tmp_path):
    file = tmp_path / "ziggie.conf"
    file.write_text("db_pool_min = 30\ndb_pool_max = 3\n")
    assert_fails(run("check-config", str(file)), 78, "db_pool_min", "db_pool_max")


def test_check_config_says_ok(tmp_path):
    file = tmp_path / "ziggie.conf"
    file.write_text(run("config-example").stdout)
    done = run("check-config", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "OK\n", "")
    assert_fails(run("check-config", str(tmp_path / "none")), 78, "none")


def test_print_config_tells_where_a_value_came_from(tmp_path):
    file = tmp_path / "ziggie.conf"
    file.write_text("threads = 7\nworkers = 2\n")
    done = run("--config", str(file), "--log_level=debug", "--print-config",
               environment={"ZIGGIE_WORKERS": "3"})
    assert done.returncode == 0
    lines = {line.split(" = ")[0]: line for line in done.stdout.splitlines()}
    assert "= 7 " in lines["threads"] and f"{file}:1" in lines["threads"]
    assert "= 3 " in lines["workers"] and "ZIGGIE_WORKERS" in lines["workers"]
    assert "debug" in lines["log_level"] and "--log_level" in lines["log_level"]
    assert "default" in lines["db_port"]
    again = run("print-config", "--config", str(file), environment={"ZIGGIE_WORKERS": "3"})
    assert again.stdout == done.stdout.replace(lines["log_level"], next(
        line for line in again.stdout.splitlines() if line.startswith("log_level")))


def test_reference_holds_every_setting_of_the_example():
    example, reference = run("config-example").stdout, run("config-reference").stdout
    keys = [line.lstrip("# ").split(" = ")[0] for line in example.splitlines() if " = " in line]
    assert len(keys) > 30
    for key in keys:
        assert key in reference


def test_a_bad_setting_stops_every_command_that_needs_them():
    assert_fails(run("user", "list", environment={"ZIGGIE_THREADS": "1"}), 78, "ZIGGIE_THREADS")


def test_without_a_database_it_is_69(tmp_path):
    socket = f"--db_socket={tmp_path}/none.sock"
    assert_fails(run(socket, "user", "list"), 69)
    assert_fails(run(socket, "token", "bob"), 69)
    assert_fails(run(socket, "migrate"), 69)
    assert_fails(run(socket, "job", "list"), 69)
    assert_fails(run(socket, "user", "add", "bob", text=PASSWORD), 69)


# Users


def listed(stack, user):
    for line in stack.ctl("user", "list").stdout.splitlines():
        if line.split()[0] == user:
            return line.split()
    return None


def signs_in(api, user, password=PASSWORD):
    return api.post("/api/auth/login", json={"username": user, "password": password}).status_code


@pytest.mark.parametrize("role", ["admin", "user", "readonly"])
def test_an_added_user_signs_in_with_the_role(stack, api, name, role):
    done = stack.ctl("user", "add", name, "--role", role, "--email", "x@example.org", text=PASSWORD)
    assert done.stderr == ""
    assert signs_in(api, name) == 200
    token = stack.ctl("token", name).stdout.strip()
    assert api.get("/api/auth/validate", token).json()["role"] == role
    row = listed(stack, name)
    assert row[1:3] == [role, "active"] and row[-1] == "x@example.org"


def test_user_is_the_role_when_none_is_named(stack, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    assert listed(stack, name)[1:4] == ["user", "active", "never"]


@pytest.mark.parametrize("user,options,password", [
    ("ab", [], PASSWORD), ("x" * 101, [], PASSWORD), (" blank", [], PASSWORD),
    ("tab\there", [], PASSWORD), ("fine-name", ["--role", "root"], PASSWORD),
    ("fine-name", ["--email", "nobody"], PASSWORD), ("fine-name", ["--full-name", ""], PASSWORD),
    ("fine-name", [], ""), ("fine-name", [], "ninechars"), ("fine-name", [], "password123"),
    ("long-fine-name", [], "Long-Fine-Name"), ("fine-name", [], "x" * 1025),
    ("fine-name", [], "y" * 5000),
])
def test_bad_users_and_passwords_are_refused(stack, user, options, password):
    done = stack.ctl("user", "add", user, *options, text=password + "\n", check=False)
    assert_fails(done, 65)
    assert len(password) < 8 or password not in done.stderr
    assert listed(stack, user.strip().split()[0]) is None


def test_a_name_is_taken_once(stack, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    assert_fails(stack.ctl("user", "add", name, text=PASSWORD, check=False), 73, name)


def test_a_password_comes_from_a_file(stack, api, name, tmp_path):
    file = tmp_path / "password"
    file.write_text("a password in a file\nand more\n")
    stack.ctl("user", "add", name, "--password-file", str(file))
    assert signs_in(api, name, "a password in a file") == 200
    done = stack.ctl("user", "passwd", name, "--password-file", str(tmp_path / "no"), check=False)
    assert_fails(done, 74, "no")


def test_who_does_not_exist_is_67(stack):
    for arguments in (["user", "passwd", "nobody-here"], ["user", "disable", "nobody-here"],
                      ["user", "enable", "nobody-here"], ["token", "nobody-here"]):
        assert_fails(stack.ctl(*arguments, text=PASSWORD, check=False), 67)


def test_disable_and_enable(stack, api, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    token = stack.ctl("token", name).stdout.strip()
    stack.ctl("user", "disable", name)
    assert listed(stack, name)[2] == "disabled"
    assert signs_in(api, name) == 403
    assert_fails(stack.ctl("token", name, check=False), 77)
    assert seconds_let_in(lambda: api.get("/api/auth/me", token).status_code != 401) \
        < TRUSTED_SECONDS
    stack.ctl("user", "enable", name)
    assert listed(stack, name)[2] == "active"
    assert signs_in(api, name) == 200


def test_passwd_changes_the_password(stack, api, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    stack.ctl("user", "passwd", name, text="quite another one")
    assert signs_in(api, name) == 401
    assert signs_in(api, name, "quite another one") == 200
    done = stack.ctl("user", "passwd", name, text="short", check=False)
    assert_fails(done, 65)
    assert signs_in(api, name, "quite another one") == 200


class Terminal:
    """ziggiectl on a terminal of its own."""

    def __init__(self, stack, *arguments):
        self.fd, child = pty.openpty()
        self.process = subprocess.Popen(
            [ZIGGIECTL, "--config", stack.config, *arguments], stdin=child, stdout=child,
            stderr=child, start_new_session=True)
        os.close(child)
        self.shown = ""

    def until(self, text, seconds=20):
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 4096).decode()

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        status = self.process.wait(20)
        try:
            while select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 4096).decode()
        except OSError:
            pass  # the terminal's other side is closed
        os.close(self.fd)
        return status


def test_a_terminal_is_asked_twice_and_shows_nothing(stack, api, name):
    terminal = Terminal(stack, "user", "add", name)
    terminal.until("Password: ")
    terminal.type("typed by hand\n")
    terminal.until("Again: ")
    terminal.type("typed by hand\n")
    assert terminal.end() == 0
    assert "typed" not in terminal.shown
    assert signs_in(api, name, "typed by hand") == 200


def test_two_different_passwords_are_refused(stack, name):
    terminal = Terminal(stack, "user", "add", name)
    terminal.until("Password: ")
    terminal.type("typed by hand\n")
    terminal.until("Again: ")
    terminal.type("typed by foot\n")
    assert terminal.end() == 65
    assert "differ" in terminal.shown and "typed" not in terminal.shown
    assert listed(stack, name) is None


# Tokens


def test_tokens_are_many_different_and_alone(stack, api, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    done = stack.ctl("token", name, "--count", "50", "--lifetime", "10m")
    tokens = done.stdout.splitlines()
    assert done.stderr == ""
    assert len(set(tokens)) == 50
    assert all(token.startswith("zgt_") and len(token) == 47 for token in tokens)
    for token in (tokens[0], tokens[-1]):
        assert api.get("/api/auth/validate", token).json()["username"] == name


def test_two_thousand_tokens_take_seconds(stack, name):
    stack.ctl("user", "add", name, text=PASSWORD)
    assert len(set(stack.ctl("token", name, "--count", "2000").stdout.split())) == 2000


def test_migrate_has_nothing_left_to_do(stack):
    assert stack.ctl("migrate", "--check").stdout == "the schema is up to date\n"
    assert stack.ctl("migrate").stdout == ""
