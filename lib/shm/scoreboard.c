#include "shm/scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "shm/layout.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, PRIVATE_PROCESSES = 2 };

const char *const scoreboard_program_names[PROGRAM_COUNT] = {"worker", "jobs"};
const char *const scoreboard_state_names[STATE_COUNT] = {"starting", "ready", "draining"};

const struct scoreboard_value_row scoreboard_counter_rows[COUNTER_COUNT] = {
#define COUNTER(name, metric, labels, help) [COUNTER_##name] = {metric, labels, help},
#include "shm/values.h"
};
const struct scoreboard_value_row scoreboard_gauge_rows[GAUGE_COUNT] = {
#define GAUGE(name, metric, labels, help) [GAUGE_##name] = {metric, labels, help},
#include "shm/values.h"
};

const int64_t scoreboard_bounds_ns[SCOREBOARD_BUCKETS] = {
    100 * NS_PER_US, 250 * NS_PER_US, 500 * NS_PER_US, NS_PER_MS,        2500 * NS_PER_US,
    5 * NS_PER_MS,   10 * NS_PER_MS,  25 * NS_PER_MS,  50 * NS_PER_MS,   100 * NS_PER_MS,
    250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,        2500 * NS_PER_MS, 5 * NS_PER_S,
    10 * NS_PER_S,   INT64_MAX,
};

const int scoreboard_statuses[SCOREBOARD_STATUSES] = {
    200, 201, 202, 204, 301, 302, 303, 304, 308, 400, 401, 403, 404, 405, 406, 408,
    409, 410, 412, 413, 415, 422, 428, 429, 499, 500, 501, 502, 503, 504, 0,
};

struct shm_slot *shm_slots_of(const struct scoreboard *board, size_t row)
{
	char *base = (char *)board->map + SLOTS_OFFSET;
	return (struct shm_slot *)(void *)base + row * SCOREBOARD_SLOTS;
}

/* ---- making and attaching ---- */

static size_t file_size(unsigned processes)
{
	return SLOTS_OFFSET + (size_t)processes * SCOREBOARD_SLOTS * sizeof(struct shm_slot);
}

static struct shm_header header_for(unsigned processes)
{
	return (struct shm_header){
	    .magic = LAYOUT_MAGIC,
	    .version = SCOREBOARD_VERSION,
	    .size = file_size(processes),
	    .processes = processes,
	    .slots_per_process = SCOREBOARD_SLOTS,
	    .slot_size = sizeof(struct shm_slot),
	    .slots_offset = SLOTS_OFFSET,
	};
}

static enum err map_board(int fd, size_t size, struct scoreboard **out, struct errmsg *why)
{
	struct scoreboard *board = calloc(1, sizeof(*board));
	if (board == NULL)
		return err_set(why, ERR_NOMEM, "out of memory mapping the scoreboard");
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		free(board);
		return err_errno(why, "can't map the scoreboard's %zu bytes", size);
	}
	/* A core dump of the whole sparse file would be more than a gigabyte. */
	madvise(map, size, MADV_DONTDUMP);
	*board = (struct scoreboard){.magic = SCOREBOARD_MAGIC, .fd = fd, .size = size, .map = map};
	*out = board;
	return ERR_OK;
}

static enum err make_file(unsigned processes, int *out, struct errmsg *why)
{
	int fd = memfd_create("ziggie-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_errno(why, "can't make the scoreboard");
	struct shm_header header = header_for(processes);
	if (ftruncate(fd, (off_t)header.size) < 0 ||
	    pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		enum err err = err_errno(why, "can't size and seal the scoreboard");
		close(fd);
		return err;
	}
	*out = fd;
	return ERR_OK;
}

enum err scoreboard_create(unsigned processes, struct scoreboard **out, struct errmsg *why)
{
	AN_INVARIANT(processes >= 1 && processes <= SCOREBOARD_PROCESSES);
	int fd = -1;
	enum err err = make_file(processes, &fd, why);
	if (err != ERR_OK)
		return err;
	err = map_board(fd, file_size(processes), out, why);
	if (err != ERR_OK) {
		close(fd);
		return err;
	}
	if (getrandom((*out)->map->window_secret, WINDOW_SECRET_LEN, 0) != WINDOW_SECRET_LEN) {
		err = err_errno(why, "can't get random bytes for the scoreboard");
		scoreboard_free(*out);
		*out = NULL;
	}
	return err;
}

static enum err check_header(const struct shm_header *found, off_t size, struct errmsg *why)
{
	if (found->magic != LAYOUT_MAGIC)
		return err_set(why, ERR_PROTOCOL, "the descriptor given is not a scoreboard");
	if (found->version != SCOREBOARD_VERSION)
		return err_set(why, ERR_PROTOCOL,
			       "the scoreboard has layout version %u and this program needs %u; "
			       "upgrade the running ziggied with SIGUSR2",
			       found->version, SCOREBOARD_VERSION);
	bool fits = found->processes >= 1 && found->processes <= SCOREBOARD_PROCESSES;
	struct shm_header wanted = header_for(fits ? found->processes : 1);
	if (!fits || size < 0 || (uint64_t)size != wanted.size ||
	    memcmp(found, &wanted, sizeof(wanted)) != 0)
		return err_set(why, ERR_PROTOCOL, "the scoreboard's sizes are not this program's");
	return ERR_OK;
}

static enum err check_file(int fd, size_t *size, struct errmsg *why)
{
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return err_errno(why, "descriptor %d is not a scoreboard", fd);
	if ((seals & SEALS) != SEALS)
		return err_set(why, ERR_PROTOCOL, "the scoreboard is not sealed");
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(why, "can't look at the scoreboard");
	struct shm_header header;
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return err_set(why, ERR_PROTOCOL, "the scoreboard has no header");
	*size = (size_t)st.st_size;
	return check_header(&header, st.st_size, why);
}

enum err scoreboard_attach(int fd, struct scoreboard **out, struct errmsg *why)
{
	size_t size = 0;
	enum err err = check_file(fd, &size, why);
	if (err != ERR_OK)
		return err;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_errno(why, "can't keep the scoreboard to this process");
	return map_board(fd, size, out, why);
}

enum err scoreboard_open(struct scoreboard **out, struct errmsg *why)
{
	const char *given = getenv("ZIGGIE_SCOREBOARD_FD");
	if (given == NULL)
		return scoreboard_create(PRIVATE_PROCESSES, out, why);
	uint64_t fd = 0;
	if (!num_u64s(given, 0, INT32_MAX, &fd))
		return err_set(why, ERR_INVALID, "ZIGGIE_SCOREBOARD_FD is not a descriptor: %s",
			       given);
	return scoreboard_attach((int)fd, out, why);
}

void scoreboard_let_go(struct scoreboard *board)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	madvise(board->map, board->size, MADV_DONTNEED);
}

void scoreboard_free(struct scoreboard *board)
{
	if (board == NULL)
		return;
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	munmap(board->map, board->size);
	close(board->fd);
	board->magic = 0;
	free(board);
}

int scoreboard_fd(const struct scoreboard *board)
{
	return board->fd;
}

/* ---- the own row ---- */

static void fill_row(struct shm_process *row, const struct scoreboard_claim *claim)
{
	atomic_store(&row->program, (uint32_t)claim->program);
	atomic_store(&row->index, claim->index);
	atomic_store(&row->generation, claim->generation);
	atomic_store(&row->started_us, clock_wall_us());
	atomic_store(&row->state, (uint32_t)STATE_STARTING);
	atomic_store(&row->threads, claim->threads);
	atomic_store(&row->slots, claim->threads + claim->others);
}

enum err scoreboard_claim(struct scoreboard *board, const struct scoreboard_claim *claim,
			  struct errmsg *why)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	AN_INVARIANT(board->row == NULL && claim->program < PROGRAM_COUNT);
	AN_INVARIANT(claim->threads <= SCOREBOARD_SLOTS && claim->others <= SCOREBOARD_SLOTS);
	unsigned slots = claim->threads + claim->others;
	AN_INVARIANT(slots >= 1 && slots <= SCOREBOARD_SLOTS);
	for (size_t i = 0; i < board->map->header.processes; i++) {
		struct shm_process *row = &board->map->processes[i];
		int32_t unused = 0;
		if (!atomic_compare_exchange_strong(&row->pid, &unused, getpid()))
			continue;
		fill_row(row, claim);
		board->row = row;
		board->slots = shm_slots_of(board, i);
		board->slot_count = slots;
		return ERR_OK;
	}
	return err_set(why, ERR_OVERLOADED, "all %u rows of the scoreboard are taken",
		       board->map->header.processes);
}

void scoreboard_set_state(struct scoreboard *board, enum scoreboard_state state)
{
	AN_INVARIANT(board->row != NULL);
	atomic_store(&board->row->state, (uint32_t)state);
}

void scoreboard_set_rss(struct scoreboard *board, uint64_t bytes)
{
	AN_INVARIANT(board->row != NULL);
	atomic_store_explicit(&board->row->rss_bytes, bytes, memory_order_relaxed);
}

/* ---- the own slots ---- */

static struct shm_slot *own_slot(struct scoreboard *board, unsigned slot)
{
	AN_INVARIANT(board->row != NULL && slot < board->slot_count);
	return &board->slots[slot];
}

static size_t bucket_of(int64_t ns)
{
	size_t i = 0;
	while (ns > scoreboard_bounds_ns[i])
		i++;
	return i;
}

static void observe(struct shm_histogram *histogram, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	shm_add(&histogram->buckets[bucket_of(ns)], 1);
	shm_add(&histogram->sum_ns, (uint64_t)ns);
}

static size_t status_column(int status)
{
	size_t i = 0;
	while (i < SCOREBOARD_STATUSES - 1 && scoreboard_statuses[i] != status)
		i++;
	return i;
}

void scoreboard_begin(struct scoreboard *board, unsigned slot)
{
	atomic_store_explicit(&own_slot(board, slot)->busy, 1, memory_order_relaxed);
}

void scoreboard_record(struct scoreboard *board, unsigned slot, unsigned route, int status,
		       int64_t latency_ns, int64_t queue_ns)
{
	struct shm_slot *own = own_slot(board, slot);
	AN_INVARIANT(route < SCOREBOARD_ROUTES);
	struct shm_route *counts = &own->counts.routes[route];
	shm_add(&counts->by_status[status_column(status)], 1);
	observe(&counts->latency, latency_ns);
	shm_add(&counts->requests, 1);
	if (queue_ns >= 0)
		observe(&own->counts.queue, queue_ns);
	shm_add(&own->requests, 1);
	atomic_store_explicit(&own->busy, 0, memory_order_relaxed);
}

void scoreboard_count(struct scoreboard *board, unsigned slot, enum scoreboard_counter counter,
		      uint64_t add)
{
	AN_INVARIANT(counter < COUNTER_COUNT);
	shm_add(&own_slot(board, slot)->counts.counters[counter], add);
}

void scoreboard_set_counter(struct scoreboard *board, unsigned slot,
			    enum scoreboard_counter counter, uint64_t value)
{
	AN_INVARIANT(counter < COUNTER_COUNT);
	atomic_store_explicit(&own_slot(board, slot)->counts.counters[counter], value,
			      memory_order_relaxed);
}

void scoreboard_set_gauge(struct scoreboard *board, unsigned slot, enum scoreboard_gauge gauge,
			  int64_t value)
{
	AN_INVARIANT(gauge < GAUGE_COUNT);
	atomic_store_explicit(&own_slot(board, slot)->gauges[gauge], value, memory_order_relaxed);
}
