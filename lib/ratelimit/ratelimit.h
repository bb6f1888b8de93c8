/*
 * How many requests somebody may make.
 *
 * A class says how many within a window of a minute or an hour; the settings ratelimit_…
 * give the numbers.  Who asks has a window of its own for each class and route, and one
 * over all routes (RATELIMIT_TOTAL).  Windows are fixed: they begin and end with the
 * minute or hour of the wall clock, for everybody and on all hosts alike.  Request number
 * `limit` of a window is admitted and the next refused, whichever process is asked.  Only
 * what is admitted counts.  A refusal reads two words of shared memory, no more.
 *
 *	struct ratelimit_request q = {.who = {RATELIMIT_USER, id},
 *				      .class = RATELIMIT_READ, .route = "/api/x", .total = true};
 *	struct ratelimit_verdict v;
 *	ratelimit_judge(limits, &q, &v);
 *	if (v.refused) … v.windows[v.refused_by].seconds_left …
 *
 * The counts are in the scoreboard (shm/windows.h), so they outlive a reload and the
 * death of any worker, and are gone when ziggied is started anew.  A process without
 * ziggied counts for itself alone.
 *
 * With the setting ratelimit_scope = fleet all hosts count together, in memcached: an
 * increment for each window of a request that the host's own count would admit.  When
 * that says "one too many" the host remembers it until the window ends.  While memcached
 * does not answer, each host counts for itself; so it does for what memcached forgets.
 *
 * Nothing here fails: what can't be counted (shm/windows.h says when) is admitted.
 * Thread-safe, except new and free.
 */
#ifndef ZIGGIE_RATELIMIT_RATELIMIT_H
#define ZIGGIE_RATELIMIT_RATELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cache;
struct conf;
struct scoreboard;

enum ratelimit_class {
	RATELIMIT_READ,          /* the legacy family */
	RATELIMIT_READ_V1,       /* reads of /api/v1 */
	RATELIMIT_WRITE,         /* writes of /api/v1 */
	RATELIMIT_LOGS,          /* logs, ports and the like */
	RATELIMIT_CONTROL,       /* start, stop, restart */
	RATELIMIT_LOGIN,         /* sign-ins from an address */
	RATELIMIT_LOGIN_ACCOUNT, /* sign-ins to an account */
	RATELIMIT_ACCOUNT,       /* what changes accounts; by the hour */
	RATELIMIT_SEARCH,
	RATELIMIT_INGEST,
	RATELIMIT_TOTAL, /* over all routes */
	RATELIMIT_CLASSES
};

/* "read-v1": the name of the policy in headers. */
const char *ratelimit_class_name(enum ratelimit_class class);

enum ratelimit_kind {
	RATELIMIT_USER = 'u',
	RATELIMIT_KEY = 'k',
	RATELIMIT_ADDRESS = 'a',
	RATELIMIT_NAME = 'n'
};

/* The same text of another kind is somebody else. */
struct ratelimit_who {
	enum ratelimit_kind kind;
	const char *id;
};
/* What is past these lengths makes no difference. */
enum { RATELIMIT_ID_MAX = 512, RATELIMIT_ROUTE_MAX = 128 };

struct ratelimit_request {
	struct ratelimit_who who;
	enum ratelimit_class class;
	uint8_t method;    /* a route is a method and a path */
	const char *route; /* the path, the same text on all hosts */
	bool total;        /* counts in RATELIMIT_TOTAL too */
};

struct ratelimit_window {
	enum ratelimit_class class;
	uint32_t limit;
	uint32_t remaining;
	uint32_t seconds;      /* its length */
	uint32_t seconds_left; /* until it ends, at least 1 */
	int64_t ends_s;        /* wall time */
};

enum { RATELIMIT_WINDOWS_MAX = 2 };

struct ratelimit_verdict {
	bool refused;
	bool uncounted;    /* admitted for want of room in a window's set */
	bool alone;        /* counted by this host alone, though all should */
	size_t refused_by; /* of windows, when refused */
	size_t count;      /* of windows; 0 when nothing limits the request */
	struct ratelimit_window windows[RATELIMIT_WINDOWS_MAX];
};

struct ratelimit_options {
	bool enabled;
	bool fleet;
	uint32_t limits[RATELIMIT_CLASSES]; /* 0: the class is not limited */
	struct scoreboard *scoreboard;
	struct cache *cache; /* for fleet */
};
/* All but the scoreboard and the cache. */
struct ratelimit_options ratelimit_options_from_conf(const struct conf *conf);

struct ratelimit;

enum err ratelimit_new(const struct ratelimit_options *options, struct ratelimit **out,
		       struct errmsg *why);
void ratelimit_free(struct ratelimit *r); /* NULL is fine */

/* Counts the request, or refuses it. */
void ratelimit_judge(struct ratelimit *r, const struct ratelimit_request *request,
		     struct ratelimit_verdict *out);

#endif
