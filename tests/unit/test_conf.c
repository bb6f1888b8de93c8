/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "conf/conf.h"

static char file[] = "/tmp/zg-conf-XXXXXX";

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(file);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

static void write_file(const char *text)
{
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void expect_refusal(const char *text, const char *part)
{
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	write_file(text);
	assert_int_equal(conf_load(&c, file, NULL, NULL, &why), ERR_INVALID);
	if (strstr(why.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why.text, part);
}

static void test_defaults_are_allowed(void **state)
{
	(void)state;
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(conf_init(&c, &why), ERR_OK);
	assert_int_equal(conf_number(&c, db_pool_min), 5);
	assert_int_equal(conf_number(&c, db_pool_max), 40);
	assert_int_equal(conf_number(&c, db_pool_wait), 30000);
	assert_int_equal(conf_number(&c, max_body), 1 << 20);
	conf_release(&c);
}

static void test_later_sources_win(void **state)
{
	(void)state;
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	write_file(
	    "# comment\n threads = 8 # eight\nworkers=3\nlog_file = \"/tmp/a b#c\"\nmax_body=2M\n");
	assert_int_equal(setenv("ZIGGIE_WORKERS", "5", 1), 0);
	char program[] = "x", body[] = "--max-body=3k", rest[] = "rest", threads[] = "--threads",
	     nine[] = "9", other[] = "--other";
	char *argv[] = {program, body, rest, threads, nine, other, NULL};
	int argc = 6;
	assert_int_equal(conf_load(&c, file, &argc, argv, &why), ERR_OK);
	unsetenv("ZIGGIE_WORKERS");
	assert_int_equal(conf_number(&c, threads), 9);
	assert_string_equal(c.values[CONF_threads].source, "--threads");
	assert_int_equal(conf_number(&c, workers), 5);
	assert_string_equal(c.values[CONF_workers].source, "ZIGGIE_WORKERS");
	assert_string_equal(conf_text(&c, log_file), "/tmp/a b#c");
	assert_int_equal(conf_number(&c, max_body), 3072);
	assert_int_equal(argc, 3);
	assert_string_equal(argv[1], "rest");
	assert_string_equal(argv[2], "--other");
	conf_release(&c);
}

static void test_errors_name_file_line_key_and_range(void **state)
{
	(void)state;
	expect_refusal("\nthreads = 65\n", ":2: threads: \"65\" is not allowed; allowed: 3 to 64");
	expect_refusal("threads = many", "threads");
	expect_refusal("thread = 4", "did you mean threads?");
	expect_refusal("nonsense", "expected \"key = value\"");
	expect_refusal("request_timeout = 10", "a number with ms, s, m or h");
	expect_refusal("request_timeout = 99999999999999999999h", "request_timeout");
	expect_refusal("max_body = 9223372036854775807G", "max_body");
	expect_refusal("log_requests = maybe", "yes or no");
	expect_refusal("log_file = \"open", "closing quote");
	expect_refusal("log_level = loud", "debug, info, warning, error");
	expect_refusal("ratelimit_scope = all", "allowed: host, fleet");
	expect_refusal("ratelimit_scope = fleet\nmemcached =", "memcached names no server");
	expect_refusal("db_pool_min = 50", "above db_pool_max");
	expect_refusal("workers = 4\ndb_pool_min = 2\ndb_pool_max = 3", "each of 4 workers");
	expect_refusal(
	    "socket = /x/0123456789012345678901234567890123456789012345678901234567890123"
	    "456789012345678901234567890123456789012345678901234567890123456789",
	    "1 to 107 characters");
}

static void test_origins_are_whole_and_listed(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "*",
	    "https://*.example.org",
	    "example.org",
	    "https://",
	    "https://Example.org",
	    "https://a.example/",
	    "https://a.example/p",
	    "null",
	    "ftp://a.example",
	    "https://a b",
	    "https://u@a.example",
	    "https://a?b",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[128];
		snprintf(text, sizeof(text), "cors_origins = https://good.example, %s", bad[i]);
		expect_refusal(text, "origins as browsers write them");
	}
	static const char *const good[] = {
	    "",
	    "https://a.example",
	    "http://localhost:3000,https://b-1.example:8443",
	    " https://a.example ,  http://[::1]:8080 ",
	    "https://a.example http://10.0.0.1",
	};
	struct conf c;
	assert_int_equal(conf_init(&c, NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(conf_set(&c, CONF_cors_origins, good[i], "test", NULL), ERR_OK);
	conf_release(&c);
}

static void test_check_reports_every_error(void **state)
{
	(void)state;
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	write_file("threads = 0\nworkers = 2\nfoo = 1\n");
	assert_int_equal(conf_init(&c, &why), ERR_OK);
	STRBUF_CLEANUP report = STRBUF_INIT;
	assert_int_equal(conf_check_file(&c, file, &report), 2);
	assert_non_null(strstr(report.data, ":1: threads"));
	assert_non_null(strstr(report.data, ":3: unknown setting \"foo\""));
	assert_int_equal(conf_number(&c, workers), 2);
	conf_release(&c);
}

static void test_what_is_printed_can_be_read(void **state)
{
	(void)state;
	struct conf c, again;
	struct strbuf printed = STRBUF_INIT, report = STRBUF_INIT;
	write_file("host_id = a\"b \" c # and a comment\nmemcached = \" /x #1\"\nthreads = 7\n");
	assert_int_equal(conf_init(&c, NULL), ERR_OK);
	assert_int_equal(conf_check_file(&c, file, &report), 0);
	assert_string_equal(conf_host_id(&c), "a\"b \" c");
	conf_print(&c, &printed);
	write_file(printed.data);
	assert_int_equal(conf_init(&again, NULL), ERR_OK);
	assert_int_equal(conf_check_file(&again, file, &report), 0);
	assert_string_equal(conf_host_id(&again), conf_host_id(&c));
	assert_string_equal(conf_text(&again, memcached), " /x #1");
	assert_int_equal(conf_number(&again, threads), 7);
	conf_release(&c);
	conf_release(&again);
	strbuf_release(&printed);
	strbuf_release(&report);
}

static void test_missing_file_is_an_error(void **state)
{
	(void)state;
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(conf_load(&c, "/nonexistent/x.conf", NULL, NULL, &why), ERR_NOT_FOUND);
	assert_non_null(strstr(why.text, "/nonexistent/x.conf"));
}

static void test_unknown_variable_is_an_error(void **state)
{
	(void)state;
	struct conf c;
	struct errmsg why = ERRMSG_INIT;
	write_file("");
	setenv("ZIGGIE_THREEDS", "4", 1);
	enum err err = conf_load(&c, file, NULL, NULL, &why);
	unsetenv("ZIGGIE_THREEDS");
	assert_int_equal(err, ERR_INVALID);
	assert_non_null(strstr(why.text, "ZIGGIE_THREEDS"));
}

/* The example with every # before a key removed must load and mean the defaults. */
static void test_example_is_the_defaults(void **state)
{
	(void)state;
	STRBUF_CLEANUP example = STRBUF_INIT;
	conf_print_example(&example);
	for (char *at = example.data; (at = strstr(at, "\n#")) != NULL; at++)
		if (at[2] != ' ')
			at[1] = ' ';
	write_file(example.data);
	struct conf loaded, defaults;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(conf_load(&loaded, file, NULL, NULL, &why), ERR_OK);
	assert_int_equal(conf_init(&defaults, &why), ERR_OK);
	for (int id = 0; id < CONF_COUNT; id++) {
		assert_int_equal(loaded.values[id].number, defaults.values[id].number);
		if (id != CONF_host_id)
			assert_non_null(strstr(loaded.values[id].source, file));
	}
	conf_release(&loaded);
	conf_release(&defaults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults_are_allowed),
	    cmocka_unit_test(test_later_sources_win),
	    cmocka_unit_test(test_errors_name_file_line_key_and_range),
	    cmocka_unit_test(test_origins_are_whole_and_listed),
	    cmocka_unit_test(test_check_reports_every_error),
	    cmocka_unit_test(test_what_is_printed_can_be_read),
	    cmocka_unit_test(test_missing_file_is_an_error),
	    cmocka_unit_test(test_unknown_variable_is_an_error),
	    cmocka_unit_test(test_example_is_the_defaults),
	};
	return cmocka_run_group_tests_name("conf", tests, make_file, remove_file);
}
