"""ziggied with the real workers, behind nginx, with requests all the time."""

import datetime
import os
import re
import signal
import threading
import time

import pytest
import requests

from harness import wait_for


class Traffic:
    """Clients on kept connections; counts statuses, and what was no answer at all."""

    def __init__(self, url, clients=6):
        self.url = url
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.statuses = {}
        self.broken = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self):
        with requests.Session() as session:
            while not self.over.is_set():
                try:
                    status = session.get(self.url + "/api/health", timeout=20).status_code
                except requests.RequestException as failure:
                    self.broken.append(failure)
                    continue
                with self.lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        return self.statuses, self.broken


class Counters:
    """Reads /metrics again and again, and notes every counter that fell."""

    def __init__(self, stack, seconds=0.05):
        self.stack = stack
        self.pause = seconds
        self.over = threading.Event()
        self.last = {}
        self.falls = []
        self.reads = 0
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def read(self):
        answer = requests.get(self.stack.url + "/metrics", timeout=20)
        if answer.status_code != 200:
            return None
        found = {}
        for line in answer.text.splitlines():
            match = re.match(r"(ziggie_\w+(?:_total|_count|_sum|_bucket)(?:\{.*\})?) (\S+)$", line)
            if match:
                found[match.group(1)] = float(match.group(2))
        return found

    def _watch(self):
        while not self.over.is_set():
            try:
                now = self.read()
            except requests.RequestException:
                now = None
            for name, value in (now or {}).items():
                if value < self.last.get(name, 0):
                    self.falls.append((name, self.last[name], value))
                self.last[name] = value
            self.reads += now is not None
            time.sleep(self.pause)

    def stop(self):
        self.over.set()
        self.thread.join(30)


def total(counters, name):
    return sum(v for k, v in counters.items() if re.match(name + r"(\{|$)", k))


def supervisor(stack):
    return stack.record["parts"]["ziggied"]["pid"]


def wait_generation(stack, number):
    wait_for(lambda: stack.log_lines(event="generation_serves", generation=number), 30,
             f"generation {number}")


def seconds(entry):
    return datetime.datetime.fromisoformat(entry["time"]).timestamp()


def ready_again(stack):
    """For each worker that died, the seconds until the one in its place was ready."""
    took = []
    for death in stack.log_lines(event="child_died", child="worker"):
        later = [seconds(e) for e in stack.log_lines(event="child_ready", child="worker",
                                                     index=death["index"])
                 if seconds(e) >= seconds(death)]
        took += [later[0] - seconds(death)] if later else []
    return took


@pytest.mark.concurrency
@pytest.mark.limit(240)
def test_reloads_and_upgrades_lose_no_request_and_no_count(fresh_stack):
    stack = fresh_stack("--workers", "2")
    traffic = Traffic(stack.url)
    counters = Counters(stack)
    pid = supervisor(stack)
    for generation, number in enumerate(
            (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP), start=2):
        time.sleep(1)
        os.kill(pid, number)
        wait_generation(stack, generation)
    time.sleep(1)
    statuses, broken = traffic.stop()
    counters.stop()
    assert broken == []
    assert set(statuses) == {200}
    assert supervisor(stack) == pid
    assert counters.falls == []
    assert counters.reads > 20
    # Not one of them is missing: the old generations' are in the totals.
    wait_for(lambda: len(stack.pids("ziggie-worker")) == 2, 45, "the old generations' end")
    assert total(counters.read(), "ziggie_requests_total") >= statuses[200]


@pytest.mark.limit(240)
def test_killed_workers_are_replaced_and_their_counts_kept(fresh_stack):
    stack = fresh_stack("--workers", "2")
    traffic = Traffic(stack.url)
    counters = Counters(stack)
    for count in range(1, 5):
        time.sleep(1.5)
        os.kill(min(stack.pids("ziggie-worker")), signal.SIGKILL)
        wait_for(lambda n=count: len(ready_again(stack)) == n, 10, "a new worker")
    time.sleep(1)
    statuses, broken = traffic.stop()
    counters.stop()
    assert max(ready_again(stack)) < 1
    assert broken == []
    # What was in the killed worker is lost, as 502, and nothing else.
    assert set(statuses) <= {200, 502}
    assert statuses.get(502, 0) <= 4 * 7
    assert counters.falls == []
    now = counters.read()
    assert total(now, "ziggie_restarts_total") == 4


@pytest.mark.limit(180)
def test_all_end_with_ziggied_and_come_back(fresh_stack):
    stack = fresh_stack("--workers", "2")
    before = set(stack.pids("ziggie-worker")) | set(stack.pids("ziggie-jobs"))
    assert len(before) == 3
    stack.kill("ziggied")
    wait_for(lambda: not before & (set(stack.pids("ziggie-worker")) |
                                   set(stack.pids("ziggie-jobs"))), 1, "the end of its children")
    stack.wait_ready()
    assert len(stack.pids("ziggie-worker")) == 2
