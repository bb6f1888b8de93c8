/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/escape.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "base/utf8.h"

static void test_strbuf_grows_and_keeps_its_terminator(void **state)
{
	(void)state;
	STRBUF_CLEANUP b = STRBUF_INIT;
	assert_string_equal(b.data, "");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%d,", i);
	strbuf_addi(&b, INT64_MIN);
	assert_false(b.failed);
	assert_int_equal(strlen(b.data), b.len);
	assert_string_equal(b.data + b.len - 20, "-9223372036854775808");
	strbuf_truncate(&b, 2);
	assert_string_equal(b.data, "0,");
}

static void test_arena_stops_at_its_limit(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1024, 8192);
	assert_non_null(arena_alloc(&a, 5000));
	assert_null(arena_alloc(&a, 5000));
	assert_true(a.overflowed);
	arena_reset(&a);
	assert_false(a.overflowed);
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
	assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
	arena_release(&a);
}

static void test_numbers_take_digits_only(void **state)
{
	(void)state;
	uint64_t u = 7;
	assert_true(num_u64s("18446744073709551615", 0, UINT64_MAX, &u));
	assert_true(u == UINT64_MAX);
	const char *bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "18446744073709551616", "1e3"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		u = 7;
		assert_false(num_u64s(bad[i], 0, UINT64_MAX, &u));
		assert_true(u == 7);
	}
	assert_false(num_u64s("9", 10, 20, &u));
	assert_false(num_u64s("21", 10, 20, &u));
	int64_t i = 0;
	assert_true(num_i64("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &i));
	assert_true(i == INT64_MIN);
	assert_false(num_i64("9223372036854775808", 19, INT64_MIN, INT64_MAX, &i));
	assert_false(num_i64("-", 1, INT64_MIN, INT64_MAX, &i));
}

static bool i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
	return num_i64(text, strlen(text), min, max, out);
}

static void test_signed_numbers_keep_their_bounds(void **state)
{
	(void)state;
	int64_t i = 7;
	assert_true(i64("-5", -5, 5, &i) && i == -5);
	assert_true(i64("5", -5, 5, &i) && i == 5);
	assert_true(i64("0", 0, 0, &i) && i == 0);
	assert_true(i64("-0", 0, 0, &i) && i == 0);
	assert_true(i64("9223372036854775807", INT64_MIN, INT64_MAX, &i) && i == INT64_MAX);
	i = 7;
	const char *bad[] = {"-6", "6", "", "-", "--1", "+1", " 1", "5-", "-9223372036854775809"};
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_false(i64(bad[k], -5, 5, &i));
	/* It would be a positive number if its sign were lost. */
	assert_false(i64("-9223372036854775809", INT64_MIN, INT64_MAX, &i));
	assert_false(i64("-18446744073709551615", INT64_MIN, INT64_MAX, &i));
	assert_false(num_i64("-1", 0, INT64_MIN, INT64_MAX, &i));
	assert_true(i == 7);
}

static void test_unsigned_numbers_keep_their_bounds(void **state)
{
	(void)state;
	uint64_t u = 7;
	assert_true(num_u64s("10", 10, 20, &u) && u == 10);
	assert_true(num_u64s("20", 10, 20, &u) && u == 20);
	assert_true(num_u64("123", 2, 0, 20, &u) && u == 12);
	u = 7;
	/* The characters beside the digits. */
	assert_false(num_u64s("1:", 0, UINT64_MAX, &u));
	assert_false(num_u64s("1/", 0, UINT64_MAX, &u));
	assert_false(num_u64s("18446744073709551619", 0, UINT64_MAX, &u));
	assert_false(num_u64s("99999999999999999999", 0, UINT64_MAX, &u));
	assert_true(u == 7);
}

static void test_utf8_refuses_what_rfc3629_does(void **state)
{
	(void)state;
	assert_true(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
	const char *bad[] = {"\x80",
			     "\xc0\xaf",
			     "\xe0\x80\xaf",
			     "\xed\xa0\x80",
			     "\xf4\x90\x80\x80",
			     "\xf0\x80\x80\x80",
			     "\xc3",
			     "\xff"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

static void test_control_characters_are_found(void **state)
{
	static const char *const with[] = {"\x01",  "a\n",      "\x1b[m",
					   "x\x7f", "\xc2\x80", "a\xc2\x9fz"};
	static const char *const without[] = {"", " ", "~", "\xc2\xa0", "\xc3\x80", "\xe2\x82\xac"};
	(void)state;
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		assert_true(utf8_has_control(with[i]));
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		assert_false(utf8_has_control(without[i]));
}

static void test_escape_repairs_and_escapes(void **state)
{
	(void)state;
	STRBUF_CLEANUP b = STRBUF_INIT;
	escape_json(&b, "a\"\\\n\x01\x7f\xff\xc3\xa9", 9);
	assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\\u007f\xef\xbf\xbd\xc3\xa9\"");
}

/* Texts are looked through eight bytes at once: what is alone comes out the same among others. */
static void test_each_byte_is_escaped_wherever_it_stands(void **state)
{
	(void)state;
	enum { LEN = 19 };
	STRBUF_CLEANUP alone = STRBUF_INIT;
	STRBUF_CLEANUP among = STRBUF_INIT;
	char text[LEN];
	for (int byte = 0; byte < 256; byte++)
		for (size_t at = 0; at < LEN; at++) {
			memset(text, 'a', LEN);
			text[at] = (char)byte;
			strbuf_clear(&alone);
			escape_json(&alone, &text[at], 1);
			strbuf_clear(&among);
			escape_json(&among, text, LEN);
			assert_int_equal(among.len, LEN - 1 + alone.len);
			assert_memory_equal(among.data + 1, "aaaaaaaaaaaaaaaaaaa", at);
			assert_memory_equal(among.data + 1 + at, alone.data + 1, alone.len - 2);
		}
}

static void test_c1_controls_are_escaped(void **state)
{
	(void)state;
	STRBUF_CLEANUP b = STRBUF_INIT;
	escape_json(&b, "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", 8);
	assert_string_equal(b.data, "\"\\u0080\\u009b\\u009f\xc2\xa0\"");
}

static void test_deadline_passes_with_the_clock(void **state)
{
	(void)state;
	struct deadline d = deadline_in_ms(5000);
	assert_false(deadline_passed(&d));
	assert_in_range(deadline_left_ms(&d), 4900, 5000);
	assert_in_range(deadline_left_ms(&(struct deadline){deadline_min_ms(&d, 100).at_ns, -1}), 1,
			100);
	clock_test_shift(6 * NS_PER_S);
	assert_true(deadline_passed(&d));
	assert_int_equal(deadline_left_ms(&d), 0);
	clock_test_shift(-6 * NS_PER_S);
}

static void test_times_are_iso_8601(void **state)
{
	(void)state;
	char text[CLOCK_TEXT_MAX];
	clock_format_utc(INT64_C(1700000000123456), text);
	assert_string_equal(text, "2023-11-14T22:13:20.123Z");
	clock_format_legacy(INT64_C(1700000000123456), text);
	assert_string_equal(text, "2023-11-14T22:13:20.123456");
	clock_format_utc(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999Z");
	clock_format_legacy(INT64_MAX, text);
	assert_string_equal(text, "294247-01-10T04:00:54.775807");
	clock_format_legacy(INT64_MIN, text);
	assert_string_equal(text, "-290308-12-21T19:59:05.224192");
}

static void expect_date(int64_t seconds)
{
	const time_t time = (time_t)seconds;
	struct date date;
	struct tm tm;
	gmtime_r(&time, &tm);
	date_of(seconds * US_PER_S + 7, &date);
	assert_int_equal(date.year, tm.tm_year + INT64_C(1900));
	assert_int_equal(date.month, tm.tm_mon + 1);
	assert_int_equal(date.day, tm.tm_mday);
	assert_int_equal(date.hour, tm.tm_hour);
	assert_int_equal(date.minute, tm.tm_min);
	assert_int_equal(date.second, tm.tm_sec);
	assert_int_equal(date.micros, 7);
	assert_int_equal(date_wall_us(&date), seconds * US_PER_S + 7);
}

/* As the C library has them: each day of 1,600 years, at its first and its last second. */
static void test_dates_are_those_of_the_calendar(void **state)
{
	(void)state;
	enum { S_PER_DAY = 86400, DAYS = 1600 * 366 };
	const int64_t first = INT64_C(-62167219200); /* of the year 0 */
	for (int64_t day = 0; day < DAYS; day++) {
		expect_date(first + day * S_PER_DAY);
		expect_date(first + day * S_PER_DAY + S_PER_DAY - 1);
	}
	for (int64_t days = -2000000; days < 4000000; days += 997)
		expect_date(days * S_PER_DAY + days % S_PER_DAY);
}

static void test_every_error_has_a_status(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++) {
		assert_non_null(err_name((enum err)i));
		assert_non_null(err_text((enum err)i));
		assert_in_range(err_http_status((enum err)i), 200, 599);
	}
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(err_set(&why, ERR_CONFLICT, "%s is taken", "name"), ERR_CONFLICT);
	assert_string_equal(why.text, "name is taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strbuf_grows_and_keeps_its_terminator),
	    cmocka_unit_test(test_arena_stops_at_its_limit),
	    cmocka_unit_test(test_numbers_take_digits_only),
	    cmocka_unit_test(test_signed_numbers_keep_their_bounds),
	    cmocka_unit_test(test_unsigned_numbers_keep_their_bounds),
	    cmocka_unit_test(test_utf8_refuses_what_rfc3629_does),
	    cmocka_unit_test(test_control_characters_are_found),
	    cmocka_unit_test(test_escape_repairs_and_escapes),
	    cmocka_unit_test(test_each_byte_is_escaped_wherever_it_stands),
	    cmocka_unit_test(test_c1_controls_are_escaped),
	    cmocka_unit_test(test_deadline_passes_with_the_clock),
	    cmocka_unit_test(test_times_are_iso_8601),
	    cmocka_unit_test(test_dates_are_those_of_the_calendar),
	    cmocka_unit_test(test_every_error_has_a_status),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
