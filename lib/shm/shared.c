/* The parts of the scoreboard that everybody writes: names, epoch, interest, breakers. */
#include <string.h>

#include "base/assert.h"
#include "shm/layout.h"

uint64_t shm_hash(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (const char *at = text; *at != '\0'; at++) {
		hash ^= (unsigned char)*at;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash == 0 ? 1 : hash;
}

static void write_name(struct shm_name *entry, const char *name, size_t len)
{
	uint64_t words[NAME_WORDS] = {0};
	memcpy(words, name, len);
	for (size_t i = 0; i < NAME_WORDS; i++)
		atomic_store_explicit(&entry->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&entry->complete, 1, memory_order_release);
}

/* Claims the entry for the hash, or finds that it has been claimed for it. */
static bool entry_is(struct shm_name *entry, uint64_t hash)
{
	uint64_t found = 0;
	return atomic_compare_exchange_strong(&entry->hash, &found, hash) || found == hash;
}

unsigned scoreboard_route(struct scoreboard *board, const char *name)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	size_t len = strlen(name);
	if (len == 0 || len >= SCOREBOARD_ROUTE_NAME)
		return SCOREBOARD_ROUTE_OTHER;
	uint64_t hash = shm_hash(name);
	for (unsigned i = SCOREBOARD_ROUTE_OTHER + 1; i < SCOREBOARD_ROUTES; i++) {
		struct shm_name *entry = &board->map->names[i];
		if (!entry_is(entry, hash))
			continue;
		if (!atomic_load_explicit(&entry->complete, memory_order_acquire))
			write_name(entry, name, len);
		return i;
	}
	return SCOREBOARD_ROUTE_OTHER;
}

unsigned shm_route_count(const struct scoreboard *board)
{
	unsigned count = SCOREBOARD_ROUTE_OTHER + 1;
	while (count < SCOREBOARD_ROUTES && shm_get(&board->map->names[count].hash) != 0)
		count++;
	return count;
}

void shm_route_name(const struct scoreboard *board, unsigned route, char out[SCOREBOARD_ROUTE_NAME])
{
	const struct shm_name *entry = &board->map->names[route];
	uint64_t words[NAME_WORDS] = {0};
	if (atomic_load_explicit(&entry->complete, memory_order_acquire))
		for (size_t i = 0; i < NAME_WORDS; i++)
			words[i] = shm_get(&entry->words[i]);
	memcpy(out, words, SCOREBOARD_ROUTE_NAME);
	out[SCOREBOARD_ROUTE_NAME - 1] = '\0';
}

uint64_t scoreboard_epoch(const struct scoreboard *board)
{
	return atomic_load(&board->map->epoch);
}

void scoreboard_bump_epoch(struct scoreboard *board)
{
	atomic_fetch_add(&board->map->epoch, 1);
}

uint64_t scoreboard_cache_epoch(const struct scoreboard *board)
{
	return atomic_load(&board->map->cache_epoch);
}

void scoreboard_bump_cache_epoch(struct scoreboard *board)
{
	atomic_fetch_add(&board->map->cache_epoch, 1);
}

void scoreboard_stamp_interest(struct scoreboard *board, unsigned kind, int64_t now_ns)
{
	AN_INVARIANT(kind < SCOREBOARD_INTERESTS);
	atomic_store_explicit(&board->map->interests[kind], now_ns, memory_order_relaxed);
}

int64_t scoreboard_interest(const struct scoreboard *board, unsigned kind)
{
	AN_INVARIANT(kind < SCOREBOARD_INTERESTS);
	return atomic_load_explicit(&board->map->interests[kind], memory_order_relaxed);
}

bool scoreboard_breaker_admit(struct scoreboard *board, unsigned breaker, int64_t now_ns,
			      int64_t pause_ns)
{
	AN_INVARIANT(breaker < SCOREBOARD_BREAKERS);
	_Atomic int64_t *until = &board->map->breakers[breaker];
	int64_t found = atomic_load_explicit(until, memory_order_relaxed);
	if (found == 0)
		return true;
	return now_ns >= found && atomic_compare_exchange_strong(until, &found, now_ns + pause_ns);
}

void scoreboard_breaker_trip(struct scoreboard *board, unsigned breaker, int64_t until_ns)
{
	AN_INVARIANT(breaker < SCOREBOARD_BREAKERS && until_ns != 0);
	atomic_store(&board->map->breakers[breaker], until_ns);
}

void scoreboard_breaker_reset(struct scoreboard *board, unsigned breaker)
{
	AN_INVARIANT(breaker < SCOREBOARD_BREAKERS);
	atomic_store(&board->map->breakers[breaker], 0);
}

bool scoreboard_breaker_open(const struct scoreboard *board, unsigned breaker)
{
	AN_INVARIANT(breaker < SCOREBOARD_BREAKERS);
	return atomic_load_explicit(&board->map->breakers[breaker], memory_order_relaxed) != 0;
}
