/*
 * How long requests and statements take, on all workers of the host, since the start of ziggied
 * or the last reset.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/caches.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/writer.h"
#include "metrics/latency.h"
#include "shm/statements.h"

enum { SLOWEST = 5, THRESHOLD_MS_MAX = 3600000 };

/* ---- what all answers begin with ---- */

#define BEGINNING                                                                                  \
	{"success", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always true"},                         \
	    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},                   \
	{                                                                                          \
		"since", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_NULL | FIELD_ZONELESS,        \
				     .summary = "The last reset; null when there was none"         \
	}

static void begin_since(struct json_writer *w, struct http_response *response, int64_t since_us)
{
	answer_begin_read(w, response);
	if (since_us == 0)
		json_put_null(w, "since");
	else
		json_put_time_legacy(w, "since", since_us);
}

static enum err no_memory(struct errmsg *why)
{
	return err_set(why, ERR_NOMEM, "out of memory reading the counters");
}

/* ---- routes ---- */

struct route_figures {
	const char *name; /* "GET /api/health"; "" for what matched no route */
	uint64_t requests, errors;
	struct scoreboard_histogram latency;
};

static struct route_figures figures_of(const struct scoreboard_route_totals *route)
{
	struct route_figures f = {.name = route->name, .latency = route->latency};
	for (size_t i = 0; i < SCOREBOARD_STATUSES; i++) {
		f.requests += route->by_status[i];
		f.errors += scoreboard_statuses[i] >= 500 ? route->by_status[i] : 0;
	}
	return f;
}

/* What took most time of all comes first. */
static int compare_sum(const void *left, const void *right)
{
	const struct route_figures *a = left;
	const struct route_figures *b = right;
	return (a->latency.sum_ns < b->latency.sum_ns) - (a->latency.sum_ns > b->latency.sum_ns);
}

struct figures {
	struct route_figures all;
	struct route_figures routes[SCOREBOARD_ROUTES]; /* those that were called */
	size_t route_count;
	int64_t since_us;
	struct scoreboard_totals totals;
};

static void add_routes(struct figures *f)
{
	for (unsigned i = 0; i < f->totals.route_count; i++) {
		struct route_figures route = figures_of(&f->totals.routes[i]);
		if (route.requests == 0)
			continue;
		f->routes[f->route_count++] = route;
		f->all.requests += route.requests;
		f->all.errors += route.errors;
		latency_add(&f->all.latency, &route.latency);
	}
	qsort(f->routes, f->route_count, sizeof(*f->routes), compare_sum);
}

/* NULL, and *err, when they can't be read. */
static const struct figures *read_figures(const struct http_request *r, enum err *err,
					  struct errmsg *why)
{
	struct figures *f = arena_calloc(r->arena, 1, sizeof(*f));
	if (f == NULL) {
		*err = no_memory(why);
		return NULL;
	}
	*err = scoreboard_totals_since_mark(r->app->scoreboard, &f->totals, &f->since_us, why);
	if (*err != ERR_OK)
		return NULL;
	add_routes(f);
	return f;
}

#define FIGURES                                                                                    \
	{"requests", FIELD_INT, FIELD_REQUIRED, .summary = "Answered"},                            \
	    {"errors", FIELD_INT, FIELD_REQUIRED,                                                  \
	     .summary = "Of them, with a status from 500 on"},                                     \
	    {"avg_ms", FIELD_REAL, FIELD_REQUIRED,                                                 \
	     .summary = "From the arrival at the web server to the answer"},                       \
	    {"p50_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "Half took no longer"},              \
	    {"p95_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "95 % took no longer"},              \
	{                                                                                          \
		"p99_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "99 % took no longer"             \
	}

static void put_figures(struct json_writer *w, const struct route_figures *f)
{
	json_put_uint(w, "requests", f->requests);
	json_put_uint(w, "errors", f->errors);
	json_put_real(w, "avg_ms", latency_mean_ms(&f->latency), 3);
	json_put_real(w, "p50_ms", latency_quantile_ms(&f->latency, 0.50), 3);
	json_put_real(w, "p95_ms", latency_quantile_ms(&f->latency, 0.95), 3);
	json_put_real(w, "p99_ms", latency_quantile_ms(&f->latency, 0.99), 3);
}

static const struct field route_fields[] = {
    {"method", FIELD_STRING, FIELD_REQUIRED, .summary = "Empty for what is no route"},
    {"route", FIELD_STRING, FIELD_REQUIRED, .summary = "Its path; empty for what is no route"},
    FIGURES,
};
static const struct schema route_schema = SCHEMA("RoutePerformance", route_fields);

static void put_route(struct json_writer *w, const struct route_figures *f)
{
	size_t method = strcspn(f->name, " ");
	json_object(w);
	json_key(w, "method");
	json_stringn(w, f->name, method);
	json_put_string(w, "route", f->name[method] == ' ' ? f->name + method + 1 : "");
	put_figures(w, f);
	json_end(w);
}

static void put_routes(struct json_writer *w, const char *key, const struct figures *f, size_t most)
{
	json_key(w, key);
	json_array(w);
	for (size_t i = 0; i < f->route_count && i < most; i++)
		put_route(w, &f->routes[i]);
	json_end(w);
}

static const struct field metrics_fields[] = {
    BEGINNING,
    FIGURES,
    {"routes", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &route_schema,
     .summary = "Those that were called, that which took most time of all first"},
};
static const struct schema metrics_schema = SCHEMA("PerformanceMetrics", metrics_fields);

static enum err get_metrics(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	enum err err;
	const struct figures *f = read_figures(r, &err, why);
	if (f == NULL)
		return err;
	struct json_writer w;
	begin_since(&w, response, f->since_us);
	put_figures(&w, &f->all);
	put_routes(&w, "routes", f, SCOREBOARD_ROUTES);
	json_end(&w);
	return ERR_OK;
}

/* ---- statements ---- */

struct slow_rows {
	size_t count;
	struct slow_statement rows[STATEMENT_PLACES];
};

/* NULL when there is no memory. */
static struct slow_rows *read_slow(const struct http_request *r)
{
	struct slow_rows *slow = arena_calloc(r->arena, 1, sizeof(*slow));
	if (slow != NULL)
		slow->count = statements_read(r->app->scoreboard, slow->rows, STATEMENT_PLACES);
	return slow;
}

static const struct field statement_fields[] = {
    {"digest", FIELD_STRING, FIELD_REQUIRED, .summary = "Of the text, in 16 hex digits"},
    {"statement", FIELD_STRING, FIELD_REQUIRED,
     .summary = "Its text: ? stands for every value and literal; cut after 1023 bytes"},
    {"route", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL,
     .summary = "The one that it was slow for last; null for work beside the routes"},
    {"count", FIELD_INT, FIELD_REQUIRED, .summary = "How often it was slow"},
    {"total_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "How long, together"},
    {"avg_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "How long, on average"},
    {"max_ms", FIELD_REAL, FIELD_REQUIRED, .summary = "How long at most"},
    {"last_seen", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
};
static const struct schema statement_schema = SCHEMA("SlowStatement", statement_fields);

static void put_statement(struct json_writer *w, const struct slow_statement *s)
{
	char digest[17];
	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)s->digest);
	json_object(w);
	json_put_string(w, "digest", digest);
	json_put_string(w, "statement", s->text);
	json_put_string(w, "route", s->route[0] != '\0' ? s->route : NULL);
	json_put_uint(w, "count", s->count);
	json_put_real(w, "total_ms", (double)s->total_us / US_PER_MS, 3);
	json_put_real(w, "avg_ms", (double)s->total_us / (double)s->count / US_PER_MS, 3);
	json_put_real(w, "max_ms", (double)s->max_us / US_PER_MS, 3);
	json_put_time_legacy(w, "last_seen", s->last_seen_us);
	json_end(w);
}

static const struct field slow_fields[] = {
    {"success", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always true"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
    {"threshold_ms", FIELD_INT, FIELD_REQUIRED, .summary = "What takes as long is slow"},
    {"slow_queries", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &statement_schema,
     .summary = "Since the start or the last reset, that which took most time of all first"},
    {"count", FIELD_INT, FIELD_REQUIRED, .summary = "Of the list"},
    {"uncounted", FIELD_INT, FIELD_REQUIRED,
     .summary = "Slow ones that are not in the list, as it was full"},
};
static const struct schema slow_schema = SCHEMA("SlowStatements", slow_fields);

static enum err get_slow(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct scoreboard *board = r->app->scoreboard;
	const struct slow_rows *slow = read_slow(r);
	if (slow == NULL)
		return no_memory(why);
	struct json_writer w;
	answer_begin_read(&w, response);
	json_put_int(&w, "threshold_ms", statements_threshold_us(board) / US_PER_MS);
	json_key(&w, "slow_queries");
	json_array(&w);
	for (size_t i = 0; i < slow->count; i++)
		put_statement(&w, &slow->rows[i]);
	json_end(&w);
	json_put_uint(&w, "count", slow->count);
	json_put_uint(&w, "uncounted", statements_uncounted(board));
	json_end(&w);
	return ERR_OK;
}

/* ---- both ---- */

static const struct field summary_fields[] = {
    BEGINNING,
    FIGURES,
    {"slowest_routes", FIELD_LIST, FIELD_REQUIRED, 0, SLOWEST, .item = FIELD_OBJECT,
     .of = &route_schema, .summary = "The five that took most time of all"},
    {"threshold_ms", FIELD_INT, FIELD_REQUIRED, .summary = "What takes as long is slow"},
    {"slow_statements", FIELD_INT, FIELD_REQUIRED, .summary = "Different ones"},
    {"slow_executions", FIELD_INT, FIELD_REQUIRED, .summary = "How often one was slow"},
    {"workers", FIELD_INT, FIELD_REQUIRED, .summary = "Of this host"},
    {"threads", FIELD_INT, FIELD_REQUIRED, .summary = "Of its workers, for requests"},
    {"threads_busy", FIELD_INT, FIELD_REQUIRED, .summary = "Of them, those that have one now"},
};
static const struct schema summary_schema = SCHEMA("PerformanceSummary", summary_fields);

static void put_slow_counts(struct json_writer *w, const struct scoreboard *board,
			    const struct slow_rows *slow)
{
	uint64_t executions = statements_uncounted(board);
	for (size_t i = 0; i < slow->count; i++)
		executions += slow->rows[i].count;
	json_put_int(w, "threshold_ms", statements_threshold_us(board) / US_PER_MS);
	json_put_uint(w, "slow_statements", slow->count);
	json_put_uint(w, "slow_executions", executions);
}

static enum err get_summary(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	const struct slow_rows *slow = read_slow(r);
	if (slow == NULL)
		return no_memory(why);
	enum err err;
	const struct figures *f = read_figures(r, &err, why);
	if (f == NULL)
		return err;
	struct json_writer w;
	begin_since(&w, response, f->since_us);
	put_figures(&w, &f->all);
	put_routes(&w, "slowest_routes", f, SLOWEST);
	put_slow_counts(&w, r->app->scoreboard, slow);
	json_put_uint(&w, "workers", f->totals.processes[PROGRAM_WORKER]);
	json_put_uint(&w, "threads", f->totals.threads);
	json_put_uint(&w, "threads_busy", f->totals.threads_busy);
	json_end(&w);
	return ERR_OK;
}

/* ---- changing ---- */

static const struct field threshold_fields[] = {
    {"threshold_ms", FIELD_INT, FIELD_REQUIRED, 1, THRESHOLD_MS_MAX,
     .summary = "Statements that take as long are slow"},
};
static const struct schema threshold_schema =
    SCHEMA("SlowThreshold", threshold_fields, .open = true);

static const struct field changed_fields[] = {
    {"status", FIELD_STRING, FIELD_REQUIRED, .summary = "success"},
    {"message", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What was done"},
    {"threshold_ms", FIELD_INT, FIELD_REQUIRED, .summary = "As it is now, for all workers"},
    {"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
};
static const struct schema changed_schema = SCHEMA("SlowThresholdChanged", changed_fields);

static enum err put_threshold(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	(void)why;
	int64_t before_ms = statements_threshold_us(r->app->scoreboard) / US_PER_MS;
	int64_t threshold_ms = r->values[0].as.integer;
	statements_set_threshold(r->app->scoreboard, threshold_ms * US_PER_MS);
	LOG_EVENT(LOG_INFO, "slow_threshold_changed", LOG_STR("request_id", r->id),
		  LOG_STR("user", r->principal.username), LOG_INT("before_ms", before_ms),
		  LOG_INT("threshold_ms", threshold_ms));
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "status", "success");
	json_put_string(&w, "message", "The threshold of slow statements was changed");
	json_put_int(&w, "threshold_ms", threshold_ms);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	json_end(&w);
	return ERR_OK;
}

static enum err post_reset(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	enum err err = scoreboard_mark(r->app->scoreboard, clock_wall_us(), why);
	if (err != ERR_OK)
		return err;
	statements_reset(r->app->scoreboard);
	LOG_EVENT(LOG_INFO, "performance_reset", LOG_STR("request_id", r->id),
		  LOG_STR("user", r->principal.username));
	answer_done(response, "The figures begin anew; those of /metrics go on");
	return ERR_OK;
}

#define SHOW(path, handler, summary, ...)                                                          \
	ROUTE(HTTP_GET, path, ACCESS_ADMIN, OTHERS_NONE, "performance", RATE_READ, WEIGHT_LIGHT,   \
	      BODY_NONE, handler, summary, __VA_ARGS__)

const struct route performance_routes[] = {
    SHOW("/api/performance/metrics", get_metrics, "How long requests took, by route",
	 .answers = &metrics_schema),
    SHOW("/api/performance/slow-queries", get_slow, "Statements that took long",
	 .answers = &slow_schema),
    SHOW("/api/performance/summary", get_summary, "Requests and statements at a glance",
	 .answers = &summary_schema),
    ROUTE(HTTP_PUT, "/api/performance/threshold", ACCESS_ADMIN, OTHERS_NONE, "performance",
	  RATE_CONTROL, WEIGHT_LIGHT, BODY_JSON, put_threshold,
	  "Say from when on a statement is slow", .accepts = &threshold_schema,
	  .answers = &changed_schema),
    ROUTE(HTTP_POST, "/api/performance/reset", ACCESS_ADMIN, OTHERS_NONE, "performance",
	  RATE_CONTROL, WEIGHT_LIGHT, BODY_NONE, post_reset, "Let these figures begin anew",
	  .answers = &done_schema),
};
const size_t performance_route_count = ARRAY_LEN(performance_routes);
