"""What /proc says of a process that is measured."""

import glob


def rss_kib(pid):
    """Resident memory, shared pages included."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def children_of(parent):
    """The pids of its children, those of its first thread."""
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def cpu_seconds(pid):
    """Processor time of its threads, which must not come and go meanwhile, in user and kernel mode,
    as the scheduler counts it: /proc/PID/stat rounds to hundredths, percents of a short load."""
    threads = glob.glob(f"/proc/{pid}/task/*/schedstat")
    if not threads:
        raise ProcessLookupError(pid)
    total = 0
    for path in threads:
        with open(path, encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9
