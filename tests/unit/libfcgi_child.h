/*
 * What libfcgi makes of a byte stream.  It runs in a child with a time limit, because
 * there are streams that make it crash, abort or wait; then another child takes over.
 *
 *	struct libfcgi_child child = {0};
 *	libfcgi_read(&child, &view, bytes, len);	as often as you like
 *	libfcgi_child_end(&child);
 */
#ifndef ZIGGIE_TESTS_LIBFCGI_CHILD_H
#define ZIGGIE_TESTS_LIBFCGI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

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

struct libfcgi_child {
	pid_t pid; /* 0 while there is none */
	int listener;
	int reports;
};

/* Sends the stream, then the end; *v is filled. */
void libfcgi_read(struct libfcgi_child *child, struct libfcgi_view *v, const void *bytes,
		  size_t len);
void libfcgi_child_end(struct libfcgi_child *child);

#endif
