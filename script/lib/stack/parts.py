"""The programs of a stack: how each is prepared, started, and known to be ready."""

import os
import shutil
import socket
import subprocess

from stack import StackError
from stack.layout import account, can_reach, group_name, write_file

# What ziggied's programs need beyond an ordinary account to read the whole host:
# the descriptors of other accounts' processes (which process holds a port).
HOST_CAPABILITIES = ("sys_ptrace", "dac_read_search")


class AlreadyThere(StackError):
    """ziggiectl would have made something that exists."""


def _capabilities():
    """Those of HOST_CAPABILITIES that this system lets us hand on."""
    numbers = {"dac_read_search": 2, "sys_ptrace": 19}
    with open("/proc/self/status", encoding="ascii") as f:
        bounding = next(int(line.split()[1], 16) for line in f if line.startswith("CapBnd:"))
    return [name for name in HOST_CAPABILITIES if bounding >> numbers[name] & 1]


def find_program(*names):
    for name in names:
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""))
        if path:
            return path
    raise StackError(f"{names[0]} is not installed (script/bootstrap installs it)")


def numbered(name, number):
    """A host's name for something: "app", "app-2", "app-3" …"""
    return name if number == 1 else f"{name}-{number}"


def app_socket(number):
    """Where a host serves FastCGI, within the runtime directory."""
    return numbered("app", number) + "/fcgi.sock"


class Part:
    """One program.  `stack` gives the directories, the options and the secrets."""

    name = ""
    patience = 10  # seconds between asking it to end and killing it
    start_limit = 60  # seconds until it must be ready

    def __init__(self, stack):
        self.stack = stack
        self.account = None

    def prepare(self):
        """Makes folders and configuration; runs once a start, before argv()."""

    def argv(self):
        raise NotImplementedError

    def ready(self):
        """Whether it serves by now; must not block for long."""
        raise NotImplementedError

    def last_words(self):
        """What it said before it failed or hung."""
        return self.stack.state.log_tail(self.name)

    def privileges(self):
        """The command in front of the program: it ends with the keeper, and drops root."""
        command = ["setpriv", "--pdeathsig", "TERM"]
        if self.account:
            command += ["--reuid", str(self.account.pw_uid), "--regid", str(self.account.pw_gid)]
            command += ["--clear-groups"]
        return command

    def spawn(self):
        with open(self.stack.state.log(self.name), "ab") as log:
            return subprocess.Popen(
                self.privileges() + self.argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self.stack.environment,
                start_new_session=True,
            )


def _exchange(path, question, size=64):
    """Sends `question` to a Unix socket and returns the first bytes of the answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        try:
            s.connect(path)
            s.sendall(question)
            return s.recv(size)
        except OSError:
            return b""


class MariaDB(Part):
    name = "mariadbd"
    patience = 60

    def __init__(self, stack):
        super().__init__(stack)
        self.data = stack.state / "mariadb"
        self.account = account("mysql", "nobody")
        self.as_root = not can_reach(self.data, self.account)
        if self.as_root:
            self.account = None
        self.init_file = None

    def prepare(self):
        run = self.stack.run
        folder = run.folder("db", self.account)
        self.socket = run.socket("db/mariadb.sock")
        if not os.path.isdir(self.data):
            self._install()
        self._own_data()
        self.init_file = os.path.join(folder, "init.sql")
        write_file(self.init_file, self._accounts_sql(), 0o600, self.account)

    def _install(self):
        """Makes the system tables beside their place, so that half of them never counts."""
        self.stack.progress("making the database")
        fresh = self.data + ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        os.mkdir(fresh, 0o700)
        if self.account:
            os.chown(fresh, self.account.pw_uid, self.account.pw_gid)
        command = self.privileges() + [
            find_program("mariadb-install-db"), "--no-defaults", f"--datadir={fresh}",
            "--auth-root-authentication-method=normal", "--skip-test-db",
            "--skip-name-resolve", "--force",
        ] + self._as_root()
        # A server that starts removes what looks like temporary tables, others' too, so each
        # needs a directory of its own for them.
        environment = {**self.stack.environment, "TMPDIR": str(self.stack.run / "db")}
        with open(self.stack.state.log(self.name), "ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  cwd="/", env=environment, check=False)
        if done.returncode != 0:
            # It ends with a page of advice; the reason stands before that.
            text = self.stack.state.log_tail(self.name, 200).splitlines()
            errors = [line for line in text if "ERROR" in line] or text[-15:]
            raise StackError("mariadb-install-db failed:\n" + "\n".join(errors))
        os.rename(fresh, self.data)

    def _own_data(self):
        """The same data may be started by root in one place and another account in another."""
        owner = self.account.pw_uid if self.account else os.geteuid()
        if os.stat(self.data).st_uid == owner:
            return
        group = self.account.pw_gid if self.account else os.getegid()
        try:
            os.chown(self.data, owner, group)
            for folder, folders, files in os.walk(self.data):
                for name in folders + files:
                    os.chown(os.path.join(folder, name), owner, group, follow_symlinks=False)
        except PermissionError as e:
            raise StackError(f"{self.data} belongs to another account; start as that one, or "
                             "use another directory with --state") from e

    def _accounts_sql(self):
        root = self.stack.state.secret("db-root-password")
        ours = self.stack.state.secret("db-password")
        return "".join(statement + ";\n" for statement in (
            f"ALTER USER root@localhost IDENTIFIED BY '{root}'",
            "CREATE DATABASE IF NOT EXISTS ziggie CHARACTER SET utf8mb4",
            f"CREATE USER IF NOT EXISTS ziggie@localhost IDENTIFIED BY '{ours}'",
            f"ALTER USER ziggie@localhost IDENTIFIED BY '{ours}'",
            "GRANT ALL ON ziggie.* TO ziggie@localhost",
        ))

    def _as_root(self):
        return ["--user=root"] if os.geteuid() == 0 and self.as_root else []

    def argv(self):
        command = [
            find_program("mariadbd"), "--no-defaults", f"--datadir={self.data}",
            f"--socket={self.socket}", f"--tmpdir={self.stack.run / 'db'}",
            f"--pid-file={self.stack.run / 'db/mariadb.pid'}",
            "--skip-networking", "--skip-name-resolve", "--local-infile=0",
            "--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci",
            "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--skip-log-bin",
            "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M",
            "--performance-schema=OFF", f"--max-connections={self.stack.db_connections}",
        ] + self._as_root()
        if self.init_file and os.path.exists(self.init_file):
            command.append(f"--init-file={self.init_file}")
        return command

    def ready(self):
        # A server that takes clients greets them with version 10 of its protocol.
        if _exchange(self.socket, b"")[4:5] != b"\x0a":
            return False
        if self.init_file and os.path.exists(self.init_file):
            os.unlink(self.init_file)
        return True


class Memcached(Part):
    name = "memcached"
    patience = 3

    def __init__(self, stack):
        super().__init__(stack)
        self.account = stack.app_account

    def prepare(self):
        # Who may write to the cache may put words into our mouth: 0700 and our account.
        self.stack.run.folder("cache", self.account, 0o700)
        self.socket = self.stack.run.socket("cache/memcached.sock")

    def argv(self):
        return [find_program("memcached"), "-s", self.socket, "-a", "0700", "-m", "64",
                "-c", "1024", "-t", "2"]

    def ready(self):
        return _exchange(self.socket, b"version\r\n").startswith(b"VERSION")


class Ziggied(Part):
    """One host's programs; the first host keeps the plain names."""

    patience = 45

    PROGRAMS = ("ziggied", "ziggie-worker", "ziggie-jobs", "ziggiectl")

    def __init__(self, stack, number=1):
        super().__init__(stack)
        self.account = stack.app_account
        self.number = number
        self.name = numbered("ziggied", number)

    def prepare(self):
        run = self.stack.run
        folder = run.folder(numbered("app", self.number), self.account)
        self.socket = run.socket(app_socket(self.number))
        self.programs = self._programs()
        password = os.path.join(folder, "db-password")
        write_file(password, self.stack.state.secret("db-password") + "\n", 0o400, self.account)
        self.config = os.path.join(folder, "ziggie.conf")
        settings = {
            "socket": self.socket,
            "socket_group": group_name(self.stack.web_account) if self.stack.web_account else "",
            "pid_file": os.path.join(folder, "ziggied.pid"),
            "db_hosts": str(self.stack.hosts),
            "db_socket": run / "db/mariadb.sock",
            "db_user": "ziggie",
            "db_password_file": password,
            "memcached": run / "cache/memcached.sock",
        }
        settings.update(self.stack.settings)
        if self.number > 1:
            settings["host_id"] = self._host_id(settings.get("host_id") or socket.gethostname())
        lines = [f'{key} = "{value}"\n' for key, value in settings.items()]
        write_file(self.config, "# Made by script/server.\n" + "".join(lines), 0o644)

    def _host_id(self, first):
        """The first host's id with our number, within the 64 bytes that an id may have."""
        number = f"-{self.number}"
        return first.encode()[:64 - len(number)].decode(errors="ignore") + number

    def _programs(self):
        """The folder with our programs; copies, when their account can't reach the built ones."""
        folder = self.stack.build
        for name in self.PROGRAMS:
            if not os.access(os.path.join(folder, name), os.X_OK):
                raise StackError(f"{folder} has no {name} (script/build makes it)")
        if can_reach(os.path.join(folder, "ziggied"), self.account):
            return folder
        if self.number > 1:
            return self.stack.run / "bin"
        copies = self.stack.run.folder("bin", None, 0o755)
        for name in self.PROGRAMS:
            shutil.copy(os.path.join(folder, name), copies)
            os.chmod(os.path.join(copies, name), 0o755)
        return copies

    def privileges(self):
        command = ["setpriv", "--pdeathsig", "TERM"]
        if not self.account:
            return command
        command += ["--reuid", str(self.account.pw_uid), "--regid", str(self.account.pw_gid),
                    "--groups", str(self.stack.web_account.pw_gid)]
        kept = _capabilities()
        if kept:
            kept = ",".join("+" + name for name in kept)
            command += ["--inh-caps", kept, "--ambient-caps", kept]
        return command

    def control(self, *arguments, text=""):
        """Runs ziggiectl on this stack and returns what it printed."""
        command = [os.path.join(self.programs, "ziggiectl"), "--config", self.config, *arguments]
        done = subprocess.run(Part.privileges(self) + command, input=text, capture_output=True,
                              text=True, cwd="/", env=self.stack.environment, timeout=120,
                              check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            kind = AlreadyThere if done.returncode == os.EX_CANTCREAT else StackError
            raise kind(f"ziggiectl {' '.join(arguments[:2])} failed "
                       f"(status {done.returncode}): {said}")
        return done.stdout

    def argv(self):
        return [os.path.join(self.programs, "ziggied"), "--config", self.config,
                "--libexec-dir", self.programs]

    def ready(self):
        return os.path.exists(self.socket)
