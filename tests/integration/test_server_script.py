"""script/server: what a person and a service manager rely on."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from harness import (ADMIN_PASSWORD, BUILD, SOURCE, Api, RunningStack, State, freeze, proc, quickest,
                     scratch_dir, server_command, wait_for)

PARTS = ("mariadbd", "memcached", "ziggied", "nginx")


@pytest.fixture
def state():
    """A state directory of its own; whatever runs there is ended afterwards."""
    folder = scratch_dir()
    path = os.path.join(folder, "state")
    yield path
    run(path, "--stop", check=False)
    shutil.rmtree(folder, ignore_errors=True)


def run(state, *arguments, check=True, environment=None, build=BUILD):
    done = subprocess.run(
        server_command(state, *arguments, build=build), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, **(environment or {})})
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def at(state):
    """The stack that runs in a state directory, to look at."""
    return RunningStack(state=state)


def sessions(record):
    """Everything alive of the stack that a record tells of."""
    return [pid for part in record["parts"].values()
            for pid in proc.session_members(part["pid"], part["started"])]


def password_of(state):
    with open(os.path.join(state, "secrets", "admin-password"), encoding="utf-8") as f:
        return f.read().strip()


def login(url, password):
    return Api(url).post("/api/auth/login", json={"username": "admin", "password": password})


def test_detach_prints_a_login_that_works_and_stop_leaves_nothing(state):
    done = run(state, "--port", "0", "--detach")
    stack = at(state)
    record = stack.record
    assert stack.url in done.stdout
    assert password_of(state) in done.stdout
    for part in PARTS:
        assert f"starting {part}" in done.stderr

    curl = next(line for line in done.stdout.splitlines() if "curl" in line)
    answer = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=30,
                            check=True)
    assert '"access_token"' in answer.stdout

    alive = run(state, "--status")
    assert alive.stdout.startswith("ready")
    for part in PARTS:
        assert part in alive.stdout

    run(state, "--stop")
    assert sessions(record) == []
    assert not os.path.exists(record["runtime"])
    assert run(state, "--status", check=False).returncode == 3


def test_secrets_are_for_the_owner_alone(stack):
    folder = os.path.join(stack.state_path, "secrets")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    for name in os.listdir(folder):
        assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
    assert os.stat(os.path.join(stack.run, "app", "db-password")).st_mode & 0o777 == 0o400
    for line in open(stack.config, encoding="utf-8"):
        assert stack.state.secret("db-password") not in line


def test_second_start_keeps_the_data(state):
    run(state, "--port", "0", "--detach")
    at(state).add_user("keeper")
    run(state, "--stop")
    run(state, "--port", "0", "--detach")
    stack = at(state)
    answer = Api(stack.url).post("/api/auth/login",
                                 json={"username": "keeper", "password": "a long password"})
    assert answer.status_code == 200
    assert login(stack.url, password_of(state)).status_code == 200


def test_administrator_password_from_the_environment(state):
    first = {"ZIGGIE_ADMIN_PASSWORD": "the first password"}
    then = {"ZIGGIE_ADMIN_PASSWORD": "the second password"}
    run(state, "--port", "0", "--detach", environment=first)
    assert login(at(state).url, "the first password").status_code == 200
    run(state, "--stop")
    done = run(state, "--port", "0", "--detach", environment=then)
    assert "the second password" in done.stdout
    assert login(at(state).url, "the first password").status_code == 401
    assert login(at(state).url, "the second password").status_code == 200


def test_start_is_refused_while_one_runs(state):
    run(state, "--port", "0", "--detach")
    stack = at(state)
    again = run(state, "--port", "1", "--detach", check=False)
    assert again.returncode == 1
    assert f"pid {stack.record['keeper']['pid']}" in again.stderr
    assert "--stop" in again.stderr
    same = run(state, "--port", "0", "--detach")
    assert stack.url in same.stdout
    stack.wait_ready(1)


def test_two_state_directories_side_by_side(stack, fresh_stack):
    other = fresh_stack()
    assert other.url != stack.url
    other.add_user("only-here")
    body = {"username": "only-here", "password": "a long password"}
    assert other.api().post("/api/auth/login", json=body).status_code == 200
    assert stack.api().post("/api/auth/login", json=body).status_code == 401


def test_port_in_use_is_named(stack, state):
    port = str(stack.record["port"])
    done = run(state, "--port", port, "--detach", check=False)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert not os.path.exists(os.path.join(state, "run"))


def test_failed_start_says_why_and_leaves_nothing(state):
    done = run(state, "--port", "0", "--set", "threads=1", "--detach", check=False)
    assert done.returncode == 1
    assert "threads" in done.stderr
    assert "stopping mariadbd" in done.stderr
    assert run(state, "--status", check=False).returncode == 3
    # What was there before the failure serves the next start.
    run(state, "--port", "0", "--detach")


def test_the_reason_of_a_failed_start_is_not_lost_among_requests(state):
    os.makedirs(os.path.join(state, "log"))
    with open(State(state).log("ziggied"), "w", encoding="utf-8") as f:
        f.write('{"event":"database_refused","detail":"the sum"}\n')
        f.writelines(f'{{"event":"request","request_id":"{n:0200}"}}\n' for n in range(2000))
    assert State(state).log_tail("ziggied") == '{"event":"database_refused","detail":"the sum"}'


def test_missing_programs_are_named(state):
    with tempfile.TemporaryDirectory() as empty:
        done = run(state, "--port", "0", "--detach", check=False, build=empty)
    assert done.returncode == 1
    assert "ziggied" in done.stderr and "script/build" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["--port", "70000"], ["--hosts", "0"], ["--hosts", "17"], ["--set", "nonsense"], ["--web", "lighttpd"], ["--stop", "--detach"]])
def test_bad_options_are_usage_errors(state, arguments):
    done = run(state, *arguments, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_interrupt_ends_everything_in_the_foreground(state):
    stack = at(state)
    stack.start()
    record = stack.record
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=60) == 0
    stack.process = None
    assert sessions(record) == []
    assert not os.path.exists(record["runtime"])


@pytest.mark.parametrize("name", PARTS)
def test_what_dies_is_restarted(fresh_stack_for_kills, name):
    stack = fresh_stack_for_kills
    assert quickest(lambda: stack.restart_seconds(name), 1.5) < 1.5


@pytest.fixture(scope="module")
def fresh_stack_for_kills():
    stack = RunningStack()
    try:
        yield stack.start()
    finally:
        stack.remove()


def test_parts_end_with_a_killed_keeper(state):
    """kill -9 of the keeper: the parts end by themselves, and the data is whole."""
    run(state, "--port", "0", "--detach")
    stack = at(state)
    stack.add_user("survivor")
    record = stack.record
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    wait_for(lambda: not sessions(record), 60, "the end of all parts")
    run(state, "--port", "0", "--detach")
    body = {"username": "survivor", "password": "a long password"}
    assert Api(at(state).url).post("/api/auth/login", json=body).status_code == 200


def test_start_repairs_what_a_killed_keeper_left(state):
    """A part that is stopped can't end by itself; the next start ends it."""
    run(state, "--port", "0", "--detach")
    record = at(state).record
    held = record["parts"]["memcached"]["pid"]
    freeze(held)
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    wait_for(lambda: set(sessions(record)) == {held}, 60, "the end of all other parts")
    done = run(state, "--port", "0", "--detach")
    assert "left by an earlier start" in done.stderr
    assert held not in sessions(record)
    assert not os.path.exists(record["runtime"])


def test_stop_ends_what_a_killed_keeper_left(state):
    run(state, "--port", "0", "--detach")
    record = at(state).record
    held = record["parts"]["memcached"]["pid"]
    freeze(held)
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    wait_for(lambda: set(sessions(record)) == {held}, 60, "the end of all other parts")
    run(state, "--stop")
    assert sessions(record) == []
    assert not os.path.exists(record["runtime"])


def test_repair_spares_a_stranger_with_a_recorded_pid(state):
    """A pid that now belongs to another program is left alone."""
    run(state, "--port", "0", "--detach")
    stack = at(state)
    record = stack.record
    os.kill(record["keeper"]["pid"], signal.SIGKILL)
    wait_for(lambda: not sessions(record), 60, "the end of all parts")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        record["parts"]["nginx"]["pid"] = stranger.pid
        record["parts"]["nginx"]["started"] -= 1
        stack.state.write_record(record)
        run(state, "--port", "0", "--detach")
        assert stranger.poll() is None
        stranger.kill()


def test_deep_state_directory(state):
    """Socket paths stay short however long the state directory's path is."""
    deep = os.path.join(state, *["a-rather-long-directory-name"] * 8)
    os.makedirs(deep)
    try:
        run(deep, "--port", "0", "--detach")
        assert login(at(deep).url, password_of(deep)).status_code == 200
    finally:
        run(deep, "--stop")


def test_state_directory_that_can_not_be_made(state):
    with open(state, "w", encoding="utf-8"):
        pass
    done = run(state, "--port", "0", "--detach", check=False)
    assert done.returncode == 1
    assert state in done.stderr
    os.unlink(state)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another account")
class TestAsRoot:
    def test_parts_do_not_run_as_root(self, stack):
        for name in ("memcached", "mariadbd", "ziggied", "ziggie-worker", "ziggie-jobs"):
            pids = stack.pids(name)
            assert pids, name
            for pid in pids:
                assert os.stat(f"/proc/{pid}").st_uid != 0, name
        workers = [pid for pid in stack.pids("nginx")
                   if pid != stack.record["parts"]["nginx"]["pid"]]
        www = pwd.getpwnam("www-data").pw_uid
        assert workers and all(os.stat(f"/proc/{pid}").st_uid == www for pid in workers)

    def test_sockets_are_closed_to_others(self, stack):
        fcgi = os.stat(os.path.join(stack.run, "app", "fcgi.sock"))
        assert fcgi.st_mode & 0o777 == 0o660
        cache = os.stat(os.path.join(stack.run, "cache", "memcached.sock"))
        assert cache.st_mode & 0o777 == 0o700

    def test_tree_below_a_closed_directory(self, state):
        """As in a clone below /root: the accounts can't even reach the programs."""
        folder = os.path.dirname(state)
        build = os.path.join(folder, "closed", "build")
        os.makedirs(build)
        os.chmod(os.path.dirname(build), 0o700)
        for name in ("ziggied", "ziggie-worker", "ziggie-jobs", "ziggiectl"):
            shutil.copy(os.path.join(BUILD, name), build)
        closed_state = os.path.join(folder, "closed", "state")
        try:
            run(closed_state, "--port", "0", "--detach", build=build)
            assert login(at(closed_state).url, password_of(closed_state)).status_code == 200
        finally:
            run(closed_state, "--stop")

    @pytest.mark.parametrize("web, part", [("nginx", "nginx"), ("apache", "apache2")])
    def test_as_an_ordinary_user(self, ordinary_user, web, part):
        """All of it, with no right to anything but an own home."""
        home, call = ordinary_user
        tree = os.path.join(home, "ziggie")
        build = os.path.join(tree, "build")
        os.makedirs(build)
        for name in ("script", "deploy"):
            shutil.copytree(os.path.join(SOURCE, name), os.path.join(tree, name),
                            ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("ziggied", "ziggie-worker", "ziggie-jobs", "ziggiectl"):
            shutil.copy(os.path.join(BUILD, name), build)
        call("chown", "-R", as_root=True)
        server = [os.path.join(tree, "script", "server")]
        state = os.path.join(tree, "var")
        try:
            done = call(*server, "--web", web, "--port", "0", "--detach", "--build-dir", build)
            assert done.returncode == 0, done.stdout + done.stderr
            stack = at(state)
            assert login(stack.url, password_of(state)).status_code == 200
            uid = os.stat(home).st_uid
            for pid in sessions(stack.record):
                assert os.stat(f"/proc/{pid}").st_uid == uid
            stack.kill(part)
            stack.wait_ready(20)
        finally:
            stopped = call(*server, "--stop")
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def ordinary_user():
    """An account made for the test: its home, and a way to run a command as it."""
    name = f"zgtest{os.getpid()}"
    home = scratch_dir()
    subprocess.run(["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", name],
                   check=True, capture_output=True)
    entry = pwd.getpwnam(name)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    os.chmod(home, 0o700)

    def call(*command, as_root=False):
        if as_root:
            command = [*command, f"{name}:", home]
        else:
            command = ["setpriv", "--reuid", name, "--regid", str(entry.pw_gid), "--clear-groups",
                       "env", f"HOME={home}", f"ZIGGIE_ADMIN_PASSWORD={ADMIN_PASSWORD}", *command]
        return subprocess.run(command, cwd=home, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=100, check=False)

    yield home, call
    subprocess.run(["userdel", name], check=False, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)
