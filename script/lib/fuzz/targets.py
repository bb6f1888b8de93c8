"""The fuzz targets: how long each is meant to run, and which code it proves."""

import glob
import hashlib
import os
import re

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

TEXT = ["tests/fuzz/reference_text.c", "lib/base/utf8.c"]
JSON = TEXT + ["tests/fuzz/reference_json.c"]
HTTP = TEXT + ["fcgi-app/http/form.c", "fcgi-app/http/params.c"]
PROC = ["tests/fuzz/proc.*", "lib/host/cursor.*", "lib/host/parse.h"]
HOUR, SHORT = 60, 20


class Target:
    def __init__(self, name, goal, covers):
        self.name = name
        self.goal = goal  # minutes
        self.covers = [f"tests/fuzz/fuzz_{name}.c", "tests/fuzz/fuzz.h"] + covers

    @property
    def program(self):
        return f"tests/fuzz/fuzz_{self.name}"

    @property
    def seeds(self):
        return os.path.join(SOURCE, "tests/fuzz/corpus", self.name)

    def code(self):
        """A digest of what the target proves; comments and layout do not count."""
        digest = hashlib.sha256()
        for pattern in self.covers:
            paths = sorted(glob.glob(os.path.join(SOURCE, pattern)))
            if not paths:
                raise FileNotFoundError(f"{self.name}: there is no {pattern}")
            for path in paths:
                with open(path, encoding="utf-8") as f:
                    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", f.read(), flags=re.S)
                digest.update("".join(text.split()).encode() + b"\0")
        return digest.hexdigest()[:10]


def proc(name):
    return Target(f"parse_{name}", SHORT, PROC + [f"lib/host/parse_{name}.c"])


TARGETS = [
    Target("codec", HOUR, ["tests/fuzz/reference_codec.*", "fcgi-app/fastcgi/*.[ch]"]),
    Target("path", HOUR, HTTP + ["fcgi-app/http/router.c"]),
    Target("json", HOUR, JSON + ["lib/base/escape.c", "lib/json/*.c"]),
    Target("form", SHORT, HTTP + ["lib/json/parse.c"]),
    Target("conf", SHORT, TEXT + ["lib/conf/*.[ch]"]),
    Target("sample", SHORT, JSON + ["lib/host/cursor.*", "lib/host/sample.c", "lib/host/stats.c",
                                    "lib/host/process_row.c", "lib/host/process_view.c"]),
    Target("agent_file", SHORT, TEXT + ["lib/import/agent_*.[ch]", "lib/import/front_matter.*"]),
] + [proc(name) for name in ("cpuinfo", "diag", "diskstats", "load", "meminfo", "mounts", "netdev",
                             "pressure", "process", "services", "sockets", "stat")]
