/*
 * What is cached, for all routes that show or drop it: L1 of all workers of the host, memcached,
 * and the tokens that workers remember.
 */
#ifndef ZIGGIE_API_CACHES_H
#define ZIGGIE_API_CACHES_H

#include "http/request.h"
#include "json/schema.h"
#include "json/writer.h"

enum cached { CACHED_L1, CACHED_MEMCACHED, CACHED_TOKENS, CACHED_COUNT };

struct cache_figures {
	const char *name; /* "l1" */
	uint64_t hits, misses;
	uint64_t size;  /* entries; of memcached, everybody's */
	uint64_t bytes; /* 0 where nobody counts them */
};

/* Of all workers of the host together, as they said within the last second. */
enum err caches_read(const struct http_request *r, struct cache_figures out[CACHED_COUNT],
		     struct errmsg *why);

/*
 * Drops what is cached, on all workers of the host at once and in memcached, and answers
 * {status, message, timestamp}.  ERR_UNAVAILABLE when memcached did not answer: then what it has
 * of this host stays, for sample_ttl at most, and the rest is dropped.
 */
enum err caches_invalidate(const struct http_request *r, struct http_response *response,
			   const char *message, struct errmsg *why);
/*
 * The same for what is made of records alone (agents, knowledge): that is never in memcached,
 * and no token is read again.
 */
enum err caches_invalidate_records(const struct http_request *r, struct http_response *response,
				   const char *message, struct errmsg *why);
extern const struct schema done_schema; /* what both answer */
/* The answer itself, for others that do something and have nothing more to say. */
void answer_done(struct http_response *response, const char *message);

/* How an answer begins that goes on: what has more to say puts it, and json_end(). */
void answer_begin_done(struct json_writer *w, struct http_response *response, const char *message);
/* {success, timestamp}: of what is only read. */
void answer_begin_read(struct json_writer *w, struct http_response *response);

#endif
