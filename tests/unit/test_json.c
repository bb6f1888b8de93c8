/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <math.h>
#include <string.h>

#include "json/parse.h"
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

static void test_all_field_errors_are_collected(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"a\":1,\"b\":\"xy\",\"c\":\"\xc3\xa9\xc3\xa9\xc3\xa9\",\"d\":null}";
	struct json_doc *doc;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(json_parse(text, strlen(text), &doc, &why), ERR_OK);
	struct json_fields f;
	bool present;
	json_fields_init(&f, json_root(doc));
	assert_null(json_need_string(&f, "a", 1, 5));
	assert_null(json_need_string(&f, "b", 3, 5));
	assert_non_null(json_need_string(&f, "c", 3, 3));
	assert_null(json_need_string(&f, "missing", 1, 5));
	assert_null(json_want_string(&f, "d", 1, 5, &present));
	assert_true(present);
	assert_null(json_want_string(&f, "e", 1, 5, &present));
	assert_false(present);
	assert_int_equal(f.error_count, 3);
	assert_string_equal(f.errors[0].field, "a");
	assert_string_equal(f.errors[1].detail, "must have 3 to 5 characters, has 2");
	assert_string_equal(f.errors[2].detail, "is missing");
	json_doc_free(doc);
}

static void expect_text(const char *json, const char *text)
{
	struct json_doc *doc;
	struct json_fields f;
	struct errmsg why = ERRMSG_INIT;
	if (json_parse(json, strlen(json), &doc, &why) != ERR_OK)
		fail_msg("%s: %s", json, why.text);
	json_fields_init(&f, json_root(doc));
	assert_string_equal(json_need_string(&f, "a", 0, 100), text);
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

static void test_body_that_is_no_object(void **state)
{
	(void)state;
	struct json_doc *doc;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(json_parse("[1]", 3, &doc, &why), ERR_OK);
	struct json_fields f;
	json_fields_init(&f, json_root(doc));
	assert_null(json_need_string(&f, "a", 1, 5));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid_texts_are_taken),
	    cmocka_unit_test(test_what_is_not_strict_json_is_refused),
	    cmocka_unit_test(test_numbers_are_those_of_the_standard),
	    cmocka_unit_test(test_depth_is_bounded),
	    cmocka_unit_test(test_all_field_errors_are_collected),
	    cmocka_unit_test(test_escapes_are_decoded),
	    cmocka_unit_test(test_body_that_is_no_object),
	    cmocka_unit_test(test_writer_puts_commas_and_nesting),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
