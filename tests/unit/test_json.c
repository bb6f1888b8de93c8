/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <limits.h>
#include <math.h>
#include <string.h>

#include "json/parse.h"
#include "json/schema.h"
#include "json/writer.h"

static enum err parse(const char *text, size_t len)
{
	struct json_doc *doc = NULL;
	struct errmsg why = ERRMSG_INIT;
	enum err err = json_parse(text, len, &doc, &why);
	if (err == ERR_OK)
		json_doc_free(doc);
	else if (why.text[0] == '\0')
		fail_msg("no message for %s", text);
	return err;
}

static void test_valid_texts_are_taken(void **state)
{
	(void)state;
	const char *good[] = {"{}",
			      " [1,2] ",
			      "\"x\"",
			      "12",
			      "true",
			      "{\"a\":{\"a\":[{\"a\":1}]}}",
			      "\"\\ud83d\\ude00\"",
			      "\"\\uDBFF\\uDFFF\"",
			      "\"\\ud800\\udc00\"",
			      "\"\\ue000\\ud7ff\\u0001\"",
			      "\"\\\\u0000\\\\ud800\\\\\"",
			      "\"a:b\\\"c:d\"",
			      "{\"k\\\"\":1}"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (parse(good[i], strlen(good[i])) != ERR_OK)
			fail_msg("%s was refused", good[i]);
}

static void test_what_is_not_strict_json_is_refused(void **state)
{
	(void)state;
	const char *bad[] = {"",
			     "{",
			     "{\"a\":}",
			     "{'a':1}",
			     "{\"a\":1,}",
			     "{} x",
			     "01",
			     "NaN",
			     "nul",
			     "\"\\ud800\"",
			     "\"\\ude00\"",
			     "\"\\ud800\\u0041\"",
			     "\"\\uD800\"",
			     "\"\\udc00\\udc00\"",
			     "\"\\ud800\\ud800\"",
			     "\"\\udbff \\udc00\"",
			     "\"\\ud800\\n12345\"",
			     "\"\\ud800x12345\"",
			     "\"\\ud800\\ue000\"",
			     "\"\\uDFFF\"",
			     "\"\\u\"",
			     "\"\\u00",
			     "\"\\",
			     "\"\\ud800\\ud800\"",
			     "\"\\ude00\\ude00\"",
			     "\"\\ud800\\u00g0\"",
			     "\"\\u0000\"",
			     "\"\xff\"",
			     "\"a\nb\"",
			     "/*c*/1",
			     "{\"a\":1,\"a\":2}",
			     "[{\"a\":1,\"b\":{\"c\":1,\"c\":{\"d\":2}}}]"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], strlen(bad[i])) != ERR_MALFORMED)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(parse("\"a\0b\"", 5), ERR_MALFORMED);
	assert_int_equal(parse("null", 4), ERR_INVALID);
}

static void test_numbers_are_those_of_the_standard(void **state)
{
	(void)state;
	const char *good[] = {"0", "-0", "10", "0.5", "-1.05e-7", "1E+0", "[1,2]", "{\"a\":-1}"};
	const char *bad[] = {"00", "-01", "01.5", "1.",  "-.5",   ".5",   "2.e3", "1e",    "1e+",
			     "-",  "--1", "+1",   "1-2", "1.5.2", "1e5.", "[-]",  "1e2e3", "E1"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (parse(good[i], strlen(good[i])) != ERR_OK)
			fail_msg("%s was refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], strlen(bad[i])) != ERR_MALFORMED)
			fail_msg("%s was taken", bad[i]);
}

static void test_depth_is_bounded(void **state)
{
	(void)state;
	char deep[256];
	memset(deep, '[', 128);
	memset(deep + 128, ']', 128);
	assert_int_equal(parse(deep, sizeof(deep)), ERR_MALFORMED);
	assert_int_equal(parse(deep + 96, 64), ERR_OK);
	assert_int_equal(parse(deep + 95, 66), ERR_MALFORMED);
	/* A value in the innermost one is no level. */
	char full[66] = "";
	memcpy(full, deep + 96, 32);
	full[32] = '1';
	memcpy(full + 33, deep + 128, 32);
	assert_int_equal(parse(full, 65), ERR_OK);
	deep[80] = deep[128] = '"';
	assert_int_equal(parse(deep + 80, 49), ERR_OK);
}

static void expect_text(const char *json, const char *text)
{
	static const struct field field = {"a", FIELD_SECRET, FIELD_REQUIRED, .max = 100};
	static const struct schema schema = {"Body", &field, 1, .open = true};
	struct json_doc *doc;
	struct json_fields f;
	struct field_value value;
	struct errmsg why = ERRMSG_INIT;
	if (json_parse(json, strlen(json), &doc, &why) != ERR_OK)
		fail_msg("%s: %s", json, why.text);
	schema_read(&schema, json_root(doc), &value, &f);
	assert_true(value.given);
	assert_string_equal(value.as.text.data, text);
	json_doc_free(doc);
}

static void test_escapes_are_decoded(void **state)
{
	(void)state;
	expect_text("{\"a\":\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"}",
		    "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	/* The lower 16 bits of these look like half a pair themselves. */
	expect_text("{\"a\":\"x\\ud837\\ude0dx\"}", "x\xf0\x9d\xb8\x8dx");
	expect_text("{\"\\ud837\\ude0d\":1,\"a\":\"\\udbff\\udfff\"}", "\xf4\x8f\xbf\xbf");
	expect_text("{\"a\":\"\\\\ud83d\\\\ude00\\n\"}", "\\ud83d\\ude00\n");
}

static void test_a_text_may_not_be_endless(void **state)
{
	(void)state;
	/* It is refused before a byte of it is read. */
	assert_int_equal(parse("", (size_t)INT_MAX + 1), ERR_TOO_LARGE);
}

static void test_lengths_are_inclusive_and_count_characters(void **state)
{
	(void)state;
	static const char text[] = "x\xc3\xa9\xe2\x82\xac";
	struct json_fields f = {.error_count = 0};
	assert_true(json_check_length(&f, "a", text, strlen(text), 3, 3));
	assert_int_equal(f.error_count, 0);
	assert_false(json_check_length(&f, "a", text, strlen(text), 1, 2));
	assert_false(json_check_length(&f, "a", text, strlen(text), 4, 9));
	assert_int_equal(f.error_count, 2);
	assert_string_equal(f.errors[1].detail, "must have 4 to 9 characters, has 3");
}

static void test_field_errors_are_bounded(void **state)
{
	(void)state;
	struct json_fields f = {0};
	for (int i = 0; i < 2 * JSON_FIELD_ERRORS_MAX; i++)
		json_field_error(&f, "field", "number %d", i);
	assert_int_equal(f.error_count, JSON_FIELD_ERRORS_MAX);
	assert_string_equal(f.errors[JSON_FIELD_ERRORS_MAX - 1].detail, "number 15");
}

static void test_body_that_is_no_object(void **state)
{
	(void)state;
	struct json_doc *doc;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(json_parse("[1]", 3, &doc, &why), ERR_OK);
	struct json_fields f;
	json_fields_init(&f, json_root(doc));
	assert_null(f.object);
	assert_int_equal(f.error_count, 1);
	assert_string_equal(f.errors[0].field, "body");
	json_doc_free(doc);
}

static void test_writer_puts_commas_and_nesting(void **state)
{
	(void)state;
	STRBUF_CLEANUP b = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &b);
	json_object(&w);
	json_put_string(&w, "a", "x\"y");
	json_key(&w, "b");
	json_array(&w);
	json_int(&w, -1);
	json_object(&w);
	json_end(&w);
	json_null(&w);
	json_end(&w);
	json_put_real(&w, "c", 2.346, 2);
	json_put_real(&w, "d", -0.5, 1);
	json_put_real(&w, "e", NAN, 1);
	json_put_real(&w, "f", 1e12, 0);
	json_put_bool(&w, "g", false);
	assert_false(json_ok(&w));
	json_end(&w);
	assert_true(json_ok(&w));
	assert_string_equal(b.data, "{\"a\":\"x\\\"y\",\"b\":[-1,{},null],\"c\":2.35,\"d\":-0.5,"
				    "\"e\":null,\"f\":1000000000000,\"g\":false}");
	assert_int_equal(parse(b.data, b.len), ERR_OK);
}

/* What the writer makes of a real number. */
static void assert_real(double value, int decimals, const char *expected)
{
	STRBUF_CLEANUP b = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &b);
	json_real(&w, value, decimals);
	assert_string_equal(b.data, expected);
}

static void test_reals_have_the_decimals_asked_for(void **state)
{
	(void)state;
	assert_real(2.5, 0, "3");
	assert_real(-2.4, 0, "-2");
	assert_real(-0.004, 2, "0.00");
	assert_real(-0.005, 2, "-0.01");
	assert_real(0.999, 2, "1.00");
	assert_real(1.000001, 6, "1.000001");
	assert_real(999999999.5, 1, "999999999.5");
	assert_real(1e9, 2, "1000000000.00");
	assert_real(-1e9, 0, "-1000000000");
	assert_real(INFINITY, 2, "null");
}

static void test_writer_knows_every_kind_of_value(void **state)
{
	(void)state;
	STRBUF_CLEANUP b = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &b);
	json_array(&w);
	json_string(&w, NULL);
	json_stringn(&w, "abc", 2);
	json_uint(&w, UINT64_MAX);
	json_bool(&w, true);
	json_raw(&w, "[7]", 3);
	json_array(&w);
	json_array(&w);
	json_end(&w);
	json_int(&w, 1);
	json_end(&w);
	json_object(&w);
	json_put_null(&w, "n");
	json_put_int(&w, "i", INT64_MIN);
	json_put_uint(&w, "u", 8);
	json_put_time(&w, "t", INT64_C(1700000000123456));
	json_put_time_legacy(&w, "l", INT64_C(1700000000123456));
	json_end(&w);
	json_end(&w);
	assert_true(json_ok(&w));
	assert_string_equal(
	    b.data,
	    "[null,\"ab\",18446744073709551615,true,[7],[[],1],{\"n\":null,\"i\":-"
	    "9223372036854775808,"
	    "\"u\":8,\"t\":\"2023-11-14T22:13:20.123Z\",\"l\":\"2023-11-14T22:13:20.123456\"}]");
}

static void test_writer_tells_when_memory_was_short(void **state)
{
	(void)state;
	struct strbuf b = STRBUF_INIT;
	struct json_writer w;
	b.failed = true; /* as after an allocation that failed */
	json_init(&w, &b);
	json_int(&w, 1);
	assert_false(json_ok(&w));
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid_texts_are_taken),
	    cmocka_unit_test(test_what_is_not_strict_json_is_refused),
	    cmocka_unit_test(test_numbers_are_those_of_the_standard),
	    cmocka_unit_test(test_depth_is_bounded),
	    cmocka_unit_test(test_escapes_are_decoded),
	    cmocka_unit_test(test_a_text_may_not_be_endless),
	    cmocka_unit_test(test_lengths_are_inclusive_and_count_characters),
	    cmocka_unit_test(test_field_errors_are_bounded),
	    cmocka_unit_test(test_body_that_is_no_object),
	    cmocka_unit_test(test_writer_puts_commas_and_nesting),
	    cmocka_unit_test(test_reals_have_the_decimals_asked_for),
	    cmocka_unit_test(test_writer_knows_every_kind_of_value),
	    cmocka_unit_test(test_writer_tells_when_memory_was_short),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
