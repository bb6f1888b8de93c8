"""The load generator, and the look at an answer before it is measured."""

import http.client
import json
import os
import subprocess
from dataclasses import dataclass

from bench import BenchError
from bench.children import find_program


@dataclass
class Load:
    """What one run of wrk saw."""

    rate: float  # answers of status 2xx or 3xx in a second
    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    status: int  # answers of another status
    timeouts: int  # requests without an answer within the limit
    broken: int  # connections that failed

    @property
    def errors(self):
        return self.status + self.timeouts + self.broken


def fetch(port, path, headers=None, method="GET", body=None):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{method} {path}: {error}") from None
    finally:
        connection.close()


def verify(port, path, headers, size=None):
    """The body of a 200; BenchError for anything else, or another size than the one given."""
    status, _, body = fetch(port, path, headers)
    if status != 200:
        raise BenchError(f"{path} answers {status}: {body[:300].decode(errors='replace')}")
    if size is not None and len(body) != size:
        raise BenchError(f"{path} answers {len(body)} bytes instead of {size}")
    return body


def run(source, port, paths, headers, clients, seconds, timeout=2, script=None):
    """Asks for a path, or several in turn, with this many kept connections, as fast as the
    answers come; the script is another one of bench/ than those that only read."""
    paths = [paths] if isinstance(paths, str) else paths
    script = script or ("wrk_report.lua" if len(paths) == 1 else "wrk_rotate.lua")
    threads = min(len(os.sched_getaffinity(0)), clients)
    command = [find_program("wrk"), "-t", str(threads), "-c", str(clients), "-d", f"{seconds}s",
               "--timeout", f"{timeout}s", "--latency",
               "-s", os.path.join(source, "bench", script)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}{paths[0]}")
    if script != "wrk_report.lua":
        command += ["--", *paths]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60,
                              check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"wrk does not end on {paths[0]}") from None
    lines = [line[6:] for line in done.stdout.splitlines() if line.startswith("BENCH ")]
    if done.returncode != 0 or len(lines) != 1:
        raise BenchError(f"wrk failed on {paths[0]}: {done.stderr.strip() or done.stdout.strip()}")
    seen = json.loads(lines[0])
    return Load(
        rate=(seen["requests"] - seen["status"]) / seen["seconds"],
        requests=seen["requests"], p50_ms=seen["p50_ms"], p99_ms=seen["p99_ms"],
        max_ms=seen["max_ms"], status=seen["status"], timeouts=seen["timeout"],
        broken=seen["connect"] + seen["read"] + seen["write"])
