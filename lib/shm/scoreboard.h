/*
 * The scoreboard: what all processes of one ziggied share.  A sealed memfd, made
 * by ziggied, passed on by exec (ZIGGIE_SCOREBOARD_FD) and mapped by everybody.  A
 * process without ziggied makes a private one, so that its code is the same.
 *
 * There is no lock in it, so a process that dies anywhere can't hold up another.
 * Every word has one writer at a time:
 *
 *	process row, thread slots	the process that claimed the row; a slot belongs
 *					to one thread
 *	retired totals, restarts	ziggied
 *	route names			anybody, by compare-and-swap, the same bytes
 *	epoch, interest, breakers	anybody, by atomic operations
 *	windows (shm/windows.h)		anybody, by compare-and-swap
 *	statements (shm/statements.h)	anybody, by compare-and-swap
 *	marked totals			anybody, by compare-and-swap; they only grow
 *
 * Counters never fall: when a process has died, ziggied adds its counters to the
 * retired totals and frees its row (scoreboard_retire()).  Readers take totals
 * under a sequence number, so they see a dead process's counters exactly once.
 * Gauges vanish with their process.
 *
 * The file is large (a page-aligned slot for every possible thread) and sparse:
 * only pages that were touched cost memory.  So readers walk rows in use and
 * registered routes only; ziggied gives the pages of the dead back.
 *
 *	struct scoreboard *board;
 *	scoreboard_open(&board, &why);			// ziggied's, or a private one
 *	scoreboard_claim(board, &(struct scoreboard_claim){…}, &why);
 *	unsigned route = scoreboard_route(board, "GET /api/health");
 *	…
 *	scoreboard_begin(board, slot);			// on the thread that owns the slot
 *	scoreboard_record(board, slot, route, 200, latency_ns, queue_ns);
 *
 * Thread-safe as said for each function.
 */
#ifndef ZIGGIE_SHM_SCOREBOARD_H
#define ZIGGIE_SHM_SCOREBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Changes whenever the meaning of a byte in the shared memory changes. */
#define SCOREBOARD_VERSION 4

enum {
	SCOREBOARD_ROUTES = 256,
	SCOREBOARD_ROUTE_NAME = 96, /* with the NUL */
	SCOREBOARD_SLOTS = 72,      /* per process: the most threads, and some to spare */
	SCOREBOARD_PROCESSES = 160, /* of ziggied's: two full generations, and some to spare */
	SCOREBOARD_BUCKETS = 17,
	SCOREBOARD_STATUSES = 31,
	SCOREBOARD_INTERESTS = 16,
	SCOREBOARD_BREAKERS = 16,
};

/* The route that stands for all that match none, and for those beyond SCOREBOARD_ROUTES. */
enum { SCOREBOARD_ROUTE_OTHER = 0 };

enum scoreboard_program { PROGRAM_WORKER, PROGRAM_JOBS, PROGRAM_COUNT };
extern const char *const scoreboard_program_names[PROGRAM_COUNT]; /* "worker", "jobs" */

enum scoreboard_state { STATE_STARTING, STATE_READY, STATE_DRAINING, STATE_COUNT };
extern const char *const scoreboard_state_names[STATE_COUNT];

/* COUNTER_pool_waits and so on: values.h has the rows. */
enum scoreboard_counter {
#define COUNTER(name, metric, labels, help) COUNTER_##name,
#include "shm/values.h"
	COUNTER_COUNT
};
enum scoreboard_gauge {
#define GAUGE(name, metric, labels, help) GAUGE_##name,
#include "shm/values.h"
	GAUGE_COUNT
};

struct scoreboard_value_row {
	const char *metric;
	const char *labels; /* `tier="l1"`; "" for none */
	const char *help;
};
extern const struct scoreboard_value_row scoreboard_counter_rows[COUNTER_COUNT];
extern const struct scoreboard_value_row scoreboard_gauge_rows[GAUGE_COUNT];

/*
 * Upper bounds of the histograms' buckets, inclusive, in nanoseconds: 100 and 250 us,
 * 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10 s, and INT64_MAX.
 */
extern const int64_t scoreboard_bounds_ns[SCOREBOARD_BUCKETS];
/* The status of each column; the last is 0 and stands for all others. */
extern const int scoreboard_statuses[SCOREBOARD_STATUSES];

struct scoreboard;

/* ---- making, attaching ---- */

/* Makes and maps one with room for that many processes; its descriptor is close-on-exec. */
enum err scoreboard_create(unsigned processes, struct scoreboard **out, struct errmsg *why);
/*
 * Maps the one behind fd after checking seals, size, magic number and version
 * (ERR_PROTOCOL when they don't fit).  On success fd belongs to the scoreboard and
 * is made close-on-exec; on failure it stays the caller's.
 */
enum err scoreboard_attach(int fd, struct scoreboard **out, struct errmsg *why);
/* What workers and jobs call: attaches $ZIGGIE_SCOREBOARD_FD, or creates a private one. */
enum err scoreboard_open(struct scoreboard **out, struct errmsg *why);
/*
 * Takes its pages out of this process's memory: they stay in the file, and come back when they
 * are looked at.  Any thread, at any time.
 */
void scoreboard_let_go(struct scoreboard *board);
/* Unmaps and closes; does not free the row: the counters stay until the process is retired. */
void scoreboard_free(struct scoreboard *board);
int scoreboard_fd(const struct scoreboard *board);

/* ---- the process's own row; before its threads start, but for state and rss ---- */

struct scoreboard_claim {
	enum scoreboard_program program;
	unsigned index;      /* of the worker, from 0 */
	unsigned generation; /* 0 without ziggied */
	unsigned threads;    /* that serve requests, in slots 0 … threads-1 */
	unsigned others;     /* slots behind those, for threads that count but serve nothing */
};
/*
 * At least one slot and at most SCOREBOARD_SLOTS in all.  ERR_OVERLOADED when all rows are
 * taken.  Once per process.
 */
enum err scoreboard_claim(struct scoreboard *board, const struct scoreboard_claim *claim,
			  struct errmsg *why);
void scoreboard_set_state(struct scoreboard *board, enum scoreboard_state state); /* any thread */
void scoreboard_set_rss(struct scoreboard *board, uint64_t bytes);                /* any thread */

/* ---- a thread's own slot; slot counts from 0 within the process ---- */

/* The thread took up a request; it is busy until it records one. */
void scoreboard_begin(struct scoreboard *board, unsigned slot);
/* A request is answered.  A negative queue_ns means that the time is not known. */
void scoreboard_record(struct scoreboard *board, unsigned slot, unsigned route, int status,
		       int64_t latency_ns, int64_t queue_ns);
void scoreboard_count(struct scoreboard *board, unsigned slot, enum scoreboard_counter counter,
		      uint64_t add);
/* For values that are counted elsewhere and copied here by one thread; must not fall. */
void scoreboard_set_counter(struct scoreboard *board, unsigned slot,
			    enum scoreboard_counter counter, uint64_t value);
void scoreboard_set_gauge(struct scoreboard *board, unsigned slot, enum scoreboard_gauge gauge,
			  int64_t value);

/* ---- shared by all; any thread ---- */

/*
 * The number of a route name such as "GET /api/health", registering it at first
 * sight.  SCOREBOARD_ROUTE_OTHER when the table is full or the name too long.
 */
unsigned scoreboard_route(struct scoreboard *board, const char *name);

/* Moves on with every revocation of a token; a remembered token of another epoch is read again. */
uint64_t scoreboard_epoch(const struct scoreboard *board);
void scoreboard_bump_epoch(struct scoreboard *board);

/* Moves on when all that is cached is to be forgotten: cache/cache.h. */
uint64_t scoreboard_cache_epoch(const struct scoreboard *board);
void scoreboard_bump_cache_epoch(struct scoreboard *board);

/* When somebody last asked for a kind of sample (enum host_kind): monotonic ns, 0 for never. */
void scoreboard_stamp_interest(struct scoreboard *board, unsigned kind, int64_t now_ns);
int64_t scoreboard_interest(const struct scoreboard *board, unsigned kind);

/*
 * A breaker that all processes of the host share: it is open (don't ask) until the
 * monotonic time given.  Of several callers that find it just past, exactly one
 * gets to try: scoreboard_breaker_admit() moves the time on by pause_ns for it.
 */
bool scoreboard_breaker_admit(struct scoreboard *board, unsigned breaker, int64_t now_ns,
			      int64_t pause_ns);
void scoreboard_breaker_trip(struct scoreboard *board, unsigned breaker, int64_t until_ns);
void scoreboard_breaker_reset(struct scoreboard *board, unsigned breaker);
bool scoreboard_breaker_open(const struct scoreboard *board, unsigned breaker);

/* ---- reading; any thread ---- */

struct scoreboard_histogram {
	uint64_t buckets[SCOREBOARD_BUCKETS]; /* each its own count, not cumulative */
	uint64_t sum_ns;
};

struct scoreboard_route_totals {
	char name[SCOREBOARD_ROUTE_NAME]; /* "" for SCOREBOARD_ROUTE_OTHER */
	uint64_t by_status[SCOREBOARD_STATUSES];
	struct scoreboard_histogram latency;
};

struct scoreboard_totals {
	unsigned route_count;
	struct scoreboard_route_totals routes[SCOREBOARD_ROUTES];
	struct scoreboard_histogram queue;
	uint64_t counters[COUNTER_COUNT];
	int64_t gauges[GAUGE_COUNT];
	unsigned threads; /* that serve requests */
	unsigned threads_busy;
	unsigned processes[PROGRAM_COUNT];
	uint64_t restarts[PROGRAM_COUNT];
	unsigned generation; /* the newest that is serving; 0 without ziggied */
	uint64_t epoch;
};
/*
 * Copies everything out, summed over the living and the dead.  About 120 KB: allocate it.
 * ERR_UNAVAILABLE when ziggied stopped in the middle of retiring a process.
 */
enum err scoreboard_totals(const struct scoreboard *board, struct scoreboard_totals *out,
			   struct errmsg *why);

/*
 * Counters never fall, but who looks at them may want to begin anew: scoreboard_mark() notes the
 * totals of all routes and counters as they are, and scoreboard_totals_since_mark() leaves that
 * much out.  *since_us is the time of the mark, or 0 without one.  Errors as above.
 */
enum err scoreboard_mark(struct scoreboard *board, int64_t now_us, struct errmsg *why);
enum err scoreboard_totals_since_mark(const struct scoreboard *board, struct scoreboard_totals *out,
				      int64_t *since_us, struct errmsg *why);

struct scoreboard_process {
	pid_t pid;
	enum scoreboard_program program;
	enum scoreboard_state state;
	unsigned index;
	unsigned generation;
	unsigned threads;
	unsigned threads_busy;
	int64_t started_us; /* wall time */
	uint64_t requests;
	uint64_t rss_bytes;
};
/* Fills at most max rows, in the order of generation, program and index; returns how many. */
size_t scoreboard_processes(const struct scoreboard *board, struct scoreboard_process *out,
			    size_t max);

/*
 * A gauge's mean over the ready processes of the own program and generation, from what
 * each last set in the first slot that serves no requests.  The own row counts, ready or not.
 */
int64_t scoreboard_mean(const struct scoreboard *board, enum scoreboard_gauge gauge);

/* ---- for ziggied alone ---- */

/* Call after waitpid(): folds the counters of a dead process in and frees its row, if it had one.
 */
void scoreboard_retire(struct scoreboard *board, pid_t pid);
void scoreboard_count_restart(struct scoreboard *board, enum scoreboard_program program);
void scoreboard_set_generation(struct scoreboard *board, unsigned generation);

#endif
