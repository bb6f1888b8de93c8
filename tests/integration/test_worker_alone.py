"""ziggie-worker without ziggied: the listening socket comes as descriptor 0 or 3."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from fcgi_client import Connection
from harness import BUILD, scratch_dir, wait_for

WORKER = os.path.join(BUILD, "ziggie-worker")

# Puts descriptor argv[1] where argv[2] says, sets the variables of systemd, and becomes argv[3:].
GIVE = """
import os, sys
os.dup2(int(sys.argv[1]), int(sys.argv[2]))
if sys.argv[2] == "3":
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def listener():
    """A listening socket, and its path."""
    path = os.path.join(scratch_dir(), "alone.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        yield listening, path
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


def environment():
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("ZIGGIE_", "LISTEN_"))}


def answers(path):
    try:
        with Connection(path, timeout=2) as connection:
            return connection.request("GET", "/readyz").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("place", [0, 3])
def test_it_serves_the_socket_that_it_is_given(stack, listener, place):
    listening, path = listener
    command = [sys.executable, "-c", GIVE, str(listening.fileno()), str(place), WORKER,
               "--config", stack.config]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          env=environment(), pass_fds=(listening.fileno(),)) as worker:
        try:
            wait_for(lambda: answers(path), what="a worker that is ready")
            with Connection(path) as connection:
                memory = connection.request("GET", "/api/health/memory").json()
            # It has a scoreboard of its own.
            assert len(memory["workers"]) == 1
            worker.send_signal(signal.SIGTERM)
            _, log = worker.communicate(timeout=40)
        finally:
            worker.kill()
    assert worker.returncode == 0
    assert '"event":"stopped"' in log and '"clean":true' in log
    # The socket is the starter's: it is there for the next one.
    assert os.path.exists(path)


def test_without_a_socket_it_is_69(stack):
    done = subprocess.run([WORKER, "--config", stack.config], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False,
                          env=environment())
    assert done.returncode == 69
    assert "no listening socket" in done.stderr


def test_another_process_number_in_listen_pid_is_not_ours(stack, listener):
    listening, _ = listener
    give = GIVE.replace("str(os.getpid())", '"1"')
    done = subprocess.run([sys.executable, "-c", give, str(listening.fileno()), "3", WORKER,
                           "--config", stack.config], stdin=subprocess.DEVNULL, timeout=20,
                          capture_output=True, text=True, check=False, env=environment(),
                          pass_fds=(listening.fileno(),))
    assert done.returncode == 69
