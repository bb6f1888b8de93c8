/*
 * A request's path and query.  The input is a byte that chooses the method, and what
 * stands in a request line: "/api/agents/7?limit=5".
 *
 * The router agrees with a plain reading of its header: every row is compared with
 * every segment.  What it hands out is text; the path that is built from a route and
 * its arguments leads back to both.  The query is compared with the reference.
 */
#include <limits.h>

#include "base/num.h"
#include "fuzz.h"
#include "http/router.h"
#include "reference.h"
#include "../unit/toy_route.h"

enum { SEGMENTS_MAX = 12, ARENA_CHUNK = 4096, ARENA_LIMIT = 1 << 20 };

/* Rows that a walk has to step back from, in every method. */
static const struct route rows[] = {
    TOY_ROUTE(HTTP_GET, "/"),
    TOY_ROUTE(HTTP_GET, "/a"),
    TOY_ROUTE(HTTP_POST, "/a"),
    TOY_ROUTE(HTTP_GET, "/a/stats"),
    TOY_ROUTE(HTTP_PUT, "/a/{id}"),
    TOY_ROUTE(HTTP_PATCH, "/a/{id}"),
    TOY_ROUTE(HTTP_GET, "/a/{id}/b"),
    TOY_ROUTE(HTTP_DELETE, "/{kind}/stats/{id}"),
    TOY_ROUTE(HTTP_GET, "/{kind}/x y/{id}/{to}/{from}"),
    TOY_ROUTE(HTTP_GET, "/{kind}/{id}/{to}/{from}/{by}"), /* one argument too many: never found */
    TOY_ROUTE(HTTP_GET, "/1/2/3/4/5/6/7/8/9/10/11/12"),
};
static const size_t row_count = ARRAY_LEN(rows);
static const struct route_table table = {rows, &row_count, "toys", "Routes that do nothing."};
static struct router *router;

/* ---- the plain reading ---- */

struct segments {
	struct strbuf list[SEGMENTS_MAX];
	size_t count;
	bool malformed;
	bool too_many;
};

static void split(struct segments *s, const char *path, size_t len)
{
	for (size_t at = 0; at < len && !s->malformed && !s->too_many;) {
		const char *slash = memchr(path + at + 1, '/', len - at - 1);
		size_t end = slash != NULL ? (size_t)(slash - path) : len;
		if (end == len && at + 1 == len)
			return; /* a slash at the end */
		s->too_many = s->count == SEGMENTS_MAX;
		if (s->too_many)
			return;
		struct strbuf *segment = &s->list[s->count++];
		strbuf_init(segment);
		s->malformed = !reference_decode(path + at + 1, end - at - 1, false, segment);
		at = end;
	}
}

static void release(struct segments *s)
{
	for (size_t i = 0; i < s->count; i++)
		strbuf_release(&s->list[i]);
}

/*
 * Whether the row takes the path; *rank says how well, a bit for each segment that is
 * literal, the first one weighing most.
 */
static bool row_takes(const struct route *row, const struct segments *s, unsigned *rank)
{
	const char *at = row->path;
	unsigned arguments = 0;
	*rank = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (*at++ != '/' || *at == '\0')
			return false;
		size_t len = strcspn(at, "/");
		const struct strbuf *given = &s->list[i];
		bool is_argument = at[0] == '{';
		bool same = given->len == len && memcmp(at, given->data, len) == 0;
		if (is_argument ? given->len == 0 || ++arguments > PATH_ARGS_MAX : !same)
			return false;
		*rank |= is_argument ? 0 : 1u << (SEGMENTS_MAX - i);
		at += len;
	}
	return *at == '\0' || strcmp(at, "/") == 0;
}

/* The best rows' methods, and the one row among them that has this method. */
static const struct route *best_row(const struct segments *s, enum http_method method,
				    unsigned *allowed)
{
	const struct route *found = NULL;
	unsigned best = 0, rank;
	enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
	*allowed = 0;
	for (size_t i = 0; i < row_count; i++) {
		if (!row_takes(&rows[i], s, &rank) || (*allowed != 0 && rank < best))
			continue;
		if (rank > best || *allowed == 0) {
			found = NULL;
			*allowed = 0;
		}
		best = rank;
		*allowed |= rows[i].method | (rows[i].method == HTTP_GET ? HTTP_HEAD : 0u);
		if (rows[i].method == wanted)
			found = &rows[i];
	}
	return found;
}

/* ---- what the router says ---- */

static void check_arguments(const struct route_match *match, const struct segments *s)
{
	size_t count = 0;
	const char *at = match->route->path;
	for (size_t i = 0; i < s->count; i++) {
		size_t len = strcspn(++at, "/");
		if (at[0] == '{') {
			AN_INVARIANT(count < match->arg_count);
			const struct path_arg *arg = &match->args[count++];
			AN_INVARIANT(arg->name_len == len - 2);
			AN_INVARIANT(memcmp(arg->name, at + 1, arg->name_len) == 0);
			AN_INVARIANT(strcmp(arg->value, s->list[i].data) == 0);
			AN_INVARIANT(reference_utf8(arg->value, strlen(arg->value)));
		}
		at += len;
	}
	AN_INVARIANT(count == match->arg_count);
}

/* The path that a client would make of a route and its arguments. */
static void build_path(const struct route_match *match, struct strbuf *out)
{
	size_t arg = 0;
	for (const char *at = match->route->path; *at != '\0'; at++) {
		if (*at == '{') {
			reference_encode(match->args[arg++].value, out);
			at = strchr(at, '}');
		} else if (*at == ' ') {
			strbuf_adds(out, "%20");
		} else {
			strbuf_addc(out, *at);
		}
	}
}

static void check_way_back(struct arena *arena, enum http_method method,
			   const struct route_match *match)
{
	STRBUF_CLEANUP path = STRBUF_INIT;
	struct route_match again;
	build_path(match, &path);
	AN_INVARIANT(router_find(router, arena, method, path.data, path.len, &again, NULL) ==
		     ERR_OK);
	AN_INVARIANT(again.route == match->route && again.arg_count == match->arg_count);
	for (size_t i = 0; i < match->arg_count; i++)
		AN_INVARIANT(strcmp(again.args[i].value, match->args[i].value) == 0);
}

static void check_path(struct arena *arena, enum http_method method, const char *path, size_t len)
{
	struct route_match match;
	struct errmsg why = ERRMSG_INIT;
	struct segments s = {.count = 0};
	bool rooted = len > 0 && path[0] == '/';
	if (rooted)
		split(&s, path, len);
	enum err err = router_find(router, arena, method, path, len, &match, &why);
	const struct route *peeked = router_peek(router, method, path, len);
	AN_INVARIANT(err == (s.malformed ? ERR_MALFORMED : ERR_OK));
	AN_INVARIANT((err == ERR_OK) == (why.text[0] == '\0'));
	unsigned allowed = 0;
	const struct route *wanted = NULL;
	if (rooted && !s.malformed && !s.too_many)
		wanted = best_row(&s, method, &allowed);
	AN_INVARIANT(match.route == wanted && match.allowed == allowed);
	AN_INVARIANT(peeked == (memchr(path, '%', len) == NULL ? wanted : NULL));
	if (wanted != NULL) {
		check_arguments(&match, &s);
		check_way_back(arena, method, &match);
	}
	release(&s);
}

/* ---- the query ---- */

static void check_value(struct http_request *r, const char *name, const char *value)
{
	STRBUF_CLEANUP query = STRBUF_INIT;
	const char *again;
	AN_INVARIANT(reference_utf8(value, strlen(value)));
	strbuf_adds(&query, "other=1&");
	reference_encode(name, &query);
	strbuf_addc(&query, '=');
	reference_encode(value, &query);
	r->query = query.data;
	AN_INVARIANT(http_query(r, name, &again, NULL) == ERR_OK);
	AN_INVARIANT(again != NULL && strcmp(again, value) == 0);
}

static void check_number(struct http_request *r, const char *name, const char *value)
{
	enum { MIN = -3, MAX = 500, UNTOUCHED = 777 };
	int64_t number = UNTOUCHED;
	char *end = NULL;
	enum err err = http_query_number(r, name, MIN, MAX, &number, NULL);
	if (value == NULL) {
		AN_INVARIANT(err == ERR_OK && number == UNTOUCHED);
		return;
	}
	long long wanted = strtoll(value, &end, 10);
	bool plain = value[0] != '\0' && strspn(value, "-0123456789") == strlen(value) &&
		     *end == '\0' && wanted >= MIN && wanted <= MAX;
	AN_INVARIANT(err == (plain ? ERR_OK : ERR_INVALID));
	AN_INVARIANT(number == (plain ? wanted : UNTOUCHED));
}

static void check_query(struct arena *arena, const char *query, const char *name)
{
	STRBUF_CLEANUP wanted = STRBUF_INIT;
	struct http_request r = {.arena = arena, .query = query};
	struct errmsg why = ERRMSG_INIT;
	const char *value = NULL;
	bool found;
	enum err expected = reference_form(query, strlen(query), name, &found, &wanted);
	enum err err = http_query(&r, name, &value, &why);
	AN_INVARIANT(err == expected);
	AN_INVARIANT((err == ERR_OK) == (why.text[0] == '\0'));
	if (err != ERR_OK)
		return;
	AN_INVARIANT((value != NULL) == found);
	AN_INVARIANT(!found || strcmp(value, wanted.data) == 0);
	check_number(&r, name, value);
	if (found)
		check_value(&r, name, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"limit", "a b", "\xc3\xa9", ""};
	static const enum http_method methods[] = {HTTP_GET,   HTTP_HEAD,   HTTP_POST,    HTTP_PUT,
						   HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, 0};
	struct input in = {.at = data, .left = size};
	enum http_method method = methods[input_byte(&in) % ARRAY_LEN(methods)];
	const char *uri = (const char *)in.at;
	const char *mark = in.left > 0 ? memchr(uri, '?', in.left) : NULL;
	size_t path_len = mark != NULL ? (size_t)(mark - uri) : in.left;
	struct arena arena;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	if (router == NULL)
		AN_INVARIANT(router_new(&table, 1, &router, NULL) == ERR_OK);

	/* The path is no C string where it is looked up; the query is one, without NUL. */
	char *path = exact_copy(uri, path_len);
	check_path(&arena, method, path, path_len);
	free(path);
	STRBUF_CLEANUP query = STRBUF_INIT;
	if (mark != NULL)
		strbuf_add(&query, mark + 1, strnlen(mark + 1, in.left - path_len - 1));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		check_query(&arena, query.data, names[i]);
	AN_INVARIANT(!arena.overflowed);
	arena_release(&arena);
	return 0;
}
