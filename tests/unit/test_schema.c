/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "json/schema.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

enum { NAME, NOTE, COLOUR, COUNT, SHARE, DONE, PARENT, WHEN, EXTRA, TAGS, NEEDS, SHADES, FIELDS };
static const struct field fields[FIELDS] = {
    [NAME] = {"name", FIELD_STRING, FIELD_REQUIRED, 2, 5},
    [NOTE] = {"note", FIELD_TEXT, FIELD_NULL, 0, 10},
    [COLOUR] = {"colour", FIELD_WORD, 0, .words = colours},
    [COUNT] = {"count", FIELD_INT, 0, -3, 10},
    [SHARE] = {"share", FIELD_REAL, 0, 0, 1},
    [DONE] = {"done", FIELD_BOOL, 0},
    [PARENT] = {"parent", FIELD_ID, FIELD_NULL},
    [WHEN] = {"when", FIELD_TIME, 0},
    [EXTRA] = {"extra", FIELD_OBJECT, 0, .max = 24},
    [TAGS] = {"tags", FIELD_LIST, 0, 0, 3, .item = FIELD_STRING},
    [NEEDS] = {"needs", FIELD_LIST, 0, 0, 3, .item = FIELD_ID},
    [SHADES] = {"shades", FIELD_LIST, 0, 1, 2, .words = colours, .item = FIELD_WORD},
};
static const struct schema schema = SCHEMA("Toy", fields);

static struct json_doc *doc;
static struct field_value values[FIELDS];
static struct json_fields errors;

static void read_body(const struct schema *by, const char *body)
{
	struct errmsg why = ERRMSG_INIT;
	json_doc_free(doc);
	doc = NULL;
	if (json_parse(body, strlen(body), &doc, &why) != ERR_OK)
		fail_msg("%s: %s", body, why.text);
	schema_read(by, json_root(doc), values, &errors);
}

/* Reads the object whose members stand in text, behind a name that is right. */
static void read_members(const struct schema *by, const char *text)
{
	char body[2048];
	snprintf(body, sizeof(body), "{\"name\":\"name\"%s%s}", *text != '\0' ? "," : "", text);
	read_body(by, body);
}

static void takes(const char *text)
{
	read_members(&schema, text);
	if (errors.error_count > 0)
		fail_msg("%s: %s %s", text, errors.errors[0].field, errors.errors[0].detail);
}

static void refuses(const char *text, const char *field, const char *detail)
{
	read_members(&schema, text);
	assert_int_equal(errors.error_count, 1);
	assert_string_equal(errors.errors[0].field, field);
	if (strstr(errors.errors[0].detail, detail) == NULL)
		fail_msg("%s: %s", text, errors.errors[0].detail);
}

static void test_values_arrive(void **state)
{
	(void)state;
	takes(
	    "\"note\":\"a\\nb\\tc\",\"colour\":\"green\",\"count\":-3,\"share\":0.5,\"done\":true,"
	    "\"parent\":\"0190A5C3-7b1e-7f00-8c11-0123456789ab\","
	    "\"when\":\"1970-01-02T00:00:01.5Z\",\"extra\": {\"a/b\": [1, 2]},"
	    "\"tags\":[\"x\", \"y\"],\"shades\":[\"red\"]");
	for (size_t i = 0; i < FIELDS; i++)
		assert_int_equal(values[i].given, i != NEEDS);
	assert_string_equal(values[NAME].as.text.data, "name");
	assert_int_equal(values[NAME].as.text.len, 4);
	assert_string_equal(values[NOTE].as.text.data, "a\nb\tc");
	assert_string_equal(values[COLOUR].as.text.data, "green");
	assert_int_equal(values[COUNT].as.integer, -3);
	assert_true(values[SHARE].as.real == 0.5);
	assert_true(values[DONE].as.boolean);
	assert_int_equal(values[PARENT].as.id.bytes[15], 0xab);
	assert_int_equal(values[WHEN].as.integer, 86401500000);
	assert_string_equal(values[EXTRA].as.text.data, "{\"a/b\":[1,2]}");
	assert_string_equal(values[TAGS].as.text.data, "[\"x\",\"y\"]");
}

static void test_absent_and_null_differ(void **state)
{
	(void)state;
	takes("");
	assert_false(values[NOTE].given);
	takes("\"note\":null,\"parent\":null");
	assert_true(values[NOTE].given && values[NOTE].null);
	assert_true(values[PARENT].given && values[PARENT].null);
	takes("\"note\":\"\"");
	assert_true(values[NOTE].given && !values[NOTE].null);
	refuses("\"count\":null", "count", "null");
	refuses("\"tags\":null", "tags", "null");
}

static void test_every_wrong_kind_is_refused(void **state)
{
	(void)state;
	static const char *const kinds[] = {"\"text\"",  "7",   "0.5",    "true",
					    "{\"a\":1}", "[1]", "\"red\""};
	/* Which of the kinds above a field takes. */
	static const unsigned taken[FIELDS] = {
	    [NOTE] = 1 << 0 | 1 << 6, [COLOUR] = 1 << 6, [COUNT] = 1 << 1,
	    [SHARE] = 1 << 2,         [DONE] = 1 << 3,   [EXTRA] = 1 << 4};
	for (size_t i = NOTE; i < FIELDS; i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			char text[128];
			snprintf(text, sizeof(text), "\"%s\":%s", fields[i].name, kinds[k]);
			read_members(&schema, text);
			assert_int_equal(errors.error_count == 0, (taken[i] >> k) & 1);
			assert_int_equal(values[i].given, (taken[i] >> k) & 1);
		}
	}
}

static void test_bounds(void **state)
{
	(void)state;
	takes("\"count\":10,\"share\":1,\"note\":\"éééééééééé\",\"extra\":{\"a\":"
	      "\"1234567890123456\"}");
	refuses("\"count\":11", "count", "-3 to 10");
	refuses("\"count\":-4", "count", "-3 to 10");
	refuses("\"count\":99999999999999999999999999", "count", "-3 to 10");
	refuses("\"count\":1e2", "count", "whole");
	refuses("\"count\":9223372036854775808", "count", "-3 to 10");
	refuses("\"share\":1.0001", "share", "0 to 1");
	refuses("\"share\":-0.0001", "share", "0 to 1");
	refuses("\"share\":1e400", "share", "0 to 1");
	refuses("\"note\":\"ééééééééééé\"", "note", "0 to 10 characters, has 11");
	refuses("\"extra\":{\"a\":\"12345678901234567\"}", "extra", "24 bytes");
	refuses("\"tags\":[\"1\",\"2\",\"3\",\"4\"]", "tags", "0 to 3 items, has 4");
	refuses("\"shades\":[]", "shades", "1 to 2 items");
}

static void test_items_are_named(void **state)
{
	(void)state;
	refuses("\"tags\":[\"a\",\"\"]", "tags[1]", "1 to 1000");
	refuses("\"tags\":[\"a\\u0001\"]", "tags[0]", "string");
	char text[FIELD_ITEM_MAX + 64];
	snprintf(text, sizeof(text), "\"tags\":[\"%0*d\"]", FIELD_ITEM_MAX, 0);
	takes(text);
	snprintf(text, sizeof(text), "\"tags\":[\"%0*d\"]", FIELD_ITEM_MAX + 1, 0);
	refuses(text, "tags[0]", "1 to 1000");
	refuses("\"needs\":[\"x\"]", "needs[0]", "UUID");
	refuses("\"shades\":[\"red\",\"pink\"]", "shades[1]", "red, green or blue");
	refuses("\"colour\":\"pink\"", "colour", "red, green or blue");
}

static void test_controls(void **state)
{
	(void)state;
	takes("\"note\":\"\\ta\\r\\nb\"");
	refuses("\"note\":\"a\\u0007\"", "note", "control");
	refuses("\"note\":\"a\\u007f\"", "note", "control");
}

static enum err must_be_shouted(const char *text, struct errmsg *why)
{
	return text[strlen(text) - 1] == '!' ? ERR_OK
					     : err_set(why, ERR_INVALID, "must end with a bang");
}

static void test_a_rule_is_asked_about_what_is_right_so_far(void **state)
{
	(void)state;
	static const struct field ruled[] = {
	    {"name", FIELD_STRING, FIELD_REQUIRED, .max = 9, .rule = must_be_shouted},
	    {"note", FIELD_TEXT, FIELD_NULL, .max = 9, .rule = must_be_shouted}};
	static const struct schema schema_with_rules = SCHEMA("Ruled", ruled);
	read_members(&schema_with_rules, "\"note\":\"loud!\"");
	assert_int_equal(errors.error_count, 1);
	assert_string_equal(errors.errors[0].field, "name");
	assert_string_equal(errors.errors[0].detail, "must end with a bang");
	assert_false(values[0].given);
	assert_true(values[1].given);
	read_members(&schema_with_rules, "\"note\":null");
	assert_int_equal(errors.error_count, 1);
	read_members(&schema_with_rules, "\"note\":\"longer than nine\"");
	assert_string_equal(errors.errors[1].detail, "must have 0 to 9 characters, has 16");
}

static void test_a_secret_holds_any_characters(void **state)
{
	(void)state;
	static const struct field field[] = {
	    {"name", FIELD_SECRET, FIELD_REQUIRED, .min = 4, .max = 4}};
	static const struct schema secret = SCHEMA("Secret", field, .open = true);
	read_members(&secret, "");
	assert_int_equal(errors.error_count, 0);
	assert_string_equal(values[0].as.text.data, "name");
	read_members(&secret, "\"other\":1");
	assert_int_equal(errors.error_count, 0);
	static const char control[] = "{\"name\":\"a\\u0007\\nz\"}",
			  longer[] = "{\"name\":\"names\"}";
	json_doc_free(doc);
	assert_int_equal(json_parse(control, strlen(control), &doc, NULL), ERR_OK);
	schema_read(&secret, json_root(doc), values, &errors);
	assert_string_equal(values[0].as.text.data, "a\a\nz");
	json_doc_free(doc);
	assert_int_equal(json_parse(longer, strlen(longer), &doc, NULL), ERR_OK);
	schema_read(&secret, json_root(doc), values, &errors);
	assert_int_equal(errors.error_count, 1);
}

static void test_numbers_that_json_c_would_change(void **state)
{
	(void)state;
	takes("\"extra\":{\"a\":9007199254740993}");
	assert_string_equal(values[EXTRA].as.text.data, "{\"a\":9007199254740993}");
	takes("\"extra\":{\"a\":0.10}");
	assert_string_equal(values[EXTRA].as.text.data, "{\"a\":0.10}");
	refuses("\"extra\":{\"a\":[1e999]}", "extra", "too large");
	refuses("\"extra\":{\"a\":99999999999999999999}", "extra", "too large");
	refuses("\"extra\":{\"a\":-99999999999999999999}", "extra", "too large");
}

static void test_unknown_names(void **state)
{
	(void)state;
	struct schema open = schema;
	open.open = true;
	refuses("\"naem\":1", "naem", "not a field");
	read_members(&open, "\"naem\":1");
	assert_int_equal(errors.error_count, 0);
}

static void test_all_faults_in_one_answer(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	static const char body[] = "{\"count\":\"x\",\"colour\":7}";
	json_doc_free(doc);
	assert_int_equal(json_parse(body, sizeof(body) - 1, &doc, &why), ERR_OK);
	schema_read(&schema, json_root(doc), values, &errors);
	assert_int_equal(errors.error_count, 3);
	assert_string_equal(errors.errors[0].field, "name");
	assert_string_equal(errors.errors[0].detail, "is missing");
}

enum { OWN_NAME, OWN_KIND, OWN_SIZE, OWN_FIELDS };
static const struct field own_fields[OWN_FIELDS] = {
    [OWN_NAME] = {"name", FIELD_STRING, FIELD_REQUIRED | FIELD_CREATE | FIELD_PATCH, .max = 9},
    [OWN_KIND] = {"kind", FIELD_ANY, FIELD_REQUIRED | FIELD_CREATE, .max = 9},
    [OWN_SIZE] = {"size", FIELD_INT, FIELD_REQUIRED, .max = 9}};
static const struct schema made = SCHEMA("Own", own_fields, .only = FIELD_CREATE);
static const struct schema changed = SCHEMA("Own", own_fields, .only = FIELD_PATCH);

static void test_only_what_may_be_said_is_read(void **state)
{
	(void)state;
	read_body(&made, "{\"name\":\"a\",\"kind\":[1]}");
	assert_int_equal(errors.error_count, 0);
	assert_string_equal(values[OWN_KIND].as.text.data, "[1]");
	assert_false(values[OWN_SIZE].given);
	read_body(&made, "{\"name\":\"a\",\"kind\":\"long and longer\",\"size\":1}");
	assert_int_equal(errors.error_count, 2);
	assert_string_equal(errors.errors[0].field, "kind");
	assert_string_equal(errors.errors[1].field, "size");
	assert_string_equal(errors.errors[1].detail, "is not a field that can be set here");
	assert_true(schema_has(&made, "kind"));
	assert_false(schema_has(&made, "size"));
	assert_false(schema_has(&changed, "kind"));
	assert_false(schema_has(&changed, "other"));
	assert_true(schema_has(&schema, "count"));
}

static void test_a_change_need_not_say_what_is_required(void **state)
{
	(void)state;
	read_body(&changed, "{}");
	assert_int_equal(errors.error_count, 0);
	read_body(&changed, "{\"name\":null}");
	assert_int_equal(errors.error_count, 1);
	read_body(&made, "{\"name\":\"a\"}");
	assert_int_equal(errors.error_count, 1);
	assert_string_equal(errors.errors[0].field, "kind");
	assert_string_equal(errors.errors[0].detail, "is missing");
}

static void test_text_from_elsewhere_is_held_to_the_row_too(void **state)
{
	(void)state;
	assert_true(field_takes_text(&fields[NAME], "ab"));
	assert_true(field_takes_text(&fields[NAME], "ééééé"));
	assert_false(field_takes_text(&fields[NAME], "a"));
	assert_false(field_takes_text(&fields[NAME], "abcdef"));
	assert_false(field_takes_text(&fields[NAME], "a\nb"));
	assert_true(field_takes_text(&fields[NOTE], "a\nb"));
	assert_false(field_takes_text(&fields[NOTE], "a\x01"));
	assert_true(field_takes_text(&fields[COLOUR], "blue"));
	assert_false(field_takes_text(&fields[COLOUR], "pink"));
}

static void test_the_ids_of_a_list_come_as_such(void **state)
{
	(void)state;
	struct uuid ids[3];
	takes("");
	assert_int_equal(field_ids(&values[NEEDS], ids), 0);
	takes("\"needs\":[]");
	assert_int_equal(field_ids(&values[NEEDS], ids), 0);
	takes("\"needs\":[\"0190a5c3-7b1e-7f00-8c11-0123456789ab\", "
	      "\"0190A5C3-7B1E-7F00-8C11-0123456789CD\"]");
	assert_int_equal(field_ids(&values[NEEDS], ids), 2);
	assert_int_equal(ids[0].bytes[15], 0xab);
	assert_int_equal(ids[1].bytes[15], 0xcd);
}

static void test_each_type_has_a_word(void **state)
{
	(void)state;
	static const char *const words[] = {"string", "text", "secret", "word",   "int",  "real",
					    "bool",   "id",   "time",   "object", "list", "any"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_string_equal(field_type_word((enum field_type)(FIELD_STRING + i)), words[i]);
}

static void test_no_object(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	json_doc_free(doc);
	assert_int_equal(json_parse("[1]", 3, &doc, &why), ERR_OK);
	schema_read(&schema, json_root(doc), values, &errors);
	assert_int_equal(errors.error_count, 1);
	assert_string_equal(errors.errors[0].field, "body");
	assert_false(values[NAME].given);
}

static void test_times(void **state)
{
	(void)state;
	static const char *const broken[] = {
	    "",
	    "2026-01-31",
	    "2026-01-31T23:59:59",
	    "2026-01-31T23:59:59+00:00",
	    "2026-01-31T23:59:59.Z",
	    "2026-01-31T23:59:59.1234567Z",
	    "2026-01-31T23:59:59Zz",
	    "2026-02-30T00:00:00Z",
	    "2026-01-31 23:59:59Z",
	    " 026-01-31T23:59:59Z",
	    "2026-1-31T023:59:59Z",
	};
	int64_t us = 7;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		assert_false(clock_parse_utc(broken[i], &us));
	assert_int_equal(us, 7);
	assert_true(clock_parse_utc("2000-02-29T12:00:00.000001Z", &us));
	assert_int_equal(us, 951825600000001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values_arrive),
	    cmocka_unit_test(test_absent_and_null_differ),
	    cmocka_unit_test(test_every_wrong_kind_is_refused),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_items_are_named),
	    cmocka_unit_test(test_controls),
	    cmocka_unit_test(test_a_rule_is_asked_about_what_is_right_so_far),
	    cmocka_unit_test(test_a_secret_holds_any_characters),
	    cmocka_unit_test(test_numbers_that_json_c_would_change),
	    cmocka_unit_test(test_unknown_names),
	    cmocka_unit_test(test_all_faults_in_one_answer),
	    cmocka_unit_test(test_only_what_may_be_said_is_read),
	    cmocka_unit_test(test_a_change_need_not_say_what_is_required),
	    cmocka_unit_test(test_text_from_elsewhere_is_held_to_the_row_too),
	    cmocka_unit_test(test_the_ids_of_a_list_come_as_such),
	    cmocka_unit_test(test_each_type_has_a_word),
	    cmocka_unit_test(test_no_object),
	    cmocka_unit_test(test_times),
	};
	int failed = cmocka_run_group_tests_name("schema", tests, NULL, NULL);
	json_doc_free(doc);
	return failed;
}
