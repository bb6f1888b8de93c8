/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/layout.h"
#include "shm/scoreboard.h"
#include "shm/windows.h"

enum { NOW = 29400000, THREADS = 4, KEYS = 2 };

static int set_up(void **state)
{
	struct scoreboard *board = NULL;
	assert_int_equal(scoreboard_create(1, &board, NULL), ERR_OK);
	*state = board;
	return 0;
}

static int tear_down(void **state)
{
	scoreboard_free(*state);
	return 0;
}

/* A minute's window in a set; n tells keys apart, and minute is when it began. */
static struct window in_set(uint64_t set, uint64_t n, uint32_t minute)
{
	return (struct window){.key = {set, n * 2 << 20 | (minute & 0xffff)},
			       .end = minute + 1,
			       .minutes = 1,
			       .limit = 5};
}

static struct window minute_window(uint64_t n)
{
	return in_set(7, n, NOW);
}

static void take(struct scoreboard *board, const struct window *w, enum window_outcome wanted,
		 uint32_t count)
{
	uint32_t used = 99;
	assert_int_equal(window_take(board, w, &used), wanted);
	assert_int_equal(used, count);
}

/* ---- counting ---- */

static void test_the_limit_is_reached_exactly(void **state)
{
	struct scoreboard *board = *state;
	struct window w = minute_window(1);
	assert_int_equal(window_used(board, &w), 0);
	for (uint32_t i = 1; i <= w.limit; i++)
		take(board, &w, WINDOW_COUNTED, i);
	take(board, &w, WINDOW_FULL, w.limit);
	assert_int_equal(window_used(board, &w), w.limit);
}

static void test_a_changed_limit_counts_at_once(void **state)
{
	struct scoreboard *board = *state;
	struct window w = minute_window(1);
	take(board, &w, WINDOW_COUNTED, 1);
	take(board, &w, WINDOW_COUNTED, 2);
	w.limit = 1;
	take(board, &w, WINDOW_FULL, 2);
	w.limit = 3;
	take(board, &w, WINDOW_COUNTED, 3);
	take(board, &w, WINDOW_FULL, 3);
}

static void test_keys_of_one_set_have_their_own_counts(void **state)
{
	struct scoreboard *board = *state;
	struct window a = minute_window(1), b = minute_window(2);
	take(board, &a, WINDOW_COUNTED, 1);
	take(board, &a, WINDOW_COUNTED, 2);
	take(board, &b, WINDOW_COUNTED, 1);
	assert_int_equal(window_used(board, &a), 2);
	assert_int_equal(window_used(board, &b), 1);
}

static void test_what_is_given_back_can_be_taken_again(void **state)
{
	struct scoreboard *board = *state;
	struct window w = minute_window(1), other = minute_window(2);
	window_give_back(board, &w);
	for (uint32_t i = 1; i <= w.limit; i++)
		take(board, &w, WINDOW_COUNTED, i);
	window_give_back(board, &other);
	window_give_back(board, &w);
	take(board, &w, WINDOW_COUNTED, w.limit);
	take(board, &w, WINDOW_FULL, w.limit);
}

static void test_a_count_is_raised_and_never_lowered(void **state)
{
	struct scoreboard *board = *state;
	struct window w = minute_window(1);
	window_raise(board, &w, 4);
	assert_int_equal(window_used(board, &w), 4);
	window_raise(board, &w, 2);
	assert_int_equal(window_used(board, &w), 4);
	take(board, &w, WINDOW_COUNTED, 5);
	window_raise(board, &w, 9);
	take(board, &w, WINDOW_FULL, 9);
}

static void test_another_hold_on_the_memory_counts_with_it(void **state)
{
	struct scoreboard *board = *state, *other = NULL;
	struct window w = minute_window(1);
	assert_int_equal(scoreboard_attach(dup(scoreboard_fd(board)), &other, NULL), ERR_OK);
	take(board, &w, WINDOW_COUNTED, 1);
	take(other, &w, WINDOW_COUNTED, 2);
	assert_memory_equal(window_secret(board), window_secret(other), WINDOW_SECRET_LEN);
	scoreboard_free(other);
}

static void test_each_scoreboard_has_its_own_secret(void **state)
{
	struct scoreboard *other = NULL;
	assert_int_equal(scoreboard_create(1, &other, NULL), ERR_OK);
	assert_memory_not_equal(window_secret(*state), window_secret(other), WINDOW_SECRET_LEN);
	scoreboard_free(other);
}

/* ---- places ---- */

static void fill_set(struct scoreboard *board, uint32_t minute)
{
	for (uint64_t n = 1; n <= WINDOW_WAYS; n++) {
		struct window w = in_set(7, n, minute);
		take(board, &w, WINDOW_COUNTED, 1);
	}
}

static void test_without_room_nobody_loses_a_count(void **state)
{
	struct scoreboard *board = *state;
	fill_set(board, NOW);
	struct window late = minute_window(WINDOW_WAYS + 1);
	take(board, &late, WINDOW_NO_ROOM, 0);
	window_raise(board, &late, 5);
	window_give_back(board, &late);
	assert_int_equal(window_used(board, &late), 0);
	for (uint64_t n = 1; n <= WINDOW_WAYS; n++) {
		struct window w = minute_window(n);
		take(board, &w, WINDOW_COUNTED, 2);
	}
	struct window elsewhere = in_set(8, 1, NOW);
	take(board, &elsewhere, WINDOW_COUNTED, 1);
}

static void test_places_of_windows_that_are_over_are_used_again(void **state)
{
	struct scoreboard *board = *state;
	fill_set(board, NOW);
	fill_set(board, NOW + 1);
	struct window late = in_set(7, WINDOW_WAYS + 1, NOW + 1);
	take(board, &late, WINDOW_NO_ROOM, 0);
	/* Whenever that is: after minutes, days or years. */
	for (uint32_t bit = 1; bit < 23; bit++)
		fill_set(board, NOW + (1U << bit));
}

static void test_a_long_window_outlives_short_ones(void **state)
{
	struct scoreboard *board = *state;
	struct window hour = {.key = {7, 1 << 12}, .end = NOW + 60, .minutes = 60, .limit = 5};
	take(board, &hour, WINDOW_COUNTED, 1);
	for (uint32_t minute = NOW; minute < NOW + 60; minute++)
		for (uint64_t n = 1; n < WINDOW_WAYS; n++) {
			struct window w = in_set(7, n, minute);
			take(board, &w, WINDOW_COUNTED, 1);
		}
	take(board, &hour, WINDOW_COUNTED, 2);
}

static void test_a_clock_set_back_by_a_year_finds_room(void **state)
{
	struct scoreboard *board = *state;
	fill_set(board, NOW);
	struct window w = in_set(7, 1, NOW - 365 * 24 * 60);
	take(board, &w, WINDOW_COUNTED, 1);
	take(board, &w, WINDOW_COUNTED, 2);
}

/* It knew its place while that was its own, and goes on when another key has it. */
static void test_who_comes_too_late_disturbs_nobody(void **state)
{
	struct scoreboard *board = *state;
	struct window early = in_set(7, 1, NOW), late = in_set(7, 2, NOW + 1);
	take(board, &early, WINDOW_COUNTED, 1);
	take(board, &late, WINDOW_COUNTED, 1);
	struct shm_window_set *set = &board->map->windows[7];
	assert_true(set->owners[1] == 0); /* so the late one has the first place */
	take(board, &early, WINDOW_COUNTED, 1);
	assert_int_equal(window_used(board, &late), 1);
	assert_int_equal(window_used(board, &early), 1);
}

static void test_how_full_the_table_is(void **state)
{
	struct scoreboard *board = *state;
	assert_int_equal(windows_fill(board, NOW), 0);
	for (uint64_t set = 0; set < WINDOW_SETS; set++) {
		struct window first = in_set(set, 1, NOW), second = in_set(set, 2, NOW);
		take(board, &first, WINDOW_COUNTED, 1);
		take(board, &second, WINDOW_COUNTED, 1);
	}
	assert_int_equal(windows_fill(board, NOW), 1000 * 2 / WINDOW_WAYS);
	assert_int_equal(windows_fill(board, NOW + 1), 0);
}

/* ---- many at once ---- */

/*
 * Threads that go through minutes in step: all are in the same one, and begin it within
 * less than a microsecond, which a pthread_barrier is far from.
 */
struct crowd {
	struct scoreboard *board;
	uint32_t minutes;
	uint32_t limit;
	unsigned late; /* of the threads: count in minutes that are over, without an end */
	_Atomic uint32_t late_at[THREADS]; /* the minute at which each of those is */
	_Atomic uint32_t *given; /* how often each number was given out, by minute and key */
	_Atomic uint32_t no_room;
	_Atomic uint32_t arrived;
	_Atomic uint32_t minute;
	_Atomic unsigned next;
};

/* The late must not be so late that the table takes their windows for ones to come. */
static void wait_for_late(struct crowd *c, uint32_t minute)
{
	for (unsigned i = 0; i < c->late; i++)
		while (atomic_load(&c->late_at[i]) + WINDOW_MINUTES_MAX < minute)
			sched_yield();
}

static void wait_for_all(struct crowd *c, uint32_t minute)
{
	if (atomic_fetch_add(&c->arrived, 1) == THREADS - c->late - 1) {
		wait_for_late(c, minute);
		atomic_store(&c->arrived, 0);
		atomic_store(&c->minute, minute);
		return;
	}
	for (unsigned spins = 1; atomic_load(&c->minute) != minute; spins++)
		if (spins % 64 == 0)
			sched_yield();
}

static void count_up(struct crowd *c, uint32_t m, uint32_t key)
{
	struct window w = in_set(7, key + 1, NOW + m);
	enum window_outcome outcome;
	uint32_t used;
	w.limit = c->limit;
	while ((outcome = window_take(c->board, &w, &used)) == WINDOW_COUNTED)
		atomic_fetch_add(&c->given[(m * KEYS + key) * c->limit + used - 1], 1);
	if (outcome == WINDOW_NO_ROOM)
		atomic_fetch_add(&c->no_room, 1);
}

/* Every other thread begins with the other key, so that keys meet over a place too. */
static void count_minutes(struct crowd *c, unsigned number)
{
	for (uint32_t m = 0; m < c->minutes; m++) {
		wait_for_all(c, m + 1);
		for (uint32_t i = 0; i < KEYS; i++)
			count_up(c, m, (number + i) % KEYS);
	}
}

static void count_too_late(struct crowd *c, unsigned number)
{
	uint32_t used, minute;
	while ((minute = atomic_load(&c->minute)) < c->minutes) {
		atomic_store(&c->late_at[number], minute);
		struct window w = in_set(7, 1, NOW + minute - 3);
		w.limit = UINT32_MAX;
		window_take(c->board, &w, &used);
	}
}

static void *run_one(void *context)
{
	struct crowd *c = context;
	unsigned number = atomic_fetch_add(&c->next, 1);
	if (number < c->late)
		count_too_late(c, number);
	else
		count_minutes(c, number);
	return NULL;
}

/* All threads in step meet the same keys; each number is given to exactly one of them. */
static void check_crowd(struct scoreboard *board, uint32_t minutes, uint32_t limit, unsigned late)
{
	pthread_t threads[THREADS];
	struct crowd c = {.board = board, .minutes = minutes, .limit = limit, .late = late};
	c.given = calloc((size_t)minutes * KEYS * limit, sizeof(*c.given));
	assert_non_null(c.given);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_one, &c), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.no_room, 0);
	for (size_t i = 0; i < (size_t)minutes * KEYS * limit; i++)
		assert_int_equal(c.given[i], 1);
	free(c.given);
}

static void test_threads_share_a_limit_exactly(void **state)
{
	check_crowd(*state, 1, 100000, 0);
}

/* Each window begins with all threads looking for a place at once. */
static void test_the_first_of_a_window_are_counted_exactly(void **state)
{
	check_crowd(*state, 1000, 4, 0);
}

/* Some count in windows that are over, in the very places that others take. */
static void test_who_is_late_spoils_no_count(void **state)
{
	check_crowd(*state, 1000, 4, 2);
}

/* Another process is killed again and again in the middle of counting. */
static void test_who_is_killed_holds_up_nobody(void **state)
{
	struct scoreboard *board = *state;
	uint32_t used;
	for (uint32_t round = 0; round < 50; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			for (uint32_t m = 0;; m++) {
				struct window w = in_set(7, 1, NOW + m % 60);
				w.limit = UINT32_MAX;
				window_take(board, &w, &used);
			}
		usleep(1000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		struct window w = in_set(7, 2, NOW + 200 + round);
		take(board, &w, WINDOW_COUNTED, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_the_limit_is_reached_exactly),
	    TEST(test_a_changed_limit_counts_at_once),
	    TEST(test_keys_of_one_set_have_their_own_counts),
	    TEST(test_what_is_given_back_can_be_taken_again),
	    TEST(test_a_count_is_raised_and_never_lowered),
	    TEST(test_another_hold_on_the_memory_counts_with_it),
	    TEST(test_each_scoreboard_has_its_own_secret),
	    TEST(test_without_room_nobody_loses_a_count),
	    TEST(test_places_of_windows_that_are_over_are_used_again),
	    TEST(test_a_long_window_outlives_short_ones),
	    TEST(test_a_clock_set_back_by_a_year_finds_room),
	    TEST(test_who_comes_too_late_disturbs_nobody),
	    TEST(test_how_full_the_table_is),
	    TEST(test_threads_share_a_limit_exactly),
	    TEST(test_the_first_of_a_window_are_counted_exactly),
	    TEST(test_who_is_late_spoils_no_count),
	    TEST(test_who_is_killed_holds_up_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
