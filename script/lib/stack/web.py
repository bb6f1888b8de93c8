"""The web servers: each runs the configuration in deploy/ for its kind, filled in."""

import http.client
import os
import resource

from stack import StackError
from stack.layout import group_name, write_file
from stack.parts import Part, find_program


class WebServer(Part):
    """What has templates in deploy/NAME and is ready when the application is, through it."""

    deploy = ""  # the folder
    main = ""  # the file that includes the others

    def __init__(self, stack):
        super().__init__(stack)
        self.address = stack.address
        self.answer = ""

    @property
    def host(self):
        return f"[{self.address}]" if ":" in self.address else self.address

    def values(self, folder):
        """What stands between at signs in the templates."""
        raise NotImplementedError

    def trusting(self, proxies):
        """The directives that make X-Forwarded-For believed when it comes from these."""
        raise NotImplementedError

    def prepare(self):
        folder = self.stack.run.folder("web", None, 0o755)
        values = {"RUN_DIR": folder, "CONF_DIR": folder,
                  "ERROR_LOG": self.stack.state.log(self.name), **self.values(folder),
                  **self.stack.web_settings}
        templates = os.path.join(self.stack.source, "deploy", self.deploy)
        for name in sorted(os.listdir(templates)):
            if not name.endswith((".conf", ".conf.in")):
                continue
            with open(os.path.join(templates, name), encoding="utf-8") as f:
                text = f.read()
            if name.endswith(".in"):
                for key, value in values.items():
                    text = text.replace(f"@{key}@", value)
            if name == "ziggie-realip.conf" and self.stack.proxies:
                text += self.trusting(self.stack.proxies)
            write_file(os.path.join(folder, name.removesuffix(".in")), text, 0o644)
        self.config = os.path.join(folder, self.main)

    def ready(self):
        status, self.answer = http_get(self.address, self.stack.port, "/readyz?verbose")
        return status == 200

    def last_words(self):
        """It is ready when the application is, so its silence has other reasons than its own."""
        state = self.stack.state
        return (f"/readyz last answered: {self.answer.strip()}\n"
                + state.log_tail("ziggied") + "\n" + state.log_tail(self.name, 3))


class Nginx(WebServer):
    name = "nginx"
    deploy = "nginx"
    main = "nginx.conf"

    def values(self, folder):
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            self.stack.run.folder(f"web/{name}", self.stack.web_account, 0o700)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        account = self.stack.web_account
        return {
            "USER": f"user {account.pw_name} {group_name(account)};" if account else "",
            "WORKERS": "auto",
            "FILES": str(files),
            "CONNECTIONS": str(min(8192, files // 2)),
            "ACCESS_LOG": f"{self.stack.state.log('access')} ziggie buffer=64k flush=1s",
            "UPSTREAM_SERVERS": self.upstream_servers(),
            "LISTEN": f"listen {self.host}:{self.stack.port} backlog=4096 reuseport;",
            "SERVER_NAME": "_",
            "LIMIT_RATE": "200r/s",
            "LIMIT_BURST": "400",
        }

    def upstream_servers(self):
        """A host that is away refuses at once, so it need not be left alone for a while."""
        fails = " max_fails=0" if len(self.stack.backends) > 1 else ""
        return "\n    ".join(f"server unix:{path}{fails};" for path in self.stack.backends)

    def trusting(self, proxies):
        return "".join(f"set_real_ip_from {proxy};\n" for proxy in proxies)

    def argv(self):
        return [find_program("nginx"), "-p", os.path.dirname(self.config), "-c", self.config,
                "-e", self.stack.state.log(self.name)]


class Apache(WebServer):
    name = "apache2"
    deploy = "apache"
    main = "apache2.conf"

    # Debian, Fedora, SUSE, Arch.
    MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules",
               "/usr/lib64/apache2", "/usr/lib/httpd/modules")

    def values(self, folder):
        account = self.stack.web_account
        address = f"{self.host}:{self.stack.port}"
        return {
            "USER": f"User {account.pw_name}\nGroup {group_name(account)}" if account else "",
            "MODULES": self.modules(),
            "LISTEN": address,
            "VIRTUAL_HOST": address,
            "SERVER_NAME": "",
            "ACCESS_LOG": self.stack.state.log("access"),
            "UPSTREAM_SERVERS": "\n            ".join(
                f'Use ZiggieHost "unix:{path}|fcgi://ziggie-{number}"'
                for number, path in enumerate(self.stack.backends, 1)),
        }

    @classmethod
    def modules(cls):
        for path in cls.MODULES:
            if os.path.isfile(os.path.join(path, "mod_proxy_fcgi.so")):
                return path
        raise StackError("Apache's modules are not installed (script/bootstrap installs them)")

    def trusting(self, proxies):
        return "RemoteIPHeader X-Forwarded-For\n" + "".join(
            f"RemoteIPInternalProxy {proxy}\n" for proxy in proxies)

    def argv(self):
        return [find_program("apache2", "httpd"), "-d", os.path.dirname(self.config),
                "-f", self.config, "-E", self.stack.state.log(self.name), "-D", "FOREGROUND"]


SERVERS = {"nginx": Nginx, "apache": Apache}


def http_get(address, port, path, timeout=5):
    """Status and text of a GET; (None, why) when there is no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(65536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as e:
        return None, str(e)
    finally:
        connection.close()
