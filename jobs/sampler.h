/*
 * The sampler: a thread that takes samples of this host, each kind at its own
 * interval, and publishes them to memcached.  Costly kinds are sampled only while
 * somebody asks for them.  While memcached is away nobody could read a sample, so
 * none is taken; the sampler tries again at growing pauses.
 */
#ifndef ZIGGIE_JOBS_SAMPLER_H
#define ZIGGIE_JOBS_SAMPLER_H

#include "base/error.h"
#include "cache/cache.h"
#include "host/publish.h"

struct sampler;
struct scoreboard;

struct sampler_options {
	const char *host_id;
	const char *proc_root;
	const char *sys_root;
	struct host_timing timing;
	int64_t retry_ms;              /* the first pause while memcached is away */
	struct cache *cache;           /* borrowed, like all pointers here */
	struct scoreboard *scoreboard; /* holds the interest stamps; takes counts in slot 0 */
};

enum err sampler_start(const struct sampler_options *options, struct sampler **out,
		       struct errmsg *why);
/* Waits for the sample that is being taken. */
void sampler_stop(struct sampler *s);

#endif
