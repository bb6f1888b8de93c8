/*
 * Single flight: of the threads that want the same thing read, one reads and the
 * others take its answer.  Thread-safe, except init and release.
 *
 * A flight is told by its key and by the epoch in which the read began: who comes
 * after a revocation does not take an answer from before it.
 */
#ifndef ZIGGIE_AUTH_FLIGHT_H
#define ZIGGIE_AUTH_FLIGHT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/principal.h"
#include "auth/token_cache.h"
#include "base/deadline.h"
#include "base/error.h"

enum { FLIGHT_SHARDS = 16 };

struct flight;

struct flights {
	struct {
		pthread_mutex_t lock;
		pthread_cond_t landed;
		struct flight *first;
		struct flight *spare;
	} shards[FLIGHT_SHARDS];
};

struct flight_result {
	enum err err;
	struct principal principal; /* with ERR_OK */
	struct errmsg why;          /* otherwise */
};

void flights_init(struct flights *all);
void flights_release(struct flights *all);

/*
 * Gives the caller the lead (true; it must call flight_land() with *out) or, at the
 * end of somebody else's flight, that one's result (false).  False with ERR_TIMEOUT
 * when the deadline passes first, with ERR_NOMEM without memory.
 */
bool flight_join(struct flights *all, const struct token_key *key, uint64_t epoch,
		 const struct deadline *deadline, struct flight **out,
		 struct flight_result *result);
void flight_land(struct flights *all, struct flight *flight, const struct flight_result *result);

#endif
