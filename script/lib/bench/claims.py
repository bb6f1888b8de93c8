"""POST /api/v1/tasks/claim beside the statements of a claim and nothing else."""

import json
import os
import subprocess

from bench import BenchError, load, rows
from bench.children import built_program
from bench.records import make
from bench.report import Judgement, load_table, ratio_of

CLIENTS, AGENTS = 100, 60
CLAIM = "/api/v1/tasks/claim"
# A worker lets so many requests at once, and no more, to the database: of its threads two are
# kept for health and sign-in.
CONNECTIONS_OF_A_WORKER = 14
# More than are claimed in a second here.
TASKS_A_SECOND = 12000
ZIGGIE, BARE = "Ziggie", "bare statements"


class Peers:
    def __init__(self, bench):
        self.bench = bench
        self.agents = [make(bench, "agents", {"name": f"claimer {i}"}) for i in range(AGENTS)]
        self.connections = CONNECTIONS_OF_A_WORKER * len(bench.stack.workers())
        self.fills = 0

    def fill(self, seconds):
        """The type of that many new ready tasks."""
        self.fills += 1
        kind = f"bench-{self.fills}"
        self.bench.stack.sql(
            "INSERT INTO tasks (id, created_at, updated_at, description, task_type, status,"
            f" input_data, priority) SELECT {rows.new_id('seq')}, UTC_TIMESTAMP(6),"
            f" UTC_TIMESTAMP(6), 'to be claimed', '{kind}', 'ready', '{{}}', 5"
            f" FROM seq_1_to_{TASKS_A_SECOND * seconds}")
        return kind

    def bare(self, kind, seconds):
        """As a Load: without clients there are no latencies."""
        stack = self.bench.stack
        command = [built_program(self.bench.given.build, "claims"), "--socket", stack.db_socket,
                   "--user", "ziggie", "--database", "ziggie", "--type", kind,
                   "--connections", str(self.connections), "--seconds", str(seconds), *self.agents]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60,
                              check=False,
                              env={**os.environ, "ZIGGIE_BENCH_PASSWORD": stack.db_password})
        if done.returncode != 0:
            raise BenchError(f"bench/claims: {done.stderr.strip()}")
        seen = json.loads(done.stdout)
        return load.Load(rate=seen["claims"] / seen["seconds"], requests=seen["claims"],
                         p50_ms=0, p99_ms=0, max_ms=0, status=0, timeouts=0, broken=0)

    def ziggie(self, kind, seconds):
        seen = self.bench.load([CLAIM, kind, *self.agents], CLIENTS, seconds, "wrk_claim.lua")
        headers = {**self.bench.headers, "Content-Type": "application/json"}
        status, _, answer = load.fetch(self.bench.stack.port, CLAIM, headers, "POST", json.dumps(
            {"task_type": kind, "agent_id": self.agents[0]}))
        if status != 200:  # 204 when none is left, and wrk takes that for an answer
            raise BenchError(f"a claim after the last answers {status}: {answer[:300]!r}")
        return seen


def measure(bench):
    peers = Peers(bench)
    title = (f"POST {CLAIM}, {CLIENTS} clients, and its statements on {peers.connections} "
             "connections")
    print(f"\n{title}")
    ways = {BARE: peers.bare, ZIGGIE: peers.ziggie}
    for way in ways.values():
        way(peers.fill(1), 1)
    runs = {name: [] for name in ways}
    for number in range(bench.given.rounds):
        for name in list(ways)[::-1 if number % 2 else 1]:
            seen = ways[name](peers.fill(bench.given.seconds), bench.given.seconds)
            runs[name].append(seen)
            print(f"  {number + 1}/{bench.given.rounds} {name:<28} {seen.rate:>9,.0f}/s   "
                  f"errors {seen.errors}", flush=True)
    ratio = ratio_of([seen.rate for seen in runs[ZIGGIE]], [seen.rate for seen in runs[BARE]])
    errors = sum(seen.errors for seen in runs[ZIGGIE])
    measured = f"{ratio:.2f}" + (f", {errors} errors" if errors else "")
    return [load_table(title, runs)], [
        Judgement(f"POST {CLAIM}, {CLIENTS} clients, × its bare statements", measured, "≥ 0.5",
                  ratio >= 0.5 and not errors)]
