"""Connections spread evenly over the workers, as docs/decisions/0002 says and measured."""

import os
import time

import pytest

import fcgi_client as f
from harness import connections_of, wait_for

CONNECTIONS = 200
BURSTS = 5
LEAST = 3 / 4  # of an equal share

pytestmark = pytest.mark.alone


def spread(path, pids, pause):
    """Opens connections as a web server does that finds all it has in use.

    Returns how much of an equal share the worker with the fewest got.
    """
    def each():
        return [connections_of(pid, path) for pid in pids]

    wait_for(lambda: sum(each()) == 0, what="no connections, nginx's neither")
    opened = []
    try:
        for _ in range(CONNECTIONS):
            opened.append(f.Connection(path))
            opened[-1].send(f.whole_request(f.parameters("GET", "/livez")))
            time.sleep(pause)
        for connection in opened:
            assert connection.answer().status == 200
        counts = each()
    finally:
        for connection in opened:
            connection.close()
    assert sum(counts) == CONNECTIONS
    return min(counts) / (CONNECTIONS / len(pids))


@pytest.mark.parametrize("workers", [2, 4])
def test_connections_spread_evenly(fresh_stack, workers):
    stack = fresh_stack("--workers", str(workers))
    path, pids = os.path.join(stack.run, "app", "fcgi.sock"), stack.pids("ziggie-worker")
    assert spread(path, pids, 0.002) >= LEAST, "one by one"
    # In a single burst a worker may be without a processor all the time.
    bursts = sorted(spread(path, pids, 0) for _ in range(BURSTS))
    assert bursts[BURSTS // 2] >= LEAST, bursts
