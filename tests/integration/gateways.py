"""The ways in which a web server can start ziggie-fcgi, behind one interface.

    with SpawnFcgi(stack) as gateway:
        reply = gateway.request("GET", "/api/health")
        assert reply.status == 200 and reply.json()["status"] == "healthy"

`length` is what CONTENT_LENGTH says, when it is not to be the body's length.
"""

import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess

import psutil
import requests

import fcgi_client as f
from harness import BUILD, SOURCE, scratch_dir, wait_for
from stack import proc
from stack.layout import can_reach
from stack.parts import find_program

MODULES = "/usr/lib/apache2/modules"


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def parameters(method, path, headers=None, body=b"", length=None):
    """What a gateway tells the application, as a dict."""
    path, _, query = path.partition("?")
    params = f.parameters(method, path, query, headers)
    if body or length is not None:
        params["CONTENT_LENGTH"] = str(len(body)) if length is None else length
        params["CONTENT_TYPE"] = "application/json"
    return params


def parse_cgi(output):
    answer = f.Answer(1, output, bytes(8))
    return Reply(answer.status, answer.headers, answer.body)


def listens(path):
    """Whether somebody listens there; between bind and listen the path alone is there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Gateway:
    """Starts processes with the settings of a stack, and ends them."""

    own_refusal = None  # the web server's status for a body shorter than promised

    def __init__(self, stack, **settings):
        self.stack = stack
        self.directory = scratch_dir()
        self.log = os.path.join(self.directory, "app.log")
        self.socket = os.path.join(self.directory, "app.sock")
        self.program = os.path.join(BUILD, "ziggie-fcgi")
        self.settings = {"log_file": self.log, **settings}
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        pass

    def request(self, method, path, headers=None, body=b"", length=None):
        raise NotImplementedError

    def variables(self):
        """ziggie-fcgi's environment: where its settings are, and nothing of ours."""
        kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        ours = {"ZIGGIE_" + name.upper(): str(value) for name, value in self.settings.items()}
        return {"PATH": os.environ["PATH"], "ZIGGIE_CONFIG": self.stack.config, **kept, **ours}

    def popen(self, *command, **more):
        command = ["setpriv", "--pdeathsig", "TERM", *command]
        self.processes.append(subprocess.Popen(command, env=self.variables(), **more))
        return self.processes[-1]

    def log_lines(self, **wanted):
        with open(self.log, encoding="utf-8") as log:
            lines = [json.loads(line) for line in log.read().rpartition("\n")[0].splitlines()]
        return [entry for entry in lines
                if all(entry.get(name) == value for name, value in wanted.items())]


class SpawnFcgi(Gateway):
    """spawn-fcgi, and a web server that speaks FastCGI to the socket."""

    def start(self):
        spawn = find_program("spawn-fcgi")
        # -n: it becomes the program, so that its end can be waited for.
        self.process = self.popen(spawn, "-n", "-s", self.socket, "--", self.program)
        wait_for(lambda: listens(self.socket), what="the socket")

    def request(self, method, path, headers=None, body=b"", length=None):
        with f.Connection(self.socket) as connection:
            params = parameters(method, path, headers, body, length)
            connection.send(f.whole_request(params, body))
            answer = connection.answer()
            return Reply(answer.status, answer.headers, answer.body)


class CgiFcgi(Gateway):
    """cgi-fcgi starts the program, and is the CGI program that passes requests on to it."""

    def start(self):
        self.bridge = find_program("cgi-fcgi")
        start = subprocess.Popen([self.bridge, "-start", "-connect", self.socket, self.program, "1"],
                                 env=self.variables(), start_new_session=True)
        started = proc.start_time(start.pid)
        assert start.wait(20) == 0
        # It is nobody's child by now, but the only one in the session that was made for it.
        (pid,) = proc.session_members(start.pid, started)
        self.processes.append(psutil.Process(pid))

    def request(self, method, path, headers=None, body=b"", length=None):
        done = subprocess.run(
            [self.bridge, "-bind", "-connect", self.socket], input=body, capture_output=True,
            env=parameters(method, path, headers, body, length), check=True, timeout=20)
        return parse_cgi(done.stdout)


class PlainCgi(Gateway):
    """The program itself, once for each request."""

    def run(self, params, body=b"", arguments=()):
        return subprocess.run([self.program, *arguments], input=body, capture_output=True,
                              env={**self.variables(), **params}, check=False, timeout=20)

    def request(self, method, path, headers=None, body=b"", length=None):
        done = self.run(parameters(method, path, headers, body, length), body)
        assert done.returncode == 0, done.stderr
        return parse_cgi(done.stdout)


class Http(Gateway):
    """A web server on a port of its own."""

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start_server()
        wait_for(self.answers, what="an answer of the web server")

    def answers(self):
        try:
            return requests.get(self.url + "/livez", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def request(self, method, path, headers=None, body=b"", length=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        if length is not None:
            headers["X-False-Length"] = length
        answer = requests.request(method, self.url + path, headers=headers, data=body or None,
                                  timeout=20)
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, names, answer.content)


class NginxSpawnFcgi(Http):
    """nginx, with the parameters of deploy/nginx but for kept connections, before spawn-fcgi."""

    def start_server(self):
        spawn = find_program("spawn-fcgi")
        self.popen(spawn, "-n", "-s", self.socket, "-M", "0777", "--", self.program)
        wait_for(lambda: listens(self.socket), what="the socket")
        paths = "".join(f"{name}_temp_path {self.directory}/{name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.write("nginx.conf", f"""
            daemon off;
            worker_processes 1;
            pid {self.directory}/nginx.pid;
            error_log {self.directory}/nginx.log;
            events {{ }}
            http {{
                {paths}
                access_log off;
                client_max_body_size 1100k;
                map $http_x_false_length $length {{
                    default $http_x_false_length;
                    "" $content_length;
                }}
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{
                        include {self.write("params.conf", self.parameters())};
                        fastcgi_pass unix:{self.socket};
                    }}
                }}
            }}""")
        self.popen(find_program("nginx"), "-p", self.directory, "-c", config,
                   "-e", os.path.join(self.directory, "nginx.log"), stderr=subprocess.DEVNULL)

    @staticmethod
    def parameters():
        """deploy/nginx's as docs/ziggie-fcgi.md wants them, and a length that can be made false."""
        with open(os.path.join(SOURCE, "deploy/nginx/ziggie-fastcgi.conf"), encoding="utf-8") as t:
            text = t.read()
        for ours, instead in (("fastcgi_keep_conn on;", "fastcgi_keep_conn off;"),
                              ("CONTENT_LENGTH    $content_length;", "CONTENT_LENGTH $length;")):
            assert ours in text
            text = text.replace(ours, instead)
        return text


class Apache(Http):
    """Apache, which starts the program itself, as the account that may read the stack's secrets."""

    modules = ()

    def site(self, programs):
        raise NotImplementedError

    def start_server(self):
        account = self.account()
        modules = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
                          for name in ("mpm_event", "authz_core", "alias", *self.modules))
        run_as = f"User {account.pw_name}\nGroup #{account.pw_gid}\n" if account else ""
        config = self.write("apache.conf", f"""
            ServerRoot {self.directory}
            DefaultRuntimeDir {self.directory}
            PidFile {self.directory}/apache.pid
            Mutex pthread default
            ErrorLog {self.directory}/apache.log
            ServerName localhost
            Listen 127.0.0.1:{self.port}
            {modules}
            {run_as}
            StartServers 1
            MinSpareThreads 1
            {self.site(self.reachable_programs(account))}
            """)
        self.popen(find_program("apache2"), "-DFOREGROUND", "-f", config)

    def request(self, method, path, headers=None, body=b"", length=None):
        if length is None:
            return super().request(method, path, headers, body)
        # What counts is the client's promise, and requests keeps its own.
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                           f"{length}\r\n\r\n".encode() + body)
            client.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())

    def account(self):
        if os.geteuid() != 0:
            return None
        owner = pwd.getpwuid(os.stat(os.path.join(self.stack.run, "app")).st_uid)
        os.chown(self.directory, owner.pw_uid, -1)
        return owner

    def reachable_programs(self, account):
        """The folder with the program; a copy, when the account can't reach the built one."""
        if can_reach(self.program, account):
            return BUILD
        folder = os.path.join(self.directory, "bin")
        os.mkdir(folder)
        shutil.copy(self.program, folder)
        return folder


class ModFcgid(Apache):
    """Apache's mod_fcgid, with the configuration of deploy/fcgid."""

    own_refusal = 500
    modules = ("fcgid",)

    def site(self, programs):
        with open(os.path.join(SOURCE, "deploy/fcgid/ziggie-fcgid.conf.in"), encoding="utf-8") as t:
            site = t.read()
        site = site.replace("@LIBEXECDIR@", programs).replace("@CONFIG@", self.stack.config)
        environment = "".join(f'FcgidInitialEnv {name} "{value}"\n'
                              for name, value in self.variables().items() if name != "PATH")
        return f"""
            FcgidIPCDir {self.directory}/ipc
            FcgidProcessTableFile {self.directory}/processes
            <VirtualHost *:{self.port}>
            {site}
            {environment}
            </VirtualHost>"""


class ModCgid(Apache):
    """Apache's mod_cgid, with the configuration of docs/ziggie-fcgi.md."""

    own_refusal = 400
    modules = ("cgid", "env")

    def site(self, programs):
        with open(os.path.join(SOURCE, "docs/ziggie-fcgi.md"), encoding="utf-8") as page:
            lines = page.read().partition("## Plain CGI")[2].splitlines()
        site = "\n".join(line for line in lines if line.startswith("    "))
        assert "SetEnv ZIGGIE_CONFIG" in site
        site = site.replace("/usr/local/libexec/ziggie", programs)
        return f"ScriptSock {self.directory}/cgid.sock\n" + site + "\n" + "".join(
            f'SetEnv {name} "{value}"\n' for name, value in self.variables().items())


GATEWAYS = {"spawn-fcgi": SpawnFcgi, "nginx": NginxSpawnFcgi, "cgi-fcgi": CgiFcgi,
            "cgi": PlainCgi, "mod_fcgid": ModFcgid, "mod_cgid": ModCgid}


def end_with(process, number=signal.SIGTERM):
    """Sends a signal and returns the exit status."""
    process.send_signal(number)
    return process.wait(10)
