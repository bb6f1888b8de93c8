"""What /proc says of a process that is measured."""

import os


def rss_kib(pid):
    """Resident memory, shared pages included."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def children_of(parent):
    """The pids of its children, those of its first thread."""
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def cpu_seconds(pid):
    """Processor time of all its threads, in user and kernel mode."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
