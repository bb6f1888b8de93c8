/*
 * The first level of the cache; see cache.h for what its functions promise.
 * Entries are spread over stripes, each with its lock, hash chains and order of
 * use; the bound on bytes is over all of them.
 */
#ifndef ZIGGIE_CACHE_L1_H
#define ZIGGIE_CACHE_L1_H

#include "cache/cache.h"

struct l1;

/* NULL when there is no memory.  board may be NULL. */
struct l1 *l1_new(size_t max_bytes, const struct scoreboard *board);
void l1_free(struct l1 *l1);

enum cache_found l1_lookup(struct l1 *l1, const struct cache_key *key,
			   const struct deadline *deadline, struct cache_value **value);
void l1_wait(struct l1 *l1, const struct cache_key *key, const struct deadline *deadline);
void l1_store(struct l1 *l1, const struct cache_key *key, struct cache_value *value,
	      int64_t ttl_ms);
void l1_abandon(struct l1 *l1, const struct cache_key *key);

void l1_sweep(struct l1 *l1);

/* Adds hits, misses, evictions, entries and bytes. */
void l1_stats(struct l1 *l1, struct cache_stats *out);

#endif
