#include "app/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "describe/description.h"
#include "host/service.h"
#include "http/route.h"
#include "http/router.h"
#include "ratelimit/ratelimit.h"
#include "shm/scoreboard.h"
#include "shm/statements.h"
#include "store/hosts.h"
#include "store/credentials.h"
#include "store/record_batch.h"

static enum err init_scoreboard(struct app_parts *w, const struct app_place *place,
				struct errmsg *why)
{
	enum err err = scoreboard_open(&w->app.scoreboard, why);
	if (err != ERR_OK)
		return err;
	const struct scoreboard_claim claim = {
	    .program = PROGRAM_WORKER,
	    .index = place->index,
	    .generation = place->generation,
	    .threads = place->threads,
	    .others = 1, /* the upkeep thread */
	};
	w->spare_slot = place->threads;
	return scoreboard_claim(w->app.scoreboard, &claim, why);
}

static enum err init_pool(struct app_parts *w, const struct app_place *place, struct errmsg *why)
{
	enum err err =
	    db_pool_config_load(w->app.conf, place->index, place->count, &w->pool_config, why);
	if (err != ERR_OK)
		return err;
	if (place->db_connections > 0)
		w->pool_config.min = w->pool_config.max = place->db_connections;
	w->pool_config.board = w->app.scoreboard;
	statements_begin(w->app.scoreboard,
			 conf_number(w->app.conf, db_slow_statement) * US_PER_MS);
	return db_pool_new(&w->pool_config, &w->app.pool, why);
}

static enum err init_auth(struct app_parts *w, struct errmsg *why)
{
	struct auth_config config = {
	    .load = credentials_load,
	    .load_context = w->app.pool,
	    .board = w->app.scoreboard,
	};
	auth_config_load(&config, w->app.conf);
	return auth_new(&config, &w->app.auth, why);
}

static enum err init_host(struct app_parts *w, struct errmsg *why)
{
	struct cache_options cache = cache_options_from_conf(w->app.conf);
	cache.board = w->app.scoreboard;
	enum err err = cache_new(&cache, &w->app.cache, why);
	if (err != ERR_OK)
		return err;
	struct host_service_options host = host_service_options_from_conf(w->app.conf);
	host.cache = w->app.cache;
	host.scoreboard = w->app.scoreboard;
	host.find = hosts_find;
	host.find_context = w->app.pool;
	return host_service_new(&host, &w->app.host, why);
}

static enum err init_limits(struct app_parts *w, struct errmsg *why)
{
	struct ratelimit_options options = ratelimit_options_from_conf(w->app.conf);
	options.scoreboard = w->app.scoreboard;
	options.cache = w->app.cache;
	return ratelimit_new(&options, &w->app.limits, why);
}

static enum err init_routes(struct app_parts *w, struct errmsg *why)
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

static enum err init_description(struct app_parts *w, struct errmsg *why)
{
	enum err err = description_new(route_tables, route_table_count, &w->description, why);
	w->app.description = w->description;
	return err;
}

enum err app_parts_init(struct app_parts *w, const struct conf *conf, const struct app_place *place,
			struct errmsg *why)
{
	memset(w, 0, sizeof(*w));
	w->app.conf = conf;
	w->app.started_us = clock_wall_us();
	enum err err = init_scoreboard(w, place, why);
	if (err == ERR_OK)
		err = init_pool(w, place, why);
	if (err == ERR_OK)
		err =
		    record_batch_new(place->threads, RECORD_BATCH_PATIENCE_MS, &w->app.reads, why);
	if (err == ERR_OK)
		err = init_auth(w, why);
	if (err == ERR_OK)
		err = init_host(w, why);
	if (err == ERR_OK)
		err = init_limits(w, why);
	if (err == ERR_OK)
		err = init_routes(w, why);
	if (err == ERR_OK)
		err = init_description(w, why);
	return err;
}

void app_parts_release(struct app_parts *w)
{
	description_free(w->description);
	router_free(w->router);
	free(w->route_ids);
	ratelimit_free(w->app.limits);
	if (w->app.host != NULL)
		host_service_free(w->app.host);
	if (w->app.cache != NULL)
		cache_free(w->app.cache);
	auth_free(w->app.auth);
	record_batch_free(w->app.reads);
	if (w->app.pool != NULL)
		db_pool_free(w->app.pool);
	db_pool_config_release(&w->pool_config);
	if (w->app.scoreboard != NULL)
		scoreboard_free(w->app.scoreboard);
}
