"""What MariaDB and the workers' pools count while a load runs."""

import re
import threading

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


class Database:
    """Counts from when it is made until end()."""

    def __init__(self, stack):
        self.stack = stack
        self.root = pymysql.connect(
            unix_socket=stack.db_socket, user="root", autocommit=True,
            password=stack.secret("db-root-password"))
        self.most = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self.before = self._read()
        self._watch.start()

    def _status(self):
        with self.root.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS")
            return dict(cursor.fetchall())

    def _read(self):
        status = self._status()
        counted = {name: int(status.get(name, 0)) for name in COUNTED}
        metrics = verify(self.stack.port, "/metrics", {}).decode()
        for name in POOL:
            found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\d+)", metrics, re.M)
            counted[name] = sum(map(int, found))
        return counted

    def _look(self):
        while not self._over.wait(1):
            self.most = max(self.most, int(self._status()["Threads_running"]))

    def end(self):
        self._over.set()
        self._watch.join()
        self.after = self._read()
        self.root.close()

    def rows(self, seconds):
        grown = {name: self.after[name] - self.before[name] for name in self.before}
        rows = [(what, f"{grown[name]:,}", f"{grown[name] / seconds:,.1f}")
                for name, what in {**COUNTED, **POOL}.items()]
        return rows + [("statements at a time, at most", f"{self.most}", "")]
