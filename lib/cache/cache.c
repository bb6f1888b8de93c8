#include "cache/cache.h"

#include <stdlib.h>

#include "cache/l1.h"
#include "cache/memcached.h"
#include "conf/conf.h"

struct cache {
	struct l1 *l1;
	struct memcached *memcached; /* NULL when none is configured */
};

struct cache_options cache_options_from_conf(const struct conf *conf)
{
	return (struct cache_options){
	    .servers = conf_text(conf, memcached),
	    .timeout_ms = conf_number(conf, memcached_timeout),
	    .retry_ms = conf_number(conf, memcached_retry),
	    .l1_size = (size_t)conf_number(conf, l1_max_size),
	};
}

enum err cache_new(const struct cache_options *options, struct cache **out, struct errmsg *why)
{
	struct cache *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	enum err err = ERR_OK;
	c->l1 = l1_new(options->l1_size, options->board);
	if (c->l1 == NULL)
		err = err_set(why, ERR_NOMEM, "out of memory");
	else if (options->servers[0] != '\0')
		err = memcached_new(options, &c->memcached, why);
	if (err != ERR_OK) {
		cache_free(c);
		return err;
	}
	*out = c;
	return ERR_OK;
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	memcached_close(c->memcached);
	l1_free(c->l1);
	free(c);
}

enum cache_found cache_lookup(struct cache *c, const struct cache_key *key,
			      const struct deadline *deadline, struct cache_value **value)
{
	return l1_lookup(c->l1, key, deadline, value);
}

void cache_wait(struct cache *c, const struct cache_key *key, const struct deadline *deadline)
{
	l1_wait(c->l1, key, deadline);
}

void cache_store(struct cache *c, const struct cache_key *key, struct cache_value *value,
		 int64_t ttl_ms)
{
	l1_store(c->l1, key, value, ttl_ms);
}

void cache_abandon(struct cache *c, const struct cache_key *key)
{
	l1_abandon(c->l1, key);
}

enum err cache_fetch(struct cache *c, const struct cache_key *key, struct cache_value **value,
		     struct errmsg *why)
{
	*value = NULL;
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_fetch_value(c->memcached, key, value, why);
}

enum err cache_publish(struct cache *c, const struct cache_key *key, const void *bytes, size_t len,
		       int64_t ttl_ms, struct errmsg *why)
{
	if (len > CACHE_VALUE_MAX)
		return err_set(why, ERR_TOO_LARGE, "%zu bytes are more than memcached takes", len);
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_publish(c->memcached, key, bytes, len, ttl_ms, why);
}

enum err cache_withdraw(struct cache *c, const struct cache_key *key, struct errmsg *why)
{
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_withdraw(c->memcached, key, why);
}

enum err cache_count(struct cache *c, const struct cache_key *key, int64_t ttl_ms, uint64_t *number,
		     struct errmsg *why)
{
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_add_one(c->memcached, key, ttl_ms, number, why);
}

enum err cache_check(struct cache *c, struct errmsg *why)
{
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_check_all(c->memcached, why);
}

void cache_sweep(struct cache *c)
{
	l1_sweep(c->l1);
}

enum err cache_memcached_size(struct cache *c, struct cache_size *out, struct errmsg *why)
{
	*out = (struct cache_size){0};
	if (c->memcached == NULL)
		return err_set(why, ERR_UNAVAILABLE, "no memcached is configured");
	return memcached_held(c->memcached, out, why);
}

bool cache_available(const struct cache *c)
{
	return c->memcached != NULL && memcached_is_available(c->memcached);
}

void cache_stats_read(struct cache *c, struct cache_stats *out)
{
	*out = (struct cache_stats){0};
	l1_stats(c->l1, out);
	if (c->memcached != NULL)
		memcached_count(c->memcached, out);
}
