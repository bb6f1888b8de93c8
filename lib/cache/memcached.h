/*
 * memcached, through libmemcached: see cache.h.  A handle per thread, opened at a
 * thread's first use and closed when the thread ends.
 */
#ifndef ZIGGIE_CACHE_MEMCACHED_H
#define ZIGGIE_CACHE_MEMCACHED_H

#include "cache/cache.h"

struct memcached;

/* options->servers must not be empty. */
enum err memcached_new(const struct cache_options *options, struct memcached **out,
		       struct errmsg *why);
void memcached_close(struct memcached *m);

enum err memcached_fetch_value(struct memcached *m, const struct cache_key *key,
			       struct cache_value **value, struct errmsg *why);
enum err memcached_publish(struct memcached *m, const struct cache_key *key, const void *bytes,
			   size_t len, int64_t ttl_ms, struct errmsg *why);
enum err memcached_add_one(struct memcached *m, const struct cache_key *key, int64_t ttl_ms,
			   uint64_t *number, struct errmsg *why);
enum err memcached_withdraw(struct memcached *m, const struct cache_key *key, struct errmsg *why);
enum err memcached_held(struct memcached *m, struct cache_size *out, struct errmsg *why);
enum err memcached_check_all(struct memcached *m, struct errmsg *why);
bool memcached_is_available(const struct memcached *m);
/* Adds the memcached_ counts. */
void memcached_count(const struct memcached *m, struct cache_stats *out);

#endif
