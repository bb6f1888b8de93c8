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
#include "host/host.h"
#include "host/process_row.h"

static void make_sample(const char *kind, const char *json, const struct strbuf *rest,
			struct strbuf *out)
{
	strbuf_addf(out, "ziggie-sample 1 %s 1700000000000000 %zu %zu\n", kind, strlen(json),
		    rest->len);
	strbuf_adds(out, json);
	strbuf_add(out, rest->data, rest->len);
}

static struct process_row row(int32_t pid, const char *name, uint64_t cpu_tenths, uint64_t rss)
{
	return (struct process_row){
	    .pid = pid,
	    .ppid = 1,
	    .state = 'S',
	    .threads = 2,
	    .rss = rss,
	    .cpu_tenths = cpu_tenths,
	    .started_us = INT64_C(1700000000000000),
	    .name = {.text = name, .len = strlen(name)},
	    .user = {.text = "root", .len = 4},
	};
}

static void add_rows(struct strbuf *rest)
{
	const struct process_row rows[] = {
	    row(30, "zeta", 900, 100),
	    row(10, "Alpha (x) 1 2", 50, 400),
	    row(20, "beta\n9 9 S 1", 50, 300),
	    row(5, "", 0, 500),
	    row(7, "alphA", 0, 0),
	};
	process_head_write(&(struct process_list_head){.count = 900, .memory_total = 1000}, rest);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		process_row_write(&rows[i], rest);
}

/* The pids of an answer in their order, as "1,2,3". */
static void assert_pids(enum host_process_sort sort, const char *search, size_t limit,
			const char *expected)
{
	STRBUF_CLEANUP rest = STRBUF_INIT;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	STRBUF_CLEANUP pids = STRBUF_INIT;
	struct host_view view;
	add_rows(&rest);
	make_sample("processes", "{}", &rest, &sample);
	assert_int_equal(host_view_open(sample.data, sample.len, &view), ERR_OK);
	const struct host_process_query query = {.limit = limit, .sort = sort, .search = search};
	assert_int_equal(host_view_processes(&view, &query, &json, NULL), ERR_OK);
	for (const char *at = json.data; (at = strstr(at, "\"pid\":")) != NULL;) {
		at += strlen("\"pid\":");
		strbuf_addf(&pids, "%s%.*s", pids.len > 0 ? "," : "", (int)strcspn(at, ","), at);
	}
	assert_string_equal(pids.data, expected);
}

static void test_processes_are_sorted(void **state)
{
	(void)state;
	assert_pids(HOST_SORT_CPU, NULL, 50, "30,10,20,5,7");
	assert_pids(HOST_SORT_MEMORY, NULL, 50, "5,10,20,30,7");
	assert_pids(HOST_SORT_PID, NULL, 50, "5,7,10,20,30");
	assert_pids(HOST_SORT_NAME, NULL, 50, "5,7,10,20,30");
	assert_pids(HOST_SORT_PID, NULL, 2, "5,7");
}

static void test_processes_are_searched_in_any_case(void **state)
{
	(void)state;
	assert_pids(HOST_SORT_PID, "ALPHA", 50, "7,10");
	assert_pids(HOST_SORT_PID, "ta", 50, "20,30");
	assert_pids(HOST_SORT_PID, "x) 1", 50, "10");
	assert_pids(HOST_SORT_PID, "alphabet", 50, "");
	assert_pids(HOST_SORT_PID, "", 50, "5,7,10,20,30");
}

static void test_a_process_in_json(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct json_writer w;
	struct process_row p = row(42, "a\"\n\xff", 1234, 250);
	json_init(&w, &json);
	process_row_put(&p, 1000, &w);
	assert_true(json_ok(&w));
	assert_string_equal(json.data,
			    "{\"pid\":42,\"ppid\":1,\"name\":\"a\\\"\\n\xef\xbf\xbd\","
			    "\"username\":\"root\",\"status\":\"sleeping\",\"cpu_percent\":123.4,"
			    "\"memory_percent\":25.00,\"rss\":250,\"threads\":2,"
			    "\"started\":\"2023-11-14T22:13:20.000000\"}");
}

static void test_count_is_of_the_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP rest = STRBUF_INIT;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct host_view view;
	add_rows(&rest);
	make_sample("processes", "{}", &rest, &sample);
	assert_int_equal(host_view_open(sample.data, sample.len, &view), ERR_OK);
	const struct host_process_query query = {.limit = 1, .search = "ta"};
	assert_int_equal(host_view_processes(&view, &query, &json, NULL), ERR_OK);
	assert_non_null(strstr(json.data, "\"count\":900,\"matched\":2,\"processes\":[{"));
	assert_non_null(strstr(json.data, "\"timestamp\":\"2023-11-14T22:13:20.000000\""));
}

static void test_queries_have_bounds(void **state)
{
	(void)state;
	STRBUF_CLEANUP rest = STRBUF_INIT;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct errmsg why = ERRMSG_INIT;
	struct host_view view;
	add_rows(&rest);
	make_sample("processes", "{}", &rest, &sample);
	assert_int_equal(host_view_open(sample.data, sample.len, &view), ERR_OK);
	struct host_process_query query = {.limit = 0};
	assert_int_equal(host_view_processes(&view, &query, &json, &why), ERR_INVALID);
	assert_string_equal(why.text, "limit must be 1 to 500");
	query.limit = 501;
	assert_int_equal(host_view_processes(&view, &query, &json, &why), ERR_INVALID);
	query.limit = 500;
	view.rest_len--;
	assert_int_equal(host_view_processes(&view, &query, &json, &why), ERR_MALFORMED);
	view.kind = HOST_STATS;
	assert_int_equal(host_view_processes(&view, &query, &json, &why), ERR_INVALID);
	assert_int_equal(json.len, 0);
}

static void test_what_is_no_sample_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "",
	    "ziggie-sample 1 stats 5 2 3\n",
	    "ziggie-sample 1 stats 5 2 3\n{}abcd",
	    "ziggie-sample 1 stats 5 6 0\n{}abc",
	    "ziggie-sample 1 stats 5 18446744073709551615 5\n{}abc",
	    "ziggie-sample 2 stats 5 2 3\n{}abc",
	    "ziggie-sample 1 weather 5 2 3\n{}abc",
	    "ziggie-sample 1 stats -5 2 3\n{}abc",
	    "ziggie-sample 1 stats 9223372036854775808 2 3\n{}abc",
	    "ziggie-sample 1 stats 5 2 3 {}abc",
	};
	struct host_view view;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(host_view_open(texts[i], strlen(texts[i]), &view), ERR_MALFORMED);
	const char *good = "ziggie-sample 1 stats 5 2 3\n{}abc";
	assert_int_equal(host_view_open(good, strlen(good), &view), ERR_OK);
	assert_int_equal(view.taken_us, 5);
	assert_int_equal(view.json_len, 2);
	assert_memory_equal(view.rest, "abc", 3);
	struct host_summary summary;
	assert_int_equal(host_view_summary(&view, &summary), ERR_MALFORMED);
	view.kind = HOST_DISK;
	assert_int_equal(host_view_summary(&view, &summary), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_processes_are_sorted),
	    cmocka_unit_test(test_processes_are_searched_in_any_case),
	    cmocka_unit_test(test_a_process_in_json),
	    cmocka_unit_test(test_count_is_of_the_host),
	    cmocka_unit_test(test_queries_have_bounds),
	    cmocka_unit_test(test_what_is_no_sample_is_refused),
	};
	return cmocka_run_group_tests_name("host_sample", tests, NULL, NULL);
}
