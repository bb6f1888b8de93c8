"""ziggied with the real workers, behind nginx, with requests all the time."""

import os
import random
import re
import signal
import threading
import time

import pytest
import requests

from front import WebServer
from harness import ADMIN_PASSWORD, wait_for
from supervised import seconds
from traffic import Load, health


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

    def __enter__(self):
        self.thread.start()
        return self

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

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(30)


def total(counters, name):
    return sum(v for k, v in counters.items() if re.match(name + r"(\{|$)", k))


def supervisor(stack):
    return stack.record["parts"]["ziggied"]["pid"]


def replaced(stack, event):
    """For each worker that died, the seconds until the one in its place was that far."""
    took = []
    for death in stack.log_lines(event="child_died", child="worker"):
        later = [seconds(e) for e in stack.log_lines(event=event, child="worker",
                                                     index=death["index"])
                 if seconds(e) >= seconds(death)]
        took += [later[0] - seconds(death)] if later else []
    return took


@pytest.mark.concurrency
@pytest.mark.limit(240)
def test_reloads_and_upgrades_lose_no_request_and_no_count(fresh_stack):
    stack = fresh_stack("--workers", "2")
    pid = supervisor(stack)
    with Load(stack.url, [health] * 6) as traffic, Counters(stack) as counters:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP):
            traffic.wait_for_more(100)
            stack.replace_generation(number)
        traffic.wait_for_more(100)
        wait_for(lambda: counters.reads > 20, what="readings of the counters")
    assert traffic.failures() == []
    assert set(traffic.count()) == {200}
    assert supervisor(stack) == pid
    assert counters.falls == []
    # Not one of them is missing: the old generations' are in the totals.
    wait_for(lambda: len(stack.pids("ziggie-worker")) == 2, 45, "the old generations' end")
    assert total(counters.read(), "ziggie_requests_total") >= len(traffic.asked)


def refused(api, _):
    """A body of its own length that is broken at its end, and the answer says where."""
    size = random.randrange(100_000)
    answer = api.post("/api/auth/login", data=b" " * size + b"{]",
                      headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, (answer.status_code, answer.text)
    assert f"broken JSON at byte {size + 1}:" in answer.json()["detail"], (size, answer.text)


class SignIns:
    """Each makes a token."""

    def __init__(self):
        self.tokens = []

    def sign_in(self, api, _):
        answer = api.post("/api/auth/login", json={"username": "admin", "password": ADMIN_PASSWORD})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        self.tokens.append(answer.json()["access_token"])


def have_had_posts(stack):
    """The workers that did, by their logs."""
    return {line["pid"] for line in stack.log_lines(event="request", method="POST")}


@pytest.mark.concurrency
def test_reloads_lose_no_post(fresh_stack):
    """No web server repeats a POST.  nginx keeps its connections, Apache opens one for each."""
    stack = fresh_stack("--workers", "2")
    signed = SignIns()
    asks = [refused] * 3 + [signed.sign_in]
    with WebServer("apache", [stack.fcgi_socket]) as apache:
        with Load(stack.url, asks) as through_nginx, Load(apache.url, asks) as through_apache:
            for _ in range(4):
                through_nginx.wait_for_more(30)
                through_apache.wait_for_more(30)
                before = set(stack.pids("ziggie-worker"))
                stack.replace_generation()
                wait_for(lambda old=before: have_had_posts(stack) - old, what="POSTs to new workers")
            through_nginx.wait_for_more(30)
            through_apache.wait_for_more(30)
    for load in (through_nginx, through_apache):
        assert load.failures() == []
        assert {one.by for one in load.asked} == {"refused", "sign_in"}
    # Whatever was acknowledged is there.
    api = stack.api()
    assert all(api.get("/api/auth/validate", token).status_code == 200 for token in signed.tokens)


@pytest.mark.limit(240)
def test_killed_workers_are_replaced_and_their_counts_kept(fresh_stack):
    stack = fresh_stack("--workers", "2")
    with Load(stack.url, [health] * 6) as traffic, Counters(stack) as counters:
        for count in range(1, 5):
            traffic.wait_for_more(100)
            os.kill(min(stack.pids("ziggie-worker")), signal.SIGKILL)
            wait_for(lambda n=count: len(replaced(stack, "child_ready")) == n, what="a new worker")
        traffic.wait_for_more(100)
    assert max(replaced(stack, "child_started")) < 1
    # The quickest: how long a start takes depends on what else the machine does.
    assert min(replaced(stack, "child_ready")) < 1
    assert traffic.failures() == []
    statuses = traffic.count()
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
                                   set(stack.pids("ziggie-jobs"))),
             what="the end of its children")
    stack.wait_ready()
    assert len(stack.pids("ziggie-worker")) == 2
