/*
 * How samples travel from ziggie-jobs to the workers of all hosts: their keys in
 * memcached, how often each kind is taken, and when one is too old to show.
 */
#ifndef ZIGGIE_HOST_PUBLISH_H
#define ZIGGIE_HOST_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/cache.h"
#include "host/host.h"

struct conf;

struct host_timing {
	int64_t interval_ms[HOST_KIND_COUNT];
	int64_t sample_ttl_ms;   /* in memcached */
	int64_t l1_ttl_ms;       /* in a worker */
	int64_t interest_ttl_ms; /* how long a costly kind is sampled after it was asked for */
};
struct host_timing host_timing_from_conf(const struct conf *conf);

/* Sampled only while somebody asks for it. */
bool host_kind_is_costly(enum host_kind kind);

void host_sample_key(const char *host_id, enum host_kind kind, struct cache_key *out);

/* False when a value (NULL too) is not a sample of that kind. */
bool host_sample_open(const struct cache_value *value, enum host_kind kind, struct host_view *out);

/* Older than three intervals, or from a future that no clock difference explains. */
bool host_sample_is_old(const struct host_timing *timing, const struct host_view *view,
			int64_t now_us);
/* A sample of that kind that can be shown without a remark. */
bool host_sample_is_young(const struct host_timing *timing, const struct cache_value *value,
			  enum host_kind kind);

enum err host_publish(struct cache *cache, const struct host_timing *timing, const char *host_id,
		      enum host_kind kind, const char *sample, size_t len, struct errmsg *why);

/*
 * When a host's ziggie-jobs was last at work, every HOST_HEARTBEAT_MS; kept for a day.
 * It serves while the database can't be asked, which knows more.
 */
enum { HOST_HEARTBEAT_MS = 5000 };
enum err host_heartbeat_publish(struct cache *cache, const char *host_id, struct errmsg *why);
void host_heartbeat_key(const char *host_id, struct cache_key *out);
bool host_heartbeat_parse(const struct cache_value *value, int64_t *seen_us);

/* Asks another host's ziggie-jobs to sample a costly kind for interest_ttl. */
enum err host_interest_publish(struct cache *cache, const struct host_timing *timing,
			       const char *host_id, enum host_kind kind, struct errmsg *why);
void host_interest_key(const char *host_id, enum host_kind kind, struct cache_key *out);
bool host_interest_read(struct cache *cache, const char *host_id, enum host_kind kind);

#endif
