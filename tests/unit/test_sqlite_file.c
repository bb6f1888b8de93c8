/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "import/sqlite_file.h"

/* A file with one table, for each test. */
static char path[64];
static struct sqlite_file *file;
static struct arena arena;
static struct sqlite_rows rows;

static void make(const char *sql)
{
	sqlite3 *db;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	if (sqlite_open(path, &file, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static int begin(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/zgsqlite.%d", (int)getpid());
	unlink(path);
	arena_init(&arena, 65536, 1 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	sqlite_close(file);
	file = NULL;
	arena_release(&arena);
	unlink(path);
	return 0;
}

static enum err read_columns(const struct sqlite_column *columns, size_t count)
{
	return sqlite_read(file, &arena, "things", columns, count, &rows, NULL);
}

static void assert_text(size_t row, size_t column, const char *wanted)
{
	const char *text = sqlite_text(&rows, row, column);
	if (wanted == NULL)
		assert_null(text);
	else if (text == NULL)
		fail_msg("there is no text; wanted \"%s\"", wanted);
	else
		assert_string_equal(text, wanted);
}

static void test_the_first_name_that_is_there_counts(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {
	    {.names = "best|good|fair", .required = true}, {.names = "none"}};
	make("CREATE TABLE things (fair, GOOD, \"odd \"\" name\"); INSERT INTO things VALUES (1, "
	     "2, 3)");
	assert_int_equal(read_columns(columns, 2), ERR_OK);
	assert_true(rows.there);
	assert_int_equal(rows.count, 1);
	assert_text(0, 0, "2");
	assert_text(0, 1, NULL);
	assert_string_equal(rows.left_out, "fair, odd \" name");
}

static void test_what_must_be_there_is_missed(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "best|good", .required = true}};
	make("CREATE TABLE things (fair)");
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(sqlite_read(file, &arena, "things", columns, 1, &rows, &why), ERR_INVALID);
	assert_string_equal(why.text, "it has no column best");
}

static void test_a_table_that_is_not_there_has_no_rows(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a", .required = true}};
	make("CREATE TABLE others (a)");
	assert_int_equal(read_columns(columns, 1), ERR_OK);
	assert_false(rows.there);
	assert_int_equal(rows.count, 0);
}

static void test_what_is_no_text_reads_as_nothing(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a"}};
	make("CREATE TABLE things (a); INSERT INTO things VALUES (NULL), (''), (x'ff41'),"
	     " (CAST(x'4100' AS TEXT)), ('\xc3\xa9'), (1.5)");
	assert_int_equal(read_columns(columns, 1), ERR_OK);
	for (size_t i = 0; i < 4; i++)
		assert_text(i, 0, NULL);
	assert_text(4, 0, "\xc3\xa9");
	assert_text(5, 0, "1.5");
}

static void test_numbers_have_bounds(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a"}};
	make("CREATE TABLE things (a); INSERT INTO things VALUES (7), (7.0), (7.5), ('x'), (101), "
	     "(NULL)");
	assert_int_equal(read_columns(columns, 1), ERR_OK);
	static const int64_t wanted[] = {7, 7, -1, -1, -1, -1};
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(sqlite_int(&rows, i, 0, 0, 100, -1), wanted[i]);
}

static void test_truth_has_many_words(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a"}};
	make("CREATE TABLE things (a); INSERT INTO things VALUES (1), ('TRUE'), (0), ('no'), "
	     "(NULL)");
	assert_int_equal(read_columns(columns, 1), ERR_OK);
	static const bool wanted[] = {true, true, false, false, true};
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(sqlite_bool(&rows, i, 0, true), wanted[i]);
	assert_false(sqlite_bool(&rows, 4, 0, false));
}

static void test_times_are_utc_in_all_forms(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a"}};
	make("CREATE TABLE things (a); INSERT INTO things VALUES"
	     " ('2025-11-08 10:00:00'), ('2025-11-08T10:00:00.5'), ('2025-11-08T10:00:00.5Z'),"
	     " ('2025-11-08 10:00:00.000000+00:00'), (1762596000), (1762596000.25),"
	     " ('2025-11-08'), ('2025-02-30 10:00:00'), ('soon'), ('-5'), (NULL),"
	     " ('2025-11-08 10:00:00+02:00'), ('99999999999999999999')");
	assert_int_equal(read_columns(columns, 1), ERR_OK);
	static const int64_t second = INT64_C(1762596000) * US_PER_S;
	const int64_t wanted[] = {second,
				  second + 500000,
				  second + 500000,
				  second,
				  second,
				  second + 250000,
				  0,
				  0,
				  0,
				  0,
				  0,
				  0,
				  0};
	assert_int_equal(rows.count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(sqlite_time_us(&rows, i, 0), wanted[i]);
}

static void test_more_than_the_arena_takes_is_too_large(void **state)
{
	(void)state;
	static const struct sqlite_column columns[] = {{.names = "a"}};
	make("CREATE TABLE things (a); INSERT INTO things VALUES (hex(zeroblob(600000)))");
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(sqlite_read(file, &arena, "things", columns, 1, &rows, &why),
			 ERR_TOO_LARGE);
	assert_string_equal(why.text, "it has too many rows, or too long ones");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_the_first_name_that_is_there_counts),
	    TEST(test_what_must_be_there_is_missed),
	    TEST(test_a_table_that_is_not_there_has_no_rows),
	    TEST(test_what_is_no_text_reads_as_nothing),
	    TEST(test_numbers_have_bounds),
	    TEST(test_truth_has_many_words),
	    TEST(test_times_are_utc_in_all_forms),
	    TEST(test_more_than_the_arena_takes_is_too_large),
	};
	return cmocka_run_group_tests_name("sqlite_file", tests, NULL, NULL);
}
