"""What we say of this host is what psutil says of it, within what two readings of psutil
around ours allow."""

import ctypes
import itertools
import multiprocessing
import os
import socket
import subprocess
import time

import psutil
import pytest

from harness import freeze
from hostsource import ApiSource, CollectorSource, Recorder, repaired, seconds_of

pytestmark = pytest.mark.alone  # it measures processor time and rates

_numbers = itertools.count()


@pytest.fixture(params=["collector", "api"])
def source(request):
    if request.param == "collector":
        made = CollectorSource()
    else:
        made = ApiSource(request.getfixturevalue("stack"), f"psutil-{next(_numbers)}")
    yield made
    made.close()


@pytest.fixture
def children():
    """A list of processes that end with the test."""
    started = []
    yield started
    for child in started:
        child.kill()
    for child in started:
        child.wait(10) if isinstance(child, subprocess.Popen) else child.join(10)


@pytest.fixture
def sleeper(children, tmp_path):
    """Starts a process of that name which sleeps, and ends with the test."""
    def start(name):
        path = os.path.join(os.fsencode(tmp_path), name)
        if not os.path.lexists(path):
            os.symlink("/bin/sleep", path)
        children.append(subprocess.Popen([path, b"300"]))
        return children[-1]

    return start


def attempts(check, count=6):
    """A busy host changes between readings, so a comparison may need another try."""
    for left in range(count - 1, -1, -1):
        try:
            return check()
        except (AssertionError, psutil.NoSuchProcess):
            if left == 0:
                raise


def assert_between(value, before, after, slack=0):
    assert min(before, after) - slack <= value <= max(before, after) + slack


# ---- processes


def describe():
    """pid -> what psutil knows of a process, of those that it could read in one go."""
    fields = ["ppid", "name", "username", "create_time", "num_threads"]
    return {process.pid: process.info for process in psutil.process_iter(fields)}


def test_every_process_is_seen_by_both(source):
    attempts(lambda: compare_all_processes(source))  # a kernel thread's name tells its work


def compare_all_processes(source):
    before = describe()
    ours = source.fresh_processes()
    after = describe()
    assert ours["success"] is True
    rows = {row["pid"]: row for row in ours["processes"]}
    assert len(rows) == len(ours["processes"]) == min(ours["count"], 500)
    # By pid, so what one answer can't show are the highest.
    shown = max(rows) if ours["count"] > 500 else max(after)
    stable = [pid for pid in before if before[pid] == after.get(pid) and pid <= shown]
    assert stable
    assert set(stable) <= set(rows)
    for pid in stable:
        told = before[pid]
        row = rows[pid]
        assert (row["ppid"], row["name"]) == (told["ppid"], repaired(told["name"]))
        assert row["username"] == told["username"]
        assert row["threads"] == told["num_threads"]
        assert abs(seconds_of(row["started"]) - told["create_time"]) < 0.02


def test_memory_and_state_of_a_process(source, sleeper):
    child = sleeper(b"zgone")
    told = psutil.Process(child.pid)

    def compare():
        rows = source.fresh_processes(search="zgone")["processes"]
        row = next(row for row in rows if row["pid"] == child.pid)
        assert row["rss"] == told.memory_info().rss
        assert row["memory_percent"] == pytest.approx(told.memory_percent(), abs=0.01)
        assert row["status"] == "sleeping"

    attempts(compare)  # it may not have come to sleep the first time
    freeze(child.pid)
    rows = source.fresh_processes(search="zgone")["processes"]
    assert next(row for row in rows if row["pid"] == child.pid)["status"] == told.status()
    assert told.status() == "stopped"


def test_a_zombie_is_listed(source, children):
    child = subprocess.Popen(["true"])
    children.append(child)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    rows = source.fresh_processes(search="true")["processes"]
    row = next(row for row in rows if row["pid"] == child.pid)
    assert (row["status"], row["rss"]) == ("zombie", 0)


@pytest.mark.limit(180)
def test_a_thousand_processes(source, sleeper):
    children = [sleeper(name) for name in (b"zgcrowd-a", b"zgcrowd-b") for _ in range(500)]
    ours = source.fresh_processes(search="ZGCROWD-A")
    assert ours["count"] >= 1000
    rows = ours["processes"] + source.fresh_processes(search="zgcrowd-b")["processes"]
    assert {row["pid"] for row in rows} >= {child.pid for child in children}
    assert len(source.processes(limit=50, sort="cpu")["processes"]) == 50


# ---- names


HOSTILE = [
    b"a b c", b"a) S 1 (b", b"x\ny\n", b"\xff\xfe)(\x80", b") R 1 2 3 4 5 6", b"", b'"\\u0000\\"',
    b"\x1b[31m\x07red", "zażółć".encode(), b"\xe2\x82 (cut", b"1 (init) S", b"((((((",
]


def rename_and_sleep(name, ready):
    ctypes.CDLL(None).prctl(15, ctypes.create_string_buffer(name), 0, 0, 0)
    ready.set()
    time.sleep(300)


def test_hostile_names(source, children):
    wanted = {}
    for name in HOSTILE:
        ready = multiprocessing.Event()
        child = multiprocessing.Process(target=rename_and_sleep, args=(name, ready))
        child.start()
        children.append(child)
        assert ready.wait(10)
        wanted[child.pid] = name
    # An interpreter is among the 500 largest, however many others run here.
    rows = {row["pid"]: row for row in source.fresh_processes(sort="memory")["processes"]}
    for pid, name in wanted.items():
        assert rows[pid]["name"] == repaired(name)
        assert repaired(psutil.Process(pid).name()) == repaired(name)
        assert rows[pid]["ppid"] == os.getpid()
        assert rows[pid]["status"] == "sleeping"


LONG = [b"zg long (na\nme) \xff\xfe and a tail", b"zg-quite-a-long-name" * 10]


@pytest.mark.parametrize("name", LONG, ids=["hostile", "200-bytes"])
def test_long_names_come_from_the_command_line(source, sleeper, name):
    child = sleeper(name)
    rows = source.fresh_processes(search="zg")["processes"]
    row = next(row for row in rows if row["pid"] == child.pid)
    assert row["name"] == repaired(name) == repaired(psutil.Process(child.pid).name())


def churn(stop):
    while not stop.is_set():
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)


def test_processes_that_vanish_during_a_scan(source, children, sleeper):
    stop = multiprocessing.Event()
    for _ in range(2):
        children.append(multiprocessing.Process(target=churn, args=(stop,)))
        children[-1].start()
    steady = [sleeper(b"zgsteady") for _ in range(20)]
    for _ in range(6):
        rows = source.fresh_processes(search="zgsteady")["processes"]
        assert {child.pid for child in steady} <= {row["pid"] for row in rows}
    stop.set()


# ---- processor


def busy(cpu, share, seconds):
    """Keeps one processor busy for a share of each 50 ms, and ends by itself."""
    os.sched_setaffinity(0, {cpu})
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        while time.monotonic() - start < 0.05 * share:
            pass
        if share < 1:
            time.sleep(0.05 * (1 - share))


def ticks(times):
    return times.user + times.system


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_processor_use_of_a_process(source, children, share):
    cpu = max(os.sched_getaffinity(0))
    load = multiprocessing.Process(target=busy, args=(cpu, share, 60))
    load.start()
    children.append(load)
    told = psutil.Process(load.pid)

    def compare():
        with Recorder(lambda: ticks(told.cpu_times())) as record:
            answers = []
            for _ in range(2):
                time.sleep(2)
                answers.append(source.fresh_processes(sort="cpu", limit=10))
            time.sleep(0.1)
        row = next(row for row in answers[1]["processes"] if row["pid"] == load.pid)
        (start, used), (end, used_then) = (
            record.nearest(seconds_of(answer["timestamp"])) for answer in answers)
        assert abs(row["cpu_percent"] - 100 * (used_then - used) / (end - start)) <= 5

    attempts(compare)


def busy_share(before, after):
    """psutil's way from two cpu_times() to a percentage."""
    def sums(times):
        total = sum(times) - times.guest - times.guest_nice
        return total, times.idle + times.iowait

    (total, idle), (total_then, idle_then) = sums(before), sums(after)
    return 100 * (1 - (idle_then - idle) / (total_then - total))


def test_processor_use_of_the_host(source, children):
    cpu = max(os.sched_getaffinity(0))
    load = multiprocessing.Process(target=busy, args=(cpu, 1.0, 60))
    load.start()
    children.append(load)
    time.sleep(1.5)

    def compare():
        with Recorder(lambda: (psutil.cpu_times(), psutil.cpu_times(percpu=True))) as record:
            answers = [source.fresh_kind("stats")]
            time.sleep(0.8)
            answers.append(source.fresh_kind("stats"))
            time.sleep(0.1)
        (_, before), (_, after) = (
            record.nearest(seconds_of(answer["timestamp"])) for answer in answers)
        ours = answers[1]["cpu"]
        assert ours["count"] == len(ours["per_cpu"]) == psutil.cpu_count()
        assert abs(ours["usage_percent"] - busy_share(before[0], after[0])) <= 5
        assert abs(ours["per_cpu"][cpu] - busy_share(before[1][cpu], after[1][cpu])) <= 5
        assert ours["per_cpu"][cpu] > 90

    attempts(compare)


def test_frequency_load_and_pressure(source):
    ours = source.fresh_kind("stats")
    told = psutil.cpu_freq()
    if told is None:
        assert ours["cpu"]["frequency"] is None
    else:
        assert ours["cpu"]["frequency"]["current"] == pytest.approx(told.current, rel=0.5)
        assert (ours["cpu"]["frequency"]["max"] or 0) == pytest.approx(told.max)
    assert all(abs(a - b) < 0.5 for a, b in zip(ours["load"], psutil.getloadavg()))
    assert (ours["pressure"] is not None) == os.path.exists("/proc/pressure/cpu")


# ---- memory, disks


def test_memory(source):
    def compare():
        before = psutil.virtual_memory()
        answer = source.fresh_kind("stats")
        after = psutil.virtual_memory()
        ours = answer["memory"]
        assert ours["total"] == before.total
        for name in ("available", "used"):
            assert_between(ours[name], getattr(before, name), getattr(after, name), 16 << 20)
            assert ours[name + "_gb"] == pytest.approx(ours[name] / 2**30, abs=0.006)
        assert_between(ours["percent"], before.percent, after.percent, 0.2)
        swap = psutil.swap_memory()
        assert (answer["swap"]["total"], answer["swap"]["used"]) == (swap.total, swap.used)

    attempts(compare)


def test_root_disk(source):
    def compare():
        before = psutil.disk_usage("/")
        ours = source.fresh_kind("stats")["disk"]
        after = psutil.disk_usage("/")
        assert ours["total"] == before.total
        for name in ("used", "free", "percent"):
            assert_between(ours[name], getattr(before, name), getattr(after, name))

    attempts(compare)


def test_partitions(source):
    told = [(p.device, p.mountpoint, p.fstype) for p in psutil.disk_partitions(all=False)]
    rows = source.fresh_kind("disk")["partitions"]
    assert sorted((row["device"], row["mountpoint"], row["fstype"]) for row in rows) == sorted(told)
    for row in rows:
        assert row["total"] == psutil.disk_usage(row["mountpoint"]).total
        assert row["percent"] == pytest.approx(psutil.disk_usage(row["mountpoint"]).percent, abs=1)


def test_disk_counters(source, tmp_path):
    before = psutil.disk_io_counters(perdisk=True, nowrap=False)
    rows = source.fresh_kind("disk")["io"]
    after = psutil.disk_io_counters(perdisk=True, nowrap=False)
    used = {name for name in before if before[name].read_count + before[name].write_count
            and os.path.exists("/sys/block/" + name.replace("/", "!"))}
    assert {row["device"] for row in rows} >= used
    for row in rows:
        for name in ("read_bytes", "write_bytes", "read_count", "write_count"):
            low, high = (getattr(reading[row["device"]], name) for reading in (before, after))
            assert low <= row[name] <= high
        assert 0 <= row["busy_percent"] <= 100


# ---- network


COUNTERS = ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout",
            "dropin", "dropout")


def test_network_counters(source):
    before = psutil.net_io_counters(pernic=True, nowrap=False)
    ours = source.fresh_kind("network")
    after = psutil.net_io_counters(pernic=True, nowrap=False)
    rows = {row["name"]: row for row in ours["interfaces"]}
    assert set(before) & set(after) <= set(rows)
    for name in set(before) & set(after):
        for counter in COUNTERS:
            low, high = getattr(before[name], counter), getattr(after[name], counter)
            assert low <= rows[name][counter] <= high
    for counter in COUNTERS:
        assert ours["total"][counter] == sum(row[counter] for row in rows.values())


def test_interfaces(source):
    rows = source.fresh_kind("network")["interfaces"]
    stats, addresses = psutil.net_if_stats(), psutil.net_if_addrs()
    for row in rows:
        told = stats[row["name"]]
        assert (row["is_up"], row["mtu"], row["speed"]) == (told.isup, told.mtu, told.speed)
        known = {a.address.split("%")[0] for a in addresses.get(row["name"], [])
                 if a.family in (socket.AF_INET, socket.AF_INET6)}
        assert set(row["addresses"]) == known


def test_network_rates(source):
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver, _ = listener.accept()
    with listener, sender, receiver:
        def read():
            sender.sendall(b"x" * 300000)
            left = 300000
            while left:
                left -= len(receiver.recv(left))
            return source.get("network")

        first = source.fresh(read)
        time.sleep(0.5)
        second = source.fresh(read)
    rates = [row["bytes_sent_per_sec"] for row in second["interfaces"] if row["name"] == "lo"]
    sent = second["total"]["bytes_sent"] - first["total"]["bytes_sent"]
    assert sent >= 300000
    assert rates[0] > 0


def sockets():
    """The listening sockets that psutil sees: (protocol, address, port) -> pids."""
    found = {}
    for c in psutil.net_connections("inet"):
        tcp = c.type == socket.SOCK_STREAM
        if c.laddr and (c.status == "LISTEN" if tcp else not c.raddr):
            key = ("tcp" if tcp else "udp", c.laddr.ip, c.laddr.port)
            found.setdefault(key, set()).add(c.pid)
    return found


def listen_everywhere():
    made = [socket.create_server(("127.0.0.1", 0))]
    if socket.has_ipv6:
        made.append(socket.create_server(("::1", 0), family=socket.AF_INET6))
        made.append(socket.create_server(("::", 0), family=socket.AF_INET6))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    return made + [datagram]


def test_ports(source):
    mine = listen_everywhere()

    def compare():
        before = sockets()
        rows = source.fresh_kind("ports")["ports"]
        after = sockets()
        ours = {}
        for row in rows:
            ours.setdefault((row["protocol"], row["address"], row["port"]), []).append(row)
        assert set(before) & set(after) <= set(ours) <= set(before) | set(after)
        assert len({(k, row["pid"]) for k in ours for row in ours[k]}) == len(rows)
        assert [row["port"] for row in rows] == sorted(row["port"] for row in rows)
        for key in set(before) & set(after) & set(ours):
            for row in ours[key]:
                assert_owner(source, row, before[key] | after[key])

    try:
        attempts(compare, 3)
    finally:
        for one in mine:
            one.close()


def holds(pid, port):
    return port in {c.laddr.port for c in psutil.Process(pid).connections("inet") if c.laddr}


def assert_owner(source, row, pids):
    if row["pid"] is None:
        assert all(pid is None or not psutil.pid_exists(pid) or
                   not source.may_see_descriptors_of(pid) for pid in pids)
        assert row["process_name"] is None
        return
    # psutil names one of the processes that share a socket, we the oldest.
    assert row["pid"] in pids or holds(row["pid"], row["port"])
    assert row["process_name"] == row["process"] == repaired(psutil.Process(row["pid"]).name())
    assert row["status"] == ("LISTEN" if row["protocol"] == "tcp" else "NONE")


def states():
    found = {}
    for c in psutil.net_connections("inet"):
        found[c.status] = found.get(c.status, 0) + 1
    return found


def test_connections_by_state(source):
    listener = socket.create_server(("127.0.0.1", 0), backlog=40)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(20)]

    def compare():
        before = states()
        ours = source.fresh_kind("network")["connections"]
        after = states()
        for state in ("ESTABLISHED", "LISTEN", "CLOSE_WAIT", "NONE"):
            assert_between(ours[state], before.get(state, 0), after.get(state, 0), 2)
        assert ours["ESTABLISHED"] >= 20

    try:
        attempts(compare)
    finally:
        for one in clients + [listener]:
            one.close()


# ---- what rarely changes


def test_info(source):
    ours = source.get("info")
    system = os.uname()
    assert (ours["platform"], ours["hostname"]) == (system.sysname, system.nodename)
    assert (ours["platform_release"], ours["arch"]) == (system.release, system.machine)
    assert ours["platform_version"] == system.version
    assert ours["cpuCores"] == psutil.cpu_count()
    assert ours["cpuCoresPhysical"] == psutil.cpu_count(logical=False)
    assert ours["totalMemory"] == psutil.virtual_memory().total
    assert ours["boot_time"] == psutil.boot_time()
    assert ours["processor"]
    with open("/proc/uptime", encoding="ascii") as f:
        assert abs(ours["uptime"] - float(f.read().split()[0])) < 90


def test_resources_in_one_answer(source):
    ours = source.fresh_kind("resources")
    assert ours["memory"]["total"] == psutil.virtual_memory().total
    assert ours["disk"]["total"] == psutil.disk_usage("/").total
    assert ours["cpu"]["count"] == psutil.cpu_count()
    assert ours["network"]["bytes_recv"] <= psutil.net_io_counters(nowrap=False).bytes_recv
