#include "auth/flight.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/wait.h"

struct flight {
	struct flight *next;
	struct token_key key;
	uint64_t epoch;
	unsigned holders; /* the leader and those who wait */
	bool landed;
	struct flight_result result;
};

void flights_init(struct flights *all)
{
	for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
		pthread_mutex_init(&all->shards[i].lock, NULL);
		wait_init(&all->shards[i].landed);
		all->shards[i].first = NULL;
		all->shards[i].spare = NULL;
	}
}

void flights_release(struct flights *all)
{
	for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
		AN_INVARIANT(all->shards[i].first == NULL);
		for (struct flight *spare = all->shards[i].spare, *next; spare != NULL;
		     spare = next) {
			next = spare->next;
			free(spare);
		}
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

/*
 * With the shard's lock held, as in what follows.  Flights are kept for the next ones: who
 * ends one is seldom who began it, and malloc would hoard some of them for every thread.
 */
static void let_go(struct flights *all, struct flight *flight)
{
	size_t shard = shard_of(&flight->key);
	if (--flight->holders > 0)
		return;
	flight->next = all->shards[shard].spare;
	all->shards[shard].spare = flight;
}

static struct flight *begin(struct flights *all, const struct token_key *key, uint64_t epoch)
{
	size_t shard = shard_of(key);
	struct flight *flight = all->shards[shard].spare;
	if (flight != NULL)
		all->shards[shard].spare = flight->next;
	else
		flight = malloc(sizeof(*flight));
	if (flight == NULL)
		return NULL;
	*flight = (struct flight){
	    .next = all->shards[shard].first, .key = *key, .epoch = epoch, .holders = 1};
	all->shards[shard].first = flight;
	return flight;
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
		let_go(all, flight);
		pthread_mutex_unlock(lock);
		return false;
	}
	*out = begin(all, key, epoch);
	if (*out == NULL)
		result->err = err_set(&result->why, ERR_NOMEM, "out of memory");
	pthread_mutex_unlock(lock);
	return *out != NULL;
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
	let_go(all, flight);
	pthread_mutex_unlock(&all->shards[shard].lock);
}
