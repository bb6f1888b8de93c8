#include "api/caches.h"

#include "api/api.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "host/service.h"
#include "json/writer.h"
#include "shm/scoreboard.h"

/* ---- dropping ---- */

static const char *const done_words[] = {"success", NULL};
static const struct field done_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = done_words},
    {"message", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What was done"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
};
const struct schema done_schema = SCHEMA("Done", done_fields);

void answer_begin_done(struct json_writer *w, struct http_response *response, const char *message)
{
	json_init(w, &response->body);
	json_object(w);
	json_put_string(w, "status", done_words[0]);
	json_put_string(w, "message", message);
	json_put_time_legacy(w, "timestamp", clock_wall_us());
}

void answer_done(struct http_response *response, const char *message)
{
	struct json_writer w;
	answer_begin_done(&w, response, message);
	json_end(&w);
}

void answer_begin_read(struct json_writer *w, struct http_response *response)
{
	json_init(w, &response->body);
	json_object(w);
	json_put_bool(w, "success", true);
	json_put_time_legacy(w, "timestamp", clock_wall_us());
}

static void log_invalidation(const struct http_request *r)
{
	LOG_EVENT(LOG_INFO, "cache_invalidated", LOG_STR("request_id", r->id),
		  LOG_STR("user", r->principal.username), LOG_STR("route", r->route->path));
}

enum err caches_invalidate_records(const struct http_request *r, struct http_response *response,
				   const char *message, struct errmsg *why)
{
	(void)why;
	scoreboard_bump_cache_epoch(r->app->scoreboard);
	log_invalidation(r);
	answer_done(response, message);
	return ERR_OK;
}

/* memcached comes first: what is still fetched from it is then of the epoch that ends. */
enum err caches_invalidate(const struct http_request *r, struct http_response *response,
			   const char *message, struct errmsg *why)
{
	enum err err = ERR_OK;
	if (conf_text(r->app->conf, memcached)[0] != '\0')
		err = host_service_withdraw(r->app->host, why);
	auth_revoked(r->app->auth);
	enum err dropped = caches_invalidate_records(r, response, message, why);
	return err != ERR_OK ? err : dropped;
}

static enum err post_all(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	return caches_invalidate(r, response, "All caches were invalidated", why);
}

static enum err post_agents(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	return caches_invalidate_records(r, response, "The cache of agents was invalidated", why);
}

static enum err post_knowledge(struct http_request *r, struct http_response *response,
			       struct errmsg *why)
{
	return caches_invalidate_records(r, response, "The cache of knowledge was invalidated",
					 why);
}

/* ---- showing ---- */

static void figures_of(const struct scoreboard_totals *t, struct cache_figures out[CACHED_COUNT])
{
	const uint64_t *counters = t->counters;
	out[CACHED_L1] = (struct cache_figures){
	    .name = "l1",
	    .hits = counters[COUNTER_cache_l1_hits],
	    .misses = counters[COUNTER_cache_l1_misses],
	    .size = (uint64_t)t->gauges[GAUGE_cache_l1_entries],
	    .bytes = (uint64_t)t->gauges[GAUGE_cache_l1_bytes],
	};
	out[CACHED_MEMCACHED] = (struct cache_figures){
	    .name = "memcached",
	    .hits = counters[COUNTER_cache_hits],
	    .misses = counters[COUNTER_cache_misses],
	};
	out[CACHED_TOKENS] = (struct cache_figures){
	    .name = "tokens",
	    .hits = counters[COUNTER_token_hits] + counters[COUNTER_token_grace],
	    .misses = counters[COUNTER_token_reads] + counters[COUNTER_token_unknown],
	    .size = (uint64_t)t->gauges[GAUGE_token_entries],
	};
}

/* Into the arena; NULL, and why, when it can't be done. */
static struct scoreboard_totals *read_totals(const struct http_request *r, enum err *err,
					     struct errmsg *why)
{
	struct scoreboard_totals *totals = arena_alloc(r->arena, sizeof(*totals));
	*err = totals != NULL ? scoreboard_totals(r->app->scoreboard, totals, why)
			      : err_set(why, ERR_NOMEM, "out of memory reading the counters");
	return *err == ERR_OK ? totals : NULL;
}

enum err caches_read(const struct http_request *r, struct cache_figures out[CACHED_COUNT],
		     struct errmsg *why)
{
	enum err err;
	const struct scoreboard_totals *totals = read_totals(r, &err, why);
	if (totals == NULL)
		return err;
	figures_of(totals, out);
	struct cache_size size;
	/* One that does not answer has nothing to show. */
	(void)cache_memcached_size(r->app->cache, &size, NULL);
	out[CACHED_MEMCACHED].size = size.items;
	out[CACHED_MEMCACHED].bytes = size.bytes;
	return ERR_OK;
}

static const struct field figures_fields[] = {
    {"hits", FIELD_INT, FIELD_REQUIRED, .summary = "Lookups that it answered"},
    {"misses", FIELD_INT, FIELD_REQUIRED, .summary = "Lookups that it did not"},
    {"hit_rate", FIELD_REAL, FIELD_REQUIRED, .summary = "Per cent of the lookups; 0 of none"},
    {"size", FIELD_INT, FIELD_REQUIRED, .summary = "Entries now"},
    {"size_bytes", FIELD_INT, FIELD_REQUIRED, .summary = "Of them; 0 where nobody counts"},
};
static const struct schema figures_schema = SCHEMA("CacheFigures", figures_fields);

static const struct field caches_fields[] = {
    {"l1", FIELD_OBJECT, FIELD_REQUIRED, .of = &figures_schema,
     .summary = "Values in the memory of the workers"},
    {"memcached", FIELD_OBJECT, FIELD_REQUIRED, .of = &figures_schema,
     .summary = "Values that hosts share; its size is that of all who use it"},
    {"tokens", FIELD_OBJECT, FIELD_REQUIRED, .of = &figures_schema,
     .summary = "Tokens and keys that the workers remember"},
};
static const struct schema caches_schema = SCHEMA("CachesByName", caches_fields);

static const struct field stats_fields[] = {
    {"success", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always true"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
    {"caches", FIELD_OBJECT, FIELD_REQUIRED, .of = &caches_schema,
     .summary = "Of all workers of the host"},
};
static const struct schema stats_schema = SCHEMA("CacheStats", stats_fields);

static void put_figures(struct json_writer *w, const struct cache_figures *f)
{
	uint64_t lookups = f->hits + f->misses;
	json_key(w, f->name);
	json_object(w);
	json_put_uint(w, "hits", f->hits);
	json_put_uint(w, "misses", f->misses);
	json_put_real(w, "hit_rate", lookups > 0 ? 100.0 * (double)f->hits / (double)lookups : 0,
		      2);
	json_put_uint(w, "size", f->size);
	json_put_uint(w, "size_bytes", f->bytes);
	json_end(w);
}

static enum err get_stats(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct cache_figures figures[CACHED_COUNT] = {{.name = ""}};
	enum err err = caches_read(r, figures, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	answer_begin_read(&w, response);
	json_key(&w, "caches");
	json_object(&w);
	for (size_t i = 0; i < CACHED_COUNT; i++)
		put_figures(&w, &figures[i]);
	json_end(&w);
	json_end(&w);
	return ERR_OK;
}

static const char *const health_words[] = {"healthy", "degraded", NULL};
static const char *const caching_words[] = {"enabled", "unavailable", NULL};
static const struct field health_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = health_words,
     .summary = "degraded when memcached does not answer a worker: slower, but right"},
    {"caching", FIELD_WORD, FIELD_REQUIRED, .words = caching_words},
    {"workers", FIELD_INT, FIELD_REQUIRED, .summary = "Of this host"},
    {"workers_without_memcached", FIELD_INT, FIELD_REQUIRED,
     .summary = "Of them, those that it does not answer"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
};
static const struct schema health_schema = SCHEMA("CacheHealth", health_fields);

static enum err get_health(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	enum err err;
	const struct scoreboard_totals *totals = read_totals(r, &err, why);
	if (totals == NULL)
		return err;
	bool healthy = totals->gauges[GAUGE_cache_unavailable] == 0;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "status", health_words[healthy ? 0 : 1]);
	json_put_string(&w, "caching", caching_words[healthy ? 0 : 1]);
	json_put_uint(&w, "workers", totals->processes[PROGRAM_WORKER]);
	json_put_int(&w, "workers_without_memcached", totals->gauges[GAUGE_cache_unavailable]);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	json_end(&w);
	return ERR_OK;
}

#define INVALIDATE(path, handler, summary)                                                         \
	ROUTE(HTTP_POST, path, ACCESS_ADMIN, OTHERS_NONE, "cache", RATE_CONTROL, WEIGHT_LIGHT,     \
	      BODY_NONE, handler, summary, .answers = &done_schema)
#define SHOW(path, handler, summary, ...)                                                          \
	ROUTE(HTTP_GET, path, ACCESS_HOST, OTHERS_NONE, "cache", RATE_READ, WEIGHT_LIGHT,          \
	      BODY_NONE, handler, summary, __VA_ARGS__)

const struct route cache_routes[] = {
    SHOW("/api/cache/stats", get_stats, "What the caches of this host hold, and how they do",
	 .answers = &stats_schema),
    SHOW("/api/cache/health", get_health, "Whether all workers of this host have their caches",
	 .answers = &health_schema),
    INVALIDATE("/api/cache/invalidate", post_all,
	       "Drop all that is cached on this host, and what memcached has of it"),
    INVALIDATE("/api/cache/invalidate/agents", post_agents, "Drop what is cached of agents"),
    INVALIDATE("/api/cache/invalidate/knowledge", post_knowledge,
	       "Drop what is cached of knowledge"),
};
const size_t cache_route_count = ARRAY_LEN(cache_routes);
