/*
 * Totals since a mark.  Every marked word is raised to the total that was read and never lowered,
 * so two who mark at the same time leave one mark.  Who reads the totals while somebody marks may
 * find more marked than there was: that word counts as 0.
 */
#include <stdlib.h>

#include "shm/layout.h"

static void raise_to(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t found = shm_get(word);
	while (found < value && !atomic_compare_exchange_weak(word, &found, value))
		continue;
}

static void mark_histogram(struct shm_histogram *marked, const struct scoreboard_histogram *totals)
{
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		raise_to(&marked->buckets[i], totals->buckets[i]);
	raise_to(&marked->sum_ns, totals->sum_ns);
}

static void mark_counts(struct shm_counts *marked, const struct scoreboard_totals *totals)
{
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		raise_to(&marked->counters[i], totals->counters[i]);
	mark_histogram(&marked->queue, &totals->queue);
	for (size_t r = 0; r < totals->route_count; r++) {
		for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
			raise_to(&marked->routes[r].by_status[i], totals->routes[r].by_status[i]);
		mark_histogram(&marked->routes[r].latency, &totals->routes[r].latency);
	}
}

enum err scoreboard_mark(struct scoreboard *board, int64_t now_us, struct errmsg *why)
{
	struct scoreboard_totals *totals = malloc(sizeof(*totals));
	if (totals == NULL)
		return err_set(why, ERR_NOMEM, "out of memory reading the counters");
	enum err err = scoreboard_totals(board, totals, why);
	if (err == ERR_OK) {
		mark_counts(&board->map->marked, totals);
		atomic_store(&board->map->marked_us, now_us);
	}
	free(totals);
	return err;
}

static void take(uint64_t *total, const _Atomic uint64_t *marked)
{
	uint64_t before = shm_get(marked);
	*total = *total > before ? *total - before : 0;
}

static void take_histogram(struct scoreboard_histogram *totals, const struct shm_histogram *marked)
{
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		take(&totals->buckets[i], &marked->buckets[i]);
	take(&totals->sum_ns, &marked->sum_ns);
}

static void take_counts(struct scoreboard_totals *totals, const struct shm_counts *marked)
{
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		take(&totals->counters[i], &marked->counters[i]);
	take_histogram(&totals->queue, &marked->queue);
	for (size_t r = 0; r < totals->route_count; r++) {
		for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
			take(&totals->routes[r].by_status[i], &marked->routes[r].by_status[i]);
		take_histogram(&totals->routes[r].latency, &marked->routes[r].latency);
	}
}

enum err scoreboard_totals_since_mark(const struct scoreboard *board, struct scoreboard_totals *out,
				      int64_t *since_us, struct errmsg *why)
{
	enum err err = scoreboard_totals(board, out, why);
	if (err != ERR_OK)
		return err;
	*since_us = atomic_load(&board->map->marked_us);
	/* Without a mark its pages are not even looked at: that would make them take memory. */
	if (*since_us != 0)
		take_counts(out, &board->map->marked);
	return ERR_OK;
}
