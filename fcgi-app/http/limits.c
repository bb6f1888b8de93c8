#include "http/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/assert.h"
#include "ratelimit/ratelimit.h"
#include "shm/scoreboard.h"

static const enum scoreboard_counter refused_counters[] = {
    [RATELIMIT_READ] = COUNTER_limit_refused_read,
    [RATELIMIT_READ_V1] = COUNTER_limit_refused_read_v1,
    [RATELIMIT_WRITE] = COUNTER_limit_refused_write,
    [RATELIMIT_LOGS] = COUNTER_limit_refused_logs,
    [RATELIMIT_CONTROL] = COUNTER_limit_refused_control,
    [RATELIMIT_LOGIN] = COUNTER_limit_refused_login,
    [RATELIMIT_LOGIN_ACCOUNT] = COUNTER_limit_refused_login_account,
    [RATELIMIT_ACCOUNT] = COUNTER_limit_refused_account,
    [RATELIMIT_SEARCH] = COUNTER_limit_refused_search,
    [RATELIMIT_INGEST] = COUNTER_limit_refused_ingest,
    [RATELIMIT_TOTAL] = COUNTER_limit_refused_total,
};
TABLE_MATCHES(refused_counters, RATELIMIT_CLASSES);

/* False for a route that is never limited. */
static bool class_of(const struct route *route, enum ratelimit_class *out)
{
	static const char v1[] = "/api/v1/";
	switch (route->rate) {
	case RATE_NONE:
		return false;
	case RATE_READ:
		*out = strncmp(route->path, v1, sizeof(v1) - 1) == 0 ? RATELIMIT_READ_V1
								     : RATELIMIT_READ;
		return true;
	case RATE_WRITE:
		*out = RATELIMIT_WRITE;
		return true;
	case RATE_LOGS:
		*out = RATELIMIT_LOGS;
		return true;
	case RATE_CONTROL:
		*out = RATELIMIT_CONTROL;
		return true;
	case RATE_LOGIN:
		*out = RATELIMIT_LOGIN;
		return true;
	case RATE_ACCOUNT:
		*out = RATELIMIT_ACCOUNT;
		return true;
	case RATE_SEARCH:
		*out = RATELIMIT_SEARCH;
		return true;
	case RATE_INGEST:
		*out = RATELIMIT_INGEST;
		return true;
	}
	A_BUG("a route without a rate class");
}

/* Room for a UUID's text and for an address. */
enum { WHO_TEXT_MAX = 64 };
_Static_assert((int)WHO_TEXT_MAX >= INET6_ADDRSTRLEN && (int)WHO_TEXT_MAX >= UUID_TEXT_MAX,
	       "whoever asks fits");

/* An IPv6 address's network; what is no such address stays as it is. */
static const char *address_id(const char *address, char text[WHO_TEXT_MAX])
{
	struct in6_addr v6;
	if (strchr(address, ':') == NULL || inet_pton(AF_INET6, address, &v6) != 1)
		return address;
	if (IN6_IS_ADDR_V4MAPPED(&v6))
		return inet_ntop(AF_INET, &v6.s6_addr[12], text, WHO_TEXT_MAX);
	memset(&v6.s6_addr[8], 0, 8);
	return inet_ntop(AF_INET6, &v6, text, WHO_TEXT_MAX);
}

static struct ratelimit_who who_asks(const struct http_request *r, char text[WHO_TEXT_MAX])
{
	const struct principal *p = &r->principal;
	if (p->role == ROLE_NONE)
		return (struct ratelimit_who){RATELIMIT_ADDRESS, address_id(r->remote_addr, text)};
	bool by_key = !uuid_is_nil(&p->key_id);
	uuid_format(by_key ? &p->key_id : &p->user_id, text);
	return (struct ratelimit_who){by_key ? RATELIMIT_KEY : RATELIMIT_USER, text};
}

static void count_verdict(const struct http_request *r, const struct ratelimit_verdict *v)
{
	struct scoreboard *board = r->app->scoreboard;
	if (v->refused)
		scoreboard_count(board, r->slot, refused_counters[v->windows[v->refused_by].class],
				 1);
	else
		scoreboard_count(board, r->slot, COUNTER_limit_admitted, 1);
	if (v->uncounted)
		scoreboard_count(board, r->slot, COUNTER_limit_uncounted, 1);
	if (v->alone)
		scoreboard_count(board, r->slot, COUNTER_limit_alone, 1);
}

static enum err judge(struct http_request *r, const struct ratelimit_request *request,
		      struct ratelimit_verdict *v, struct errmsg *why)
{
	ratelimit_judge(r->app->limits, request, v);
	if (v->count == 0)
		return ERR_OK;
	count_verdict(r, v);
	if (!v->refused)
		return ERR_OK;
	const struct ratelimit_window *full = &v->windows[v->refused_by];
	return err_set(why, ERR_RATE_LIMITED,
		       "the limit of %u requests in %u s (%s) is reached; "
		       "try again in %u s",
		       full->limit, full->seconds, ratelimit_class_name(full->class),
		       full->seconds_left);
}

enum err http_limit(struct http_request *r, struct errmsg *why)
{
	char text[WHO_TEXT_MAX];
	struct ratelimit_request request = {.route = ""};
	if (r->app->limits == NULL || !class_of(r->route, &request.class))
		return ERR_OK;
	request.who = who_asks(r, text);
	/* All ways to sign in count together, or each would give a guesser as many again. */
	if (request.class != RATELIMIT_LOGIN) {
		request.route = r->route->path;
		request.method = (uint8_t)r->route->method;
	}
	request.total = request.who.kind != RATELIMIT_ADDRESS;
	return judge(r, &request, &r->limits, why);
}

enum err http_limit_account(struct http_request *r, const char *username, struct errmsg *why)
{
	const struct ratelimit_request request = {
	    .who = {RATELIMIT_NAME, username}, .class = RATELIMIT_LOGIN_ACCOUNT, .route = ""};
	struct ratelimit_verdict v;
	if (r->app->limits == NULL)
		return ERR_OK;
	enum err err = judge(r, &request, &v, why);
	if (err != ERR_OK)
		r->limits = v;
	return err;
}

/* ---- headers ---- */

/* `"name";KEY=number;KEY=number`, without printf's cost. */
static void put_item(struct strbuf *out, const char *before, const struct ratelimit_window *w,
		     const char *keys[2], const uint32_t numbers[2])
{
	strbuf_adds(out, before);
	strbuf_addc(out, '"');
	strbuf_adds(out, ratelimit_class_name(w->class));
	strbuf_addc(out, '"');
	for (size_t i = 0; i < 2; i++) {
		strbuf_adds(out, keys[i]);
		strbuf_addu(out, numbers[i]);
	}
}

static void put_policies(struct strbuf *out, const struct ratelimit_verdict *v)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct ratelimit_window *w = &v->windows[i];
		put_item(out, i == 0 ? "RateLimit-Policy: " : ", ", w,
			 (const char *[]){";q=", ";w="}, (const uint32_t[]){w->limit, w->seconds});
	}
	strbuf_adds(out, "\r\n");
}

static void put_states(struct strbuf *out, const struct ratelimit_verdict *v)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct ratelimit_window *w = &v->windows[i];
		put_item(out, i == 0 ? "RateLimit: " : ", ", w, (const char *[]){";r=", ";t="},
			 (const uint32_t[]){w->remaining, w->seconds_left});
	}
	strbuf_adds(out, "\r\n");
}

static void put_number(struct strbuf *out, const char *name, int64_t number)
{
	strbuf_adds(out, name);
	strbuf_addi(out, number);
	strbuf_adds(out, "\r\n");
}

/* The window that is the first to be full, for clients that know of one only. */
static const struct ratelimit_window *tightest(const struct ratelimit_verdict *v)
{
	const struct ratelimit_window *least = &v->windows[0];
	if (v->refused)
		return &v->windows[v->refused_by];
	for (size_t i = 1; i < v->count; i++)
		if (v->windows[i].remaining < least->remaining)
			least = &v->windows[i];
	return least;
}

void http_limit_headers(const struct http_request *r, struct http_response *response)
{
	const struct ratelimit_verdict *v = &r->limits;
	struct strbuf *out = &response->headers;
	if (v->count == 0)
		return;
	const struct ratelimit_window *one = tightest(v);
	put_number(out, "X-RateLimit-Limit: ", one->limit);
	put_number(out, "X-RateLimit-Remaining: ", one->remaining);
	put_number(out, "X-RateLimit-Reset: ", one->ends_s);
	if (!v->refused)
		return;
	put_policies(out, v);
	put_states(out, v);
	put_number(out, "Retry-After: ", one->seconds_left);
}
