#include "http/router.h"

#include <stdlib.h>
#include <string.h>

#include "auth/scope.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "http/form.h"

enum { SEGMENTS_MAX = 12, METHODS = 7 };

/* A segment of the tree: children are literal segments, and at most one {name}. */
struct node {
	const char *segment;
	size_t segment_len;
	struct node *children; /* the first child */
	struct node *next;     /* the next sibling */
	struct node *argument; /* the child that takes any one segment */
	const struct route *routes[METHODS];
	unsigned allowed;
};

struct router {
	struct node root;
	const struct route **rows;
	size_t count;
};

static const struct {
	const char *name;
	enum http_method method;
} methods[METHODS] = {{"GET", HTTP_GET},        {"HEAD", HTTP_HEAD},   {"POST", HTTP_POST},
		      {"PUT", HTTP_PUT},        {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
		      {"OPTIONS", HTTP_OPTIONS}};

enum http_method http_method_parse(const char *name)
{
	for (size_t i = 0; i < METHODS; i++)
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].method;
	return 0;
}

const char *http_method_name(enum http_method method)
{
	for (size_t i = 0; i < METHODS; i++)
		if (methods[i].method == method)
			return methods[i].name;
	return "?";
}

void http_methods_list(unsigned allowed, struct strbuf *out)
{
	for (size_t i = 0; i < METHODS; i++)
		if (allowed & (unsigned)methods[i].method & ~(unsigned)HTTP_OPTIONS) {
			strbuf_adds(out, methods[i].name);
			strbuf_adds(out, ", ");
		}
	strbuf_adds(out, "OPTIONS");
}

static size_t method_index(enum http_method method)
{
	return (size_t)__builtin_ctz((unsigned)method);
}

static struct node *find_child(const struct node *parent, const char *segment, size_t len)
{
	for (struct node *child = parent->children; child != NULL; child = child->next)
		if (child->segment_len == len && memcmp(child->segment, segment, len) == 0)
			return child;
	return NULL;
}

/* The child for one segment of a row's path, made when it is new. */
static struct node *grow(struct node *parent, const char *segment, size_t len)
{
	bool is_argument = segment[0] == '{';
	struct node *child = is_argument ? parent->argument : find_child(parent, segment, len);
	if (child != NULL)
		return child;
	child = calloc(1, sizeof(*child));
	if (child == NULL)
		return NULL;
	child->segment = segment;
	child->segment_len = len;
	if (is_argument) {
		parent->argument = child;
	} else {
		child->next = parent->children;
		parent->children = child;
	}
	return child;
}

static const char *row_fault(const struct route *row)
{
	if (row->path == NULL || row->path[0] != '/')
		return "its path does not begin with /";
	if (row->handler == NULL || row->summary == NULL)
		return "it has no handler or no summary";
	if (row->access == 0 || row->others == 0 || row->scope == NULL || row->rate == 0 ||
	    row->weight == 0 || row->body == 0)
		return "it has no policy in one of its columns";
	if (strcmp(row->scope, SCOPE_NONE) != 0 && strcmp(row->scope, SCOPE_ANY) != 0 &&
	    !scope_known(row->scope))
		return "its scope is not among the resources of auth/scope.c";
	if (row->method == 0 || row->method == HTTP_HEAD || row->method == HTTP_OPTIONS)
		return "its method is answered by the router itself";
	if (row->rate == RATE_READ && row->method != HTTP_GET &&
	    strncmp(row->path, "/api/v1/", strlen("/api/v1/")) == 0)
		return "it writes, and counts as a read";
	return NULL;
}

static enum err add_row(struct router *router, const struct route *row, struct errmsg *why)
{
	const char *fault = row_fault(row);
	if (fault != NULL)
		return err_set(why, ERR_INTERNAL, "route %s: %s", row->path ? row->path : "?",
			       fault);
	struct node *node = &router->root;
	for (const char *at = row->path; *at == '/' && at[1] != '\0';) {
		size_t len = strcspn(++at, "/");
		node = grow(node, at, len);
		if (node == NULL)
			return err_set(why, ERR_NOMEM, "out of memory building the router");
		at += len;
	}
	size_t index = method_index(row->method);
	if (node->routes[index] != NULL)
		return err_set(why, ERR_INTERNAL, "route %s %s stands twice",
			       http_method_name(row->method), row->path);
	node->routes[index] = row;
	node->allowed |= row->method;
	if (row->method == HTTP_GET)
		node->allowed |= HTTP_HEAD;
	router->rows[router->count++] = row;
	return ERR_OK;
}

enum err router_new(const struct route_table *tables, size_t count, struct router **out,
		    struct errmsg *why)
{
	size_t total = 0;
	for (size_t i = 0; i < count; i++)
		total += *tables[i].count;
	struct router *router = calloc(1, sizeof(*router));
	const struct route **rows = calloc(total + 1, sizeof(struct route *));
	if (router == NULL || rows == NULL) {
		free(router);
		free(rows);
		return err_set(why, ERR_NOMEM, "out of memory building the router");
	}
	router->rows = rows;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < *tables[i].count; k++) {
			enum err err = add_row(router, &tables[i].rows[k], why);
			if (err != ERR_OK) {
				router_free(router);
				return err;
			}
		}
	*out = router;
	return ERR_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the longest route */
static void free_children(struct node *node)
{
	for (struct node *child = node->children; child != NULL;) {
		struct node *next = child->next;
		free_children(child);
		free(child);
		child = next;
	}
	if (node->argument != NULL)
		free_children(node->argument);
	free(node->argument);
}

void router_free(struct router *router)
{
	if (router == NULL)
		return;
	free_children(&router->root);
	free(router->rows);
	free(router);
}

/* One request's way down the tree. */
struct walk {
	struct arena *arena;
	struct route_match *match;
	const char *segments[SEGMENTS_MAX];
	size_t lens[SEGMENTS_MAX];
	size_t count;
};

static enum err split(struct walk *w, const char *path, size_t len, struct errmsg *why)
{
	const char *end = path + len;
	while (path < end) {
		path++; /* the slash */
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash != NULL ? slash : end;
		if (path == stop && stop == end)
			break; /* a trailing slash */
		if (w->count == SEGMENTS_MAX)
			return ERR_NOT_FOUND; /* no row is that long */
		w->segments[w->count] = path;
		w->lens[w->count] = (size_t)(stop - path);
		if (memchr(path, '%', w->lens[w->count]) != NULL ||
		    memchr(path, '\0', w->lens[w->count]) != NULL ||
		    !utf8_valid(path, w->lens[w->count])) {
			char *decoded = form_decode(w->arena, path, (size_t)(stop - path), false);
			if (decoded == NULL && w->arena->overflowed)
				return err_set(why, ERR_NOMEM, "out of memory for the path");
			if (decoded == NULL)
				return err_set(why, ERR_MALFORMED,
					       "the path has a broken %%-escape, NUL or invalid "
					       "UTF-8");
			w->segments[w->count] = decoded;
			w->lens[w->count] = strlen(decoded);
		}
		w->count++;
		path = stop;
	}
	return ERR_OK;
}

/* Literal segments first; steps back when that way has no route at its end. */
/* NOLINTNEXTLINE(misc-no-recursion): at most SEGMENTS_MAX deep */
static const struct node *descend(struct walk *w, const struct node *node, size_t depth)
{
	if (depth == w->count)
		return node->allowed != 0 ? node : NULL;
	const struct node *child = find_child(node, w->segments[depth], w->lens[depth]);
	const struct node *found = child != NULL ? descend(w, child, depth + 1) : NULL;
	if (found != NULL)
		return found;
	struct route_match *match = w->match;
	if (node->argument == NULL || w->lens[depth] == 0 || match->arg_count == PATH_ARGS_MAX)
		return NULL;
	size_t slot = match->arg_count++;
	found = descend(w, node->argument, depth + 1);
	if (found == NULL) {
		match->arg_count = slot;
		return NULL;
	}
	match->args[slot].name = node->argument->segment + 1;
	match->args[slot].name_len = node->argument->segment_len - 2;
	match->args[slot].value = arena_strndup(w->arena, w->segments[depth], w->lens[depth]);
	return found;
}

enum err router_find(const struct router *router, struct arena *arena, enum http_method method,
		     const char *path, size_t len, struct route_match *out, struct errmsg *why)
{
	struct walk w = {.arena = arena, .match = out};
	*out = (struct route_match){0};
	if (len == 0 || path[0] != '/')
		return ERR_OK;
	enum err err = split(&w, path, len, why);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	if (err != ERR_OK)
		return err;
	const struct node *node = descend(&w, &router->root, 0);
	if (node == NULL)
		return ERR_OK;
	out->allowed = node->allowed;
	enum http_method row_method = method == HTTP_HEAD ? HTTP_GET : method;
	if (row_method != 0)
		out->route = node->routes[method_index(row_method)];
	for (size_t i = 0; i < out->arg_count; i++)
		if (out->args[i].value == NULL)
			return err_set(why, ERR_NOMEM, "the path is too long");
	return ERR_OK;
}

const struct route *router_peek(const struct router *router, enum http_method method,
				const char *path, size_t len)
{
	if (memchr(path, '%', len) != NULL)
		return NULL;
	struct arena none;
	struct route_match match;
	/* Without escapes only the arguments' copies need memory, and those are not looked at. */
	arena_init(&none, 0, 0);
	router_find(router, &none, method, path, len, &match, NULL);
	return match.route;
}

size_t router_count(const struct router *router)
{
	return router->count;
}

const struct route *router_row(const struct router *router, size_t index)
{
	AN_INVARIANT(index < router->count);
	return router->rows[index];
}

size_t router_index(const struct router *router, const struct route *route)
{
	for (size_t i = 0; i < router->count; i++)
		if (router->rows[i] == route)
			return i;
	A_BUG("not a route of this router");
}
