"""Whether an answer is one that the API description knows: path, status, type and fields.

The description comes from the programs under test (ziggiectl routes --openapi).  It lets
answers grow, since clients must; here a field that it does not name is a fault.
"""

import copy
import functools
import json
import re
import subprocess
import threading

import jsonschema

# What any answer may have, whatever the route; the description does not repeat it.
_EVERYWHERE = {
    "Access-Control-Allow-Credentials", "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers", "Cache-Control", "Connection", "Content-Encoding",
    "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Resource-Policy",
    "Date", "Keep-Alive", "Permissions-Policy", "Referrer-Policy", "Server", "Server-Timing",
    "Transfer-Encoding", "Traceresponse", "Upgrade", "Vary", "X-Content-Type-Options",
    "X-Frame-Options", "X-Request-Id",
}
_FORMATS = jsonschema.FormatChecker(formats=())
_SHAPES = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
for _name, _shape in _SHAPES.items():
    _FORMATS.checks(_name)(
        lambda value, shape=_shape: not isinstance(value, str) or bool(shape.fullmatch(value)))


class Violation(AssertionError):
    """An answer that the description does not know."""


class Contract:
    def __init__(self, document):
        self._schemas = document["components"]["schemas"]
        self._responses = document["components"]["responses"]
        self._literal = {path: methods for path, methods in document["paths"].items()
                         if "{" not in path}
        self._paths = [(self._pattern(path), methods)
                       for path, methods in sorted(document["paths"].items(),
                                                   key=lambda item: item[0].count("{"))
                       if "{" in path]
        self._validators = {}

    @staticmethod
    def _pattern(path):
        return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))

    def methods(self, path):
        """The operations of a path by method, or None.  Fewer {name} win, and no slash counts."""
        path = path.rstrip("/") or "/"
        if path in self._literal:
            return self._literal[path]
        for pattern, methods in self._paths:
            if pattern.fullmatch(path):
                return methods
        return None

    def _expand(self, schema):
        """The schema with what it refers to in its place, and closed."""
        if isinstance(schema, list):
            return [self._expand(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self._expand(copy.deepcopy(self._schemas[schema["$ref"].rpartition("/")[2]]))
        expanded = {key: self._expand(part) for key, part in schema.items()}
        if isinstance(expanded.get("properties"), dict):
            expanded["additionalProperties"] = False
        return expanded

    def _validator(self, schema):
        """Made once for each place in the description, which lives as long as this does."""
        if id(schema) not in self._validators:
            self._validators[id(schema)] = jsonschema.Draft202012Validator(
                self._expand(schema), format_checker=_FORMATS)
        return self._validators[id(schema)]

    def _fits(self, value, schema):
        faults = list(self._validator(schema).iter_errors(value))
        if faults:
            fault = jsonschema.exceptions.best_match(faults)
            raise Violation(f"{'.'.join(map(str, fault.absolute_path)) or 'it'}: {fault.message}")

    def _is_problem(self, answer):
        if media_type(answer) != "application/problem+json":
            raise Violation(f"an error of the type {media_type(answer)}")
        if answer.request.method != "HEAD":
            self._fits(answer.json(), self._schemas["Problem"])

    def _fits_operation(self, answer, operation):
        known = operation["responses"].get(str(answer.status_code))
        if known is None:
            raise Violation("the status is not described")
        if "$ref" in known:
            known = self._responses[known["$ref"].rpartition("/")[2]]
        unknown = {name for name in answer.headers if name not in _EVERYWHERE} - \
            known.get("headers", {}).keys()
        if unknown:
            raise Violation(f"the headers {sorted(unknown)} are not described")
        content = known.get("content", {})
        if not content:
            if answer.content:
                raise Violation("there is a body")
            return
        if media_type(answer) not in content:
            raise Violation(f"the type {media_type(answer)} is not described")
        if media_type(answer).endswith("json") and answer.request.method != "HEAD":
            self._fits(answer.json(), content[media_type(answer)]["schema"])

    def check(self, answer):
        """Raises a Violation when an answer (of requests) is not described."""
        method = answer.request.method.replace("HEAD", "GET").lower()
        methods = self.methods(answer.request.path_url.partition("?")[0])
        if method == "options" and answer.status_code == 204:
            return
        if is_of_web_server(answer) or methods is None or method not in methods:
            if answer.status_code < 400:
                raise Violation("the route is not described")
            self._is_problem(answer)
        else:
            self._fits_operation(answer, methods[method])


def media_type(answer):
    return answer.headers.get("Content-Type", "none").partition(";")[0]


def is_of_web_server(answer):
    """What never came to the application: it times all of its answers."""
    return answer.status_code >= 400 and "Server-Timing" not in answer.headers


class Watch:
    """Checks the answers that tests get; what is wrong is noted, since threads may lose it."""

    def __init__(self, ziggiectl):
        self._ziggiectl = ziggiectl
        self._lock = threading.Lock()
        self.checked = 0
        self._violations = []

    @functools.cached_property
    def _contract(self):
        done = subprocess.run([self._ziggiectl, "routes", "--openapi"], check=True, timeout=60,
                              capture_output=True, text=True)
        return Contract(json.loads(done.stdout))

    def check(self, answer):
        with self._lock:  # building a validator, and counting
            self.checked += 1
            contract = self._contract
        try:
            contract.check(answer)
        except Violation as violation:
            request = answer.request
            text = (f"{request.method} {request.path_url} answered {answer.status_code}, which the "
                    f"API description does not know: {violation}")
            self._violations.append(text)
            raise Violation(text) from None

    def take(self):
        """What was wrong since the last call."""
        found, self._violations = self._violations, []
        return found
