#!/usr/bin/python3
"""Compare a scan of all processes with reading their stat files raw and with psutil.

Usage: scan_psutil.py SCAN [--sleepers N] [--rounds N]

SCAN is the built bench/scan.  N processes are started that do nothing but sleep.  Prints
one JSON object, and ends with 1 when a scan costs more than twice the raw reading or more
than a third of psutil.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import psutil

# What /api/system/processes shows.
FIELDS = ["pid", "ppid", "name", "username", "status", "cpu_percent", "memory_percent",
          "memory_info", "num_threads", "create_time"]


def time_psutil(rounds):
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        found = [process.info for process in psutil.process_iter(FIELDS)]
        found.sort(key=lambda info: info["cpu_percent"], reverse=True)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times[1:])  # the first makes psutil's caches


def start_sleepers(count):
    sleepers = []
    for _ in range(count):
        # They end with us, however we end.
        sleepers.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sleep", "600"],
                                         stdin=subprocess.DEVNULL))
    time.sleep(0.5)
    return sleepers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", help="the built bench/scan")
    parser.add_argument("--sleepers", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    sleepers = start_sleepers(options.sleepers)
    try:
        run = subprocess.run([options.scan, "--rounds", str(options.rounds)], check=True,
                             capture_output=True, timeout=300)
        result = json.loads(run.stdout)
        result["psutil_us"] = round(time_psutil(options.rounds))
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    result["of_psutil"] = round(result["sample_us"] / result["psutil_us"], 3)
    print(json.dumps(result))
    return 0 if result["ratio"] <= 2 and result["of_psutil"] <= 1 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
