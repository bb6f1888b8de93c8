"""Records of /api/v1 beside PHP doing the same statements on the same rows."""

import json

from bench import BenchError, load
from bench.report import Judgement, load_table, ratio_of

CLIENTS = 100
# As many tasks as clients take turns over, so that hardly two change one at the same time.
TASKS = 400
AGENTS = 60


def make(bench, kind, body):
    headers = {**bench.headers, "Content-Type": "application/json"}
    status, _, answer = load.fetch(bench.stack.port, f"/api/v1/{kind}", headers, "POST",
                                   json.dumps(body))
    if status != 201:
        raise BenchError(f"{kind} answers {status}: {answer[:300].decode(errors='replace')}")
    return json.loads(answer)["id"]


def _same_change(bench, ours, theirs):
    """Both change a task once, and both leave a row in the audit."""
    for path in (ours, theirs):
        headers = {**bench.headers, "Content-Type": "application/json"}
        status, _, answer = load.fetch(bench.front.port, path, headers, "PATCH",
                                       '{"description": "one change"}')
        if status != 200 or json.loads(answer)["description"] != "one change":
            raise BenchError(f"PATCH {path} answers {status}: {answer[:300]!r}")


def _compare(bench, title, ours, theirs, aim, script=None):
    title = f"{title}, {CLIENTS} clients"
    print(f"\n{title}")
    runs = bench.rounds({"php-fpm": theirs, "Ziggie": ours}, CLIENTS, script)
    mine, others = runs["Ziggie"], runs["php-fpm"]
    ratio = ratio_of([seen.rate for seen in mine], [seen.rate for seen in others])
    errors = sum(seen.errors for seen in mine)
    measured = f"{ratio:.2f}" + (f", {errors} errors" if errors else "")
    judged = Judgement(f"{title}, × php-fpm, mysqli", measured, f"≥ {aim}",
                       ratio >= aim and not errors)
    return load_table(title, runs), judged


def measure(bench):
    agents = [make(bench, "agents", {"name": f"agent {i}"}) for i in range(AGENTS)]
    tasks = [make(bench, "tasks", {"description": "a task", "agent_id": agents[i % AGENTS]})
             for i in range(TASKS)]
    ours = [f"/api/v1/tasks/{task}" for task in tasks]
    theirs = [f"/bench/patch?id={task}" for task in tasks]
    _same_change(bench, ours[0], theirs[0])
    compared = [
        _compare(bench, "GET /api/v1/agents/{id}", [f"/api/v1/agents/{agent}" for agent in agents],
                 [f"/bench/agent?id={agent}" for agent in agents], 3),
        _compare(bench, "GET /api/v1/agents, 50 of them", "/api/v1/agents", "/bench/agents", 1.5),
        _compare(bench, "PATCH /api/v1/tasks/{id}", ours, theirs, 2, "wrk_patch.lua"),
    ]
    return [table for table, _ in compared], [judged for _, judged in compared]
