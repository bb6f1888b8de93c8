"""Where a stack keeps its things.

The state directory lasts: data, secrets, logs.  The runtime directory is made anew
by each start, has a short path (Unix socket paths end at 107 bytes) and can be
reached by the unprivileged accounts whatever the state directory's parents allow.

    STATE/  run.json   what runs, for --stop, --status and repairs
            lock       held by the keeper
            run        link to the runtime directory
            mariadb/ secrets/ log/
    RUN/    db/ cache/ app/ web/     a folder for each part, owned by its account
            app-2/ app-3/ …          those of further hosts
            bin/                     copies of programs that the accounts couldn't reach
"""

import errno
import fcntl
import grp
import json
import os
import pwd
import secrets
import shutil
import stat
import tempfile

from stack import StackError, proc

SOCKET_PATH_MAX = 107
LOG_KEEP = 16 << 20
LOG_TAIL = 1 << 20  # a minute of waiting for readiness leaves half of that


def account(*names):
    """The first of these accounts that exists, when we are root; else None: ourselves."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("none of these accounts exists: " + ", ".join(names))


def group_name(entry):
    return grp.getgrgid(entry.pw_gid).gr_name


def write_file(path, text, mode=0o600, owner=None):
    """Replaces a file as a whole, readable by nobody else at any moment."""
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as f:
            f.write(text)
            if owner:
                os.fchown(f.fileno(), owner.pw_uid, owner.pw_gid)
            os.fchmod(f.fileno(), mode)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def can_reach(path, entry):
    """Whether an account may pass through all the folders above a path."""
    if entry is None:
        return True
    path = os.path.realpath(path)
    while path != "/":
        path = os.path.dirname(path)
        info = os.stat(path)
        if info.st_uid == entry.pw_uid:
            bit = stat.S_IXUSR
        elif info.st_gid == entry.pw_gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not info.st_mode & bit:
            return False
    return True


class State:
    """A state directory."""

    def __init__(self, path):
        self.path = os.path.realpath(path)
        self._lock = None

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def create(self):
        try:
            os.makedirs(self.path, mode=0o755, exist_ok=True)
            os.makedirs(self / "secrets", mode=0o700, exist_ok=True)
            os.makedirs(self / "log", mode=0o755, exist_ok=True)
        except OSError as e:
            raise StackError(f"can't make the state directory {self.path}: {e.strerror}") from e
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StackError(f"the state directory {self.path} is not ours to write")

    def lock(self):
        """Takes the lock, or returns False when a keeper holds it."""
        descriptor = os.open(self / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(descriptor)
            if e.errno == errno.EWOULDBLOCK:
                return False
            raise
        self._lock = descriptor
        return True

    def is_locked(self):
        if not os.path.exists(self / "lock"):
            return False
        if not self.lock():
            return True
        os.close(self._lock)
        self._lock = None
        return False

    def record(self):
        """What the last start wrote down; {} when there is nothing (or nothing readable)."""
        try:
            with open(self / "run.json", encoding="utf-8") as f:
                record = json.load(f)
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_record(self, record):
        write_file(self / "run.json", json.dumps(record, indent=1) + "\n", 0o600)

    def secret(self, name, value=None):
        """A secret's text, made at random (or from value) when it is not there yet."""
        path = self / os.path.join("secrets", name)
        try:
            with open(path, encoding="utf-8") as f:
                return f.read().rstrip("\n")
        except FileNotFoundError:
            text = value or secrets.token_urlsafe(18)
            write_file(path, text + "\n")
            return text

    def has_secret(self, name):
        return os.path.exists(self / os.path.join("secrets", name))

    def log(self, name):
        return self / os.path.join("log", name + ".log")

    def rotate_logs(self):
        for name in os.listdir(self / "log"):
            path = self / os.path.join("log", name)
            if name.endswith(".log") and os.path.getsize(path) > LOG_KEEP:
                os.rename(path, path + ".1")

    def log_tail(self, name, lines=15):
        """What a part said last; not its lines of requests, which are mostly our own questions."""
        try:
            with open(self.log(name), "rb") as f:
                f.seek(0, os.SEEK_END)
                f.seek(max(0, f.tell() - LOG_TAIL))
                text = f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        said = [line for line in text.splitlines() if '"event":"request"' not in line]
        return "\n".join(said[-lines:])

    def repair(self, progress):
        """Ends what an earlier keeper left running and removes its runtime directory."""
        record = self.record()
        if record.get("boot_id") == proc.boot_id():
            for name, part in record.get("parts", {}).items():
                if proc.session_members(part["pid"], part["started"]):
                    progress(f"ending {name} (pid {part['pid']}), left by an earlier start")
                    if not proc.end_session(part["pid"], part["started"], part["patience"]):
                        raise StackError(f"{name} (pid {part['pid']}) does not end")
        runtime = record.get("runtime")
        if runtime and os.path.isdir(runtime) and os.stat(runtime).st_uid == os.geteuid():
            shutil.rmtree(runtime, ignore_errors=True)
        if os.path.islink(self / "run"):
            os.unlink(self / "run")


def _is_usable(base):
    return os.access(base, os.W_OK | os.X_OK) and not os.statvfs(base).f_flag & os.ST_NOEXEC


class Runtime:
    """A runtime directory."""

    def __init__(self):
        for base in ("/tmp", "/run", "/dev/shm"):
            if _is_usable(base):
                break
        else:
            raise StackError("no place for sockets and programs: /tmp is not writable (or noexec)")
        self.path = tempfile.mkdtemp(prefix="zg.", dir=base)
        os.chmod(self.path, 0o711)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def folder(self, name, owner=None, mode=0o711):
        path = self / name
        os.mkdir(path, mode)
        os.chmod(path, mode)
        if owner:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        return path

    def socket(self, name):
        path = self / name
        if len(os.fsencode(path)) > SOCKET_PATH_MAX:
            raise StackError(f"the socket path {path} is longer than {SOCKET_PATH_MAX} bytes")
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
