#include "host/publish.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "conf/conf.h"

/* What changes rarely is sampled this often, so that its sample is there at all times. */
#define INFO_INTERVAL_MS (5 * MS_PER_S)
/* Hosts' clocks may differ by this much. */
#define CLOCK_DIFFERENCE_US (2 * US_PER_S)
#define HEARTBEAT_TTL_MS (INT64_C(24) * 3600 * MS_PER_S)

struct host_timing host_timing_from_conf(const struct conf *conf)
{
	int64_t usual = conf_number(conf, sample_interval);
	return (struct host_timing){
	    .interval_ms = {[HOST_STATS] = usual,
			    [HOST_INFO] = usual > INFO_INTERVAL_MS ? usual : INFO_INTERVAL_MS,
			    [HOST_PROCESSES] = conf_number(conf, processes_interval),
			    [HOST_PORTS] = conf_number(conf, ports_interval),
			    [HOST_NETWORK] = usual,
			    [HOST_DISK] = usual,
			    [HOST_RESOURCES] = usual},
	    .sample_ttl_ms = conf_number(conf, sample_ttl),
	    .l1_ttl_ms = conf_number(conf, l1_ttl),
	    .interest_ttl_ms = conf_number(conf, interest_ttl),
	};
}

bool host_kind_is_costly(enum host_kind kind)
{
	return kind == HOST_PROCESSES || kind == HOST_PORTS;
}

void host_sample_key(const char *host_id, enum host_kind kind, struct cache_key *out)
{
	const char *parts[] = {"sample", host_id, host_kind_names[kind]};
	cache_key_make(out, parts, ARRAY_LEN(parts));
}

void host_heartbeat_key(const char *host_id, struct cache_key *out)
{
	const char *parts[] = {"heartbeat", host_id};
	cache_key_make(out, parts, ARRAY_LEN(parts));
}

void host_interest_key(const char *host_id, enum host_kind kind, struct cache_key *out)
{
	const char *parts[] = {"interest", host_id, host_kind_names[kind]};
	cache_key_make(out, parts, ARRAY_LEN(parts));
}

bool host_sample_open(const struct cache_value *value, enum host_kind kind, struct host_view *out)
{
	return value != NULL && host_view_open(value->data, value->len, out) == ERR_OK &&
	       out->kind == kind;
}

bool host_sample_is_old(const struct host_timing *timing, const struct host_view *view,
			int64_t now_us)
{
	int64_t age_us = now_us - view->taken_us;
	return age_us > 3 * timing->interval_ms[view->kind] * US_PER_MS ||
	       age_us < -CLOCK_DIFFERENCE_US;
}

bool host_sample_is_young(const struct host_timing *timing, const struct cache_value *value,
			  enum host_kind kind)
{
	struct host_view view;
	return host_sample_open(value, kind, &view) &&
	       !host_sample_is_old(timing, &view, clock_wall_us());
}

enum err host_publish(struct cache *cache, const struct host_timing *timing, const char *host_id,
		      enum host_kind kind, const char *sample, size_t len, struct errmsg *why)
{
	struct cache_key key;
	host_sample_key(host_id, kind, &key);
	/* Long enough to reach the next sample, whatever the settings say. */
	int64_t ttl_ms = 3 * timing->interval_ms[kind];
	if (ttl_ms < timing->sample_ttl_ms)
		ttl_ms = timing->sample_ttl_ms;
	return cache_publish(cache, &key, sample, len, ttl_ms, why);
}

enum err host_heartbeat_publish(struct cache *cache, const char *host_id, struct errmsg *why)
{
	struct cache_key key;
	host_heartbeat_key(host_id, &key);
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", (long long)clock_wall_us());
	return cache_publish(cache, &key, text, (size_t)len, HEARTBEAT_TTL_MS, why);
}

bool host_heartbeat_parse(const struct cache_value *value, int64_t *seen_us)
{
	return num_i64(value->data, value->len, 0, INT64_MAX, seen_us);
}

enum err host_interest_publish(struct cache *cache, const struct host_timing *timing,
			       const char *host_id, enum host_kind kind, struct errmsg *why)
{
	struct cache_key key;
	host_interest_key(host_id, kind, &key);
	return cache_publish(cache, &key, "1", 1, timing->interest_ttl_ms, why);
}

bool host_interest_read(struct cache *cache, const char *host_id, enum host_kind kind)
{
	struct cache_key key;
	host_interest_key(host_id, kind, &key);
	struct cache_value *value;
	if (cache_fetch(cache, &key, &value, NULL) != ERR_OK)
		return false;
	cache_value_unref(value);
	return true;
}
