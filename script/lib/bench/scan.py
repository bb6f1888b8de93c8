"""The scan of the process table beside psutil and the bare reading of the same files."""

import json
import os
import subprocess

from bench import BenchError
from bench.children import built_program

PROCESSES = 600
LIMIT = 300  # seconds


def run(source, build, rounds):
    """Milliseconds of each of the three, and how many processes there were."""
    command = ["/usr/bin/python3", "-B", os.path.join(source, "bench", "scan_psutil.py"),
               built_program(build, "scan"), "--sleepers", str(PROCESSES),
               "--rounds", str(3 * rounds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        # Its status says whether the aims are met, which we judge ourselves.
        seen = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise BenchError(f"bench/scan_psutil.py does not end within {LIMIT} s") from None
    except ValueError:
        raise BenchError(f"bench/scan_psutil.py failed: {done.stderr.strip()}") from None
    return {"count": seen["processes"], "raw": seen["raw_us"] / 1e3,
            "ziggie": seen["sample_us"] / 1e3, "psutil": seen["psutil_us"] / 1e3}
