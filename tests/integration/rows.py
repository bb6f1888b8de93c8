"""The route rows, as `ziggiectl routes --json` prints them, for tests that are made from them."""

import json
import os
import re
import subprocess
import uuid

from harness import BUILD


def read():
    done = subprocess.run([os.path.join(BUILD, "ziggiectl"), "routes", "--json"], check=True,
                          capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout)["routes"]


ROWS = read()


def name_of(row):
    return f"{row['method']} {row['path']}"


def path_of(row, identity=None):
    """The row's path with that id, or with one that nothing has."""
    return re.sub(r"\{[^}]*\}", identity or str(uuid.uuid4()), row["path"])


def fields_of(schema):
    return schema["fields"] if schema else []
