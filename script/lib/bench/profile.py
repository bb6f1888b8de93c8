"""script/profile: where the processor time of a cached request goes, by sampled call stacks."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bench import BenchError, load, machine, process
from bench.children import Children, find_program
from bench.peers import Stack

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PAGE = os.path.join(SOURCE, "docs", "performance.md")
BEGIN, END = "<!-- script/profile begins -->", "<!-- script/profile ends -->"
ROUTES = ("/api/system/processes", "/api/health")
HERTZ = 1999

# The innermost frame of a stack that one of these matches says what was being done.
# System calls come first: in their stacks the kernel's frames are the innermost.
PARTS = (
    ("sendmsg: the answer to nginx, and waking it", r"__(x64_)?sys_sendmsg|__sys_sendmsg"),
    ("recv: the request from nginx", r"__(x64_)?sys_recvfrom"),
    ("epoll_wait: waiting for the next request", r"__(x64_)?sys_epoll_wait|do_epoll_wait"),
    ("futex: calling another thread, or resting", r"__(x64_)?sys_futex|do_futex"),
    ("write: log lines", r"__(x64_)?sys_writev?$"),
    ("other system calls", r"__x64_sys_\w+"),
    ("decoding FastCGI", r"codec_(feed|next|reset|unpack\w*)|wire_\w+"),
    ("framing the answer", r"codec_answer\w*|send_output|send_answer"),
    ("routing", r"router_\w+|find_route|http_classify"),
    ("authentication", r"http_authenticate|auth_\w+|token_\w+|authenticate\w*"),
    ("the sample, from L1", r"host_service_\w+|cache_\w+|l1_\w+"),
    ("the log line", r"log_\w+"),
    ("counters", r"scoreboard_\w+"),
    ("head of the answer", r"response_head|server_timing|trace_\w+|http_header"),
    ("the handler", r"get_\w+|json_\w+"),
    ("the rest of serving a request", r"http_serve|request_start|answer\w*"),
    ("engine: connections, admission, waking", r"connection_\w+|admission_\w+|codel_\w+|watch_\w+|"
     r"run_event|thread_main|go_on|step|serve\w*|expire_reading|handle_request|acceptor_main"),
)
COMPILED = [(what, re.compile(f"(?:{pattern})$")) for what, pattern in PARTS]
KERNEL = {what for what, _ in PARTS[:6]}


def part_of(frames):
    """frames: function names, the innermost first."""
    for frame in frames:
        for what, pattern in COMPILED:
            if pattern.match(frame):
                return what
    return "interrupts, and what no stack names"


def parse_stacks(text):
    """Counter of parts from the output of `perf script -F ip,sym`."""
    parts = Counter()
    for block in text.split("\n\n"):
        frames = []
        for line in block.splitlines():
            words = line.split()
            if len(words) >= 2:
                # gcc's copies of a function, "name.isra.0", are that function.
                frames.append(words[1].split(".")[0].split("+")[0])
        if frames:
            parts[part_of(frames)] += 1
    return parts


def record(folder, pids, seconds):
    perf = find_program("perf")
    data = os.path.join(folder, "perf.data")
    subprocess.run([perf, "record", "-q", "-o", data, "-e", "cpu-clock", "-F", str(HERTZ),
                    "--call-graph", "fp", "-p", ",".join(map(str, pids)), "--",
                    "sleep", str(seconds)], check=True, capture_output=True)
    done = subprocess.run([perf, "script", "-i", data, "-F", "ip,sym"], check=True,
                          capture_output=True, text=True)
    os.unlink(data)
    return parse_stacks(done.stdout)


def measure(stack, children, route, given):
    """(microseconds of a request, Counter of parts)."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    pids = [worker["pid"] for worker in stack.workers()]
    load.run(SOURCE, stack.port, route, headers, given.clients, 1)
    before = sum(process.cpu_seconds(pid) for pid in pids)
    seen = load.run(SOURCE, stack.port, route, headers, given.clients, given.seconds)
    spent = sum(process.cpu_seconds(pid) for pid in pids) - before
    if seen.errors:
        raise BenchError(f"{seen.errors} errors on {route}")
    # Once more with sampling, which costs time of its own: it only gives the shares.
    wrk = subprocess.Popen([find_program("wrk"), "-t2", f"-c{given.clients}",
                            f"-d{given.seconds + 2}s", "-H",
                            f"Authorization: Bearer {stack.token}",
                            f"http://127.0.0.1:{stack.port}{route}"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        parts = record(children.folder, pids, given.seconds)
    finally:
        wrk.terminate()
        wrk.wait()
    stack.forget_logs()
    if not parts:
        raise BenchError("perf saw no sample")
    return spent / seen.requests * 1e6, parts


def table(route, clients, us, parts):
    total = sum(parts.values())
    rows = [f"### GET {route}, {clients} clients: {us:.1f} µs of a worker's processor time", "",
            "| what | share | µs |", "|---|---:|---:|"]
    kernel = sum(count for what, count in parts.items() if what in KERNEL)
    for what, count in parts.most_common():
        rows.append(f"| {what} | {count / total:.1%} | {count / total * us:.2f} |")
    rows.append(f"| **all system calls** | {kernel / total:.1%} | {kernel / total * us:.2f} |")
    return "\n".join(rows) + f"\n\n{total:,} samples."


def build():
    """A build of its own whose stacks can be walked."""
    folder = os.path.join(SOURCE, "build-profile")
    for command, where in ((["script/bootstrap", "--with-bench"], SOURCE),
                           (["script/build"], SOURCE)):
        if subprocess.run(command, cwd=where, stdout=sys.stderr, check=False).returncode != 0:
            raise BenchError(f"{' '.join(command)} failed")
    os.makedirs(folder, exist_ok=True)
    for command in (["../configure", "--quiet", "CFLAGS=-O2 -g -fno-omit-frame-pointer"],
                    ["make", "--no-print-directory", f"-j{os.cpu_count()}"]):
        if subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode != 0:
            raise BenchError(f"{' '.join(command)} failed")
    return folder


def write_page(text):
    with open(PAGE, encoding="utf-8") as f:
        before, _, rest = f.read().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest:
        raise BenchError(f"{PAGE} has no line {BEGIN}")
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="script/profile",
        description="Samples the call stacks of loaded workers with perf and says where the "
                    "processor time of a cached request goes; writes it into docs/performance.md.")
    parser.add_argument("--seconds", type=int, default=10, help="of each sampling (default 10)")
    parser.add_argument("--clients", type=int, default=100, help="connections (default 100)")
    parser.add_argument("--build-dir", metavar="DIR", help="take the programs from there")
    parser.add_argument("--print", action="store_true", help="print it, and leave the page alone")
    return parser.parse_args()


def run(given):
    folder = os.path.realpath(given.build_dir) if given.build_dir else build()
    about = dict(machine.describe(SOURCE))
    parts = [f"Commit {about['commit']}, {about['date']}, {about['processor']}, "
             f"{about['cores']} cores, {about['kernel']}."]
    with Children() as children:
        stack = Stack(children, SOURCE, folder)
        parts += [table(route, given.clients, *measure(stack, children, route, given))
                  for route in ROUTES]
    text = "\n\n".join(parts)
    print(text)
    if not given.print:
        write_page(text)


def main():
    try:
        run(arguments())
    except (BenchError, subprocess.CalledProcessError) as error:
        print(f"script/profile: {error}", file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
