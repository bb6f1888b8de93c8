"""What the figures were measured on: without it they mean nothing."""

import os
import platform
import subprocess
import time

PACKAGES = ("nginx", "wrk", "php8.2-fpm", "php-memcached", "php8.2-mysql", "libfcgi0ldbl",
            "mariadb-server-core", "memcached", "libmemcached11", "gcc", "python3-psutil")


def _first(path, key):
    """The value of the first "key : value" line of a file of /proc, or ""."""
    with open(path, encoding="utf-8") as f:
        for line in f:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def _output(*command, **options):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _packages():
    text = _output("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n",
                   *PACKAGES)
    rows = [line.split() for line in text.splitlines()]
    return ", ".join(f"{row[0]} {row[1]}" for row in rows if row[-1] == "installed")


def _system():
    release = platform.freedesktop_os_release()
    name = release.get("PRETTY_NAME", "unknown")
    try:
        with open("/etc/debian_version", encoding="ascii") as f:
            return f"{name}, {f.read().strip()}"
    except OSError:
        return name


def describe(source):
    """Rows of (what, value)."""
    kib = int(_first("/proc/meminfo", "MemTotal").split()[0])
    commit = _output("git", "-C", source, "describe", "--always", "--dirty", "--abbrev=12")
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return [
        ("processor", _first("/proc/cpuinfo", "model name") or platform.machine()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        ("memory", f"{kib / 1024 / 1024:.1f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("system", _system()),
        ("packages", _packages() or "unknown"),
        ("commit", commit or "unknown"),
        ("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
        ("load average at the start", load),
    ]
