/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/layout.h"
#include "shm/scoreboard.h"
#include "shm/statements.h"

#define READ "SELECT a FROM t WHERE id = ?"

static int set_up(void **state)
{
	struct scoreboard *board = NULL;
	assert_int_equal(scoreboard_create(1, &board, NULL), ERR_OK);
	statements_begin(board, 1000);
	*state = board;
	return 0;
}

static int tear_down(void **state)
{
	scoreboard_free(*state);
	return 0;
}

static void note_ms(struct scoreboard *board, const char *sql, int64_t ms)
{
	statements_note(board, sql, SCOREBOARD_ROUTE_OTHER, ms * NS_PER_MS);
}

static size_t read_all(const struct scoreboard *board, struct slow_statement *rows)
{
	return statements_read(board, rows, STATEMENT_PLACES);
}

/* The text under which a statement is noted. */
static void assert_noted_as(struct scoreboard *board, const char *sql, const char *text)
{
	static struct slow_statement rows[STATEMENT_PLACES];
	statements_reset(board);
	note_ms(board, sql, 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_string_equal(rows[0].text, text);
}

static void test_what_takes_as_long_as_the_threshold_is_noted(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	statements_note(board, READ, SCOREBOARD_ROUTE_OTHER, NS_PER_MS - 1);
	assert_int_equal(read_all(board, rows), 0);
	int64_t before_us = clock_wall_us();
	unsigned route = scoreboard_route(board, "GET /api/v1/agents");
	statements_note(board, READ, route, NS_PER_MS);
	statements_note(board, READ, route, 3 * NS_PER_MS);
	assert_int_equal(read_all(board, rows), 1);
	assert_int_equal(rows[0].count, 2);
	assert_int_equal(rows[0].total_us, 4000);
	assert_int_equal(rows[0].max_us, 3000);
	assert_string_equal(rows[0].route, "GET /api/v1/agents");
	assert_string_equal(rows[0].text, READ);
	assert_true(rows[0].last_seen_us >= before_us);
}

static void test_nothing_is_noted_before_there_is_a_threshold(void **state)
{
	(void)state;
	static struct slow_statement rows[STATEMENT_PLACES];
	struct scoreboard *board = NULL;
	assert_int_equal(scoreboard_create(1, &board, NULL), ERR_OK);
	note_ms(board, READ, 1000);
	assert_int_equal(read_all(board, rows), 0);
	scoreboard_free(board);
}

static void test_a_start_leaves_a_threshold_that_was_set(void **state)
{
	struct scoreboard *board = *state;
	statements_set_threshold(board, 5000);
	statements_begin(board, 7000);
	assert_int_equal(statements_threshold_us(board), 5000);
}

static void test_another_process_sees_the_same(void **state)
{
	struct scoreboard *board = *state, *other = NULL;
	static struct slow_statement rows[STATEMENT_PLACES];
	assert_int_equal(scoreboard_attach(dup(scoreboard_fd(board)), &other, NULL), ERR_OK);
	note_ms(board, READ, 1);
	note_ms(other, READ, 1);
	statements_set_threshold(other, 2000);
	note_ms(board, READ, 1);
	assert_int_equal(read_all(other, rows), 1);
	assert_int_equal(rows[0].count, 2);
	scoreboard_free(other);
}

static void test_a_text_shows_no_literal(void **state)
{
	struct scoreboard *board = *state;
	assert_noted_as(board, "SELECT 'a secret', \"another\" FROM t1 LIMIT 10",
			"SELECT ?, ? FROM t1 LIMIT ?");
	assert_noted_as(board, "SELECT 1.5e3, x2, 0xff,-7", "SELECT ?, x2, ?,-?");
	assert_noted_as(board, "SELECT 'without an end", "SELECT ?");
	assert_noted_as(board, "SELECT 'it''s' , a_9", "SELECT ?? , a_9");
	assert_noted_as(board, "SELECT '', b, 'c'", "SELECT ?, b, ?");
}

static void test_blanks_make_no_difference(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, "  SELECT a\n\tFROM  t", 1);
	note_ms(board, "SELECT a FROM t", 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_string_equal(rows[0].text, "SELECT a FROM t");
	assert_int_equal(rows[0].count, 2);
}

static void test_a_long_text_is_cut(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	char sql[2 * STATEMENT_TEXT];
	memset(sql, 'a', sizeof(sql));
	sql[sizeof(sql) - 1] = '\0';
	note_ms(board, sql, 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_int_equal(strlen(rows[0].text), STATEMENT_TEXT - 1);
}

static void test_those_that_took_most_come_first(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, "a", 2);
	note_ms(board, "b", 3);
	note_ms(board, "c", 1);
	note_ms(board, "c", 1);
	note_ms(board, "c", 2);
	note_ms(board, "d", 1);
	assert_int_equal(read_all(board, rows), 4);
	assert_string_equal(rows[0].text, "c");
	assert_string_equal(rows[1].text, "b");
	assert_string_equal(rows[2].text, "a");
	assert_string_equal(rows[3].text, "d");
}

static void fill(struct scoreboard *board, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char sql[32];
		snprintf(sql, sizeof(sql), "SELECT c%u", i);
		note_ms(board, sql, 1);
	}
}

static void test_what_has_no_place_is_counted(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	fill(board, STATEMENT_PLACES);
	assert_int_equal(statements_uncounted(board), 0);
	note_ms(board, READ, 1);
	note_ms(board, READ, 1);
	note_ms(board, "SELECT c0", 1);
	assert_int_equal(read_all(board, rows), STATEMENT_PLACES);
	assert_int_equal(statements_uncounted(board), 2);
}

static void test_a_reset_begins_anew(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, READ, 9);
	fill(board, STATEMENT_PLACES);
	assert_true(statements_uncounted(board) > 0);
	statements_reset(board);
	assert_int_equal(read_all(board, rows), 0);
	assert_int_equal(statements_uncounted(board), 0);
	note_ms(board, "SELECT d", 1);
	note_ms(board, READ, 2);
	assert_int_equal(read_all(board, rows), 2);
	assert_string_equal(rows[0].text, READ);
	assert_int_equal(rows[0].count, 1);
	assert_int_equal(rows[0].total_us, 2000);
	assert_int_equal(rows[0].max_us, 2000);
}

/* As many resets as the epoch's bits can tell apart, and one more. */
static void test_resets_go_round(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, "SELECT old", 1);
	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		statements_reset(board);
		if (i % 1000 == 0)
			note_ms(board, READ, 1);
	}
	note_ms(board, READ, 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_string_equal(rows[0].text, READ);
}

/* Somebody who slept through a reset wrote the bytes of the place's former owner. */
static void test_a_text_that_is_not_its_owners_is_not_shown(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, READ, 1);
	atomic_store(&board->map->statements.places[0].words[0], 0x4141414141414141);
	assert_int_equal(read_all(board, rows), 0);
}

/* A text whose writer died is written by the next. */
static void test_a_text_that_was_begun_is_completed(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, READ, 1);
	struct shm_statement *place = &board->map->statements.places[0];
	atomic_store(&place->complete, 0);
	atomic_store(&place->words[1], 0);
	assert_int_equal(read_all(board, rows), 0);
	note_ms(board, READ, 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_int_equal(rows[0].count, 2);
}

/* Who slept through a reset finds a place that a later epoch has, and leaves it alone. */
static void test_a_place_of_a_later_epoch_is_not_free(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	statements_reset(board);
	note_ms(board, READ, 1);
	atomic_fetch_sub(&board->map->statements.epoch, 1);
	note_ms(board, "SELECT late", 1);
	atomic_fetch_add(&board->map->statements.epoch, 1);
	assert_int_equal(read_all(board, rows), 1);
	assert_string_equal(rows[0].text, READ);
}

static void test_no_more_is_read_than_there_is_room_for(void **state)
{
	struct scoreboard *board = *state;
	struct slow_statement rows[3] = {[2] = {.count = 77}};
	fill(board, 3);
	assert_int_equal(statements_read(board, rows, 2), 2);
	assert_int_equal(rows[2].count, 77);
}

static void test_a_place_that_nobody_counted_in_is_not_shown(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	note_ms(board, READ, 1);
	atomic_store(&board->map->statements.places[0].count, 0);
	assert_int_equal(read_all(board, rows), 0);
}

static void test_the_smallest_threshold_is_one(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	statements_set_threshold(board, 1);
	statements_note(board, READ, SCOREBOARD_ROUTE_OTHER, NS_PER_US);
	assert_int_equal(read_all(board, rows), 1);
}

enum { THREADS = 4, ROUNDS = 2000, STATEMENTS = 5 };

static void *note_many(void *context)
{
	for (int i = 0; i < ROUNDS; i++) {
		char sql[32];
		snprintf(sql, sizeof(sql), "SELECT n%d", i % STATEMENTS);
		note_ms(context, sql, 1);
	}
	return NULL;
}

static void test_threads_lose_no_count(void **state)
{
	struct scoreboard *board = *state;
	static struct slow_statement rows[STATEMENT_PLACES];
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, note_many, board), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(read_all(board, rows), STATEMENTS);
	for (int i = 0; i < STATEMENTS; i++)
		assert_int_equal(rows[i].count, THREADS * ROUNDS / STATEMENTS);
}

static void *reset_and_read(void *context)
{
	static struct slow_statement rows[STATEMENT_PLACES];
	for (int i = 0; i < ROUNDS; i++) {
		statements_reset(context);
		size_t count = read_all(context, rows);
		for (size_t row = 0; row < count; row++)
			if (strncmp(rows[row].text, "SELECT n", 8) != 0)
				return context;
	}
	return NULL;
}

static void test_resets_beside_writers_leave_no_strange_text(void **state)
{
	struct scoreboard *board = *state;
	pthread_t writers[THREADS], reader;
	void *strange = NULL;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, note_many, board), 0);
	assert_int_equal(pthread_create(&reader, NULL, reset_and_read, board), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(writers[i], NULL);
	pthread_join(reader, &strange);
	assert_null(strange);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_what_takes_as_long_as_the_threshold_is_noted),
	    TEST(test_nothing_is_noted_before_there_is_a_threshold),
	    TEST(test_a_start_leaves_a_threshold_that_was_set),
	    TEST(test_another_process_sees_the_same),
	    TEST(test_a_text_shows_no_literal),
	    TEST(test_blanks_make_no_difference),
	    TEST(test_a_long_text_is_cut),
	    TEST(test_those_that_took_most_come_first),
	    TEST(test_what_has_no_place_is_counted),
	    TEST(test_a_reset_begins_anew),
	    TEST(test_resets_go_round),
	    TEST(test_a_text_that_is_not_its_owners_is_not_shown),
	    TEST(test_a_text_that_was_begun_is_completed),
	    TEST(test_a_place_of_a_later_epoch_is_not_free),
	    TEST(test_no_more_is_read_than_there_is_room_for),
	    TEST(test_a_place_that_nobody_counted_in_is_not_shown),
	    TEST(test_the_smallest_threshold_is_one),
	    TEST(test_threads_lose_no_count),
	    TEST(test_resets_beside_writers_leave_no_strange_text),
	};
	return cmocka_run_group_tests_name("statements", tests, NULL, NULL);
}
