/*
 * A worker's way to what a host is doing: L1, then memcached, where ziggie-jobs
 * publishes its samples.  When that gives nothing, or something older than three
 * intervals, the worker takes a sample of its own host itself, one thread at a
 * time; the others wait for it a moment (100 ms), then get the last value, marked
 * stale.  Another host's samples come from memcached alone (host/others.h).
 *
 *	struct host_answer answer;
 *	enum err err = host_service_read(service, host, HOST_STATS, &deadline, &answer, why);
 *	if (err != ERR_OK)
 *		return err;
 *	host_answer_json(&answer, &response->body);
 *	host_answer_release(&answer);
 *
 * Thread-safe.
 */
#ifndef ZIGGIE_HOST_SERVICE_H
#define ZIGGIE_HOST_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "cache/cache.h"
#include "host/host.h"
#include "host/others.h"
#include "host/publish.h"

struct conf;
struct host_service;
struct scoreboard;

struct host_service_options {
	const char *host_id; /* this host's name in the fleet */
	const char *proc_root;
	const char *sys_root;
	struct host_timing timing;
	/* How long to wait for another thread's new sample before showing one that is too old. */
	int64_t patience_ms;
	struct cache *cache;           /* borrowed */
	struct scoreboard *scoreboard; /* borrowed; takes the interest stamps; may be NULL */
	host_find *find;               /* NULL: as if the database were away */
	void *find_context;
};
struct host_service_options host_service_options_from_conf(const struct conf *conf);

/* Takes a first sample of HOST_STATS (100 ms), so that host_service_summary() has one. */
enum err host_service_new(const struct host_service_options *options, struct host_service **out,
			  struct errmsg *why);
void host_service_free(struct host_service *s);

struct host_answer {
	struct cache_value *value; /* holds what view points into */
	struct host_view view;
	bool stale;
};

/*
 * host NULL or "" is this host.  ERR_NOT_FOUND when there is no such host;
 * ERR_UNAVAILABLE when nothing can be had, for another host with when it was last
 * seen; ERR_TIMEOUT when the deadline passed.  A NULL deadline does not wait for other
 * threads.
 */
enum err host_service_read(struct host_service *s, const char *host, enum host_kind kind,
			   const struct deadline *deadline, struct host_answer *out,
			   struct errmsg *why);
void host_answer_release(struct host_answer *answer);

/* Appends the default answer, with "stale":true when it is. */
void host_answer_json(const struct host_answer *answer, struct strbuf *out);
/* The same for any JSON object. */
void host_json_mark(const char *json, size_t len, bool stale, struct strbuf *out);

/*
 * This host's summary for health checks: from the last sample, or read from /proc
 * when that is old.  Waits for no other program and for no other thread.
 */
enum err host_service_summary(struct host_service *s, struct host_summary *out, struct errmsg *why);

/* How many answers of host_service_read() came from where. */
struct host_service_stats {
	uint64_t cached;
	uint64_t collected; /* by this worker itself */
	uint64_t stale;     /* marked so, wherever they came from */
};
/*
 * Takes this host's samples out of memcached; whoever asks next reads the host itself until
 * ziggie-jobs has published new ones.  Errors of cache_withdraw(); what could be taken out is.
 */
enum err host_service_withdraw(struct host_service *s, struct errmsg *why);

void host_service_stats_read(const struct host_service *s, struct host_service_stats *out);

#endif
