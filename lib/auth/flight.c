#include "auth/flight.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/wait.h"

struct flight {
	struct flight *next;
	struct token_key key;
	uint64_t epoch;
	unsigned holders; /* the leader and those who wait; the last one frees it */
	bool landed;
	struct flight_result result;
};

void flights_init(struct flights *all)
{
	for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
		pthread_mutex_init(&all->shards[i].lock, NULL);
		wait_init(&all->shards[i].landed);
		all->shards[i].first = NULL;
	}
}

void flights_release(struct flights *all)
{
	for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
		AN_INVARIANT(all->shards[i].first == NULL);
		pthread_cond_destroy(&all->shards[i].landed);
		pthread_mutex_destroy(&all->shards[i].lock);
	}
}

static size_t shard_of(const struct token_key *key)
{
	return (size_t)(key->halves[1] % FLIGHT_SHARDS);
}

static struct flight *find(struct flight *flight, const struct token_key *key, uint64_t epoch)
{
	while (flight != NULL &&
	       (flight->key.halves[0] != key->halves[0] ||
		flight->key.halves[1] != key->halves[1] || flight->epoch != epoch))
		flight = flight->next;
	return flight;
}

/* With the shard's lock held. */
static void let_go(struct flight *flight)
{
	if (--flight->holders == 0)
		free(flight);
}

bool flight_join(struct flights *all, const struct token_key *key, uint64_t epoch,
		 const struct deadline *deadline, struct flight **out, struct flight_result *result)
{
	size_t shard = shard_of(key);
	pthread_mutex_t *lock = &all->shards[shard].lock;
	pthread_mutex_lock(lock);
	struct flight *flight = find(all->shards[shard].first, key, epoch);
	if (flight != NULL) {
		flight->holders++;
		while (!flight->landed && wait_until(&all->shards[shard].landed, lock, deadline))
			;
		if (flight->landed)
			*result = flight->result;
		else
			result->err = err_set(&result->why, ERR_TIMEOUT,
					      "the token was still being looked up");
		let_go(flight);
		pthread_mutex_unlock(lock);
		return false;
	}
	flight = calloc(1, sizeof(*flight));
	if (flight != NULL) {
		flight->key = *key;
		flight->epoch = epoch;
		flight->holders = 1;
		flight->next = all->shards[shard].first;
		all->shards[shard].first = flight;
		*out = flight;
	} else {
		result->err = err_set(&result->why, ERR_NOMEM, "out of memory");
	}
	pthread_mutex_unlock(lock);
	return flight != NULL;
}

void flight_land(struct flights *all, struct flight *flight, const struct flight_result *result)
{
	size_t shard = shard_of(&flight->key);
	pthread_mutex_lock(&all->shards[shard].lock);
	struct flight **link = &all->shards[shard].first;
	while (*link != flight)
		link = &(*link)->next;
	*link = flight->next;
	flight->result = *result;
	flight->landed = true;
	pthread_cond_broadcast(&all->shards[shard].landed);
	let_go(flight);
	pthread_mutex_unlock(&all->shards[shard].lock);
}
