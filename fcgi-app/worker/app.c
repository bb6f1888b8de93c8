#include "worker/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "host/service.h"
#include "http/route.h"
#include "http/router.h"
#include "http/serve.h"
#include "shm/scoreboard.h"
#include "store/tokens.h"

/* What a thread touches when it starts: about what the largest answers of the host routes take. */
enum { WARM_ARENA = 48 * 1024, WARM_BODY = 32 * 1024, WARM_STACK = 56 * 1024, WARM_STEP = 2048 };

static enum err init_scoreboard(struct worker_app *w, const struct worker_place *place,
				struct errmsg *why)
{
	enum err err = scoreboard_open(&w->app.scoreboard, why);
	if (err != ERR_OK)
		return err;
	const struct scoreboard_claim claim = {
	    .program = PROGRAM_WORKER,
	    .index = place->index,
	    .generation = place->generation,
	    .threads = (unsigned)conf_number(w->app.conf, threads),
	    .others = 1, /* the upkeep thread */
	};
	return scoreboard_claim(w->app.scoreboard, &claim, why);
}

static enum err init_pool(struct worker_app *w, const struct worker_place *place,
			  struct errmsg *why)
{
	enum err err =
	    db_pool_config_load(w->app.conf, place->index, place->count, &w->pool_config, why);
	if (err != ERR_OK)
		return err;
	return db_pool_new(&w->pool_config, &w->app.pool, why);
}

static enum err init_auth(struct worker_app *w, struct errmsg *why)
{
	struct auth_config config = {
	    .load = tokens_load,
	    .load_context = w->app.pool,
	    .board = w->app.scoreboard,
	};
	auth_config_load(&config, w->app.conf);
	return auth_new(&config, &w->app.auth, why);
}

static enum err init_host(struct worker_app *w, struct errmsg *why)
{
	const struct cache_options cache = cache_options_from_conf(w->app.conf);
	enum err err = cache_new(&cache, &w->app.cache, why);
	if (err != ERR_OK)
		return err;
	struct host_service_options host = host_service_options_from_conf(w->app.conf);
	host.cache = w->app.cache;
	host.scoreboard = w->app.scoreboard;
	return host_service_new(&host, &w->app.host, why);
}

static enum err init_routes(struct worker_app *w, struct errmsg *why)
{
	enum err err = router_new(route_tables, route_table_count, &w->router, why);
	if (err != ERR_OK)
		return err;
	size_t count = router_count(w->router);
	w->route_ids = calloc(count, sizeof(*w->route_ids));
	if (w->route_ids == NULL)
		return err_set(why, ERR_NOMEM, "out of memory listing the routes");
	for (size_t i = 0; i < count; i++) {
		const struct route *route = router_row(w->router, i);
		char name[SCOREBOARD_ROUTE_NAME];
		snprintf(name, sizeof(name), "%s %s", http_method_name(route->method), route->path);
		w->route_ids[i] = scoreboard_route(w->app.scoreboard, name);
	}
	w->app.router = w->router;
	w->app.route_ids = w->route_ids;
	return ERR_OK;
}

enum err worker_app_init(struct worker_app *w, const struct conf *conf,
			 const struct worker_place *place, struct errmsg *why)
{
	memset(w, 0, sizeof(*w));
	w->app.conf = conf;
	w->app.started_us = clock_wall_us();
	enum err err = init_scoreboard(w, place, why);
	if (err == ERR_OK)
		err = init_pool(w, place, why);
	if (err == ERR_OK)
		err = init_auth(w, why);
	if (err == ERR_OK)
		err = init_host(w, why);
	if (err == ERR_OK)
		err = init_routes(w, why);
	return err;
}

void worker_app_release(struct worker_app *w)
{
	router_free(w->router);
	free(w->route_ids);
	if (w->app.host != NULL)
		host_service_free(w->app.host);
	if (w->app.cache != NULL)
		cache_free(w->app.cache);
	auth_free(w->app.auth);
	if (w->app.pool != NULL)
		db_pool_free(w->app.pool);
	db_pool_config_release(&w->pool_config);
	if (w->app.scoreboard != NULL)
		scoreboard_free(w->app.scoreboard);
}

/* Out of line, so that the pages it touches are those below its caller's frame. */
__attribute__((noinline)) static void touch_stack(void)
{
	volatile char pages[WARM_STACK];
	for (size_t i = 0; i < sizeof(pages); i += WARM_STEP)
		pages[i] = 0;
}

/*
 * Takes at once what answers take sooner or later: otherwise the first request of each thread
 * waits for it, and a worker's memory grows for an hour, which looks like a leak.
 */
static void warm(struct http_thread *thread)
{
	void *scratch = arena_alloc(&thread->arena, WARM_ARENA);
	if (scratch != NULL)
		memset(scratch, 0, WARM_ARENA);
	arena_reset(&thread->arena);
	if (strbuf_reserve(&thread->out.body, WARM_BODY))
		memset(thread->out.body.data, 0, WARM_BODY);
	strbuf_clear(&thread->out.body);
	touch_stack();
}

static void thread_start(void *context, struct http_thread *thread, unsigned index)
{
	(void)context;
	http_thread_init(thread, index);
	warm(thread);
}

static void thread_stop(void *context, struct http_thread *thread)
{
	(void)context;
	http_thread_release(thread);
}

static void classify(void *context, struct http_input *in)
{
	const struct worker_app *w = context;
	http_classify(&w->app, in);
}

static void serve(void *context, struct http_thread *thread, const struct http_input *in)
{
	struct worker_app *w = context;
	http_serve(&w->app, thread, in);
}

const struct engine_app worker_engine_calls = {
    .thread_start = thread_start,
    .thread_stop = thread_stop,
    .classify = classify,
    .serve = serve,
};
