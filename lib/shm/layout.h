/*
 * What the bytes of the scoreboard's memory are; for lib/shm alone.
 *
 * The header never changes its place or form, so that any version can read it.
 * Everything that processes share is a lock-free atomic, read and written relaxed
 * unless a comment says otherwise.
 */
#ifndef ZIGGIE_SHM_LAYOUT_H
#define ZIGGIE_SHM_LAYOUT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/scoreboard.h"
#include "shm/statements.h"
#include "shm/windows.h"

enum {
	LAYOUT_MAGIC = 0x5a69676d, /* "Zigm" */
	LINE_SIZE = 64,
	SLOT_ALIGN = 4096, /* so that a dead process's slots are whole pages */
	COUNTER_ROOM = 128,
	GAUGE_ROOM = 32,
	WINDOW_SETS = 8192,
	WINDOW_WAYS = 16,
	NAME_WORDS = SCOREBOARD_ROUTE_NAME / 8,
	STATEMENT_WORDS = STATEMENT_TEXT / 8,
};

_Static_assert((int)COUNTER_COUNT <= (int)COUNTER_ROOM, "COUNTER_ROOM is too small");
_Static_assert((int)GAUGE_COUNT <= (int)GAUGE_ROOM, "GAUGE_ROOM is too small");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics take a lock on this machine");

struct shm_header {
	uint32_t magic;
	uint32_t version;
	uint64_t size; /* of the whole file */
	uint32_t processes;
	uint32_t slots_per_process;
	uint32_t slot_size;
	uint32_t slots_offset;
};

/* pid 0: the row is free.  Claimed by compare-and-swap, freed by ziggied, pid last. */
struct shm_process {
	alignas(LINE_SIZE) _Atomic int32_t pid;
	_Atomic uint32_t program;
	_Atomic uint32_t index;
	_Atomic uint32_t generation;
	_Atomic uint32_t state;
	_Atomic uint32_t threads;
	_Atomic uint32_t slots; /* in use; written last by the claim */
	_Atomic int64_t started_us;
	_Atomic uint64_t rss_bytes;
};

struct shm_histogram {
	_Atomic uint64_t buckets[SCOREBOARD_BUCKETS];
	_Atomic uint64_t sum_ns;
};

struct shm_route {
	alignas(LINE_SIZE) _Atomic uint64_t requests; /* 0: the rest is untouched */
	_Atomic uint64_t by_status[SCOREBOARD_STATUSES];
	struct shm_histogram latency;
};

/* What a thread counts; the retired totals have the same form. */
struct shm_counts {
	alignas(LINE_SIZE) _Atomic uint64_t counters[COUNTER_ROOM];
	struct shm_histogram queue;
	struct shm_route routes[SCOREBOARD_ROUTES];
};

struct shm_slot {
	alignas(SLOT_ALIGN) _Atomic uint32_t busy;
	_Atomic uint64_t requests;
	_Atomic int64_t gauges[GAUGE_ROOM];
	struct shm_counts counts;
};

/*
 * Entries are filled in order and never emptied.  Whoever finds a free one writes the
 * hash by compare-and-swap; then everybody who registers that name writes the same
 * bytes, so that an entry whose first writer died is completed by the next.
 */
struct shm_name {
	alignas(LINE_SIZE) _Atomic uint64_t hash;
	_Atomic uint32_t complete; /* released after the words */
	_Atomic uint64_t words[NAME_WORDS];
};

/* windows.c says what the words mean.  What is 0 is free. */
struct shm_window_set {
	alignas(LINE_SIZE) _Atomic uint64_t owners[WINDOW_WAYS];
	_Atomic uint64_t counts[WINDOW_WAYS];
};

/* statements.c says what the words mean. */
struct shm_statement {
	alignas(LINE_SIZE) _Atomic uint64_t owner; /* 0: free */
	_Atomic uint64_t complete;                 /* the owner whose text stands here; released */
	_Atomic uint64_t count, total_us, max_us;
	_Atomic uint64_t last_seen_us;
	_Atomic uint64_t route;
	_Atomic uint64_t words[STATEMENT_WORDS];
};

struct shm_statements {
	alignas(LINE_SIZE) _Atomic int64_t threshold_us; /* 0: not set yet */
	_Atomic uint64_t epoch;
	_Atomic uint64_t uncounted;
	struct shm_statement places[STATEMENT_PLACES];
};

struct shm_board {
	struct shm_header header;
	uint8_t window_secret[WINDOW_SECRET_LEN]; /* never changes */

	/* Odd while ziggied retires a process. */
	alignas(LINE_SIZE) _Atomic uint64_t sequence;

	alignas(LINE_SIZE) _Atomic uint64_t epoch;
	_Atomic uint64_t cache_epoch;
	_Atomic uint64_t restarts[PROGRAM_COUNT];
	_Atomic uint32_t generation;
	_Atomic int64_t interests[SCOREBOARD_INTERESTS];
	_Atomic int64_t breakers[SCOREBOARD_BREAKERS]; /* open until; 0 for closed */

	struct shm_process processes[SCOREBOARD_PROCESSES];
	struct shm_name names[SCOREBOARD_ROUTES];
	struct shm_counts retired;
	struct shm_counts marked; /* the totals at scoreboard_mark() */
	_Atomic int64_t marked_us;
	struct shm_statements statements;
	struct shm_window_set windows[WINDOW_SETS];
};

enum {
	SLOTS_OFFSET = (sizeof(struct shm_board) + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN,
};

/* This process's hold on it. */
struct scoreboard {
	unsigned magic;
	int fd;
	size_t size;
	struct shm_board *map;
	struct shm_process *row; /* own row; NULL until claimed */
	struct shm_slot *slots;  /* of the own row */
	unsigned slot_count;
};

enum { SCOREBOARD_MAGIC = 0x5c0b0a4d };

struct shm_slot *shm_slots_of(const struct scoreboard *board, size_t row);
/* A hash of text, FNV-1a with 64 bits; never 0, which marks what is free. */
uint64_t shm_hash(const char *text);
/* The name of a route by its number; "" for SCOREBOARD_ROUTE_OTHER and for one not complete yet. */
void shm_route_name(const struct scoreboard *board, unsigned route,
		    char out[SCOREBOARD_ROUTE_NAME]);
/* Routes that have a number so far, SCOREBOARD_ROUTE_OTHER included. */
unsigned shm_route_count(const struct scoreboard *board);

static inline uint64_t shm_get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* For words with a single writer: no locked instruction is needed. */
static inline void shm_add(_Atomic uint64_t *word, uint64_t add)
{
	atomic_store_explicit(word, shm_get(word) + add, memory_order_relaxed);
}

#endif
