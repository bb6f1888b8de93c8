/*
 * /api/agents/stats, and the cache that it comes from.
 */
#include "api/api.h"
#include "api/caches.h"
#include "base/assert.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "http/database.h"
#include "http/request.h"
#include "json/writer.h"
#include "store/agent_profiles.h"

/* How long a count of all agents is told again before they are counted anew. */
enum { STATS_TTL_MS = 5000 };

static const char *const levels[] = {"L1", "L2", "L3", NULL};

#define COUNT_FIELD(name_, summary_)                                                               \
	{                                                                                          \
		name_, FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = (summary_)              \
	}
static const struct field by_level_fields[] = {
    COUNT_FIELD("L1", "Of level L1"),
    COUNT_FIELD("L2", "Of level L2"),
    COUNT_FIELD("L3", "Of level L3"),
};
static const struct schema by_level_schema = SCHEMA("LegacyAgentsByLevel", by_level_fields);
static const struct field with_total_fields[] = {
    COUNT_FIELD("L1", "Of level L1"),
    COUNT_FIELD("L2", "Of level L2"),
    COUNT_FIELD("L3", "Of level L3"),
    COUNT_FIELD("total", "Of these levels"),
};
static const struct schema with_total_schema =
    SCHEMA("LegacyAgentsByLevelAndTotal", with_total_fields);
static const struct field shares_fields[] = {
    {"L1", FIELD_REAL, FIELD_REQUIRED, 0, 100, .summary = "Per cent of level L1"},
    {"L2", FIELD_REAL, FIELD_REQUIRED, 0, 100, .summary = "Per cent of level L2"},
    {"L3", FIELD_REAL, FIELD_REQUIRED, 0, 100, .summary = "Per cent of level L3"},
};
static const struct schema shares_schema = SCHEMA("LegacyAgentShares", shares_fields);
static const struct field stats_fields[] = {
    COUNT_FIELD("total", "All agents, those without a level too"),
    {"by_level", FIELD_OBJECT, FIELD_REQUIRED, .of = &by_level_schema, .summary = "Of each level"},
    COUNT_FIELD("l1_count", "Of level L1"),
    COUNT_FIELD("l2_count", "Of level L2"),
    COUNT_FIELD("l3_count", "Of level L3"),
    {"expected", FIELD_OBJECT, FIELD_REQUIRED, .of = &with_total_schema,
     .summary = "The same as actual: no number of agents is expected here"},
    {"actual", FIELD_OBJECT, FIELD_REQUIRED, .of = &with_total_schema,
     .summary = "How many there are"},
    {"distribution", FIELD_OBJECT, FIELD_REQUIRED, .of = &shares_schema,
     .summary = "The share of each level"},
    {"last_updated", FIELD_TIME, FIELD_REQUIRED | FIELD_ZONELESS, .summary = "When it was counted"},
    {"cached", FIELD_BOOL, FIELD_REQUIRED, .summary = "Whether that was before this request"},
};
static const struct schema stats_schema = SCHEMA("LegacyAgentStats", stats_fields);

static struct cache_key stats_key(void)
{
	static const char *const parts[] = {"agents", "stats"};
	struct cache_key key;
	cache_key_make(&key, parts, ARRAY_LEN(parts));
	return key;
}

/* The members of by_level, and the total of the levels where that is asked for. */
static void put_levels(struct json_writer *w, const char *key, const struct profile_counts *counts,
		       bool total)
{
	uint64_t sum = 0;
	json_key(w, key);
	json_object(w);
	for (size_t i = 0; levels[i] != NULL; i++) {
		json_put_uint(w, levels[i], counts->by_level[i]);
		sum += counts->by_level[i];
	}
	if (total)
		json_put_uint(w, "total", sum);
	json_end(w);
}

static void put_shares(struct json_writer *w, const struct profile_counts *counts)
{
	uint64_t sum = counts->by_level[0] + counts->by_level[1] + counts->by_level[2];
	json_key(w, "distribution");
	json_object(w);
	for (size_t i = 0; levels[i] != NULL; i++)
		json_put_real(w, levels[i],
			      sum > 0 ? 100.0 * (double)counts->by_level[i] / (double)sum : 0, 2);
	json_end(w);
}

/* All but `cached`, as an object. */
static struct cache_value *render_stats(const struct profile_counts *counts)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &text);
	json_object(&w);
	json_put_uint(&w, "total", counts->total);
	put_levels(&w, "by_level", counts, false);
	json_put_uint(&w, "l1_count", counts->by_level[0]);
	json_put_uint(&w, "l2_count", counts->by_level[1]);
	json_put_uint(&w, "l3_count", counts->by_level[2]);
	put_levels(&w, "expected", counts, true);
	put_levels(&w, "actual", counts, true);
	put_shares(&w, counts);
	json_put_time_legacy(&w, "last_updated", clock_wall_us());
	json_end(&w);
	return json_ok(&w) ? cache_value_new(text.data, text.len) : NULL;
}

static enum err count_agents(struct http_request *r, struct cache_value **out, struct errmsg *why)
{
	struct db_conn *db;
	struct profile_counts counts;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = profiles_count(db, r->arena, &counts, why);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	*out = render_stats(&counts);
	return *out != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory for the counts");
}

/* One request counts for all that come meanwhile. */
static enum err find_stats(struct http_request *r, struct cache_value **out, bool *cached,
			   struct errmsg *why)
{
	const struct cache_key key = stats_key();
	struct cache_value *old = NULL;
	enum cache_found found = cache_lookup(r->app->cache, &key, &r->deadline, &old);
	*cached = (found == CACHE_HIT || found == CACHE_REFRESHING) && old != NULL;
	if (*cached) {
		*out = old;
		return ERR_OK;
	}
	cache_value_unref(old);
	enum err err = count_agents(r, out, why);
	if (found == CACHE_ELECTED && err == ERR_OK)
		cache_store(r->app->cache, &key, *out, STATS_TTL_MS);
	else if (found == CACHE_ELECTED)
		cache_abandon(r->app->cache, &key);
	return err;
}

static enum err get_stats(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct cache_value *value = NULL;
	bool cached;
	enum err err = find_stats(r, &value, &cached, why);
	if (err != ERR_OK)
		return err;
	AN_INVARIANT(value != NULL);
	/* The object's end gives way to one more member. */
	strbuf_add(&response->body, value->data, value->len - 1);
	strbuf_addf(&response->body, ",\"cached\":%s}", cached ? "true" : "false");
	cache_value_unref(value);
	return ERR_OK;
}

static const char *const success_words[] = {"success", NULL};
static const struct field cache_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = success_words},
    {"message", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What is cached"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
    COUNT_FIELD("ttl_seconds", "How long a count is told again"),
    COUNT_FIELD("hits", "Answers of the workers' memory, of all kinds"),
    COUNT_FIELD("misses", "Lookups that it did not answer"),
    COUNT_FIELD("size", "Entries now"),
    COUNT_FIELD("size_bytes", "Of them"),
};
static const struct schema cache_schema = SCHEMA("LegacyAgentCache", cache_fields);

static enum err post_invalidate(struct http_request *r, struct http_response *response,
				struct errmsg *why)
{
	return caches_invalidate_records(r, response, "The cache of agents was invalidated", why);
}

static enum err get_cache_stats(struct http_request *r, struct http_response *response,
				struct errmsg *why)
{
	struct cache_figures figures[CACHED_COUNT] = {{.name = ""}};
	enum err err = caches_read(r, figures, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	answer_begin_done(&w, response, "counts of agents are cached; lists are read each time");
	json_put_uint(&w, "ttl_seconds", STATS_TTL_MS / MS_PER_S);
	json_put_uint(&w, "hits", figures[CACHED_L1].hits);
	json_put_uint(&w, "misses", figures[CACHED_L1].misses);
	json_put_uint(&w, "size", figures[CACHED_L1].size);
	json_put_uint(&w, "size_bytes", figures[CACHED_L1].bytes);
	json_end(&w);
	return ERR_OK;
}

const struct route legacy_agent_stats_routes[] = {
    ROUTE(HTTP_GET, "/api/agents/stats", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_stats, "How many agents there are, by level",
	  .answers = &stats_schema),
    ROUTE(HTTP_POST, "/api/agents/cache/invalidate", ACCESS_USER, OTHERS_NONE, "agents",
	  RATE_CONTROL, WEIGHT_NORMAL, BODY_NONE, post_invalidate, "Have agents counted anew",
	  .answers = &done_schema),
    ROUTE(HTTP_GET, "/api/agents/cache/stats", ACCESS_READONLY, OTHERS_NONE, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_cache_stats, "What the cache behind the counts holds",
	  .answers = &cache_schema),
};
const size_t legacy_agent_stats_route_count = ARRAY_LEN(legacy_agent_stats_routes);
