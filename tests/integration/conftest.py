"""What every integration test builds on; see harness.py for what a stack can do."""

import glob
import os
import shutil
import signal
import tempfile

import pytest

from accounts import Account
from front import SeenThrough, WebServer
from harness import WATCH, RunningStack

_REPORTS = None


def pytest_addoption(parser):
    parser.addoption("--shard", metavar="K/N",
                     help="only the K-th of N parts of the tests, for runs side by side; tests "
                          "that measure the machine (marked alone) are in none of them")


def _weight(tests):
    """About as many as their time: a parameter counts for a fiftieth of a function."""
    return len({(item.fspath, item.originalname) for item in tests}) + len(tests) / 50


@pytest.hookimpl(trylast=True)  # after -k and -m, so that what they leave is dealt out
def pytest_collection_modifyitems(config, items):
    """Deals whole modules out to the shards, the longest first, each to the emptiest.

    What takes the time is what each function of its own sets up; a parameter more takes little.
    """
    shard = config.getoption("--shard")
    if not shard:
        return
    number, count = map(int, shard.split("/"))
    modules = {}
    for item in items:
        if not item.get_closest_marker("alone"):
            modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    parts = [[] for _ in range(count)]
    for _, tests in sorted(modules.items(), key=lambda module: (-_weight(module[1]), module[0])):
        min(parts, key=_weight).extend(tests)
    chosen = set(parts[number - 1])
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def pytest_generate_tests(metafunc):
    """What a client sees must be the same through each web server (marked http)."""
    marked = metafunc.definition.get_closest_marker
    if "stack" in metafunc.fixturenames and marked("http") and not marked("behind_web"):
        metafunc.parametrize("stack", ["nginx", "apache"], indirect=True, scope="session")


def _interrupt(*_):
    raise KeyboardInterrupt


def pytest_configure(config):
    """Makes the folder where sanitizers of any process write, whatever account it runs as."""
    global _REPORTS
    # However the run is ended, the stacks are ended too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    _REPORTS = tempfile.mkdtemp(prefix="zgsan.", dir="/tmp")
    os.chmod(_REPORTS, 0o1777)
    for name in ("ASAN", "UBSAN", "LSAN", "TSAN"):
        options = os.environ.get(f"{name}_OPTIONS", "")
        os.environ[f"{name}_OPTIONS"] = (
            f"{options}:log_path={_REPORTS}/report:log_exe_name=1:print_stacktrace=1")
    os.environ["TSAN_OPTIONS"] += ":second_deadlock_stack=1:history_size=4"


def _reports():
    """The files that sanitizers wrote so far."""
    return set(glob.glob(_REPORTS + "/report*"))


def pytest_sessionfinish(session, exitstatus):
    """A sanitizer's report fails the run, even when no test saw anything."""
    if _reports():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config):
    for path in sorted(_reports()):
        with open(path, encoding="utf-8", errors="replace") as f:
            print(f"\n=== sanitizer {os.path.basename(path)}\n{f.read()}")
    shutil.rmtree(_REPORTS, ignore_errors=True)


@pytest.fixture(autouse=True)
def _bounded(request):
    """No test hangs."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else 120

    def over(*_):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _described():
    """No test gets an answer that the API description does not know, in no thread."""
    WATCH.take()
    yield
    assert WATCH.take() == []


@pytest.fixture(autouse=True)
def _unreported():
    """The test during which a sanitizer reports fails, so that it is named."""
    before = _reports()
    yield
    assert _reports() == before


@pytest.fixture(scope="session")
def shared_stack():
    running = RunningStack()
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture(scope="session")
def stack_through_apache(shared_stack):
    with WebServer("apache", [shared_stack.fcgi_socket]) as apache:
        yield SeenThrough(shared_stack, apache)


@pytest.fixture(scope="session")
def stack(request):
    """The stack that the tests share, through nginx or another: leave it as you found it."""
    through = getattr(request, "param", "nginx")
    return request.getfixturevalue(
        "shared_stack" if through == "nginx" else f"stack_through_{through}")


@pytest.fixture
def fresh_stack():
    """Makes stacks for one test: fresh_stack("--workers", "1", settings={"threads": 4})."""
    made = []

    def make(*arguments, **more):
        made.append(RunningStack(*arguments, **more))
        return made[-1].start()

    yield make
    for running in made:
        running.remove()


@pytest.fixture
def api(stack):
    client = stack.api()
    yield client
    client.session.close()


@pytest.fixture(scope="session")
def admin_token(stack):
    return stack.token("admin")


@pytest.fixture(scope="session")
def user_token(stack):
    return stack.token("user")


@pytest.fixture(scope="session")
def readonly_token(stack):
    return stack.token("readonly")


@pytest.fixture
def account(stack):
    """Makes accounts: account() or account("readonly")."""
    return lambda role="user": Account(stack, role)


@pytest.fixture
def db(stack):
    """A connection to the shared stack's database as its root."""
    with stack.database() as connection:
        yield connection
