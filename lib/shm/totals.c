/*
 * Totals over the living and the dead.  ziggied moves a dead process's counters
 * from its slots to the retired totals while `sequence` is odd; a reader that saw
 * it odd, or changed, starts again.
 *
 * The usual form of such a reader needs a fence between its data and the second
 * look at the sequence.  Here the writer stores with release and the reader loads
 * with acquire instead: a reader that got any of the writer's data also sees the
 * odd sequence that was stored before it.  ThreadSanitizer understands that.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "shm/layout.h"

/* Retiring takes well under a millisecond, so this is never reached unless ziggied is stopped. */
enum { READ_ATTEMPTS = 300 };

/* ---- adding up ---- */

static uint64_t get_acquire(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void sum_histogram(struct scoreboard_histogram *sum, const struct shm_histogram *from)
{
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		sum->buckets[i] += get_acquire(&from->buckets[i]);
	sum->sum_ns += get_acquire(&from->sum_ns);
}

static void sum_counts(struct scoreboard_totals *sum, const struct shm_counts *from)
{
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		sum->counters[i] += get_acquire(&from->counters[i]);
	sum_histogram(&sum->queue, &from->queue);
	for (size_t r = 0; r < sum->route_count; r++) {
		if (get_acquire(&from->routes[r].requests) == 0)
			continue;
		for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
			sum->routes[r].by_status[i] += get_acquire(&from->routes[r].by_status[i]);
		sum_histogram(&sum->routes[r].latency, &from->routes[r].latency);
	}
}

static void sum_slot(struct scoreboard_totals *sum, const struct shm_slot *slot)
{
	sum_counts(sum, &slot->counts);
	for (size_t i = 0; i < GAUGE_COUNT; i++)
		sum->gauges[i] += atomic_load_explicit(&slot->gauges[i], memory_order_relaxed);
}

/* Rows are written by children, so what they say is bounded before it is used. */
static unsigned bounded(const _Atomic uint32_t *count)
{
	unsigned value = atomic_load_explicit(count, memory_order_acquire);
	return value > SCOREBOARD_SLOTS ? SCOREBOARD_SLOTS : value;
}

static enum scoreboard_program program_of(const struct shm_process *row)
{
	uint32_t program = atomic_load_explicit(&row->program, memory_order_relaxed);
	return program < PROGRAM_COUNT ? (enum scoreboard_program)program : PROGRAM_WORKER;
}

static unsigned count_busy(const struct shm_slot *slots, unsigned count)
{
	unsigned busy = 0;
	for (unsigned i = 0; i < count; i++)
		busy += atomic_load_explicit(&slots[i].busy, memory_order_relaxed) != 0;
	return busy;
}

static void sum_row(const struct scoreboard *board, size_t index, struct scoreboard_totals *sum)
{
	const struct shm_process *row = &board->map->processes[index];
	if (atomic_load_explicit(&row->pid, memory_order_acquire) == 0)
		return;
	const struct shm_slot *slots = shm_slots_of(board, index);
	unsigned count = bounded(&row->slots);
	for (unsigned i = 0; i < count; i++)
		sum_slot(sum, &slots[i]);
	sum->processes[program_of(row)]++;
	sum->threads += bounded(&row->threads);
	sum->threads_busy += count_busy(slots, count);
}

static void read_once(const struct scoreboard *board, struct scoreboard_totals *out)
{
	const struct shm_board *map = board->map;
	memset(out, 0, sizeof(*out));
	out->route_count = shm_route_count(board);
	for (unsigned i = 0; i < out->route_count; i++)
		shm_route_name(board, i, out->routes[i].name);
	sum_counts(out, &map->retired);
	for (size_t i = 0; i < map->header.processes; i++)
		sum_row(board, i, out);
	for (size_t i = 0; i < PROGRAM_COUNT; i++)
		out->restarts[i] = shm_get(&map->restarts[i]);
	out->generation = atomic_load_explicit(&map->generation, memory_order_relaxed);
	out->epoch = scoreboard_epoch(board);
}

enum err scoreboard_totals(const struct scoreboard *board, struct scoreboard_totals *out,
			   struct errmsg *why)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	for (int i = 0; i < READ_ATTEMPTS; i++) {
		uint64_t before = get_acquire(&board->map->sequence);
		if (before % 2 == 0) {
			read_once(board, out);
			if (shm_get(&board->map->sequence) == before)
				return ERR_OK;
		}
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
	}
	return err_set(why, ERR_UNAVAILABLE, "ziggied stopped while it retired a process");
}

/* ---- processes ---- */

static bool copy_process(const struct scoreboard *board, size_t index,
			 struct scoreboard_process *out)
{
	const struct shm_process *row = &board->map->processes[index];
	const struct shm_slot *slots = shm_slots_of(board, index);
	int32_t pid = atomic_load_explicit(&row->pid, memory_order_acquire);
	if (pid == 0)
		return false;
	uint32_t state = atomic_load(&row->state);
	*out = (struct scoreboard_process){
	    .pid = pid,
	    .program = program_of(row),
	    .state = state < STATE_COUNT ? (enum scoreboard_state)state : STATE_STARTING,
	    .index = atomic_load(&row->index),
	    .generation = atomic_load(&row->generation),
	    .threads = bounded(&row->threads),
	    .started_us = atomic_load(&row->started_us),
	    .rss_bytes = shm_get(&row->rss_bytes),
	};
	unsigned count = bounded(&row->slots);
	out->threads_busy = count_busy(slots, count);
	for (unsigned i = 0; i < count; i++)
		out->requests += shm_get(&slots[i].requests);
	return atomic_load(&row->pid) == pid;
}

static int compare_processes(const void *left, const void *right)
{
	const struct scoreboard_process *a = left;
	const struct scoreboard_process *b = right;
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	if (a->program != b->program)
		return a->program < b->program ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

size_t scoreboard_processes(const struct scoreboard *board, struct scoreboard_process *out,
			    size_t max)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	size_t count = 0;
	for (size_t i = 0; i < board->map->header.processes && count < max; i++)
		count += copy_process(board, i, &out[count]);
	qsort(out, count, sizeof(*out), compare_processes);
	return count;
}

static bool is_peer(const struct shm_process *own, const struct shm_process *row)
{
	return row == own ||
	       (atomic_load(&row->pid) != 0 && atomic_load(&row->state) == (uint32_t)STATE_READY &&
		atomic_load(&row->program) == atomic_load(&own->program) &&
		atomic_load(&row->generation) == atomic_load(&own->generation));
}

int64_t scoreboard_mean(const struct scoreboard *board, enum scoreboard_gauge gauge)
{
	AN_INVARIANT(board->row != NULL && gauge < GAUGE_COUNT);
	int64_t sum = 0, count = 0;
	for (size_t i = 0; i < board->map->header.processes; i++) {
		const struct shm_process *row = &board->map->processes[i];
		unsigned slot = bounded(&row->threads);
		if (!is_peer(board->row, row) || slot >= SCOREBOARD_SLOTS)
			continue;
		sum += atomic_load_explicit(&shm_slots_of(board, i)[slot].gauges[gauge],
					    memory_order_relaxed);
		count++;
	}
	return count > 0 ? sum / count : 0;
}

/* ---- retiring ---- */

static void add_release(_Atomic uint64_t *word, uint64_t add)
{
	if (add > 0)
		atomic_store_explicit(word, shm_get(word) + add, memory_order_release);
}

static void fold_histogram(struct shm_histogram *to, const struct shm_histogram *from)
{
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		add_release(&to->buckets[i], shm_get(&from->buckets[i]));
	add_release(&to->sum_ns, shm_get(&from->sum_ns));
}

static void fold_counts(struct shm_counts *to, const struct shm_counts *from, unsigned routes)
{
	for (size_t i = 0; i < COUNTER_ROOM; i++)
		add_release(&to->counters[i], shm_get(&from->counters[i]));
	fold_histogram(&to->queue, &from->queue);
	for (size_t r = 0; r < routes; r++) {
		if (shm_get(&from->routes[r].requests) == 0)
			continue;
		add_release(&to->routes[r].requests, shm_get(&from->routes[r].requests));
		for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
			add_release(&to->routes[r].by_status[i],
				    shm_get(&from->routes[r].by_status[i]));
		fold_histogram(&to->routes[r].latency, &from->routes[r].latency);
	}
}

/* Gives the pages back, which also zeroes them. */
static void wipe_slots(const struct scoreboard *board, struct shm_slot *slots)
{
	size_t len = SCOREBOARD_SLOTS * sizeof(*slots);
	off_t at = (off_t)((char *)slots - (char *)board->map);
	int done = fallocate(board->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)len);
	if (done < 0)
		memset((void *)slots, 0, len);
}

static void retire_row(struct scoreboard *board, size_t index)
{
	struct shm_process *row = &board->map->processes[index];
	struct shm_slot *slots = shm_slots_of(board, index);
	unsigned count = bounded(&row->slots);
	unsigned routes = shm_route_count(board);
	uint64_t sequence = shm_get(&board->map->sequence);
	atomic_store(&board->map->sequence, sequence + 1);
	for (unsigned i = 0; i < count; i++)
		fold_counts(&board->map->retired, &slots[i].counts, routes);
	wipe_slots(board, slots);
	atomic_store_explicit(&row->slots, 0, memory_order_release);
	atomic_store_explicit(&row->threads, 0, memory_order_release);
	atomic_store_explicit(&row->rss_bytes, 0, memory_order_release);
	/* Only now may another process claim the row. */
	atomic_store(&row->pid, 0);
	atomic_store(&board->map->sequence, sequence + 2);
}

void scoreboard_retire(struct scoreboard *board, pid_t pid)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	for (size_t i = 0; i < board->map->header.processes; i++)
		if (atomic_load(&board->map->processes[i].pid) == pid)
			retire_row(board, i);
}

void scoreboard_count_restart(struct scoreboard *board, enum scoreboard_program program)
{
	AN_INVARIANT(program < PROGRAM_COUNT);
	shm_add(&board->map->restarts[program], 1);
}

void scoreboard_set_generation(struct scoreboard *board, unsigned generation)
{
	atomic_store(&board->map->generation, generation);
}
