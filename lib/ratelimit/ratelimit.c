#include "ratelimit/ratelimit.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "shm/windows.h"

enum { SECONDS_PER_MINUTE = 60, HOUR = 60 };

static const struct {
	const char *name;
	uint32_t minutes;
} classes[] = {
    [RATELIMIT_READ] = {"read", 1},
    [RATELIMIT_READ_V1] = {"read-v1", 1},
    [RATELIMIT_WRITE] = {"write", 1},
    [RATELIMIT_LOGS] = {"logs", 1},
    [RATELIMIT_CONTROL] = {"control", 1},
    [RATELIMIT_LOGIN] = {"login", 1},
    [RATELIMIT_LOGIN_ACCOUNT] = {"login-account", 1},
    [RATELIMIT_ACCOUNT] = {"account", HOUR},
    [RATELIMIT_SEARCH] = {"search", 1},
    [RATELIMIT_INGEST] = {"ingest", 1},
    [RATELIMIT_TOTAL] = {"total", 1},
};
TABLE_MATCHES(classes, RATELIMIT_CLASSES);

struct ratelimit {
	struct ratelimit_options options;
	_Atomic bool alone; /* memcached does not answer; for the log */
};

const char *ratelimit_class_name(enum ratelimit_class class)
{
	AN_INVARIANT((unsigned)class < RATELIMIT_CLASSES);
	return classes[class].name;
}

struct ratelimit_options ratelimit_options_from_conf(const struct conf *conf)
{
	return (struct ratelimit_options){
	    .enabled = conf_number(conf, ratelimit_enabled) != 0,
	    .fleet = strcmp(conf_text(conf, ratelimit_scope), "fleet") == 0,
	    .limits =
		{
		    [RATELIMIT_READ] = (uint32_t)conf_number(conf, ratelimit_read),
		    [RATELIMIT_READ_V1] = (uint32_t)conf_number(conf, ratelimit_read_v1),
		    [RATELIMIT_WRITE] = (uint32_t)conf_number(conf, ratelimit_write),
		    [RATELIMIT_LOGS] = (uint32_t)conf_number(conf, ratelimit_logs),
		    [RATELIMIT_CONTROL] = (uint32_t)conf_number(conf, ratelimit_control),
		    [RATELIMIT_LOGIN] = (uint32_t)conf_number(conf, ratelimit_login),
		    [RATELIMIT_LOGIN_ACCOUNT] =
			(uint32_t)conf_number(conf, ratelimit_login_account),
		    [RATELIMIT_ACCOUNT] = (uint32_t)conf_number(conf, ratelimit_account),
		    [RATELIMIT_SEARCH] = (uint32_t)conf_number(conf, ratelimit_search),
		    [RATELIMIT_INGEST] = (uint32_t)conf_number(conf, ratelimit_ingest),
		    [RATELIMIT_TOTAL] = (uint32_t)conf_number(conf, ratelimit_total),
		},
	};
}

enum err ratelimit_new(const struct ratelimit_options *options, struct ratelimit **out,
		       struct errmsg *why)
{
	AN_INVARIANT(options->scoreboard != NULL && (!options->fleet || options->cache != NULL));
	if (sodium_init() < 0)
		return err_set(why, ERR_INTERNAL, "libsodium can't be initialised");
	struct ratelimit *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the rate limits");
	r->options = *options;
	*out = r;
	return ERR_OK;
}

void ratelimit_free(struct ratelimit *r)
{
	free(r);
}

/* ---- windows and their keys ---- */

/* One window of a request. */
struct one {
	const struct ratelimit_request *request;
	enum ratelimit_class class;
	uint8_t method;
	const char *route; /* 0 and "" for the window over all routes */
	struct window window;
	struct ratelimit_window *told;
};

/*
 * The hash of what tells a window from others: class, kind, method, end, route with its
 * NUL, id.  It is under the scoreboard's secret, so nobody can aim at another's place in the table.
 */
static void make_key(const struct ratelimit *r, struct one *w)
{
	struct __attribute__((packed)) {
		uint8_t class, kind, method;
		uint32_t end;
		char rest[RATELIMIT_ROUTE_MAX + 1 + RATELIMIT_ID_MAX];
	} text;
	size_t route_len = strnlen(w->route, RATELIMIT_ROUTE_MAX);
	size_t id_len = strnlen(w->request->who.id, RATELIMIT_ID_MAX);
	text.class = (uint8_t)w->class;
	text.kind = (uint8_t)w->request->who.kind;
	text.method = w->method;
	text.end = w->window.end;
	memcpy(text.rest, w->route, route_len);
	text.rest[route_len] = '\0';
	memcpy(text.rest + route_len + 1, w->request->who.id, id_len);
	_Static_assert(sizeof(w->window.key) == crypto_shorthash_siphashx24_BYTES &&
			   (int)WINDOW_SECRET_LEN == (int)crypto_shorthash_siphashx24_KEYBYTES,
		       "a key is one hash");
	crypto_shorthash_siphashx24((unsigned char *)w->window.key, (const unsigned char *)&text,
				    offsetof(__typeof__(text), rest) + route_len + 1 + id_len,
				    window_secret(r->options.scoreboard));
}

/* The same on all hosts. */
static void make_cache_key(const struct one *w, struct cache_key *key)
{
	char numbers[48];
	snprintf(numbers, sizeof(numbers), "%u %u %u", (unsigned)w->request->who.kind, w->method,
		 w->window.end);
	const char *parts[] = {"ratelimit", classes[w->class].name, numbers, w->route,
			       w->request->who.id};
	cache_key_make(key, parts, ARRAY_LEN(parts));
}

static void begin_window(const struct ratelimit *r, struct one *w, int64_t now_s)
{
	uint32_t minutes = classes[w->class].minutes;
	uint32_t now = (uint32_t)(now_s / SECONDS_PER_MINUTE);
	w->window = (struct window){
	    .end = now / minutes * minutes + minutes,
	    .minutes = minutes,
	    .limit = r->options.limits[w->class],
	};
	make_key(r, w);
	int64_t ends_s = (int64_t)w->window.end * SECONDS_PER_MINUTE;
	*w->told = (struct ratelimit_window){
	    .class = w->class,
	    .limit = w->window.limit,
	    .seconds = minutes * SECONDS_PER_MINUTE,
	    .seconds_left = (uint32_t)(ends_s - now_s),
	    .ends_s = ends_s,
	};
}

static void tell_used(struct one *w, uint32_t used)
{
	w->told->remaining = used < w->window.limit ? w->window.limit - used : 0;
}

/* ---- counting ---- */

static enum window_outcome count_here(struct ratelimit *r, struct one *w)
{
	uint32_t used;
	enum window_outcome outcome = window_take(r->options.scoreboard, &w->window, &used);
	tell_used(w, used);
	return outcome;
}

/* Says it once, and once more when it is over. */
static void note_alone(struct ratelimit *r, bool alone, const char *detail)
{
	if (atomic_load_explicit(&r->alone, memory_order_relaxed) == alone ||
	    atomic_exchange(&r->alone, alone) == alone)
		return;
	if (alone)
		LOG_EVENT(LOG_WARNING, "ratelimit_alone", LOG_STR("detail", detail));
	else
		LOG_EVENT(LOG_INFO, "ratelimit_together", LOG_STR("was", "ratelimit_alone"));
}

/* Kept until every host's clock has left the window. */
static int64_t kept_ms(const struct one *w)
{
	return ((int64_t)w->told->seconds_left + SECONDS_PER_MINUTE) * MS_PER_S;
}

static enum window_outcome count_together(struct ratelimit *r, struct one *w, bool *alone)
{
	struct errmsg why = ERRMSG_INIT;
	struct cache_key key;
	uint64_t number;
	make_cache_key(w, &key);
	enum err err = cache_count(r->options.cache, &key, kept_ms(w), &number, &why);
	*alone = err != ERR_OK;
	note_alone(r, *alone, why.text);
	if (*alone)
		return count_here(r, w);
	bool full = number > w->window.limit;
	uint32_t used = full ? w->window.limit : (uint32_t)number;
	window_raise(r->options.scoreboard, &w->window, used);
	tell_used(w, used);
	return full ? WINDOW_FULL : WINDOW_COUNTED;
}

static void refuse(struct ratelimit_verdict *out, size_t by)
{
	out->refused = true;
	out->refused_by = by;
	out->windows[by].remaining = 0;
}

/* Whether a window is full as far as this host knows; nothing is counted. */
static bool is_full(const struct ratelimit *r, struct one *windows, size_t count,
		    struct ratelimit_verdict *out)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t used = window_used(r->options.scoreboard, &windows[i].window);
		tell_used(&windows[i], used);
		if (used >= windows[i].window.limit)
			refuse(out, i);
	}
	return out->refused;
}

static void count_all(struct ratelimit *r, struct one *windows, size_t count,
		      struct ratelimit_verdict *out)
{
	for (size_t i = 0; i < count; i++) {
		bool alone = false;
		enum window_outcome outcome = r->options.fleet
						  ? count_together(r, &windows[i], &alone)
						  : count_here(r, &windows[i]);
		out->alone |= alone;
		out->uncounted |= outcome == WINDOW_NO_ROOM;
		if (outcome != WINDOW_FULL)
			continue;
		refuse(out, i);
		/* What was counted for a request that is refused now.  memcached keeps it: one too
		 * few in a minute in which all is refused anyway. */
		for (size_t k = 0; k < i; k++)
			window_give_back(r->options.scoreboard, &windows[k].window);
		return;
	}
}

void ratelimit_judge(struct ratelimit *r, const struct ratelimit_request *request,
		     struct ratelimit_verdict *out)
{
	const struct one wanted[RATELIMIT_WINDOWS_MAX] = {
	    {request, request->class, request->method, request->route, {.limit = 0}, NULL},
	    {request, RATELIMIT_TOTAL, 0, "", {.limit = 0}, NULL},
	};
	struct one windows[RATELIMIT_WINDOWS_MAX];
	size_t count = 0;
	*out = (struct ratelimit_verdict){0};
	if (!r->options.enabled)
		return;
	int64_t now_s = clock_wall_us() / US_PER_S;
	for (size_t i = 0; i < (request->total ? 2U : 1U); i++) {
		if (r->options.limits[wanted[i].class] == 0)
			continue;
		struct one *w = &windows[count];
		*w = wanted[i];
		w->told = &out->windows[count++];
		begin_window(r, w, now_s);
	}
	out->count = count;
	if (!is_full(r, windows, count, out))
		count_all(r, windows, count, out);
}
