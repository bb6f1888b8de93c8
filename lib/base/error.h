/*
 * One enum of error codes for the whole project, and one table that gives each
 * its name, its text and the HTTP status that it becomes at the edge.
 *
 * A function that can fail returns `enum err`; ERR_OK is 0.  A function that can
 * say more takes a `struct errmsg *`, which it fills only when it fails and
 * leaves untouched when it succeeds.  The message is a full clause for people,
 * without a trailing period, and names the field, file or setting at fault.
 *
 *	struct errmsg why = ERRMSG_INIT;
 *	if (conf_load(conf, path, &why) != ERR_OK)
 *		fprintf(stderr, "ziggied: %s\n", why.text);
 */
#ifndef ZIGGIE_BASE_ERROR_H
#define ZIGGIE_BASE_ERROR_H

#include <stdarg.h>

enum err {
	ERR_OK = 0,
	ERR_NOMEM,        /* out of memory, or a request's arena is full */
	ERR_INVALID,      /* well-formed input with a value that is not allowed: 422 */
	ERR_MALFORMED,    /* input that can't be read at all: 400 */
	ERR_UNAUTHORIZED, /* no or bad credentials */
	ERR_FORBIDDEN,    /* known, but not allowed */
	ERR_NOT_FOUND,
	ERR_METHOD,       /* the path exists, the method does not */
	ERR_CONFLICT,     /* the record's state or a unique key does not allow it */
	ERR_PRECONDITION, /* If-Match did not match */
	ERR_TOO_LARGE,
	ERR_MEDIA_TYPE,
	ERR_RATE_LIMITED,
	ERR_CANCELLED,       /* the client went away; nobody reads the answer */
	ERR_TIMEOUT,         /* the deadline passed */
	ERR_OVERLOADED,      /* refused early: too much waits already */
	ERR_UNAVAILABLE,     /* a dependency does not answer */
	ERR_UNKNOWN_OUTCOME, /* connection lost during COMMIT: it may or may not have happened */
	ERR_RETRY,    /* deadlock or lock wait: run the transaction again; never leaves lib/db */
	ERR_IO,       /* a system call failed; the message has errno's text */
	ERR_PROTOCOL, /* a peer broke its protocol */
	ERR_INTERNAL, /* a bug, or a state nobody foresaw */
	ERR_COUNT
};

struct errmsg {
	char text[512];
};

#define ERRMSG_INIT                                                                                \
	{                                                                                          \
		""                                                                                 \
	}

/* Formats the message (truncating) and returns code; why may be NULL. */
enum err err_set(struct errmsg *why, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like err_set, with ": <text of errno>" appended; returns ERR_IO. */
enum err err_errno(struct errmsg *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *err_name(enum err code); /* "not_found": stable, for logs and problem types */
const char *err_text(enum err code); /* "Not Found": a title for people */
int err_http_status(enum err code);  /* 404 */

#endif
