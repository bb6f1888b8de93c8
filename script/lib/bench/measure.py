"""What is measured, group by group, and what must come out."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from typing import Callable

from bench import BenchError, claims, load, pages, process, records, scan
from bench.children import Children
from bench.peers import PEERS, VALIDATE, Front, Stack
from bench.report import Judgement, Table, load_table, ratio_of

CLIENTS = 100
MANY_CLIENTS = 1000
HEALTH, PROCESSES, PORTS = "/api/health", "/api/system/processes", "/api/system/ports"
ROUTES = ("stats", "info", "processes", "network", "disk", "ports")
NAMES = {"static": "nginx, static file", "bare": "bare FastCGI", "php": "php-fpm",
         "cached": "php-fpm, memcached", "read": "php-fpm, mysqli read",
         "engine": "Ziggie's engine alone", "ziggie": "Ziggie"}
# Requests served when the workers' memory is read: early and late.
FEW, MANY = (100_000, 150_000, 200_000), (900_000, 950_000, 1_000_000)
RSS_LIMIT_MB = 15
# Longer than a worker waits to give back what it can (fcgi-app/app/upkeep.c).
REST_S = 35
CPU_CLIENTS = (10, 30, 100, 300, 1000)


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
            "validate": len(load.verify(self.stack.port, VALIDATE, self.headers)),
        }
        self.front = front_kind(self.children, self.source, self.given.build, self.stack, sizes)

    def load(self, paths, clients, seconds, script=None):
        """One measurement; alone on the machine, unless a group says otherwise."""
        self.front.refused()
        seen = load.run(self.source, self.front.port, paths, self.headers, clients, seconds,
                        script=script)
        # nginx's own count of refusals; wrk's leaves out 3xx.
        time.sleep(0.2)
        seen.status = max(seen.status, self.front.refused())
        self.stack.forget_logs()
        return seen

    def rounds(self, paths, clients, script=None):
        """name → one Load a round; each round takes the peers in turn, from another one on."""
        for path in paths.values():
            if script is None:
                load.verify(self.front.port, path[0] if isinstance(path, list) else path,
                            self.headers)
            self.load(path, clients, 1, script)
        runs = {name: [] for name in paths}
        order = list(paths)
        for number in range(self.given.rounds):
            for name in order[number % len(order):] + order[:number % len(order)]:
                seen = self.load(paths[name], clients, self.given.seconds, script)
                runs[name].append(seen)
                print(f"  {number + 1}/{self.given.rounds} {name:<28} {seen.rate:>9,.0f}/s   "
                      f"P99 {seen.p99_ms:.1f} ms   errors {seen.errors}", flush=True)
        return runs


def _paths(size_name, ziggie_path, *php):
    paths = {NAMES[peer]: f"/bench/{peer}-{size_name}" for peer in PEERS}
    paths.update({NAMES[peer]: f"/bench/{peer}" for peer in php})
    paths[NAMES["ziggie"]] = ziggie_path
    return paths


def _compared(what, mine, others, aim):
    """Both are rounds of loads that were taken in turn."""
    ratio = ratio_of([seen.rate for seen in mine], [seen.rate for seen in others])
    errors = sum(seen.errors for seen in mine)
    measured = f"{ratio:.2f}" + (f", {errors} errors" if errors else "")
    return Judgement(what, measured, f"≥ {aim}", ratio >= aim and not errors)


def ratio(what, runs, peer, aim):
    return _compared(f"{what}, × {NAMES[peer]}", runs[NAMES["ziggie"]], runs[NAMES[peer]], aim)


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
    runs = bench.rounds(_paths("processes", PROCESSES, "cached"), CLIENTS)
    return [load_table(title, runs)], [
        ratio(PROCESSES, runs, "bare", 0.7),
        ratio(PROCESSES, runs, "cached", 2),
    ]


def validate(bench):
    size = bench.front.sizes["validate"]
    title = f"GET {VALIDATE}, {CLIENTS} clients, bodies of {size} bytes"
    print(f"\n{title}")
    runs = bench.rounds(_paths("validate", VALIDATE, "read"), CLIENTS)
    return [load_table(title, runs)], [ratio(VALIDATE, runs, "read", 2.5)]


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


def memory(bench):
    """Comes first: the workers have served next to nothing.

    A connection's place in the table is kept, so memory follows the most connections that there
    ever were at once; more clients until the first reading than after it leave the number of
    requests as the only difference.  Readings are taken at rest, when a worker has done once all
    that it does every few seconds and has given back what it can: what is left is what it keeps.
    The late readings are held against the range of the early ones, worker by worker
    (docs/decisions/0011).
    """
    title = (f"A worker's memory at rest, all routes in turn, {2 * CLIENTS} clients at first and "
             f"then {CLIENTS}")
    print(f"\n{title}")
    paths = [HEALTH, VALIDATE, *("/api/system/" + name for name in ROUTES)]
    pids = sorted(worker["pid"] for worker in bench.stack.workers())
    rows, rss = [], []
    for goal in (*FEW, *MANY):
        while (served := sum(w["requests"] for w in bench.stack.workers())) < goal:
            seen = (bench.load(paths, CLIENTS, bench.given.seconds) if rss else
                    bench.load(paths, 2 * CLIENTS, 1))
            if seen.errors:
                raise BenchError(f"{seen.errors} errors while the memory is measured")
        time.sleep(REST_S)
        # Before asking them anything: who answers maps the counters of all.
        rss.append([process.rss_kib(pid) for pid in pids])
        if sorted(worker["pid"] for worker in bench.stack.workers()) != pids:
            raise BenchError("a worker was replaced while its memory was measured")
        rows.append((f"after {served:,} requests", *(f"{value:,}" for value in rss[-1])))
        print(f"  {rows[-1]}", flush=True)
    early, late = (list(zip(*part)) for part in (rss[:len(FEW)], rss[len(FEW):]))
    most = max(map(max, late))
    growth = max(median(after) / max(before) for before, after in zip(early, late))
    heads = ("RSS in KiB", *(f"worker {i + 1}" for i in range(len(pids))))
    return [Table(title, heads, rows)], [
        Judgement(f"a worker's RSS after {MANY[-1]:,} requests", f"{most / 1024:.1f} MB",
                  f"≤ {RSS_LIMIT_MB} MB", most <= RSS_LIMIT_MB * 1024),
        Judgement(f"the same, median of {len(late[0])} rests × the highest of {len(early[0])} after "
                  f"{FEW[0]:,}", f"{growth:.4f}", "≤ 1", growth <= 1),
    ]


class _Meter:
    """What some processes take of the processor for a request of a second's load."""

    def __init__(self, bench, pids):
        self.bench = bench
        self.pids = pids

    def _spent(self):
        return sum(process.cpu_seconds(pid) for pid in self.pids)

    def load(self, clients):
        """The Load, and the microseconds of a request."""
        before = self._spent()
        seen = self.bench.load(PROCESSES, clients, 1)
        if seen.errors or not seen.requests:
            raise BenchError(f"{seen.errors} errors of {seen.requests} requests, {clients} clients")
        return seen, (self._spent() - before) / seen.requests * 1e6


def _workers(bench):
    return [worker["pid"] for worker in bench.stack.workers()]


def processor_time(bench):
    """Many short rounds, and of each only how its loads differ: the machine is by a quarter faster
    or slower from one minute to the next."""
    rounds = 4 * bench.given.rounds
    title = f"The workers' processor time for a request of {PROCESSES}, {rounds} rounds of 1 s"
    print(f"\n{title}")
    meter = _Meter(bench, _workers(bench))
    spent = {clients: [] for clients in CPU_CLIENTS}
    bench.load(PROCESSES, CLIENTS, 1)
    for number in range(rounds):
        # Up and down, so that a machine that slows down meanwhile favours none.
        for clients in CPU_CLIENTS[::-1 if number % 2 else 1]:
            spent[clients].append(meter.load(clients)[1])
            print(f"  {number + 1}/{rounds} {clients:>5} clients "
                  f"{spent[clients][-1]:.1f} us", flush=True)
    means = [sum(of_round) / len(of_round) for of_round in zip(*spent.values())]
    shares = {clients: ratio_of(values, means) for clients, values in spent.items()}
    least = min(shares.values())
    rows = [(f"{clients:,} clients", f"{median(spent[clients]):.1f}", f"{share / least:.2f}")
            for clients, share in shares.items()]
    worst = max(shares.values()) / least
    return [Table(title, ("", "µs", "× the least"), rows)], [
        Judgement(f"processor time for a request, {CPU_CLIENTS[0]} to {CPU_CLIENTS[-1]:,} "
                  "clients, most × least", f"{worst:.2f}", "≤ 1.2", worst <= 1.2)]


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


def _turned(seen, seconds):
    """A load of refusals: those are what is counted, and what is served is an error, but for the
    one request that each window admits."""
    served = seen.requests - seen.status
    return replace(seen, rate=seen.status / seconds,
                   status=max(0, served - (seconds // 60 + 2)))


def refusals(bench):
    """429 beside health: what is refused must cost no more than the cheapest answer."""
    title = f"Refusals (429) of {PORTS}, {CLIENTS} clients"
    print(f"\n{title}")
    bench.stack.change(ratelimit_logs="1")
    served, refused = f"Ziggie {HEALTH}", f"Ziggie {PORTS}, refused"
    paths = {served: HEALTH, refused: PORTS}
    runs = {served: [], refused: []}
    for number in range(bench.given.rounds):
        for name in sorted(paths, reverse=number % 2):
            seen = bench.load(paths[name], CLIENTS, bench.given.seconds)
            if name == refused:
                seen = _turned(seen, bench.given.seconds)
            runs[name].append(seen)
            print(f"  {number + 1}/{bench.given.rounds} {name:<28} {seen.rate:>9,.0f}/s   "
                  f"errors {seen.errors}", flush=True)
    bench.stack.change()
    return [load_table(title, runs)], [
        _compared(f"refusals, × {HEALTH}", runs[refused], runs[served], 0.9)]


def limiter(bench):
    """Beside a second stack whose limiter is off, both loaded at once.

    The rates of two loads differ by more than the limiter costs.  So the aim is judged by the
    processor time of a request in the workers and in nginx, which has the header fields to pass on:
    what the limiter costs is there in full, and a larger share of it than of the rate, in which the
    load generator has its part.  At once, since the machine is by a quarter faster or slower from
    one second to the next.
    """
    rounds = 12 * bench.given.rounds
    title = (f"GET {PROCESSES} with the limiter on and off, {CLIENTS // 2} clients each, "
             f"{rounds} rounds of 1 s, both at once")
    print(f"\n{title}")
    runs = {"Ziggie, limiter off": [], "Ziggie, limiter on": []}
    spent = {name: [] for name in runs}
    with Children() as children, ThreadPoolExecutor(len(runs)) as both:
        without = Bench(bench.source, bench.given, children)
        without.start(lambda *where: Stack(*where, ratelimit_enabled="no"), Front)
        meters = {name: _Meter(stack, _workers(stack) + stack.front.nginx_workers())
                  for name, stack in zip(runs, (without, bench))}
        for number in range(-1, rounds):  # the first warms up
            begun = {name: both.submit(meter.load, CLIENTS // 2)
                     for name, meter in meters.items()}
            for name, load_of in begun.items():
                seen, us = load_of.result()
                if number < 0:
                    continue
                runs[name].append(seen)
                spent[name].append(us)
                print(f"  {number + 1}/{rounds} {name:<28} {seen.rate:>9,.0f}/s   {us:.1f} us",
                      flush=True)
    off, on = spent.values()
    share = ratio_of(off, on)
    rows = [(name, f"{median(values):.1f}", f"{min(values):.1f}–{max(values):.1f}")
            for name, values in spent.items()]
    return [load_table(title, runs),
            Table("Processor time of workers and nginx for one of them", ("", "µs", "range"), rows)
            ], [Judgement(f"{PROCESSES}, processor time with the limiter off ÷ on",
                          f"{share:.2f}", "≥ 0.95", share >= 0.95)]


@dataclass
class Group:
    run: Callable
    behind_nginx: bool = True


GROUPS = {
    "memory": Group(memory),
    "processor": Group(processor_time),
    "health": Group(health),
    "processes": Group(processes),
    "validate": Group(validate),
    "routes": Group(routes),
    "clients": Group(clients),
    "refusals": Group(refusals),
    "limiter": Group(limiter),
    "records": Group(records.measure),
    "claims": Group(claims.measure),
    "pages": Group(pages.measure),
    "scan": Group(scan_processes, behind_nginx=False),
}
