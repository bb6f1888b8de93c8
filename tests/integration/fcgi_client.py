"""A web server's side of FastCGI, for tests that speak to a worker without one.

Nothing here checks what it sends: tests send wrong records on purpose.

    with Connection(stack.run + "/app/fcgi.sock") as c:
        answer = c.request("GET", "/api/health")
        assert answer.status == 200 and answer.json()["status"] == "healthy"
"""

import json
import socket
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP = 1
COMPLETE, CANT_MPX, OVERLOADED, UNKNOWN_ROLE = range(4)
TIMEOUT = 20


def record(kind, request_id=1, content=b"", padding=0, version=1, reserved=0):
    header = struct.pack(">BBHHBB", version, kind, request_id, len(content), padding, reserved)
    return header + content + b"\0" * padding


def begin(request_id=1, role=RESPONDER, flags=KEEP, padding=0):
    return record(BEGIN, request_id, struct.pack(">HB5x", role, flags), padding)


def _length(number):
    return bytes([number]) if number < 128 else struct.pack(">I", number | 1 << 31)


def pairs(items):
    """Encodes (name, value) pairs, or a dict."""
    out = b""
    for name, value in items.items() if isinstance(items, dict) else items:
        name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
        out += _length(len(name)) + _length(len(value)) + name + value
    return out


def decode_pairs(data):
    """The encoded (name, value) pairs, in their order."""
    found = []
    while data:
        lengths = []
        for _ in range(2):
            if data[0] < 128:
                lengths.append(data[0])
                data = data[1:]
            else:
                lengths.append(struct.unpack(">I", data[:4])[0] & 0x7FFFFFFF)
                data = data[4:]
        name, value = data[:lengths[0]], data[lengths[0]:sum(lengths)]
        found.append((name.decode(), value.decode()))
        data = data[sum(lengths):]
    return found


def stream(kind, data, request_id=1, size=65535, padding=0):
    """The records of a stream, of `size` bytes each, and its end."""
    parts = [data[at:at + size] for at in range(0, len(data), size)]
    return b"".join(record(kind, request_id, part, padding) for part in [*parts, b""])


def parameters(method, path, query="", headers=None, **more):
    """What a web server tells about a request, as a dict."""
    params = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": method,
        "REQUEST_URI": path + ("?" + query if query else ""),
        "DOCUMENT_URI": path,
        "SCRIPT_NAME": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
    }
    for name, value in (headers or {}).items():
        params["HTTP_" + name.upper().replace("-", "_")] = value
    return {**params, **more}


def whole_request(params, body=b"", request_id=1, flags=KEEP):
    """All records of a request; CONTENT_LENGTH is the caller's."""
    return (begin(request_id, RESPONDER, flags) + stream(PARAMS, pairs(params), request_id)
            + stream(STDIN, body, request_id))


class Record:
    def __init__(self, kind, request_id, content):
        self.kind, self.id, self.content = kind, request_id, content

    def __repr__(self):
        return f"Record(kind={self.kind}, id={self.id}, {len(self.content)} bytes)"


class Answer:
    """The STDOUT stream of one request, taken apart as CGI says."""

    def __init__(self, request_id, stdout, end):
        self.id = request_id
        self.app_status, self.protocol_status = struct.unpack(">IB3x", end)
        self.stdout = stdout
        head, _, self.body = stdout.partition(b"\r\n\r\n")
        self.headers = {}
        for line in head.decode().split("\r\n") if head else []:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.status = int(self.headers.get("status", "200").split()[0])

    def json(self):
        return json.loads(self.body)


# What a worker replied, in short: see Connection.replies().
CLOSED = ("closed",)


def answered(status=200, request_id=1):
    return ("answered", request_id, status)


def ended(request_id, protocol_status):
    return ("ended", request_id, protocol_status)


def values(*pairs_in_order):
    return ("values", *pairs_in_order)


def unknown(kind):
    return ("unknown", kind)


class Closed(EOFError):
    """The worker closed between two records."""


class Connection:
    def __init__(self, path, timeout=TIMEOUT):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *records):
        self.socket.sendall(b"".join(records))

    def push(self, pieces):
        """Sends each piece by itself, as far as the worker takes them."""
        for piece in pieces:
            try:
                self.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return

    def _exactly(self, count, closed=EOFError):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise (EOFError if data else closed)(f"closed after {len(data)} of {count} bytes")
            data += part
        return data

    def receive(self):
        """The next record; Closed when there is none."""
        header = self._exactly(8, Closed)
        version, kind, request_id, length, padding, _ = struct.unpack(">BBHHBB", header)
        assert version == 1
        content = self._exactly(length + padding)[:length]
        return Record(kind, request_id, content)

    def replies(self, last_id):
        """All that comes, in short, until the request `last_id` has ended or the worker closes."""
        found, stdout = [], {}
        while True:
            try:
                r = self.receive()
            except Closed:
                return found + [CLOSED]
            if r.kind == STDOUT:
                stdout[r.id] = stdout.get(r.id, b"") + r.content
            elif r.kind == END and r.id in stdout:
                answer = Answer(r.id, stdout.pop(r.id), r.content)
                assert (answer.app_status, answer.protocol_status) == (0, COMPLETE)
                found.append(answered(answer.status, r.id))
            elif r.kind == END:
                found.append(ended(r.id, r.content[4]))
            elif (r.kind, r.id) == (GET_VALUES_RESULT, 0):
                found.append(values(*decode_pairs(r.content)))
            elif (r.kind, r.id) == (UNKNOWN_TYPE, 0):
                found.append(unknown(r.content[0]))
            else:
                raise AssertionError(f"an application does not send {r}")
            if r.kind == END and r.id == last_id:
                return found

    def answer(self):
        """The records up to the next END_REQUEST."""
        stdout = b""
        while True:
            r = self.receive()
            if r.kind == END:
                return Answer(r.id, stdout, r.content)
            assert r.kind == STDOUT, r
            stdout += r.content

    def is_closed(self, seconds=TIMEOUT):
        """Whether the worker closes within that time, without sending anything."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except socket.timeout:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)

    def request(self, method, path, query="", headers=None, body=b"", **more):
        """Sends a request as a web server would, and returns the answer."""
        if body and "CONTENT_LENGTH" not in more:
            more["CONTENT_LENGTH"] = str(len(body))
        self.send(whole_request(parameters(method, path, query, headers, **more), body))
        return self.answer()
