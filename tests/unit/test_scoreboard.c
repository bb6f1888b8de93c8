/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/layout.h"
#include "shm/scoreboard.h"

enum { LATENCY_NS = 3000000 };

static struct scoreboard *new_board(unsigned processes)
{
	struct scoreboard *board = NULL;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(scoreboard_create(processes, &board, &why), ERR_OK);
	return board;
}

/* Another hold on the same memory, as a process that got it by exec has. */
static struct scoreboard *attach(const struct scoreboard *board)
{
	struct scoreboard *other = NULL;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(scoreboard_attach(dup(scoreboard_fd(board)), &other, &why), ERR_OK);
	return other;
}

static void claim(struct scoreboard *board, unsigned threads)
{
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard_claim wanted = {.program = PROGRAM_WORKER, .threads = threads};
	assert_int_equal(scoreboard_claim(board, &wanted, &why), ERR_OK);
}

static struct scoreboard_totals *totals(const struct scoreboard *board)
{
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard_totals *out = malloc(sizeof(*out));
	assert_non_null(out);
	assert_int_equal(scoreboard_totals(board, out, &why), ERR_OK);
	return out;
}

static uint64_t all_requests(const struct scoreboard_totals *t)
{
	uint64_t sum = 0;
	for (unsigned r = 0; r < t->route_count; r++)
		for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
			sum += t->routes[r].by_status[i];
	return sum;
}

static uint64_t requests_of(const struct scoreboard *board)
{
	struct scoreboard_totals *t = totals(board);
	uint64_t sum = all_requests(t);
	free(t);
	return sum;
}

static uint64_t with_status(const struct scoreboard_route_totals *route, int status)
{
	for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
		if (scoreboard_statuses[i] == status)
			return route->by_status[i];
	return UINT64_MAX;
}

static void reap(pid_t pid)
{
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- making and attaching ---- */

static void test_the_file_is_sealed_and_sparse(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(SCOREBOARD_PROCESSES);
	int fd = scoreboard_fd(board);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	free(totals(board));
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 < 256 * 1024);
	scoreboard_free(board);
}

static int memfd_with(const struct shm_header *header, size_t size, bool sealed)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, header, sizeof(*header), 0), sizeof(*header));
	if (sealed)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static void refuses(int fd, const char *word)
{
	struct scoreboard *board = NULL;
	struct errmsg why = ERRMSG_INIT;
	assert_int_not_equal(scoreboard_attach(fd, &board, &why), ERR_OK);
	assert_null(board);
	assert_non_null(strstr(why.text, word));
	assert_int_equal(close(fd), 0);
}

static void test_a_file_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(2);
	struct shm_header good = board->map->header;
	size_t size = board->size;
	struct shm_header version = good, magic = good, rows = good, slot = good;
	version.version++;
	magic.magic++;
	rows.processes = 3;
	slot.slot_size -= 4096;
	refuses(memfd_with(&good, size, false), "not sealed");
	refuses(memfd_with(&good, size - 4096, true), "sizes");
	refuses(memfd_with(&version, size, true), "version");
	refuses(memfd_with(&magic, size, true), "not a scoreboard");
	refuses(memfd_with(&rows, size, true), "sizes");
	refuses(memfd_with(&slot, size, true), "sizes");
	refuses(open("/dev/null", O_RDWR | O_CLOEXEC), "not a scoreboard");
	scoreboard_free(board);
}

static void test_a_process_opens_the_one_in_its_environment(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard *board = new_board(2), *given = NULL, *own = NULL, *none = NULL;
	char text[16];
	snprintf(text, sizeof(text), "%d", dup(scoreboard_fd(board)));
	setenv("ZIGGIE_SCOREBOARD_FD", text, 1);
	assert_int_equal(scoreboard_open(&given, &why), ERR_OK);
	scoreboard_bump_epoch(given);
	assert_int_equal(scoreboard_epoch(board), 1);
	setenv("ZIGGIE_SCOREBOARD_FD", "7x", 1);
	assert_int_equal(scoreboard_open(&none, &why), ERR_INVALID);
	unsetenv("ZIGGIE_SCOREBOARD_FD");
	assert_int_equal(scoreboard_open(&own, &why), ERR_OK);
	assert_int_equal(scoreboard_epoch(own), 0);
	scoreboard_free(own);
	scoreboard_free(given);
	scoreboard_free(board);
}

/* ---- recording ---- */

static void test_a_request_lands_in_its_columns(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	claim(board, 2);
	unsigned route = scoreboard_route(board, "GET /api/health");
	scoreboard_record(board, 1, route, 200, 100 * NS_PER_US, -1);
	scoreboard_record(board, 0, route, 200, 100 * NS_PER_US + 1, 7 * NS_PER_MS);
	scoreboard_record(board, 0, route, 418, 60 * NS_PER_S, -5);
	scoreboard_record(board, 0, SCOREBOARD_ROUTE_OTHER, 404, 0, 0);
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(t->route_count, 2);
	assert_string_equal(t->routes[route].name, "GET /api/health");
	assert_int_equal(with_status(&t->routes[route], 200), 2);
	assert_int_equal(with_status(&t->routes[route], 0), 1);
	assert_int_equal(with_status(&t->routes[SCOREBOARD_ROUTE_OTHER], 404), 1);
	assert_int_equal(t->routes[route].latency.buckets[0], 1);
	assert_int_equal(t->routes[route].latency.buckets[1], 1);
	assert_int_equal(t->routes[route].latency.buckets[SCOREBOARD_BUCKETS - 1], 1);
	assert_int_equal(t->routes[route].latency.sum_ns, 60 * NS_PER_S + 200 * NS_PER_US + 1);
	assert_int_equal(t->queue.buckets[6], 1);
	assert_int_equal(t->queue.buckets[0], 1);
	free(t);
	scoreboard_free(board);
}

/* Of a whole page, so that nothing of it is in this process's memory by chance. */
static bool is_mapped(const struct scoreboard *board, unsigned slot)
{
	const uintptr_t page = (uintptr_t)&shm_slots_of(board, 0)[slot];
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	off_t at = (off_t)(page / (uintptr_t)sysconf(_SC_PAGESIZE) * sizeof(entry));
	assert_int_equal(pread(fd, &entry, sizeof(entry), at), sizeof(entry));
	close(fd);
	return (entry >> 63) != 0;
}

static void test_what_is_let_go_is_not_lost(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	claim(board, 1);
	unsigned route = scoreboard_route(board, "GET /api/health");
	scoreboard_record(board, 0, route, 200, NS_PER_MS, -1);
	assert_true(is_mapped(board, 0));
	scoreboard_let_go(board);
	assert_false(is_mapped(board, 0));
	scoreboard_record(board, 0, route, 200, NS_PER_MS, -1);
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(with_status(&t->routes[route], 200), 2);
	free(t);
	scoreboard_free(board);
}

static void test_busy_threads_and_rows_are_seen(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard *board = new_board(4);
	struct scoreboard_claim wanted = {
	    .program = PROGRAM_WORKER, .index = 3, .generation = 9, .threads = 16, .others = 2};
	assert_int_equal(scoreboard_claim(board, &wanted, &why), ERR_OK);
	scoreboard_begin(board, 0);
	scoreboard_begin(board, 15);
	scoreboard_begin(board, 4);
	scoreboard_record(board, 4, SCOREBOARD_ROUTE_OTHER, 200, 1, 1);
	scoreboard_set_state(board, STATE_READY);
	scoreboard_set_rss(board, 12345);
	struct scoreboard_process rows[4];
	assert_int_equal(scoreboard_processes(board, rows, 4), 1);
	assert_int_equal(rows[0].pid, getpid());
	assert_int_equal(rows[0].state, STATE_READY);
	assert_int_equal(rows[0].index, 3);
	assert_int_equal(rows[0].generation, 9);
	assert_int_equal(rows[0].threads, 16);
	assert_int_equal(rows[0].threads_busy, 2);
	assert_int_equal(rows[0].requests, 1);
	assert_int_equal(rows[0].rss_bytes, 12345);
	assert_true(rows[0].started_us > 0);
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(t->threads, 16);
	assert_int_equal(t->threads_busy, 2);
	assert_int_equal(t->processes[PROGRAM_WORKER], 1);
	free(t);
	scoreboard_free(board);
}

/* ---- the dead ---- */

static void test_counters_outlive_their_process_and_gauges_do_not(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(2);
	pid_t pid = fork();
	if (pid == 0) {
		struct scoreboard *mine = attach(board);
		claim(mine, 3);
		unsigned route = scoreboard_route(mine, "GET /x");
		scoreboard_record(mine, 2, route, 503, LATENCY_NS, LATENCY_NS);
		scoreboard_count(mine, 1, COUNTER_pool_waits, 5);
		scoreboard_set_counter(mine, 0, COUNTER_pool_waits, 7);
		scoreboard_set_gauge(mine, 0, GAUGE_pool_idle, 4);
		_exit(0);
	}
	reap(pid);
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(t->gauges[GAUGE_pool_idle], 4);
	assert_int_equal(t->counters[COUNTER_pool_waits], 12);
	free(t);
	scoreboard_retire(board, pid);
	scoreboard_retire(board, pid);
	t = totals(board);
	assert_int_equal(t->gauges[GAUGE_pool_idle], 0);
	assert_int_equal(t->counters[COUNTER_pool_waits], 12);
	assert_int_equal(with_status(&t->routes[1], 503), 1);
	assert_int_equal(t->routes[1].latency.sum_ns, LATENCY_NS);
	assert_int_equal(t->queue.sum_ns, LATENCY_NS);
	assert_int_equal(t->processes[PROGRAM_WORKER], 0);
	free(t);
	scoreboard_free(board);
}

static void test_a_freed_row_is_used_again_from_zero(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard *board = new_board(1), *late = attach(board), *next = attach(board);
	claim(board, 1);
	scoreboard_record(board, 0, SCOREBOARD_ROUTE_OTHER, 200, 1, 1);
	struct scoreboard_claim wanted = {.program = PROGRAM_JOBS, .threads = 1};
	assert_int_equal(scoreboard_claim(late, &wanted, &why), ERR_OVERLOADED);
	scoreboard_retire(board, getpid());
	claim(next, 1);
	struct scoreboard_process row;
	assert_int_equal(scoreboard_processes(next, &row, 1), 1);
	assert_int_equal(row.requests, 0);
	assert_int_equal(row.rss_bytes, 0);
	scoreboard_record(next, 0, SCOREBOARD_ROUTE_OTHER, 200, 1, 1);
	assert_int_equal(requests_of(next), 2);
	scoreboard_free(next);
	scoreboard_free(late);
	scoreboard_free(board);
}

static void test_a_retiring_that_stopped_halfway_is_reported(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard *board = new_board(1);
	struct scoreboard_totals *t = malloc(sizeof(*t));
	assert_non_null(t);
	atomic_store(&board->map->sequence, 1);
	assert_int_equal(scoreboard_totals(board, t, &why), ERR_UNAVAILABLE);
	free(t);
	scoreboard_free(board);
}

/* ---- kill -9 while readers look ---- */

struct watch {
	const struct scoreboard *board;
	_Atomic bool stop;
	uint64_t rounds;
	uint64_t falls;
};

static void *watch_totals(void *pointer)
{
	struct watch *watch = pointer;
	struct scoreboard_totals *t = malloc(sizeof(*t));
	uint64_t last_requests = 0, last_sum = 0, last_counter = 0;
	while (t != NULL && !atomic_load(&watch->stop)) {
		if (scoreboard_totals(watch->board, t, NULL) != ERR_OK)
			continue;
		uint64_t requests = all_requests(t);
		watch->falls += requests < last_requests;
		watch->falls += t->queue.sum_ns < last_sum;
		watch->falls += t->counters[COUNTER_accepted] < last_counter;
		last_requests = requests;
		last_sum = t->queue.sum_ns;
		last_counter = t->counters[COUNTER_accepted];
		watch->rounds++;
	}
	free(t);
	return NULL;
}

enum { VICTIMS = 4, SLOTS = 2, ROUNDS = 25 };

/* Writes until it is killed; what it surely wrote is in *written. */
static void write_until_killed(const struct scoreboard *board, _Atomic uint64_t *written)
{
	struct scoreboard *mine = attach(board);
	claim(mine, SLOTS);
	unsigned route = scoreboard_route(mine, "GET /x");
	for (uint64_t i = 0;; i++) {
		scoreboard_count(mine, i % SLOTS, COUNTER_accepted, 1);
		scoreboard_record(mine, i % SLOTS, route, 200, LATENCY_NS, LATENCY_NS);
		atomic_fetch_add(written, 1);
	}
}

static pid_t start_victim(const struct scoreboard *board, _Atomic uint64_t *written)
{
	pid_t pid = fork();
	if (pid == 0) {
		write_until_killed(board, written);
		_exit(1);
	}
	return pid;
}

static void kill_and_retire(struct scoreboard *board, pid_t pid)
{
	int status = 0;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	scoreboard_retire(board, pid);
}

static void test_totals_never_fall_while_writers_are_killed(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(VICTIMS);
	_Atomic uint64_t *written =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(written, MAP_FAILED);
	pid_t victims[VICTIMS];
	for (size_t i = 0; i < VICTIMS; i++)
		victims[i] = start_victim(board, written);
	struct watch watch = {.board = board};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, watch_totals, &watch), 0);
	for (size_t i = 0; i < ROUNDS; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
		kill_and_retire(board, victims[i % VICTIMS]);
		victims[i % VICTIMS] = start_victim(board, written);
	}
	for (size_t i = 0; i < VICTIMS; i++)
		kill_and_retire(board, victims[i]);
	atomic_store(&watch.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(watch.falls, 0);
	assert_true(watch.rounds > 10);
	uint64_t sure = atomic_load(written), found = requests_of(board);
	assert_true(sure > 0);
	/* A victim may have died between its last record and noting it. */
	assert_in_range(found, sure, sure + ROUNDS + VICTIMS);
	munmap(written, 4096);
	scoreboard_free(board);
}

/* ---- threads of one process ---- */

struct writer {
	struct scoreboard *board;
	unsigned slot;
};

enum { WRITERS = 4, RECORDS = 20000 };

static void *write_records(void *pointer)
{
	const struct writer *writer = pointer;
	unsigned route = scoreboard_route(writer->board, "GET /threads");
	for (int i = 0; i < RECORDS; i++) {
		scoreboard_begin(writer->board, writer->slot);
		scoreboard_count(writer->board, writer->slot, COUNTER_accepted, 1);
		scoreboard_record(writer->board, writer->slot, route, 200, i, i);
	}
	return NULL;
}

static void test_threads_count_exactly_while_they_are_read_and_retired(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(2);
	claim(board, WRITERS);
	struct watch watch = {.board = board};
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS], watcher;
	assert_int_equal(pthread_create(&watcher, NULL, watch_totals, &watch), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){board, i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_records, &writers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	scoreboard_retire(board, getpid());
	nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
	atomic_store(&watch.stop, true);
	pthread_join(watcher, NULL);
	assert_int_equal(watch.falls, 0);
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(all_requests(t), WRITERS * RECORDS);
	assert_int_equal(t->counters[COUNTER_accepted], WRITERS * RECORDS);
	free(t);
	scoreboard_free(board);
}

/* ---- names ---- */

enum { NAMERS = 8, NAMES = 60 };

static void register_names(const struct scoreboard *board, unsigned start, unsigned *numbers)
{
	struct scoreboard *mine = attach(board);
	for (unsigned i = 0; i < NAMES; i++) {
		unsigned which = (start + i) % NAMES;
		char name[32];
		snprintf(name, sizeof(name), "GET /route/%u", which);
		numbers[which] = scoreboard_route(mine, name);
	}
	scoreboard_free(mine);
}

static void test_processes_agree_on_route_numbers(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	unsigned(*numbers)[NAMES] = mmap(NULL, sizeof(unsigned[NAMERS][NAMES]),
					 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(numbers, MAP_FAILED);
	pid_t pids[NAMERS];
	for (unsigned i = 0; i < NAMERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			register_names(board, i * 7, numbers[i]);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < NAMERS; i++)
		reap(pids[i]);
	for (unsigned i = 1; i < NAMERS; i++)
		assert_memory_equal(numbers[i], numbers[0], sizeof(numbers[0]));
	struct scoreboard_totals *t = totals(board);
	assert_int_equal(t->route_count, NAMES + 1);
	for (unsigned i = 0; i < NAMES; i++) {
		char name[32];
		snprintf(name, sizeof(name), "GET /route/%u", i);
		assert_string_equal(t->routes[numbers[0][i]].name, name);
	}
	free(t);
	munmap(numbers, sizeof(unsigned[NAMERS][NAMES]));
	scoreboard_free(board);
}

static void test_a_name_whose_writer_died_is_completed(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	unsigned number = scoreboard_route(board, "GET /half");
	struct shm_name *entry = &board->map->names[number];
	atomic_store(&entry->complete, 0);
	for (size_t i = 0; i < NAME_WORDS; i++)
		atomic_store(&entry->words[i], 0);
	struct scoreboard_totals *t = totals(board);
	assert_string_equal(t->routes[number].name, "");
	free(t);
	assert_int_equal(scoreboard_route(board, "GET /half"), number);
	t = totals(board);
	assert_string_equal(t->routes[number].name, "GET /half");
	free(t);
	scoreboard_free(board);
}

static void test_names_beyond_the_table_share_one_number(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	for (unsigned i = 1; i < SCOREBOARD_ROUTES; i++) {
		char name[32];
		snprintf(name, sizeof(name), "GET /%u", i);
		assert_int_equal(scoreboard_route(board, name), i);
	}
	assert_int_equal(scoreboard_route(board, "GET /more"), SCOREBOARD_ROUTE_OTHER);
	assert_int_equal(scoreboard_route(board, "GET /9"), 9);
	scoreboard_free(board);
	board = new_board(1);
	char longest[SCOREBOARD_ROUTE_NAME + 1];
	memset(longest, 'x', sizeof(longest));
	longest[SCOREBOARD_ROUTE_NAME] = '\0';
	assert_int_equal(scoreboard_route(board, longest), SCOREBOARD_ROUTE_OTHER);
	assert_int_equal(scoreboard_route(board, longest + 1), 1);
	struct scoreboard_totals *t = totals(board);
	assert_string_equal(t->routes[1].name, longest + 1);
	free(t);
	scoreboard_free(board);
}

/* ---- shared words ---- */

static void test_interest_epoch_restarts_and_generation_are_shared(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(2), *other = attach(board);
	assert_int_equal(scoreboard_interest(other, 3), 0);
	scoreboard_stamp_interest(board, 3, 77);
	assert_int_equal(scoreboard_interest(other, 3), 77);
	scoreboard_bump_epoch(other);
	scoreboard_bump_epoch(board);
	scoreboard_count_restart(board, PROGRAM_JOBS);
	scoreboard_set_generation(board, 4);
	struct scoreboard_totals *t = totals(other);
	assert_int_equal(t->epoch, 2);
	assert_int_equal(t->restarts[PROGRAM_JOBS], 1);
	assert_int_equal(t->restarts[PROGRAM_WORKER], 0);
	assert_int_equal(t->generation, 4);
	free(t);
	scoreboard_free(other);
	scoreboard_free(board);
}

struct asker {
	struct scoreboard *board;
	_Atomic unsigned *admitted;
};

static void *ask_breaker(void *pointer)
{
	const struct asker *asker = pointer;
	if (scoreboard_breaker_admit(asker->board, 2, 1000, 500))
		atomic_fetch_add(asker->admitted, 1);
	return NULL;
}

static void test_an_open_breaker_admits_one_trial(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	_Atomic unsigned admitted = 0;
	struct asker asker = {board, &admitted};
	assert_true(scoreboard_breaker_admit(board, 2, 1, 500));
	scoreboard_breaker_trip(board, 2, 1000);
	assert_true(scoreboard_breaker_open(board, 2));
	assert_false(scoreboard_breaker_admit(board, 2, 999, 500));
	pthread_t threads[8];
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_breaker, &asker), 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&admitted), 1);
	assert_true(scoreboard_breaker_admit(board, 2, 1500, 500));
	scoreboard_breaker_reset(board, 2);
	assert_false(scoreboard_breaker_open(board, 2));
	assert_true(scoreboard_breaker_admit(board, 2, 1, 500));
	scoreboard_free(board);
}

static struct scoreboard_totals *since_mark(const struct scoreboard *board, int64_t *since_us)
{
	struct scoreboard_totals *out = malloc(sizeof(*out));
	assert_non_null(out);
	assert_int_equal(scoreboard_totals_since_mark(board, out, since_us, NULL), ERR_OK);
	return out;
}

static void test_a_mark_leaves_out_what_was_before(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	int64_t since_us = -1;
	claim(board, 1);
	unsigned route = scoreboard_route(board, "GET /api/health");
	scoreboard_record(board, 0, route, 200, LATENCY_NS, LATENCY_NS);
	scoreboard_count(board, 0, COUNTER_accepted, 7);
	struct scoreboard_totals *t = since_mark(board, &since_us);
	assert_int_equal(since_us, 0);
	assert_int_equal(all_requests(t), 1);
	free(t);
	assert_int_equal(scoreboard_mark(board, 1234, NULL), ERR_OK);
	scoreboard_record(board, 0, route, 404, LATENCY_NS, -1);
	t = since_mark(board, &since_us);
	assert_int_equal(since_us, 1234);
	assert_int_equal(with_status(&t->routes[route], 200), 0);
	assert_int_equal(with_status(&t->routes[route], 404), 1);
	assert_int_equal(t->routes[route].latency.sum_ns, LATENCY_NS);
	assert_int_equal(t->queue.sum_ns, 0);
	assert_int_equal(t->counters[COUNTER_accepted], 0);
	free(t);
	t = totals(board); /* which the mark leaves alone */
	assert_int_equal(all_requests(t), 2);
	assert_int_equal(t->counters[COUNTER_accepted], 7);
	free(t);
	scoreboard_free(board);
}

/* The first and the last of all that is marked. */
static void record_at_the_edges(struct scoreboard *board)
{
	const int last = scoreboard_statuses[SCOREBOARD_STATUSES - 1];
	scoreboard_record(board, 0, SCOREBOARD_ROUTE_OTHER, 200, 0, 0);
	scoreboard_record(board, 0, SCOREBOARD_ROUTE_OTHER, last, NS_PER_S * 60, NS_PER_S * 60);
	scoreboard_count(board, 0, (enum scoreboard_counter)0, 1);
	scoreboard_count(board, 0, (enum scoreboard_counter)(COUNTER_COUNT - 1), 1);
}

static void expect_edges(const struct scoreboard_totals *t, uint64_t each)
{
	enum { LAST = SCOREBOARD_BUCKETS - 1 };
	const struct scoreboard_route_totals *route = &t->routes[SCOREBOARD_ROUTE_OTHER];
	assert_int_equal(route->by_status[0], each);
	assert_int_equal(route->by_status[SCOREBOARD_STATUSES - 1], each);
	assert_int_equal(route->latency.buckets[0], each);
	assert_int_equal(route->latency.buckets[LAST], each);
	assert_int_equal(t->queue.buckets[0], each);
	assert_int_equal(t->queue.buckets[LAST], each);
	assert_int_equal(t->counters[0], each);
	assert_int_equal(t->counters[COUNTER_COUNT - 1], each);
}

static void test_a_mark_is_of_everything(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	int64_t since_us = 0;
	claim(board, 1);
	for (int mark = 0; mark < 2; mark++) {
		record_at_the_edges(board);
		struct scoreboard_totals *t = since_mark(board, &since_us);
		expect_edges(t, 1);
		free(t);
		assert_int_equal(scoreboard_mark(board, mark + 1, NULL), ERR_OK);
		t = since_mark(board, &since_us);
		expect_edges(t, 0);
		free(t);
	}
	scoreboard_free(board);
}

/* Who read the totals a moment before another marked them finds more marked than there was. */
static void test_a_mark_that_is_ahead_leaves_nothing(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(1);
	int64_t since_us = 0;
	assert_int_equal(scoreboard_mark(board, 1, NULL), ERR_OK);
	atomic_store(&board->map->marked.counters[COUNTER_accepted], 5);
	struct scoreboard_totals *t = since_mark(board, &since_us);
	assert_int_equal(t->counters[COUNTER_accepted], 0);
	free(t);
	assert_int_equal(scoreboard_mark(board, 2, NULL), ERR_OK);
	assert_int_equal(atomic_load(&board->map->marked.counters[COUNTER_accepted]), 5);
	scoreboard_free(board);
}

/* A worker of two threads with that many connections. */
static struct scoreboard *worker(const struct scoreboard *board, unsigned generation,
				 enum scoreboard_state state, int64_t connections)
{
	struct scoreboard *mine = attach(board);
	struct errmsg why = ERRMSG_INIT;
	const struct scoreboard_claim wanted = {
	    .program = PROGRAM_WORKER, .generation = generation, .threads = 2, .others = 1};
	assert_int_equal(scoreboard_claim(mine, &wanted, &why), ERR_OK);
	scoreboard_set_state(mine, state);
	scoreboard_set_gauge(mine, 2, GAUGE_connections, connections);
	return mine;
}

static void test_a_mean_is_that_of_the_ready_ones_of_a_generation(void **state)
{
	(void)state;
	struct scoreboard *board = new_board(5);
	struct scoreboard *workers[] = {
	    worker(board, 7, STATE_STARTING, 0), worker(board, 7, STATE_READY, 40),
	    worker(board, 7, STATE_READY, 20),   worker(board, 7, STATE_DRAINING, 900),
	    worker(board, 6, STATE_READY, 900),
	};
	assert_int_equal(scoreboard_mean(workers[0], GAUGE_connections), 20); /* 0, 40 and 20 */
	assert_int_equal(scoreboard_mean(workers[1], GAUGE_connections), 30);
	assert_int_equal(scoreboard_mean(workers[4], GAUGE_connections), 900);
	assert_int_equal(scoreboard_mean(workers[1], GAUGE_queued), 0);
	for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++)
		scoreboard_free(workers[i]);
	scoreboard_free(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_file_is_sealed_and_sparse),
	    cmocka_unit_test(test_a_file_that_does_not_fit_is_refused),
	    cmocka_unit_test(test_a_process_opens_the_one_in_its_environment),
	    cmocka_unit_test(test_a_request_lands_in_its_columns),
	    cmocka_unit_test(test_what_is_let_go_is_not_lost),
	    cmocka_unit_test(test_busy_threads_and_rows_are_seen),
	    cmocka_unit_test(test_counters_outlive_their_process_and_gauges_do_not),
	    cmocka_unit_test(test_a_freed_row_is_used_again_from_zero),
	    cmocka_unit_test(test_a_retiring_that_stopped_halfway_is_reported),
	    cmocka_unit_test(test_totals_never_fall_while_writers_are_killed),
	    cmocka_unit_test(test_threads_count_exactly_while_they_are_read_and_retired),
	    cmocka_unit_test(test_processes_agree_on_route_numbers),
	    cmocka_unit_test(test_a_name_whose_writer_died_is_completed),
	    cmocka_unit_test(test_names_beyond_the_table_share_one_number),
	    cmocka_unit_test(test_interest_epoch_restarts_and_generation_are_shared),
	    cmocka_unit_test(test_an_open_breaker_admits_one_trial),
	    cmocka_unit_test(test_a_mark_leaves_out_what_was_before),
	    cmocka_unit_test(test_a_mark_is_of_everything),
	    cmocka_unit_test(test_a_mark_that_is_ahead_leaves_nothing),
	    cmocka_unit_test(test_a_mean_is_that_of_the_ready_ones_of_a_generation),
	};
	return cmocka_run_group_tests_name("scoreboard", tests, NULL, NULL);
}
