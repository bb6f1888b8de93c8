"""How long a page takes when there are a thousand records, and when there are a million."""

import base64
import json
from statistics import median

from bench import BenchError, load, rows
from bench.report import Judgement, Table

FEW, MANY = 1_000, 1_000_000
LIMIT = 50
# kind → the columns that are filled, the values of record number n, and a filter on one in five.
KINDS = {
    "agents": ("name, agent_type, status, configuration, metadata, resource_limits",
               "CONCAT('agent ', n), 'generic', ELT(1 + n % 5, 'created', 'active', 'idle', 'busy',"
               " 'error'), '{}', '{}', '{}'", "status=busy"),
    "tasks": ("description, task_type, status, priority, input_data",
              "CONCAT('task ', n), 'generic', ELT(1 + n % 5, 'ready', 'completed', 'failed',"
              " 'cancelled', 'blocked'), 1 + n % 10, '{}'", "status=failed"),
}


def _empty(bench):
    """Without what other groups have left."""
    bench.stack.sql("SET foreign_key_checks = 0; TRUNCATE tasks; TRUNCATE task_dependencies;"
                    "TRUNCATE agents; TRUNCATE agent_tasks;"
                    "UPDATE record_counts SET records = 0 WHERE kind IN ('agent', 'task')")


def _fill(bench, kind, first, last):
    """Records from the first number to the last, and their total."""
    columns, values, _ = KINDS[kind]
    bench.stack.sql(
        f"INSERT INTO {kind} (id, created_at, updated_at, {columns})"
        f" SELECT {rows.new_id('n')}, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL n MICROSECOND,"
        f" {values} FROM (SELECT seq AS n FROM seq_{first}_to_{last}) AS numbers;"
        "INSERT INTO record_counts (kind, shard, records)"
        f" VALUES ('{kind[:-1]}', 0, {last - first + 1})"
        " ON DUPLICATE KEY UPDATE records = records + VALUES(records);"
        f"ANALYZE TABLE {kind}")


def _cursor(bench, kind, count):
    """Of the page behind so many records: the id of the last of them."""
    last = bench.stack.sql(f"SELECT HEX(id) FROM {kind} ORDER BY id LIMIT 1 OFFSET {count - 1}")
    return base64.urlsafe_b64encode(bytes.fromhex(last)).decode().rstrip("=")


def _paths(bench, kind, count):
    """name → path."""
    page = f"/api/v1/{kind}?limit={LIMIT}"
    seen = json.loads(load.verify(bench.front.port, page, bench.headers))
    if seen["total"] < count or seen["total_is_min"]:
        raise BenchError(f"{page} counts {seen['total']} of {count}")
    return {f"{kind}, the first": page,
            f"{kind}, of one status": f"{page}&{KINDS[kind][2]}",
            f"{kind}, last changed first": f"{page}&sort=-updated_at",
            f"{kind}, behind half of them": f"{page}&cursor={_cursor(bench, kind, count // 2)}"}


def _times(bench, count):
    """name → ms in which half of the pages come, to one client that asks without a pause."""
    paths = {name: path for kind in KINDS for name, path in _paths(bench, kind, count).items()}
    runs = bench.rounds(paths, 1)
    return {name: median(seen.p50_ms for seen in loads) for name, loads in runs.items()}


def measure(bench):
    title = f"A page of {LIMIT} among {FEW:,} records and among {MANY:,}, one client"
    seen, first = [], 1
    _empty(bench)
    for last in (FEW, MANY):
        print(f"\n{title}: {last:,}", flush=True)
        for kind in KINDS:
            _fill(bench, kind, first, last)
        first = last + 1
        seen.append(_times(bench, last))
    few, many = seen
    ratios = {name: many[name] / few[name] for name in few}
    return [Table(title, ("", f"ms of {FEW:,}", f"ms of {MANY:,}", "×"),
                  [(name, f"{few[name]:.2f}", f"{many[name]:.2f}", f"{ratio:.2f}")
                   for name, ratio in ratios.items()])], [
        Judgement(f"a page of {name}, {MANY:,} records × {FEW:,}", f"{ratio:.2f}", "≤ 1.5",
                  ratio <= 1.5) for name, ratio in ratios.items()]
