"""What is measured, group by group, and what must come out."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Callable

from bench import BenchError, load, scan
from bench.peers import PEERS
from bench.report import Judgement, Table, load_table, ratio_of

CLIENTS = 100
MANY_CLIENTS = 1000
HEALTH, PROCESSES = "/api/health", "/api/system/processes"
ROUTES = ("stats", "info", "processes", "network", "disk", "ports")
NAMES = {"static": "nginx, static file", "bare": "bare FastCGI", "php": "php-fpm",
         "engine": "Ziggie's engine alone", "ziggie": "Ziggie"}


class Bench:
    """The running peers, and what all groups share."""

    def __init__(self, source, given, children):
        self.source = source
        self.given = given
        self.children = children
        self.stack = None
        self.front = None
        self.headers = {}

    def start(self, stack_kind, front_kind):
        self.stack = stack_kind(self.children, self.source, self.given.build)
        self.headers = {"Authorization": f"Bearer {self.stack.token}"}
        sizes = {
            "health": len(load.verify(self.stack.port, HEALTH, self.headers)),
            "processes": len(load.verify(self.stack.port, PROCESSES, self.headers)),
        }
        self.front = front_kind(self.children, self.source, self.given.build, self.stack, sizes)

    def load(self, path, clients, seconds):
        """One measurement, alone on the machine as far as the bench goes."""
        self.front.refused()
        seen = load.run(self.source, self.front.port, path, self.headers, clients, seconds)
        # nginx's own count of refusals; wrk's leaves out 3xx.
        time.sleep(0.2)
        seen.status = max(seen.status, self.front.refused())
        self.stack.forget_logs()
        return seen

    def rounds(self, paths, clients):
        """name → one Load a round; each round takes the peers in turn, from another one on."""
        for path in paths.values():
            load.verify(self.front.port, path, self.headers)
            self.load(path, clients, 1)
        runs = {name: [] for name in paths}
        order = list(paths)
        for number in range(self.given.rounds):
            for name in order[number % len(order):] + order[:number % len(order)]:
                seen = self.load(paths[name], clients, self.given.seconds)
                runs[name].append(seen)
                print(f"  {number + 1}/{self.given.rounds} {name:<28} {seen.rate:>9,.0f}/s   "
                      f"P99 {seen.p99_ms:.1f} ms   errors {seen.errors}", flush=True)
        return runs


def _paths(size_name, ziggie_path):
    paths = {NAMES[peer]: f"/bench/{peer}-{size_name}" for peer in PEERS}
    paths[NAMES["ziggie"]] = ziggie_path
    return paths


def ratio(what, runs, peer, aim):
    ratio = ratio_of([seen.rate for seen in runs[NAMES["ziggie"]]],
                     [seen.rate for seen in runs[NAMES[peer]]])
    errors = sum(seen.errors for seen in runs[NAMES["ziggie"]])
    measured = f"{ratio:.2f}" + (f", {errors} errors" if errors else "")
    return Judgement(f"{what}, × {NAMES[peer]}", measured, f"≥ {aim}", ratio >= aim and not errors)


def _p99(loads, what, limit_ms):
    p99 = median(seen.p99_ms for seen in loads)
    errors = sum(seen.errors for seen in loads)
    measured = f"{p99:.1f} ms" + (f", {errors} errors" if errors else "")
    return Judgement(f"{what}, P99", measured, f"< {limit_ms} ms", p99 < limit_ms and not errors)


def health(bench):
    size = bench.front.sizes["health"]
    title = f"GET {HEALTH}, {CLIENTS} clients, bodies of {size} bytes"
    print(f"\n{title}")
    runs = bench.rounds(_paths("health", HEALTH), CLIENTS)
    return [load_table(title, runs)], [
        ratio(HEALTH, runs, "bare", 0.8),
        ratio(HEALTH, runs, "php", 1.2),
        _p99(runs[NAMES["ziggie"]], HEALTH, 10),
    ]


def processes(bench):
    size = bench.front.sizes["processes"]
    title = f"GET {PROCESSES}, {CLIENTS} clients, bodies of {size} bytes"
    print(f"\n{title}")
    runs = bench.rounds(_paths("processes", PROCESSES), CLIENTS)
    return [load_table(title, runs)], [ratio(PROCESSES, runs, "bare", 0.6)]


def routes(bench):
    title = f"Every costly host route alone, {CLIENTS} clients"
    print(f"\n{title}")
    paths = {"/api/system/" + name: "/api/system/" + name for name in ROUTES}
    runs = bench.rounds(paths, CLIENTS)
    return [load_table(title, runs)], [_p99(loads, path, 100) for path, loads in runs.items()]


def clients(bench):
    title = f"{MANY_CLIENTS:,} clients"
    print(f"\n{title}")
    paths = {NAMES["bare"]: "/bench/bare-health", f"Ziggie {HEALTH}": HEALTH,
             f"Ziggie {PROCESSES}": PROCESSES}
    runs = bench.rounds(paths, MANY_CLIENTS)
    judged = []
    for path in (HEALTH, PROCESSES):
        loads = runs[f"Ziggie {path}"]
        wrong = [sum(getattr(seen, kind) for seen in loads)
                 for kind in ("status", "timeouts", "broken")]
        judged.append(Judgement(
            f"{path}, {MANY_CLIENTS:,} clients",
            f"{wrong[0]} not 2xx, {wrong[1]} timeouts, {wrong[2]} broken of "
            f"{sum(seen.requests for seen in loads):,}", "none", not any(wrong)))
    return [load_table(title, runs)], judged


def scan_processes(bench):
    print("\nA scan of the machine's processes")
    seen = scan.run(bench.source, bench.given.build, bench.given.rounds)
    if seen["count"] < scan.PROCESSES:
        raise BenchError(f"only {seen['count']} processes to scan")
    rows = [(name, f"{seen[key]:.2f}", f"{seen[key] / seen['raw']:.2f}") for name, key in (
        ("every stat file read raw", "raw"), ("Ziggie's scan", "ziggie"), ("psutil", "psutil"))]
    title = f"A scan of {seen['count']} processes, medians in ms"
    by_raw, by_psutil = seen["ziggie"] / seen["raw"], seen["ziggie"] / seen["psutil"]
    return [Table(title, ("", "ms", "× raw"), rows)], [
        Judgement("scan of 600 processes, × reading their stat files raw", f"{by_raw:.2f}", "≤ 2",
                  by_raw <= 2),
        Judgement("scan of 600 processes, × psutil", f"{by_psutil:.2f}", "≤ 0.33",
                  by_psutil <= 1 / 3),
    ]


@dataclass
class Group:
    run: Callable
    behind_nginx: bool = True


GROUPS = {
    "health": Group(health),
    "processes": Group(processes),
    "routes": Group(routes),
    "clients": Group(clients),
    "scan": Group(scan_processes, behind_nginx=False),
}
