"""What a broken or hostile web server may send, and what must come back: a row each.

CASES maps a name to (pieces, replies): the pieces are sent one by one, and the
replies are all that comes back, in the words of fcgi_client.  A last reply of
CLOSED says that the worker closes the connection; otherwise the connection must
be in step afterwards, and whoever runs the case asks something else on it.
"""

import fcgi_client as f
from fcgi_client import CLOSED, answered, ended, unknown, values

MAX_CONNECTIONS = 2048  # the default of max_connections, which GET_VALUES tells
PARAMS_LIMIT = 64 * 1024
BODY_LIMIT = 1 << 20
DISCARD_LIMIT = 64 << 20  # what is read of a request that is refused anyway

OK = answered(200)
MAX_CONNS = ("FCGI_MAX_CONNS", str(MAX_CONNECTIONS))
MAX_REQS = ("FCGI_MAX_REQS", str(MAX_CONNECTIONS))
MPXS_CONNS = ("FCGI_MPXS_CONNS", "0")

LIVE = f.parameters("GET", "/livez")
PARAMS = f.pairs(LIVE)
GET = f.whole_request(LIVE)
REST_OF_GET = f.stream(f.PARAMS, PARAMS) + f.record(f.STDIN)

# Only a body that arrives as it was sent is JSON without a password: 422.  Any other is 400.
BODY = b'{"username": "nobody"}'
JSON_SEEN = answered(422)


def post_params(body=BODY):
    return f.pairs(f.parameters("POST", "/api/auth/login", CONTENT_TYPE="application/json",
                                CONTENT_LENGTH=str(len(body))))


def post(body=BODY, **how):
    return f.begin() + f.stream(f.PARAMS, post_params(body)) + f.stream(f.STDIN, body, **how)


def params_of(size):
    """Encoded parameters of exactly that many bytes."""
    name, lengths = "HTTP_X_FILL", 1 + 4
    filled = PARAMS + f.pairs({name: "v" * (size - len(PARAMS) - lengths - len(name))})
    assert len(filled) == size
    return filled


def json_of(size):
    return b'{"username": "' + b"x" * (size - 16) + b'"}'


def get_values(*names, **more):
    return f.record(f.GET_VALUES, 0, f.pairs([(name, "") for name in names]), **more)


def every_byte(data):
    return [data[at:at + 1] for at in range(len(data))]


def padded(padding):
    """One record of every type that a request may have, with that padding on each."""
    half = len(BODY) // 2
    return (f.begin(padding=padding)
            + f.stream(f.PARAMS, post_params(), size=100, padding=padding)
            + f.record(f.DATA, content=b"ignored", padding=padding)
            + f.record(f.STDIN, content=BODY[:half], padding=padding)
            + f.record(99, content=b"no such type", padding=padding)
            + f.record(f.STDIN, content=BODY[half:], padding=padding)
            + f.record(f.STDIN, padding=padding))


FRAGMENTED = {
    "a byte at a time": (every_byte(GET), [OK]),
    "a body, a byte at a time": (every_byte(post()), [JSON_SEEN]),
    "a record for each byte of the parameters": (
        [f.begin() + f.stream(f.PARAMS, PARAMS, size=1) + f.record(f.STDIN)], [OK]),
    "a record for each byte of the body": ([post(size=1)], [JSON_SEEN]),
    "cut inside the first header": ([GET[:3], GET[3:]], [OK]),
    "cut behind the first header": ([GET[:8], GET[8:]], [OK]),
    "two requests in one piece": (
        [GET + f.whole_request(LIVE, request_id=2)], [OK, answered(200, 2)]),
    "a hundred requests in one piece": ([GET * 100], [OK] * 100),
    "parameters and body by turns": (
        [f.begin(), f.record(f.PARAMS, content=post_params()[:50]),
         f.record(f.STDIN, content=BODY[:5]), f.stream(f.PARAMS, post_params()[50:]),
         f.stream(f.STDIN, BODY[5:])], [JSON_SEEN]),
    "the body before the parameters": (
        [f.begin() + f.stream(f.STDIN, BODY) + f.stream(f.PARAMS, post_params())], [JSON_SEEN]),
}

EMPTY = {
    "no parameters at all": (
        [f.begin() + f.record(f.PARAMS) + f.record(f.STDIN)], [answered(404)]),
    "a begin without a body": ([f.record(f.BEGIN)], [CLOSED]),
    "an abort of nothing": ([f.record(f.ABORT)], []),
    "streams that end and never began": (
        [f.record(f.PARAMS, 3) + f.record(f.STDIN, 3) + f.record(f.DATA, 3)], []),
    "an empty GET_VALUES": ([get_values()], [values()]),
    "an empty management record": ([f.record(77, 0)], [unknown(77)]),
    "the end of the DATA stream": ([f.begin() + f.record(f.DATA) + REST_OF_GET], [OK]),
}

OVERSIZED = {
    "a begin of 7 bytes": ([f.record(f.BEGIN, content=b"\0\1\1\0\0\0\0")], [CLOSED]),
    "a begin of 9 bytes": ([f.record(f.BEGIN, content=b"\0\1\1\0\0\0\0\0\0")], [CLOSED]),
    "a begin of 65,535 bytes": ([f.record(f.BEGIN, content=b"\0\1" + b"\1" * 65533)], [CLOSED]),
    "65,535 bytes of parameters and 255 of padding": (
        [f.begin() + f.record(f.PARAMS, content=params_of(65535), padding=255)
         + f.record(f.PARAMS) + f.record(f.STDIN)], [OK]),
    "parameters up to their limit": (
        [f.begin() + f.stream(f.PARAMS, params_of(PARAMS_LIMIT)) + f.record(f.STDIN)], [OK]),
    "a byte of parameters too much": (
        [f.begin() + f.stream(f.PARAMS, params_of(PARAMS_LIMIT + 1)) + f.record(f.STDIN)],
        [answered(413)]),
    "a megabyte of parameters": (
        [f.begin() + f.stream(f.PARAMS, params_of(1 << 20)) + f.record(f.STDIN)],
        [answered(413)]),
    "parameters without an end": (
        [f.begin()] + [f.record(f.PARAMS, content=b"\0" * 65528)] * (DISCARD_LIMIT // 65528 + 2),
        [answered(413), CLOSED]),
    "a body record of 65,535 bytes and 255 of padding": (
        [post(json_of(65535), padding=255)], [JSON_SEEN]),
    "a body up to its limit": ([post(json_of(BODY_LIMIT))], [JSON_SEEN]),
    "a byte of body too much": ([post(json_of(BODY_LIMIT + 1))], [answered(413)]),
    "a body without an end": (
        [f.begin() + f.stream(f.PARAMS, post_params())]
        + [f.record(f.STDIN, content=b"x" * 65528)] * ((DISCARD_LIMIT + BODY_LIMIT) // 65528 + 2),
        [answered(413), CLOSED]),
    "a name of 2 GB": (
        [f.begin() + f.stream(f.PARAMS, PARAMS + b"\xff\xff\xff\xff\0N") + f.record(f.STDIN)],
        [answered(400)]),
    "a value of 2 GB": (
        [f.begin() + f.stream(f.PARAMS, PARAMS + b"\1\xff\xff\xff\xffN") + f.record(f.STDIN)],
        [answered(400)]),
    "a name and a value whose lengths have no sum": (
        [f.begin() + f.stream(f.PARAMS, PARAMS + b"\xff" * 8 + b"N") + f.record(f.STDIN)],
        [answered(400)]),
    "an ignored record of 65,535 bytes and 255 of padding": (
        [f.begin() + f.record(f.DATA, content=b"x" * 65535, padding=255) + REST_OF_GET], [OK]),
    "an unknown record of 65,535 bytes and 255 of padding": (
        [f.record(77, 0, b"x" * 65535, padding=255)], [unknown(77)]),
    "GET_VALUES of 65,535 bytes and 255 of padding": (
        [f.record(f.GET_VALUES, 0, (f.pairs({"FCGI_MPXS_CONNS": ""}) * 4000)[:65535], 255)],
        [values(MPXS_CONNS)]),
    "an abort of 65,535 bytes and 255 of padding": (
        [f.begin() + f.record(f.ABORT, content=b"x" * 65535, padding=255)],
        [ended(1, f.COMPLETE)]),
}

UNKNOWN = {
    **{f"type {kind} with id 0": ([f.record(kind, 0, b"what is this")], [unknown(kind)])
       for kind in (0, *range(1, 9), 10, 11, 12, 77, 255)},
    "types that an application sends": (
        [f.begin() + b"".join(f.record(kind, content=b"x" * 8)
                              for kind in (f.END, f.STDOUT, f.STDERR, f.GET_VALUES,
                                           f.GET_VALUES_RESULT, f.UNKNOWN_TYPE, 0, 12, 255))
         + REST_OF_GET], [OK]),
    **{f"version {number}": ([f.record(f.GET_VALUES, 0, version=number)], [CLOSED])
       for number in (0, 2, 255)},
    "another version inside a request": (
        [f.begin() + f.record(f.PARAMS, content=PARAMS, version=2)], [CLOSED]),
    "something in the reserved byte": (
        [GET[:7] + b"\xff" + GET[8:]], [OK]),
    "HTTP": ([b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n"], [CLOSED]),
    "TLS": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 32], [CLOSED]),
    "zeros": ([b"\0" * 4096], [CLOSED]),
}

MANAGEMENT = {
    "GET_VALUES of all there are": (
        [get_values("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS")],
        [values(MAX_CONNS, MAX_REQS, MPXS_CONNS)]),
    "GET_VALUES that names one four times": (
        [get_values(*["FCGI_MAX_CONNS"] * 4)], [values(MAX_CONNS)]),
    "GET_VALUES of names that nobody knows": (
        [get_values("FCGI_OTHER", "", "fcgi_max_conns", "FCGI_MAX_CONNSX")], [values()]),
    "GET_VALUES with values": (
        [f.record(f.GET_VALUES, 0, f.pairs({"FCGI_MPXS_CONNS": "1"}))], [values(MPXS_CONNS)]),
    "GET_VALUES with four-byte lengths": (
        [f.record(f.GET_VALUES, 0, b"\x80\0\0\x0f\x80\0\0\0FCGI_MPXS_CONNS")],
        [values(MPXS_CONNS)]),
    "GET_VALUES that ends inside a pair": (
        [f.record(f.GET_VALUES, 0, f.pairs({"FCGI_MPXS_CONNS": ""}) + b"\x0e\0FCGI")],
        [values(MPXS_CONNS)]),
    "GET_VALUES with a name of 2 GB": (
        [f.record(f.GET_VALUES, 0, b"\xff\xff\xff\xff\xff\xff\xff\xffFCGI")], [values()]),
    "GET_VALUES a thousand times": (
        [get_values("FCGI_MPXS_CONNS") * 1000], [values(MPXS_CONNS)] * 1000),
    "GET_VALUES between all records of a request": (
        [f.begin(), get_values("FCGI_MAX_REQS"), f.record(f.PARAMS, content=PARAMS[:20]),
         get_values("FCGI_MAX_REQS"), f.stream(f.PARAMS, PARAMS[20:]),
         get_values("FCGI_MAX_REQS"), f.record(f.STDIN)], [values(MAX_REQS)] * 3 + [OK]),
    "unknown management inside a request": (
        [f.begin() + f.record(77, 0) + REST_OF_GET], [unknown(77), OK]),
}

PADDING = {
    **{f"{padding} on every record": ([padded(padding)], [JSON_SEEN])
       for padding in (1, 7, 8, 254, 255)},
    **{f"{padding} on management and abort": (
        [get_values("FCGI_MPXS_CONNS", padding=padding) + f.record(77, 0, b"x", padding)
         + f.begin() + f.record(f.ABORT, padding=padding)],
        [values(MPXS_CONNS), unknown(77), ended(1, f.COMPLETE)]) for padding in (1, 7, 8, 254, 255)},
    "255 on every record, a byte at a time": (every_byte(padded(255)), [JSON_SEEN]),
    "a record of nothing but padding": (
        [f.record(f.DATA, 9, padding=255) * 20], []),
}

OTHERS = {
    **{f"records of request {number} inside another": (
        [f.begin() + b"".join(f.record(kind, number, b"\1\1AB")
                              for kind in (f.PARAMS, f.STDIN, f.DATA, f.ABORT))
         + f.record(f.PARAMS, number) + f.record(f.STDIN, number) + REST_OF_GET], [OK])
       for number in (2, 256, 257, 65535)},
    **{f"a request with id {number}": (
        [f.whole_request(LIVE, request_id=number)], [answered(200, number)])
       for number in (2, 255, 256, 65535)},
    "streams without a begin": (
        [f.stream(f.PARAMS, PARAMS) + f.stream(f.STDIN, BODY)], []),
    "a stream that goes on behind its request": ([GET + f.stream(f.STDIN, BODY)], [OK]),
    "a request that begins as id 0": (
        [f.whole_request(LIVE, request_id=0)],
        [unknown(f.BEGIN), unknown(f.PARAMS), unknown(f.PARAMS), unknown(f.STDIN)]),
    "id 0 inside a request": (
        [f.begin() + f.record(f.PARAMS, 0, PARAMS) + f.record(f.ABORT, 0) + REST_OF_GET],
        [unknown(f.PARAMS), unknown(f.ABORT), OK]),
}

BEGINS = {
    "another request inside a request": (
        [f.begin() + f.record(f.PARAMS, content=PARAMS[:9])
         + f.whole_request(LIVE, request_id=2) + f.stream(f.PARAMS, PARAMS[9:])
         + f.record(f.STDIN)], [ended(2, f.CANT_MPX), OK]),
    "a hundred others inside a request": (
        [f.begin() + b"".join(map(f.begin, range(2, 102))) + REST_OF_GET],
        [ended(number, f.CANT_MPX) for number in range(2, 102)] + [OK]),
    "another role inside a request": (
        [f.begin() + f.begin(2, f.FILTER) + REST_OF_GET], [ended(2, f.CANT_MPX), OK]),
    "another without keep inside a request": (
        [f.begin() + f.begin(2, flags=0) + REST_OF_GET], [ended(2, f.CANT_MPX), OK]),
    "the same request again": ([f.begin() + f.begin()], [CLOSED]),
    "the same request again behind its parameters": (
        [f.begin() + f.stream(f.PARAMS, PARAMS) + f.begin()], [CLOSED]),
    "the same id again behind its end": ([GET + GET], [OK, OK]),
    **{f"role {role}": ([f.begin(4, role)], [ended(4, f.UNKNOWN_ROLE)])
       for role in (0, f.AUTHORIZER, f.FILTER, 256, 65535)},
    "another role without keep": (
        [f.begin(4, f.FILTER, 0)], [ended(4, f.UNKNOWN_ROLE), CLOSED]),
    "a role with its streams": (
        [f.begin(4, f.FILTER) + f.stream(f.PARAMS, PARAMS, 4) + f.stream(f.STDIN, BODY, 4)
         + f.stream(f.DATA, BODY, 4)], [ended(4, f.UNKNOWN_ROLE)]),
    "parameters behind their end": (
        [f.begin() + f.stream(f.PARAMS, PARAMS) + f.record(f.PARAMS, content=PARAMS)], [CLOSED]),
    "a second end of the parameters": (
        [f.begin() + f.stream(f.PARAMS, PARAMS) + f.record(f.PARAMS)], [CLOSED]),
    "a body behind its end": (
        [f.begin() + f.stream(f.STDIN, BODY) + f.record(f.STDIN, content=BODY)], [CLOSED]),
    "no keep": ([f.whole_request(LIVE, flags=0)], [OK, CLOSED]),
    "no keep, and another request behind": (
        [f.whole_request(LIVE, flags=0) + GET], [OK, CLOSED]),
}

ABORTS = {
    "before the parameters": ([f.begin() + f.record(f.ABORT)], [ended(1, f.COMPLETE)]),
    "inside the parameters": (
        [f.begin() + f.record(f.PARAMS, content=PARAMS) + f.record(f.ABORT)],
        [ended(1, f.COMPLETE)]),
    "behind the parameters": (
        [f.begin() + f.stream(f.PARAMS, post_params()) + f.record(f.ABORT)],
        [ended(1, f.COMPLETE)]),
    "inside the body": (
        [f.begin() + f.stream(f.PARAMS, post_params()) + f.record(f.STDIN, content=BODY[:9])
         + f.record(f.ABORT)], [ended(1, f.COMPLETE)]),
    "of a request that is refused already": (
        [f.begin() + f.record(f.PARAMS, content=b"\0" * 65535) * 2 + f.record(f.ABORT) + GET],
        [ended(1, f.COMPLETE), OK]),
    "twice": ([f.begin() + f.record(f.ABORT) * 2], [ended(1, f.COMPLETE)]),
    "and the same id again": (
        [f.begin() + f.record(f.PARAMS, content=PARAMS) + f.record(f.ABORT) + GET],
        [ended(1, f.COMPLETE), OK]),
    "without keep": (
        [f.begin(flags=0) + f.record(f.ABORT)], [ended(1, f.COMPLETE), CLOSED]),
    "of another request": ([f.begin() + f.record(f.ABORT, 2) + REST_OF_GET], [OK]),
    "behind a complete request": ([GET + f.record(f.ABORT)], [OK]),
    "a hundred in a row": (
        [(f.begin() + f.record(f.ABORT)) * 100], [ended(1, f.COMPLETE)] * 100),
}

GROUPS = {"fragmented": FRAGMENTED, "empty": EMPTY, "oversized": OVERSIZED, "unknown": UNKNOWN,
          "management": MANAGEMENT, "padding": PADDING, "others": OTHERS, "begins": BEGINS,
          "aborts": ABORTS}
CASES = {f"{group}: {name}": row for group, rows in GROUPS.items() for name, row in rows.items()}
