/*
 * What all requests of one worker share.  Built before the threads start;
 * each part is thread-safe by its own header's word.
 */
#ifndef ZIGGIE_HTTP_APP_H
#define ZIGGIE_HTTP_APP_H

#include <stdbool.h>
#include <stdint.h>

struct auth;
struct cache;
struct conf;
struct db_pool;
struct description;
struct host_service;
struct ratelimit;
struct record_batch;
struct router;
struct scoreboard;

struct app {
	const struct conf *conf;
	const struct router *router;
	const struct description *description; /* of the API */
	const unsigned *route_ids; /* a route's number in the scoreboard, by router_index() */
	struct db_pool *pool;
	struct record_batch *reads; /* of records by their ids */
	struct cache *cache;
	struct auth *auth;
	struct host_service *host;
	struct ratelimit *limits; /* NULL: nothing is limited */
	struct scoreboard *scoreboard;
	int64_t started_us;            /* wall time */
	_Atomic bool ready;            /* warmed up */
	_Atomic bool database_trusted; /* the schema fits, and commits survive a crash */
	_Atomic bool draining;
};

#endif
