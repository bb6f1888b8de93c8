"""What MariaDB and the workers' pools count while a load runs."""

import re
import threading
import time

import pymysql

from bench.load import verify

# Counters of the server that grow, and what they are.
COUNTED = {
    "Com_stmt_execute": "statements",
    "Com_commit": "transactions committed",
    "Com_rollback": "transactions rolled back",
    "Innodb_row_lock_waits": "waits for a row lock",
    "Innodb_row_lock_time": "ms in such waits",
    "Innodb_deadlocks": "deadlocks, each run again",
}
POOL = {"ziggie_db_pool_waits_total": "waits for a pooled connection",
        "ziggie_db_pool_timeouts_total": "of them without one in time"}
MACHINE = {"io_full_ms": "io pressure, full, ms"}
# Whether it goes on, looked at so often.
PACE = ("Com_stmt_execute", "Com_commit")
LOOK_S = 0.1


def _io_pressure():
    """For how long all that could have run waited for a disk; nothing where that is not counted."""
    try:
        with open("/proc/pressure/io", encoding="ascii") as f:
            found = re.search(r"^full .* total=(\d+)", f.read(), re.M)
    except OSError:
        return {}
    return {"io_full_ms": int(found[1]) // 1000} if found else {}


class Stop:
    """The longest time in which statements ran and none was begun or done, a look among them."""

    def __init__(self):
        self.longest = 0
        self._count = self._since = None

    def look(self, asked, answered, count, running):
        if count != self._count or not running:
            self._count, self._since = count, answered
        self.longest = max(self.longest, answered - min(asked, self._since))


class Database:
    """Counts from when it is made until end()."""

    def __init__(self, stack):
        self.stack = stack
        self.root = pymysql.connect(
            unix_socket=stack.db_socket, user="root", autocommit=True,
            password=stack.secret("db-root-password"))
        self.most = 0
        self.stop = Stop()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self.before = self._read()
        self._watch.start()

    def _status(self, names):
        with self.root.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS WHERE Variable_name IN %s", (names,))
            return {name: int(value) for name, value in cursor.fetchall()}

    def _read(self):
        counted = self._status(list(COUNTED))
        metrics = verify(self.stack.port, "/metrics", {}).decode()
        for name in POOL:
            found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\d+)", metrics, re.M)
            counted[name] = sum(map(int, found))
        return counted | _io_pressure()

    def _look(self):
        while not self._over.wait(LOOK_S):
            asked = time.monotonic()
            status = self._status(["Threads_running", *PACE])
            running = status["Threads_running"] - 1  # this one
            self.most = max(self.most, running)
            self.stop.look(asked, time.monotonic(), sum(status[name] for name in PACE),
                           running > 0)

    def end(self):
        self._over.set()
        self._watch.join()
        self.after = self._read()
        self.root.close()

    def rows(self, seconds):
        grown = {name: self.after[name] - self.before[name] for name in self.before}
        rows = [(what, f"{grown[name]:,}", f"{grown[name] / seconds:,.1f}")
                for name, what in {**COUNTED, **POOL, **MACHINE}.items() if name in grown]
        return rows + [("statements at a time, at most", f"{self.most}", ""),
                       ("longest stop of the database, ms", f"{self.stop.longest * 1000:.0f}", "")]
