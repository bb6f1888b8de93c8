"""The peers, each started on a socket of its own, and the one nginx in front of them all."""

import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

from bench import BenchError, process
from bench.children import built_program, find_program, free_port, web_user
from bench.load import fetch, verify

PEERS = ("bare", "engine", "static", "php")
VALIDATE = "/api/auth/validate"
# What script/lib/bench/records.py compares with.
RECORD_SCRIPTS = ("agent", "agents", "patch")
# As deploy/nginx ships the upstream of the application.
THREADS = "16"
KEPT = "keepalive 512;\n        keepalive_timeout 5s;\n        keepalive_requests 100000;"


def body_of(size):
    """The bytes that bare_fcgi makes by itself."""
    return '{"filling":"' + "x" * (size - 14) + '"}'


def _memcached_set(path, key, value):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(path)
        s.sendall(f"set {key} 0 0 {len(value)}\r\n{value}\r\n".encode())
        answer = s.recv(64)
    if answer != b"STORED\r\n":
        raise BenchError(f"memcached does not store {key}: {answer.decode(errors='replace')}")


# The limiter is on, and nothing measured meets a limit.
NEVER_MET = {f"ratelimit_{name}": "1000000000" for name in (
    "read", "read_v1", "write", "logs", "control", "login", "login_account", "account", "search",
    "ingest", "total")}


class Stack:
    """A private Ziggie from script/server, run in the foreground as our child."""

    def __init__(self, children, source, build, **settings):
        self.children = children
        self.source = source
        self.state = children.path("state")
        os.mkdir(self.state, 0o711)
        children.start(
            "server",
            [os.path.join(source, "script", "server"), "--state", self.state, "--port", "0",
             "--build-dir", build,
             *(f"--set={name}={value}" for name, value in {**NEVER_MET, **settings}.items())],
            120, self._ready)
        record = self._record()
        self.port = record["port"]
        self.config = os.path.join(record["runtime"], "app", "ziggie.conf")
        self.socket = os.path.join(record["runtime"], "app", "fcgi.sock")
        self.db_socket = os.path.join(record["runtime"], "db", "mariadb.sock")
        self.db_password = self.secret("db-password")
        self.token = self._login()

    def _record(self):
        try:
            with open(os.path.join(self.state, "run.json"), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def _ready(self):
        return self._record().get("phase") == "ready"

    def secret(self, name):
        with open(os.path.join(self.state, "secrets", name), encoding="utf-8") as f:
            return f.read().strip()

    def _login(self):
        body = json.dumps({"username": "admin", "password": self.secret("admin-password")})
        status, _, answer = fetch(self.port, "/api/auth/login",
                                  {"Content-Type": "application/json"}, "POST", body)
        if status != 200:
            raise BenchError(f"login answers {status}: {answer[:300].decode(errors='replace')}")
        return json.loads(answer)["access_token"]

    def sql(self, text):
        """Runs statements as the application's account; gives their rows as text."""
        done = subprocess.run(
            [find_program("mariadb"), "--no-defaults", "-S", self.db_socket, "-u", "ziggie", "-NB",
             "ziggie"], input=text, capture_output=True, text=True, timeout=900, check=False,
            env={**os.environ, "MYSQL_PWD": self.db_password})
        if done.returncode != 0:
            raise BenchError(f"the database refuses: {done.stderr.strip()}")
        return done.stdout

    def workers(self):
        """The workers' entries in /api/health/memory: pid, rss_mb, requests."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return json.loads(verify(self.port, "/api/health/memory", headers))["workers"]

    def _generation(self):
        """Its number, when no process of an earlier one is left."""
        page = verify(self.port, "/metrics", {}).decode()
        if len(set(re.findall(r'resident_memory_bytes{[^}]*generation="(\d+)"', page))) != 1:
            return 0
        return int(re.search(r"^ziggie_generation (\d+)$", page, re.M).group(1))

    def change(self, **settings):
        """Reloads with other settings; NEVER_MET and the shipped values come back without any."""
        before, record = self._generation(), self._record()
        with open(self.config, encoding="utf-8") as f:
            kept = [line for line in f if not line.startswith("ratelimit_")]
        changed = {**NEVER_MET, **settings}
        with open(self.config, "w", encoding="utf-8") as f:
            f.writelines(kept + [f'{name} = "{value}"\n' for name, value in changed.items()])
        os.kill(record["parts"]["ziggied"]["pid"], signal.SIGHUP)
        deadline = time.monotonic() + 60
        while self._generation() <= before:
            if time.monotonic() > deadline:
                raise BenchError("the reload did not come to an end")
            time.sleep(0.1)

    def forget_logs(self):
        """A run writes gigabytes of log lines; all writers append, so they may be cut off."""
        folder = os.path.join(self.state, "log")
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            os.truncate(os.path.join(folder, name), 0)


class Front:
    """One nginx, and behind it each peer once for each size of body, and the stack."""

    def __init__(self, children, source, build, stack, sizes):
        self.children = children
        self.source = source
        self.build = build
        self.stack = stack
        self.sizes = sizes  # name → bytes
        self.port = free_port()
        self.user = web_user()
        self.cache_socket = children.path("cache/memcached.sock")
        for name, size in sizes.items():
            self._start_program("bare_fcgi", f"bare-{name}", "--socket", None, "--size", str(size),
                                "--threads", THREADS)
            self._start_program("engine_echo", f"engine-{name}", None, THREADS, str(size))
            self._write(f"{name}.json", body_of(size))
        self._start_memcached()
        self._start_php()
        self._start_nginx()
        self._check()

    def _write(self, name, text):
        path = self.children.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def _fill(self, template, values):
        with open(os.path.join(self.source, "bench", template), encoding="utf-8") as f:
            text = f.read()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    def _start_program(self, program, name, *options):
        """One of build/bench/; None among its options stands for its socket."""
        path = self.children.path(f"{name}.sock")
        command = [built_program(self.build, program)]
        command += [path if option is None else option for option in options]
        self.children.start(name, command, 10, lambda: os.path.exists(path))
        os.chmod(path, 0o666)

    def _start_memcached(self):
        """PHP's own, with what Ziggie would find in its caches: the principal and the sample."""
        os.mkdir(self.children.path("cache"), 0o711)
        path = self.cache_socket
        as_user = []
        if self.user:
            os.chown(self.children.path("cache"), self.user.pw_uid, self.user.pw_gid)
            as_user = ["-u", self.user.pw_name]
        self.children.start("memcached", [find_program("memcached"), "-s", path, "-a", "0777",
                                          "-m", "64", "-t", "2", *as_user],
                            10, lambda: os.path.exists(path))
        token = hashlib.sha256(self.stack.token.encode()).hexdigest()
        principal = {"username": "admin", "role": "admin", "expires": int(time.time()) + 86400}
        _memcached_set(path, f"token:{token}", json.dumps(principal))
        _memcached_set(path, "processes", body_of(self.sizes["processes"]))

    def _write_scripts(self):
        for name, size in self.sizes.items():
            self._write(f"constant-{name}.php", self._fill(
                "php/constant.php.in", {"SIZE": str(size), "BODY": body_of(size)}))
        self._write("opcache.php", self._fill("php/opcache.php", {}))
        self._write("cached.php", self._fill("php/cached.php.in", {
            "MEMCACHED": self.cache_socket, "VALUE": "processes"}))
        for name in ("read", *RECORD_SCRIPTS):
            self._write(f"{name}.php", self._fill(f"php/{name}.php.in", {
                "USER": "ziggie", "DATABASE": "ziggie", "SOCKET": self.stack.db_socket,
                "PASSWORD": self.stack.db_password}))

    def _start_php(self):
        self._write_scripts()
        user = f"user = {self.user.pw_name}" if self.user else ""
        config = self._write("fpm.conf", self._fill(
            "php/fpm.conf.in", {"RUN_DIR": self.children.folder, "USER": user}))
        path = self.children.path("php.sock")
        # No ini files: what the system's PHP is set up for costs this peer nothing.
        settings = ("extension=igbinary", "extension=msgpack", "extension=memcached",
                    "extension=mysqlnd", "extension=mysqli",
                    "zend_extension=opcache", "opcache.enable=1", "opcache.validate_timestamps=0",
                    "opcache.file_update_protection=0", "expose_php=0", "variables_order=GPS")
        command = [find_program("php-fpm8.2", "php-fpm8.4", "php-fpm"), "-n", "-y", config, "-F"]
        for setting in settings:
            command += ["-d", setting]
        self.children.start("php-fpm", command, 20, lambda: os.path.exists(path))

    def _upstreams(self):
        sockets = {f"{peer}-{name}": self.children.path(f"{peer}-{name}.sock")
                   for peer in ("bare", "engine") for name in self.sizes}
        sockets["ziggie"] = self.stack.socket
        return "\n".join(f"    upstream {name} {{\n        server unix:{path};\n        {KEPT}\n    }}"
                         for name, path in sockets.items())

    def _locations(self):
        text = []
        for name in self.sizes:
            text += [
                f"location = /bench/static-{name} {{ alias {self.children.path(name)}.json; }}",
                f"location = /bench/bare-{name} {{ fastcgi_pass bare-{name}; }}",
                f"location = /bench/engine-{name} {{ fastcgi_pass engine-{name}; }}",
                self._php_location(f"php-{name}", f"constant-{name}.php"),
            ]
        text += [self._php_location(name, f"{name}.php") 
                 for name in ("cached", "read", "opcache", *RECORD_SCRIPTS)]
        text.append("location / { fastcgi_pass ziggie; }")
        return "\n        ".join(text)

    def _php_location(self, name, script):
        """A child serves one connection: those that nginx keeps would keep the children from
        all other connections, for ever."""
        return (f"location = /bench/{name} {{ set $bench_script {script}; fastcgi_keep_conn off; "
                f"fastcgi_pass unix:{self.children.path('php.sock')}; }}")

    def _start_nginx(self):
        run_dir = self.children.folder
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        config = self._write("nginx.conf", self._fill("nginx.conf.in", {
            "USER": f"user {self.user.pw_name};" if self.user else "",
            "FILES": str(65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)),
            "RUN_DIR": run_dir,
            "PORT": str(self.port),
            "DEPLOY_DIR": os.path.join(self.source, "deploy", "nginx"),
            "UPSTREAMS": self._upstreams().strip(),
            "LOCATIONS": self._locations(),
        }))
        for name in ("access.log", "refused.log"):
            self._write(name, "")
        self.children.start("nginx", [find_program("nginx"), "-p", run_dir, "-c", config, "-e",
                                      self.children.path("nginx.log")],
                            10, lambda: os.path.exists(self.children.path("nginx.pid")))

    def nginx_workers(self):
        """Their pids."""
        with open(self.children.path("nginx.pid"), encoding="ascii") as f:
            return process.children_of(int(f.read()))

    def _check(self):
        """Every peer answers what is expected of it, and PHP is the fast one."""
        for name, size in self.sizes.items():
            for peer in PEERS:
                body = verify(self.port, f"/bench/{peer}-{name}", {}, size)
                if peer != "engine" and body.decode() != body_of(size):
                    raise BenchError(f"{peer} answers other bytes than expected")
        headers = {"Authorization": f"Bearer {self.stack.token}"}
        verify(self.port, "/bench/cached", headers, self.sizes["processes"])
        if verify(self.port, "/bench/read", headers) != verify(self.port, VALIDATE, headers):
            raise BenchError("PHP reads something else of the token than Ziggie does")
        state = json.loads(verify(self.port, "/bench/opcache", {}))
        missing = {f"constant-{name}.php" for name in self.sizes} | {"cached.php", "read.php"}
        missing -= set(state["scripts"])
        if not state["enabled"] or missing:
            raise BenchError(f"php-fpm runs without opcache: {state}")

    def refused(self):
        """How many answers of nginx since the last call were neither 2xx nor a hang-up."""
        path = self.children.path("refused.log")
        with open(path, "rb") as f:
            count = sum(1 for _ in f)
        os.truncate(path, 0)
        os.truncate(self.children.path("access.log"), 0)
        return count
