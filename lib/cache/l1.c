#include "cache/l1.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/wait.h"
#include "shm/scoreboard.h"

enum {
	STRIPES = 16,
	CHAINS = 64, /* per stripe */
	/* What malloc keeps beside an entry and its value, roughly. */
	ENTRY_OVERHEAD = 64,
};

struct entry {
	struct cache_key key;
	struct cache_value *value; /* NULL: nothing yet, or known to be missing */
	int64_t fresh_until_ns;
	int64_t used_ns;
	uint64_t epoch; /* of the value, or of the election for it */
	bool known;     /* has been stored at least once */
	bool elected;   /* a thread is getting a new value; the entry must stay */
	struct entry *chain;
	struct entry *newer, *older; /* order of use */
};

struct stripe {
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t stored; /* an election ended in this stripe */
	struct entry *chains[CHAINS];
	struct entry *newest, *oldest;
	uint64_t hits, misses, evictions;
	size_t entries;
};

struct l1 {
	struct stripe stripes[STRIPES];
	size_t max_bytes;
	const struct scoreboard *board;
	_Atomic size_t bytes;
};

static struct stripe *stripe_of(struct l1 *l1, const struct cache_key *key)
{
	return &l1->stripes[key->words[0] % STRIPES];
}

static struct entry **chain_of(struct stripe *s, const struct cache_key *key)
{
	return &s->chains[key->words[1] % CHAINS];
}

static size_t entry_bytes(const struct entry *e)
{
	return sizeof(*e) + ENTRY_OVERHEAD +
	       (e->value != NULL ? sizeof(*e->value) + e->value->len : 0);
}

struct l1 *l1_new(size_t max_bytes, const struct scoreboard *board)
{
	struct l1 *l1 = aligned_alloc(_Alignof(struct l1), sizeof(*l1));
	if (l1 == NULL)
		return NULL;
	*l1 = (struct l1){.max_bytes = max_bytes, .board = board};
	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_init(&l1->stripes[i].lock, NULL);
		wait_init(&l1->stripes[i].stored);
	}
	return l1;
}

static uint64_t epoch_of(const struct l1 *l1)
{
	return l1->board != NULL ? scoreboard_cache_epoch(l1->board) : 0;
}

static void order_remove(struct stripe *s, struct entry *e)
{
	*(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
}

static void order_put_first(struct stripe *s, struct entry *e)
{
	e->newer = NULL;
	e->older = s->newest;
	*(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
	s->newest = e;
}

static void entry_use(struct stripe *s, struct entry *e, int64_t now)
{
	e->used_ns = now;
	if (s->newest != e) {
		order_remove(s, e);
		order_put_first(s, e);
	}
}

static struct entry *entry_find(struct stripe *s, const struct cache_key *key)
{
	struct entry *e = *chain_of(s, key);
	while (e != NULL && (e->key.words[0] != key->words[0] || e->key.words[1] != key->words[1]))
		e = e->chain;
	return e;
}

static struct entry *entry_add(struct l1 *l1, struct stripe *s, const struct cache_key *key,
			       int64_t now)
{
	struct entry *e = malloc(sizeof(*e));
	if (e == NULL)
		return NULL;
	struct entry **chain = chain_of(s, key);
	*e = (struct entry){.key = *key, .used_ns = now, .epoch = epoch_of(l1), .chain = *chain};
	*chain = e;
	order_put_first(s, e);
	s->entries++;
	atomic_fetch_add(&l1->bytes, entry_bytes(e));
	return e;
}

static void entry_drop(struct l1 *l1, struct stripe *s, struct entry *e)
{
	struct entry **at = chain_of(s, &e->key);
	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	order_remove(s, e);
	s->entries--;
	atomic_fetch_sub(&l1->bytes, entry_bytes(e));
	cache_value_unref(e->value);
	free(e);
}

void l1_free(struct l1 *l1)
{
	if (l1 == NULL)
		return;
	for (size_t i = 0; i < STRIPES; i++) {
		struct stripe *s = &l1->stripes[i];
		while (s->oldest != NULL)
			entry_drop(l1, s, s->oldest);
		pthread_cond_destroy(&s->stored);
		pthread_mutex_destroy(&s->lock);
	}
	free(l1);
}

/* The entry of a stripe that may go first; its lock is held. */
static struct entry *oldest_idle(struct stripe *s)
{
	struct entry *e = s->oldest;
	while (e != NULL && e->elected)
		e = e->newer;
	return e;
}

/* Drops what was used longest ago in all stripes; false when nothing may go. */
static bool evict_one(struct l1 *l1)
{
	struct stripe *from = NULL;
	int64_t oldest_ns = INT64_MAX;
	for (size_t i = 0; i < STRIPES; i++) {
		struct stripe *s = &l1->stripes[i];
		pthread_mutex_lock(&s->lock);
		const struct entry *e = oldest_idle(s);
		if (e != NULL && e->used_ns < oldest_ns) {
			oldest_ns = e->used_ns;
			from = s;
		}
		pthread_mutex_unlock(&s->lock);
	}
	if (from == NULL)
		return false;
	pthread_mutex_lock(&from->lock);
	struct entry *e = oldest_idle(from);
	if (e != NULL) {
		entry_drop(l1, from, e);
		from->evictions++;
	}
	pthread_mutex_unlock(&from->lock);
	return true;
}

static void keep_bound(struct l1 *l1)
{
	while (atomic_load(&l1->bytes) > l1->max_bytes && evict_one(l1))
		continue;
}

/*
 * An entry of another epoch has no value any more.  Where a thread is getting one, the value
 * will be as old as that election: false, and it is to be waited for and forgotten.
 */
static bool enter_epoch(struct l1 *l1, struct entry *e)
{
	uint64_t epoch = epoch_of(l1);
	if (e->epoch == epoch)
		return true;
	if (e->elected)
		return false;
	atomic_fetch_sub(&l1->bytes, entry_bytes(e));
	cache_value_unref(e->value);
	e->value = NULL;
	e->known = false;
	e->epoch = epoch;
	atomic_fetch_add(&l1->bytes, entry_bytes(e));
	return true;
}

/* One look at the key; GAVE_UP means that another thread must end its election first. */
static enum cache_found look(struct l1 *l1, struct stripe *s, const struct cache_key *key,
			     struct cache_value **value)
{
	int64_t now = clock_mono_ns();
	struct entry *e = entry_find(s, key);
	if (e == NULL)
		e = entry_add(l1, s, key, now);
	if (e == NULL)
		return CACHE_ELECTED; /* no memory to say so; the caller may still get the value */
	entry_use(s, e, now);
	if (!enter_epoch(l1, e))
		return CACHE_GAVE_UP;
	if (e->known && now < e->fresh_until_ns) {
		*value = cache_value_ref(e->value);
		return CACHE_HIT;
	}
	if (!e->elected) {
		e->elected = true;
		*value = cache_value_ref(e->value);
		return CACHE_ELECTED;
	}
	if (e->value == NULL)
		return CACHE_GAVE_UP;
	*value = cache_value_ref(e->value);
	return CACHE_REFRESHING;
}

enum cache_found l1_lookup(struct l1 *l1, const struct cache_key *key,
			   const struct deadline *deadline, struct cache_value **value)
{
	struct stripe *s = stripe_of(l1, key);
	*value = NULL;
	pthread_mutex_lock(&s->lock);
	enum cache_found found = look(l1, s, key, value);
	while (found == CACHE_GAVE_UP && deadline != NULL &&
	       wait_until(&s->stored, &s->lock, deadline))
		found = look(l1, s, key, value);
	if (found == CACHE_HIT || found == CACHE_REFRESHING)
		s->hits++;
	else
		s->misses++;
	pthread_mutex_unlock(&s->lock);
	return found;
}

void l1_wait(struct l1 *l1, const struct cache_key *key, const struct deadline *deadline)
{
	struct stripe *s = stripe_of(l1, key);
	pthread_mutex_lock(&s->lock);
	const struct entry *e = entry_find(s, key);
	while (e != NULL && e->elected && wait_until(&s->stored, &s->lock, deadline))
		e = entry_find(s, key);
	pthread_mutex_unlock(&s->lock);
}

void l1_store(struct l1 *l1, const struct cache_key *key, struct cache_value *value, int64_t ttl_ms)
{
	struct stripe *s = stripe_of(l1, key);
	struct cache_value *old = NULL;
	pthread_mutex_lock(&s->lock);
	int64_t now = clock_mono_ns();
	struct entry *e = entry_find(s, key);
	if (e == NULL)
		e = entry_add(l1, s, key, now);
	if (e != NULL) {
		atomic_fetch_sub(&l1->bytes, entry_bytes(e));
		old = e->value;
		e->value = cache_value_ref(value);
		e->fresh_until_ns = now + ttl_ms * NS_PER_MS;
		if (!e->elected)
			e->epoch = epoch_of(l1);
		e->known = true;
		e->elected = false;
		atomic_fetch_add(&l1->bytes, entry_bytes(e));
		entry_use(s, e, now);
	}
	pthread_cond_broadcast(&s->stored);
	pthread_mutex_unlock(&s->lock);
	cache_value_unref(old);
	keep_bound(l1);
}

void l1_abandon(struct l1 *l1, const struct cache_key *key)
{
	struct stripe *s = stripe_of(l1, key);
	pthread_mutex_lock(&s->lock);
	struct entry *e = entry_find(s, key);
	if (e != NULL) {
		e->elected = false;
		if (e->value == NULL)
			entry_drop(l1, s, e);
	}
	pthread_cond_broadcast(&s->stored);
	pthread_mutex_unlock(&s->lock);
}

/* With the stripe's lock held. */
static void sweep_stripe(struct l1 *l1, struct stripe *s, uint64_t epoch)
{
	for (struct entry *e = s->oldest, *newer; e != NULL; e = newer) {
		newer = e->newer;
		if (e->epoch != epoch && !e->elected)
			entry_drop(l1, s, e);
	}
}

void l1_sweep(struct l1 *l1)
{
	uint64_t epoch = epoch_of(l1);
	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_lock(&l1->stripes[i].lock);
		sweep_stripe(l1, &l1->stripes[i], epoch);
		pthread_mutex_unlock(&l1->stripes[i].lock);
	}
}

void l1_stats(struct l1 *l1, struct cache_stats *out)
{
	for (size_t i = 0; i < STRIPES; i++) {
		struct stripe *s = &l1->stripes[i];
		pthread_mutex_lock(&s->lock);
		out->hits += s->hits;
		out->misses += s->misses;
		out->evictions += s->evictions;
		out->entries += s->entries;
		pthread_mutex_unlock(&s->lock);
	}
	out->bytes += atomic_load(&l1->bytes);
}
