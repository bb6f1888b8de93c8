/*
 * Two levels of cache: L1, values in this process's memory, and memcached, shared
 * by the processes of all hosts.
 *
 * Everything in L1 is forgotten when the scoreboard's cache epoch moves on: at once, on
 * all workers of the host, and also what was being fetched at that moment.
 *
 * L1 holds immutable, reference-counted values, so that a hit copies nothing under
 * its lock.  It is bounded by bytes and drops what was used longest ago.  A value
 * past its time is kept: it serves while one thread, elected by cache_lookup(),
 * gets a new one.
 *
 *	switch (cache_lookup(cache, &key, &deadline, &value)) {
 *	case CACHE_HIT:			the value; NULL: known to be missing
 *	case CACHE_REFRESHING:		an old value; somebody gets a new one already
 *	case CACHE_ELECTED:		get it, then cache_store() or cache_abandon()
 *	case CACHE_GAVE_UP:		no value came within the deadline
 *	}
 *	cache_value_unref(value);
 *
 * memcached is asked with short time limits.  A server that failed is left alone
 * for retry_ms, then asked by one thread; until it has answered all others are told
 * ERR_UNAVAILABLE at once.  Each thread has its own connections, which are dropped
 * after anything unexpected; a value carries its key and is checked against it.
 * Server names are looked up at every new connection: prefer addresses.
 *
 * Thread-safe throughout.
 */
#ifndef ZIGGIE_CACHE_CACHE_H
#define ZIGGIE_CACHE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"

struct conf;
struct scoreboard;

/* A kibibyte below memcached's default item size, for its header and ours. */
enum { CACHE_VALUE_MAX = 1024 * 1023, CACHE_KEY_HEX = 32 };

/* Immutable once shared.  data has a NUL behind it, not counted by len. */
struct cache_value {
	_Atomic uint32_t refs;
	size_t len;
	char data[];
};

/* A copy of bytes with one reference; NULL when there is no memory.  bytes NULL: to be filled. */
struct cache_value *cache_value_new(const void *bytes, size_t len);
struct cache_value *cache_value_ref(struct cache_value *value);
void cache_value_unref(struct cache_value *value); /* NULL is fine */

/* The digest of some parts; parts that differ in any way make another key. */
struct cache_key {
	uint64_t words[2];
	char hex[CACHE_KEY_HEX + 1];
};
void cache_key_make(struct cache_key *key, const char *const *parts, size_t count);

struct cache;

struct cache_options {
	const char *servers; /* "host:port,[::1]:port,/path"; "" runs without memcached */
	int64_t timeout_ms;  /* of one exchange with memcached */
	int64_t retry_ms;
	size_t l1_size;                 /* bytes */
	const struct scoreboard *board; /* whose epoch ends values; NULL: none does */
};
struct cache_options cache_options_from_conf(const struct conf *conf);

/* ERR_INVALID when servers can't be read.  Connects to nothing yet. */
enum err cache_new(const struct cache_options *options, struct cache **out, struct errmsg *why);
/* When no other thread uses it any more. */
void cache_free(struct cache *c);

enum cache_found { CACHE_HIT, CACHE_REFRESHING, CACHE_ELECTED, CACHE_GAVE_UP };

/*
 * *value gets a reference of the caller's, or NULL.  It waits only where the key
 * has no value and another thread was elected: until that one is done, or the
 * deadline; a NULL deadline does not wait.
 */
enum cache_found cache_lookup(struct cache *c, const struct cache_key *key,
			      const struct deadline *deadline, struct cache_value **value);
/* After CACHE_REFRESHING, when the old value is no good: until that ends, or the deadline. */
void cache_wait(struct cache *c, const struct cache_key *key, const struct deadline *deadline);
/*
 * Ends an election, or just stores.  value NULL says that there is none.  It is
 * fresh for ttl_ms.  L1 takes a reference of its own.
 */
void cache_store(struct cache *c, const struct cache_key *key, struct cache_value *value,
		 int64_t ttl_ms);
/* Ends an election without a result; an old value stays as it was. */
void cache_abandon(struct cache *c, const struct cache_key *key);

/*
 * memcached's own answer, past L1: ERR_OK with a reference, ERR_NOT_FOUND, or
 * ERR_UNAVAILABLE when it does not answer, is being left alone or is not configured.
 */
enum err cache_fetch(struct cache *c, const struct cache_key *key, struct cache_value **value,
		     struct errmsg *why);
/* Hands a value to memcached; also ERR_TOO_LARGE past CACHE_VALUE_MAX. */
enum err cache_publish(struct cache *c, const struct cache_key *key, const void *bytes, size_t len,
		       int64_t ttl_ms, struct errmsg *why);

/* Takes a value out of memcached; it need not be there.  Other errors as for cache_fetch(). */
enum err cache_withdraw(struct cache *c, const struct cache_key *key, struct errmsg *why);

/*
 * Adds one to a counter in memcached that all hosts share, and says which number that
 * was, from 1.  memcached keeps it for ttl_ms from the first, or until it is restarted or
 * short of room.  ERR_UNAVAILABLE as above; then it may have been counted or not.
 */
enum err cache_count(struct cache *c, const struct cache_key *key, int64_t ttl_ms, uint64_t *number,
		     struct errmsg *why);

/* Asks every server for nothing in particular; waits for one time limit at most. */
enum err cache_check(struct cache *c, struct errmsg *why);
/* Gives the memory of what is forgotten back; lookups don't need it. */
void cache_sweep(struct cache *c);

/* What all servers hold, of everybody's: items and their bytes.  Errors as for cache_fetch(). */
struct cache_size {
	uint64_t items, bytes;
};
enum err cache_memcached_size(struct cache *c, struct cache_size *out, struct errmsg *why);

/* As far as is known without asking: configured, and no server is being left alone. */
bool cache_available(const struct cache *c);

struct cache_stats {
	uint64_t hits;      /* lookups answered by L1, fresh or being refreshed */
	uint64_t misses;    /* lookups that were not */
	uint64_t evictions; /* values dropped for want of room */
	uint64_t memcached_hits;
	uint64_t memcached_misses;
	uint64_t memcached_stores;
	uint64_t memcached_errors;     /* exchanges that failed */
	uint64_t memcached_mismatches; /* among them: values of another key, or not ours */
	uint64_t memcached_skipped;    /* not tried, as the server had failed just before */
	unsigned servers_down;
	size_t entries;
	size_t bytes; /* of L1, keys and bookkeeping included */
};
void cache_stats_read(struct cache *c, struct cache_stats *out);

#endif
