#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/assert.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "db/pool.h"
#include "host/host.h"
#include "host/service.h"
#include "http/request.h"
#include "json/writer.h"
#include "shm/scoreboard.h"

/* As the predecessor had it: /health/detailed warns above these, /api/health/memory from these on.
 */
static const double detailed_warning = 90, detailed_critical = 95;
static const double memory_warning = 75, memory_critical = 85;
static const double bytes_per_gb = 1 << 30, bytes_per_mb = 1 << 20;

static void begin(struct json_writer *w, struct http_response *response)
{
	json_init(w, &response->body);
	json_object(w);
}

#define NOW_FIELD                                                                                  \
	{                                                                                          \
		"timestamp", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS                  \
	}

static void put_now(struct json_writer *w)
{
	json_put_time_legacy(w, "timestamp", clock_wall_us());
}

static void not_yet(struct http_response *response)
{
	response->status = 503;
	http_header(response, "Retry-After", "1");
}

static enum err get_health(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	(void)why;
	struct json_writer w;
	begin(&w, response);
	json_put_string(&w, "status", "healthy");
	put_now(&w);
	json_put_string(&w, "version", PACKAGE_VERSION);
	json_put_string(&w, "database",
			db_pool_available(r->app->pool) ? "connected" : "unavailable");
	json_put_string(&w, "caching", cache_available(r->app->cache) ? "enabled" : "unavailable");
	json_end(&w);
	return ERR_OK;
}

static enum err get_live(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	(void)r;
	(void)why;
	struct json_writer w;
	begin(&w, response);
	json_put_bool(&w, "alive", true);
	put_now(&w);
	json_put_string(&w, "status", "alive");
	json_end(&w);
	return ERR_OK;
}

struct check {
	const char *name;
	const char *result;
	bool ready; /* whether this check lets requests come */
};

enum { CHECKS = 4 };

static void run_checks(struct app *app, struct check checks[CHECKS])
{
	struct host_summary summary;
	bool serving = atomic_load(&app->ready) && !atomic_load(&app->draining);
	bool system = host_service_summary(app->host, &summary, NULL) == ERR_OK;
	bool connected = db_pool_available(app->pool);
	bool trusted = atomic_load(&app->database_trusted);
	bool cache = cache_available(app->cache);
	checks[0] = (struct check){"service", serving ? "ok" : "not_ready", serving};
	checks[1] = (struct check){"system", system ? "ok" : "unavailable", true};
	checks[2] = (struct check){"database",
				   !connected ? "unavailable"
				   : trusted  ? "ok"
					      : "misconfigured",
				   connected && trusted};
	/* Without memcached every worker reads its own host: slower, but right. */
	checks[3] = (struct check){"cache", cache ? "ok" : "degraded", true};
}

static void put_checks_verbose(struct http_response *response, const struct check *checks,
			       bool ready)
{
	response->content_type = "text/plain; charset=utf-8";
	for (size_t i = 0; i < CHECKS; i++)
		strbuf_addf(&response->body, "[%c] %s %s\n", checks[i].ready ? '+' : '-',
			    checks[i].name, checks[i].result);
	strbuf_adds(&response->body, ready ? "ready\n" : "not ready\n");
}

static enum err get_ready(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	const char *verbose;
	enum err err = http_query(r, "verbose", &verbose, why);
	if (err != ERR_OK)
		return err;
	struct check checks[CHECKS];
	run_checks(r->app, checks);
	bool ready = true;
	for (size_t i = 0; i < CHECKS; i++)
		ready = ready && checks[i].ready;
	if (!ready)
		not_yet(response);
	if (verbose != NULL) {
		put_checks_verbose(response, checks, ready);
		return ERR_OK;
	}
	struct json_writer w;
	begin(&w, response);
	json_put_bool(&w, "ready", ready);
	json_put_string(&w, "status", ready ? "ready" : "not_ready");
	json_key(&w, "checks");
	json_object(&w);
	for (size_t i = 0; i < CHECKS; i++)
		json_put_string(&w, checks[i].name, checks[i].result);
	json_end(&w);
	put_now(&w);
	json_end(&w);
	return ERR_OK;
}

static enum err get_startup(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	(void)why;
	bool complete = atomic_load(&r->app->ready);
	if (!complete)
		not_yet(response);
	struct json_writer w;
	begin(&w, response);
	json_put_bool(&w, "startup_complete", complete);
	put_now(&w);
	json_put_string(&w, "version", PACKAGE_VERSION);
	json_end(&w);
	return ERR_OK;
}

static const char *grade(bool critical, bool warning, const char *fine)
{
	return critical ? "critical" : warning ? "warning" : fine;
}

static double worst(const struct host_summary *s)
{
	double percent = s->cpu_percent;
	if (s->memory_percent > percent)
		percent = s->memory_percent;
	if (s->disk_percent > percent)
		percent = s->disk_percent;
	return percent;
}

static void put_gb(struct json_writer *w, const char *key, uint64_t bytes)
{
	json_put_real(w, key, (double)bytes / bytes_per_gb, 2);
}

static void put_mb(struct json_writer *w, const char *key, uint64_t bytes)
{
	json_put_real(w, key, (double)bytes / bytes_per_mb, 2);
}

static enum err get_detailed(struct http_request *r, struct http_response *response,
			     struct errmsg *why)
{
	struct host_summary s;
	enum err err = host_service_summary(r->app->host, &s, why);
	if (err != ERR_OK)
		return err;
	double percent = worst(&s);
	struct json_writer w;
	begin(&w, response);
	json_put_string(&w, "status",
			grade(percent > detailed_critical, percent > detailed_warning, "healthy"));
	put_now(&w);
	json_put_string(&w, "version", PACKAGE_VERSION);
	json_key(&w, "system");
	json_object(&w);
	json_put_real(&w, "cpu_percent", s.cpu_percent, 1);
	json_put_uint(&w, "cpu_count", s.cpu_count);
	json_put_real(&w, "memory_percent", s.memory_percent, 1);
	put_gb(&w, "memory_used_gb", s.memory_used);
	put_gb(&w, "memory_available_gb", s.memory_available);
	put_gb(&w, "memory_total_gb", s.memory_total);
	json_put_real(&w, "disk_percent", s.disk_percent, 1);
	put_gb(&w, "disk_used_gb", s.disk_used);
	put_gb(&w, "disk_free_gb", s.disk_free);
	put_gb(&w, "disk_total_gb", s.disk_total);
	json_end(&w);
	if (r->principal.role != ROLE_NONE)
		json_put_int(&w, "process_id", getpid());
	json_end(&w);
	return ERR_OK;
}

static void put_workers(struct json_writer *w, const struct http_request *r)
{
	struct scoreboard_process processes[SCOREBOARD_PROCESSES];
	size_t count = scoreboard_processes(r->app->scoreboard, processes, SCOREBOARD_PROCESSES);
	json_key(w, "workers");
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		if (processes[i].program != PROGRAM_WORKER)
			continue;
		json_object(w);
		if (r->principal.role != ROLE_NONE)
			json_put_int(w, "pid", processes[i].pid);
		put_mb(w, "rss_mb", processes[i].rss_bytes);
		json_put_string(w, "state", scoreboard_state_names[processes[i].state]);
		json_put_uint(w, "requests", processes[i].requests);
		json_end(w);
	}
	json_end(w);
}

static enum err get_memory(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	struct host_summary s;
	enum err err = host_service_summary(r->app->host, &s, why);
	if (err != ERR_OK)
		return err;
	uint64_t rss = host_own_rss();
	struct json_writer w;
	begin(&w, response);
	json_put_string(&w, "status", "ok");
	json_put_string(
	    &w, "health",
	    grade(s.memory_percent >= memory_critical, s.memory_percent >= memory_warning, "ok"));
	json_key(&w, "memory");
	json_object(&w);
	put_mb(&w, "process_rss_mb", rss);
	json_put_real(&w, "process_percent",
		      s.memory_total > 0 ? 100.0 * (double)rss / (double)s.memory_total : 0, 2);
	put_mb(&w, "system_total_mb", s.memory_total);
	put_mb(&w, "system_used_mb", s.memory_used);
	put_mb(&w, "system_available_mb", s.memory_available);
	json_put_real(&w, "system_percent", s.memory_percent, 1);
	put_now(&w);
	json_end(&w);
	put_workers(&w, r);
	json_end(&w);
	return ERR_OK;
}

static const char *const healthy_words[] = {"healthy", NULL};
static const char *const database_words[] = {"connected", "unavailable", NULL};
static const char *const caching_words[] = {"enabled", "unavailable", NULL};
static const struct field health_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = healthy_words},
    NOW_FIELD,
    {"version", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"database", FIELD_WORD, FIELD_REQUIRED, .words = database_words},
    {"caching", FIELD_WORD, FIELD_REQUIRED, .words = caching_words},
};
static const struct schema health_schema = SCHEMA("Health", health_fields);

static const char *const alive_words[] = {"alive", NULL};
static const struct field live_fields[] = {
    {"alive", FIELD_BOOL, .flags = FIELD_REQUIRED},
    NOW_FIELD,
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = alive_words},
};
static const struct schema live_schema = SCHEMA("Liveness", live_fields);

static const struct field check_fields[] = {
    {"service", FIELD_STRING, FIELD_REQUIRED, .summary = "Whether this process serves"},
    {"system", FIELD_STRING, FIELD_REQUIRED, .summary = "Whether the host could be read"},
    {"database", FIELD_STRING, FIELD_REQUIRED, .summary = "Whether it answers and is set up"},
    {"cache", FIELD_STRING, FIELD_REQUIRED, .summary = "Whether memcached answers"},
};
static const struct schema check_schema = SCHEMA("ReadinessChecks", check_fields);

static const char *const ready_words[] = {"ready", "not_ready", NULL};
static const struct field ready_fields[] = {
    {"ready", FIELD_BOOL, .flags = FIELD_REQUIRED},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = ready_words},
    {"checks", FIELD_OBJECT, FIELD_REQUIRED, .of = &check_schema},
    NOW_FIELD,
};
static const struct schema ready_schema = SCHEMA("Readiness", ready_fields);

static const struct field ready_query_fields[] = {
    {"verbose", FIELD_BOOL, .summary = "Lines of text for people, instead of JSON"}};
static const struct schema ready_query = SCHEMA("ReadinessQuery", ready_query_fields);
static const char *const verbose_media[] = {"text/plain", NULL};

static const struct field startup_fields[] = {
    {"startup_complete", FIELD_BOOL, .flags = FIELD_REQUIRED},
    NOW_FIELD,
    {"version", FIELD_STRING, .flags = FIELD_REQUIRED},
};
static const struct schema startup_schema = SCHEMA("Startup", startup_fields);

static const struct field system_fields[] = {
    {"cpu_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"cpu_count", FIELD_INT, .flags = FIELD_REQUIRED},
    {"memory_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"memory_used_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"memory_available_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"memory_total_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"disk_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"disk_used_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"disk_free_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"disk_total_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema system_schema = SCHEMA("HealthSystem", system_fields);

static const char *const detailed_words[] = {"healthy", "warning", "critical", NULL};
static const struct field detailed_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = detailed_words,
     .summary = "warning above 90 % of processor, memory or disk, critical above 95 %"},
    NOW_FIELD,
    {"version", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"system", FIELD_OBJECT, FIELD_REQUIRED, .of = &system_schema},
    {"process_id", FIELD_INT, .summary = "Of the worker that answers; for those who sign in"},
};
static const struct schema detailed_schema = SCHEMA("HealthDetailed", detailed_fields);

static const struct field memory_fields[] = {
    {"process_rss_mb", FIELD_REAL, FIELD_REQUIRED, .summary = "Of the worker that answers"},
    {"process_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"system_total_mb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"system_used_mb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"system_available_mb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"system_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    NOW_FIELD,
};
static const struct schema memory_schema = SCHEMA("MemoryFigures", memory_fields);

static const struct field worker_fields[] = {
    {"pid", FIELD_INT, .summary = "For those who sign in"},
    {"rss_mb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"state", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"requests", FIELD_INT, FIELD_REQUIRED, .summary = "Answered so far"},
};
static const struct schema worker_schema = SCHEMA("WorkerFigures", worker_fields);

static const char *const ok_words[] = {"ok", NULL};
static const char *const memory_words[] = {"ok", "warning", "critical", NULL};
static const struct field memory_health_fields[] = {
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = ok_words},
    {"health", FIELD_WORD, FIELD_REQUIRED, .words = memory_words,
     .summary = "warning from 75 % of the host's memory on, critical from 85 %"},
    {"memory", FIELD_OBJECT, FIELD_REQUIRED, .of = &memory_schema},
    {"workers", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &worker_schema},
};
static const struct schema memory_health_schema = SCHEMA("HealthMemory", memory_health_fields);

#define HEALTH(path, access, handler, summary, ...)                                                \
	ROUTE(HTTP_GET, path, access, OTHERS_NONE, SCOPE_ANY, RATE_NONE, WEIGHT_LIGHT, BODY_NONE,  \
	      handler, summary, __VA_ARGS__)
#define READY(path)                                                                                \
	HEALTH(path, ACCESS_PUBLIC, get_ready, "Whether requests should come here",                \
	       .takes = &ready_query, .answers = &ready_schema, .media = verbose_media,            \
	       .also = 503)

const struct route health_routes[] = {
    HEALTH("/health", ACCESS_PUBLIC, get_health, "Whether the service answers",
	   .answers = &health_schema),
    HEALTH("/api/health", ACCESS_PUBLIC, get_health, "Whether the service answers",
	   .answers = &health_schema),
    HEALTH("/health/live", ACCESS_PUBLIC, get_live, "Whether the process is alive",
	   .answers = &live_schema),
    HEALTH("/livez", ACCESS_PUBLIC, get_live, "Whether the process is alive",
	   .answers = &live_schema),
    READY("/health/ready"),
    READY("/readyz"),
    HEALTH("/health/startup", ACCESS_PUBLIC, get_startup, "Whether the start is complete",
	   .answers = &startup_schema, .also = 503),
    HEALTH("/health/detailed", ACCESS_OPTIONAL, get_detailed, "Health with the host's figures",
	   .answers = &detailed_schema),
    HEALTH("/api/health/memory", ACCESS_OPTIONAL, get_memory, "Memory of host and workers",
	   .answers = &memory_health_schema),
};
const size_t health_route_count = ARRAY_LEN(health_routes);
