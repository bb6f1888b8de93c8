/*
 * What libfcgi makes of a byte stream.  It runs in a child of its own with a time
 * limit, because there are streams that make it crash, abort or wait.
 */
#ifndef ZIGGIE_TESTS_LIBFCGI_CHILD_H
#define ZIGGIE_TESTS_LIBFCGI_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

enum libfcgi_end {
	LIBFCGI_REQUEST, /* gave a request */
	LIBFCGI_CLOSED,  /* closed the connection without one */
	LIBFCGI_DIED,
	LIBFCGI_HUNG,
};

struct libfcgi_view {
	enum libfcgi_end end;
	bool cut_short;       /* the request's input ended with an error */
	struct strbuf params; /* "NAME=VALUE" and a NUL each, in their order */
	struct strbuf body;
};

void libfcgi_view_init(struct libfcgi_view *v);
void libfcgi_view_release(struct libfcgi_view *v);

/* Sends the stream, then the end; *v is filled. */
void libfcgi_read(struct libfcgi_view *v, const void *bytes, size_t len);

#endif
