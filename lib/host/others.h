/*
 * What other hosts are doing, as a worker of this one knows it: their samples come
 * from memcached alone.  Whether there is such a host, and when it was last seen,
 * comes from the database, or from the host's heartbeat in memcached while the
 * database is away.
 *
 * A costly kind is sampled only while somebody asks for it, so the other host is told:
 * by a key in memcached that its ziggie-jobs looks up every second.  Who is the first to
 * ask waits for the sample, two seconds at most and one thread in each worker.
 *
 * Thread-safe.
 */
#ifndef ZIGGIE_HOST_OTHERS_H
#define ZIGGIE_HOST_OTHERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "cache/cache.h"
#include "host/host.h"
#include "host/publish.h"

struct host_sighting {
	int64_t seen_us; /* wall time; 0 for never, as far as is known */
	bool is_up;
};

/* Asks the database: ERR_NOT_FOUND when there is no such host.  store/hosts.h has one. */
typedef enum err host_find(void *context, const char *host, const struct deadline *deadline,
			   struct host_sighting *out, struct errmsg *why);

struct host_others {
	struct cache *cache; /* borrowed */
	struct host_timing timing;
	host_find *find; /* NULL: as if the database were away */
	void *find_context;
};

/*
 * *value gets a young sample.  ERR_NOT_FOUND, naming the parameter `host`, when there is
 * no such host; ERR_UNAVAILABLE, saying when it was last seen, when it has none;
 * ERR_TIMEOUT when the deadline passed.  A NULL deadline waits for nothing but memcached.
 */
enum err host_others_read(const struct host_others *o, const char *host, enum host_kind kind,
			  const struct deadline *deadline, struct cache_value **value,
			  struct errmsg *why);

#endif
