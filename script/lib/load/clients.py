"""Clients that write records and compare what they read with what they wrote."""

import http.client
import json
import multiprocessing
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

# What makes a record of a kind, and what is changed of it.
KINDS = {
    "agents": (lambda n: {"name": f"agent {n}", "metadata": {"n": n}},
               lambda n: {"status": "idle", "name": f"agent {n}!"}),
    "goals": (lambda n: {"description": f"goal {n}", "priority": n % 10 + 1},
              lambda n: {"status": "active", "description": f"goal {n}!"}),
    "tasks": (lambda n: {"description": f"task {n}", "input_data": {"n": n}},
              lambda n: {"priority": 9, "description": f"task {n}!"}),
}
COMPUTED = {"task_counts"}  # moves with other clients' records


@dataclass
class Seen:
    """What clients saw.  Latencies are in milliseconds, by kind."""

    answers: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    latencies: dict = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, other):
        self.answers += other.answers
        self.wrong += other.wrong
        for kind, values in other.latencies.items():
            self.latencies[kind] += values

    def errors(self):
        return sum(count for (_, status), count in self.answers.items() if status >= 500)


class Client:
    """One connection, one record at a time."""

    def __init__(self, port, token, seed):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.token = token
        self.random = random.Random(seed)
        self.seen = Seen()

    def request(self, kind, method, path, body=None):
        headers = {"Authorization": "Bearer " + self.token}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        began = time.monotonic()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.seen.latencies[kind].append((time.monotonic() - began) * 1000)
        self.seen.answers[method, answer.status] += 1
        return answer.status, json.loads(text) if text else None

    def expect(self, what, said, status, fields):
        """Whether an answer has the status and these values."""
        got, record = said
        if got != status:
            self.seen.wrong.append(f"{what}: {got}, not {status}: {record}")
            return False
        for name, value in fields.items():
            if record.get(name) != value:
                self.seen.wrong.append(f"{what}: {name} is {record.get(name)!r}, not {value!r}")
                return False
        return True

    def one_record(self, kind):
        """Made, read back, changed, read back, removed, not found."""
        number = self.random.randrange(10**9)
        make, change = KINDS[kind]
        said = self.request(kind, "POST", f"/api/v1/{kind}", make(number))
        if not self.expect("made", said, 201, make(number)):
            return
        record = said[1]
        path = f"/api/v1/{kind}/{record['id']}"
        whole = {name: value for name, value in record.items() if name not in COMPUTED}
        if not self.expect("read", self.request(kind, "GET", path), 200, whole):
            return
        changed = {**change(number), "version": 2}
        said = self.request(kind, "PATCH", path, change(number))
        if not self.expect("changed", said, 200, changed):
            return
        whole = {name: value for name, value in said[1].items() if name not in COMPUTED}
        self.expect("read again", self.request(kind, "GET", path), 200, whole)
        self.expect("removed", self.request(kind, "DELETE", path), 204, {})
        self.expect("gone", self.request(kind, "GET", path), 404, {})

    def run(self, over, pause):
        """Record after record, with a pause in seconds behind each, until the event `over`."""
        kinds = list(KINDS)
        turn = self.random.randrange(len(kinds))
        while not over.wait(self.random.uniform(0, 2 * pause)):
            try:
                self.one_record(kinds[turn % len(kinds)])
            # An answer may be of any other shape, too.
            except Exception as error:  # pylint: disable=broad-except
                self.seen.wrong.append(f"{kinds[turn % len(kinds)]}: {error!r}")
                self.connection.close()
            turn += 1
        self.connection.close()


def _some_clients(port, tokens, count, first, pause, over, pipe):
    clients = [Client(port, tokens[(first + i) % len(tokens)], first + i) for i in range(count)]
    threads = [threading.Thread(target=client.run, args=(over, pause)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = Seen()
    for client in clients:
        seen.add(client.seen)
    pipe.send(seen)


class Running:
    """So many clients in a few processes, from now until stop()."""

    def __init__(self, port, tokens, count, pause=0, processes=2):
        self.over = multiprocessing.Event()
        self.parts = []
        for i in range(processes):
            share = count // processes + (i < count % processes)
            mine, theirs = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.Process(target=_some_clients, daemon=True, args=(
                port, tokens, share, i * count, pause, self.over, theirs))
            process.start()
            theirs.close()
            self.parts.append((process, mine))

    def stop(self):
        """What they saw together."""
        self.over.set()
        seen = Seen()
        for process, pipe in self.parts:
            seen.add(pipe.recv())
            process.join()
        return seen


def run(port, tokens, count, seconds):
    """So many clients for so long, without pauses; what they saw."""
    running = Running(port, tokens, count)
    time.sleep(seconds)
    return running.stop()
