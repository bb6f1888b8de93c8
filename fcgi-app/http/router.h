/*
 * From method and path to a route row.  Built once from the tables in routes.c and
 * read-only afterwards, so all threads share it.
 *
 * A literal segment wins over {name}.  A trailing slash is ignored.  Segments are
 * split before they are percent-decoded, so %2F never makes a new segment; "." and
 * ".." are not resolved, they match nothing.
 */
#ifndef ZIGGIE_HTTP_ROUTER_H
#define ZIGGIE_HTTP_ROUTER_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "http/request.h"
#include "http/route.h"

struct router;

/*
 * Checks every row on the way (a policy in every column, names within bounds, no
 * two rows for one method and path); ERR_INTERNAL names the row.
 */
enum err router_new(const struct route_table *tables, size_t count, struct router **out,
		    struct errmsg *why);
void router_free(struct router *router);

struct route_match {
	const struct route *route; /* NULL: see allowed */
	unsigned allowed;          /* methods that the path has; 0 when there is no such path */
	struct path_arg args[PATH_ARGS_MAX];
	size_t arg_count;
};

/*
 * path is raw, without its query.  ERR_MALFORMED when it has a broken escape, NUL or
 * invalid UTF-8.
 */
enum err router_find(const struct router *router, struct arena *arena, enum http_method method,
		     const char *path, size_t len, struct route_match *out, struct errmsg *why);

/*
 * The row alone, for what must be known before the request is handled; NULL when
 * there is none, and for paths with escapes, which are left to router_find().
 */
const struct route *router_peek(const struct router *router, enum http_method method,
				const char *path, size_t len);

size_t router_count(const struct router *router);
const struct route *router_row(const struct router *router, size_t index);
/* A dense number for metrics, 0 to router_count() - 1. */
size_t router_index(const struct router *router, const struct route *route);

/* "GET"; 0 for a method that we do not know. */
enum http_method http_method_parse(const char *name);
const char *http_method_name(enum http_method method);
/* "GET, HEAD, OPTIONS": what a path takes, as Allow lists it. */
void http_methods_list(unsigned allowed, struct strbuf *out);

#endif
