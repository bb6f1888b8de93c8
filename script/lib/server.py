"""script/server: a private Ziggie stack for this machine."""

import argparse
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from stack import StackError, keeper, proc, web
from stack.layout import State

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STOPPED = 3  # the status of --status when nothing runs, as service managers have it


def progress(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="script/server",
        description="Builds Ziggie and runs it with its own MariaDB, memcached and web "
                    "server, all below one directory.  Ctrl-C ends all of it; the data stays.")
    parser.add_argument("--port", type=int, default=8080,
                        help="port to listen on (default 8080; 0 takes a free one)")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on (default 127.0.0.1: this machine only)")
    parser.add_argument("--state", default=os.path.join(SOURCE, "var"), metavar="DIR",
                        help="directory for data, secrets and logs (default var/)")
    parser.add_argument("--web", default="nginx", choices=sorted(web.SERVERS),
                        help="web server (default nginx)")
    parser.add_argument("--hosts", type=int, default=1, metavar="N",
                        help="as if N hosts shared the database, memcached and the web server "
                             "(default 1, at most 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes of each host")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of each worker")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="any other setting of ziggie.conf (repeatable)")
    parser.add_argument("--trust-proxy", action="append", default=[], metavar="ADDRESS",
                        help="proxy whose X-Forwarded-For is believed (repeatable)")
    parser.add_argument("--db-connections", type=int, metavar="N",
                        help="MariaDB's max_connections (default 200 for each host)")
    parser.add_argument("--build-dir", metavar="DIR",
                        help="take the programs from there, without bootstrap and build")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--detach", action="store_true",
                        help="return once it is ready, and leave it running")
    action.add_argument("--stop", action="store_true", help="end what runs in the state directory")
    action.add_argument("--status", action="store_true",
                        help="say what runs; 0 ready, 1 not ready, 3 stopped")
    options = parser.parse_args(argv)
    if not 0 <= options.port <= 65535:
        parser.error("--port must be from 0 to 65535")
    if not 1 <= options.hosts <= 16:
        parser.error("--hosts must be from 1 to 16")
    if options.db_connections is None:
        options.db_connections = 200 * options.hosts
    for name in ("workers", "threads"):
        number = getattr(options, name)
        if number is not None:
            options.set.insert(0, f"{name}={number}")
    for setting in options.set:
        if "=" not in setting:
            parser.error(f"--set {setting}: NAME=VALUE is needed")
        if '"' in setting or "\n" in setting:
            parser.error(f"--set {setting}: the value can't hold quotes or line ends")
    return options


def keeper_of(record):
    """The pid of the keeper that wrote a record, when it still lives."""
    entry = record.get("keeper")
    if entry and record.get("boot_id") == proc.boot_id():
        if proc.is_alive(entry["pid"], entry["started"]):
            return entry["pid"]
    return None


def is_ready(record):
    return web.http_get(record["address"], record["port"], "/readyz")[0] == 200


def stop(state):
    if state.is_locked():
        record = state.record()
        pid = keeper_of(record)
        if pid is None:
            raise StackError("the stack is just being started or stopped; try again")
        os.kill(pid, signal.SIGTERM)
        patience = 30 + sum(part["patience"] for part in record.get("parts", {}).values())
        deadline = time.monotonic() + patience
        while state.is_locked():
            if time.monotonic() > deadline:
                raise StackError(f"the keeper (pid {pid}) does not end")
            time.sleep(0.05)
        progress("stopped")
    elif os.path.exists(state / "run.json"):
        state.repair(progress)
        os.unlink(state / "run.json")
        progress("stopped what an earlier start had left")
    else:
        progress("nothing runs here")
    return 0


def status(state):
    record = state.record()
    pid = keeper_of(record)
    if pid is None:
        print(f"stopped ({state.path})")
        return STOPPED
    ready = is_ready(record)
    print(f"{'ready' if ready else 'not ready'}: {record['url']} ({state.path})")
    print(f"keeper     pid {pid}")
    for name, part in record["parts"].items():
        alive = proc.is_alive(part["pid"], part["started"])
        print(f"{name:<10} pid {part['pid']}{'' if alive else ' (ended)'}")
    return 0 if ready else 1


def already_running(state, options):
    record = state.record()
    pid = keeper_of(record)
    where = record.get("url", "an address not known yet")
    progress(f"already running at {where} (pid {pid}); "
             f"script/server --stop --state {state.path} ends it")
    if options.detach and pid and options.port in (0, record["port"]) and is_ready(record):
        print(keeper.banner(record["url"], state), flush=True)
        return 0
    return 1


def run(state, options, build, say, tell):
    """Starts, watches and ends the stack; `tell` hears how the start went."""
    stack = keeper.Stack(
        state, SOURCE, build, address=options.listen, port=options.port,
        settings=dict(setting.split("=", 1) for setting in options.set),
        web_server=options.web, proxies=options.trust_proxy, hosts=options.hosts,
        db_connections=options.db_connections, progress=say)
    watch = keeper.Keeper(stack)
    try:
        watch.start()
        tell(0, keeper.banner(stack.url, state))
        watch.watch()
        return 0
    except keeper.Stopped:
        tell(130, "")
        return 130
    except (StackError, OSError) as e:
        say(f"failed: {e}")
        tell(1, "")
        return 1
    finally:
        watch.stop()


def run_detached(state, options, build):
    """Runs the stack in a process of its own; returns once it is ready or has failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        log = os.open(state.log("keeper"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        terminal = os.dup(2)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        watched = [True]

        def say(text):
            progress(text)
            if watched[0]:
                try:
                    os.write(terminal, f"[{time.strftime('%H:%M:%S')}] {text}\n".encode())
                except OSError:
                    watched[0] = False

        def tell(result, text):
            if result == 0:
                watched[0] = False
                os.close(terminal)
                os.write(writing, b"\0" + text.encode())
                os.close(writing)

        os._exit(run(state, options, build, say, tell))
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        if answer[:1] == b"\0":
            print(answer[1:].decode(), flush=True)
            return 0
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
    _, result = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(result) or 1


def start(state, options):
    state.create()
    if state.is_locked():
        return already_running(state, options)
    build = options.build_dir
    if build is None:
        for step in ("bootstrap", "build"):
            done = subprocess.run([os.path.join(SOURCE, "script", step)], check=False,
                                  stdout=sys.stderr)
            if done.returncode != 0:
                raise StackError(f"script/{step} failed")
        build = os.path.join(SOURCE, "build")
    build = os.path.realpath(build)
    if not state.lock():
        return already_running(state, options)
    if options.detach:
        return run_detached(state, options, build)

    def tell(result, text):
        if result == 0:
            print(text, flush=True)

    return run(state, options, build, progress, tell)


def main(argv):
    options = parse(argv)
    state = State(options.state)
    try:
        if options.stop:
            return stop(state)
        if options.status:
            return status(state)
        return start(state, options)
    except StackError as e:
        progress(f"failed: {e}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
