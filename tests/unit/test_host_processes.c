/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "host/collector.h"
#include "host_tree.h"

struct fixture {
	struct host_tree tree;
	struct host_collector *c;
	struct strbuf sample, json;
	struct host_view view;
};

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.sample = STRBUF_INIT, .json = STRBUF_INIT};
	host_tree_make(&f.tree);
	host_tree_basics(&f.tree);
	f.c = host_tree_collector(&f.tree);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	host_collector_free(f->c);
	strbuf_release(&f->sample);
	strbuf_release(&f->json);
	host_tree_remove(&f->tree);
	return 0;
}

static void put_process(struct fixture *f, int pid, const char *name, unsigned long cpu)
{
	host_tree_process(&f->tree, pid, name, strlen(name), cpu, 1000);
}

static void take(struct fixture *f, enum host_kind kind)
{
	struct errmsg why = ERRMSG_INIT;
	strbuf_clear(&f->sample);
	strbuf_clear(&f->json);
	if (host_sample(f->c, kind, &f->sample, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(host_view_open(f->sample.data, f->sample.len, &f->view), ERR_OK);
	strbuf_add(&f->json, f->view.json, f->view.json_len);
}

static void assert_says(const struct fixture *f, const char *part)
{
	if (strstr(f->json.data, part) == NULL)
		fail_msg("%s\nis not in\n%s", part, f->json.data);
}

static void test_names_survive(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name, *json;
	} names[] = {
	    {"a b", "\"name\":\"a b\""},
	    {"x) R 9 (y", "\"name\":\"x) R 9 (y\""},
	    {"two\nlines", "\"name\":\"two\\nlines\""},
	    {"\xff)\x80", "\"name\":\"\xef\xbf\xbd)\xef\xbf\xbd\""},
	    {"", "\"name\":\"\""},
	    {"quote\"\\", "\"name\":\"quote\\\"\\\\\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put_process(f, (int)i + 100, names[i].name, 0);
	take(f, HOST_PROCESSES);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_says(f, names[i].json);
	assert_says(f, "\"count\":6");
	/* The others' way reads them back from the sample. */
	STRBUF_CLEANUP listed = STRBUF_INIT;
	const struct host_process_query query = {.limit = 500, .sort = HOST_SORT_CPU};
	assert_int_equal(host_view_processes(&f->view, &query, &listed, NULL), ERR_OK);
	assert_string_equal(strstr(listed.data, "\"processes\":"),
			    strstr(f->json.data, "\"processes\":"));
}

static void test_what_can_not_be_read_is_left_out(void **state)
{
	struct fixture *f = *state;
	put_process(f, 1, "good", 0);
	host_tree_put(&f->tree, "proc/2/stat", "");
	host_tree_put(&f->tree, "proc/3/stat", "3 (cut");
	host_tree_put(&f->tree, "proc/4/comm", "no stat: gone in the middle");
	host_tree_put(&f->tree, "proc/5x/stat", "5 (x) S 1");
	host_tree_put(&f->tree, "proc/12345678901/stat", "1 (x) S 1");
	host_tree_put(&f->tree, "proc/6", "a file");
	take(f, HOST_PROCESSES);
	assert_says(f, "\"count\":1,\"processes\":[{\"pid\":1,");
}

static void test_processor_use_between_scans(void **state)
{
	struct fixture *f = *state;
	unsigned long second = f->c->ticks_per_second;
	put_process(f, 10, "half", 100);
	put_process(f, 20, "double", 100);
	put_process(f, 30, "idle", 100);
	put_process(f, 40, "reused", 100);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"cpu_percent\":0.0");
	int64_t before = f->c->processes.taken_ns;
	clock_test_shift(10 * NS_PER_S);
	put_process(f, 10, "half", 100 + 5 * second);
	put_process(f, 20, "double", 100 + 20 * second);
	host_tree_process(&f->tree, 40, "reused", 6, 9000, 2000); /* another process */
	put_process(f, 50, "new", 9000);
	take(f, HOST_PROCESSES);
	/* The test's own time is a small part of the ten seconds. */
	double elapsed = (double)(f->c->processes.taken_ns - before) / (double)NS_PER_S;
	const struct process *rows = f->c->processes.rows;
	assert_int_equal(f->c->processes.count, 5);
	assert_in_range(rows[0].cpu_tenths, (uint64_t)(5000 / elapsed) - 1, 500);
	assert_in_range(rows[1].cpu_tenths, (uint64_t)(20000 / elapsed) - 1, 2000);
	assert_int_equal(rows[2].cpu_tenths, 0);
	assert_int_equal(rows[3].cpu_tenths, 0);
	assert_int_equal(rows[4].cpu_tenths, 0);
	assert_says(f, "\"processes\":[{\"pid\":20,");
}

static void test_processes_come_and_go(void **state)
{
	struct fixture *f = *state;
	put_process(f, 10, "stays", 0);
	put_process(f, 20, "goes", 0);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"count\":2");
	host_tree_delete(&f->tree, "proc/20/stat");
	put_process(f, 15, "comes", 0);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"count\":2");
	assert_says(f, "comes");
	assert_null(strstr(f->json.data, "goes"));
}

static void test_cut_names_are_completed_once(void **state)
{
	struct fixture *f = *state;
	put_process(f, 10, "fifteen-letters", 0);
	host_tree_write(&f->tree, "proc/10/cmdline", "/opt/fifteen-letters-and-more\0-x\0", 33);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"name\":\"fifteen-letters-and-more\"");
	host_tree_delete(&f->tree, "proc/10/cmdline");
	take(f, HOST_PROCESSES);
	assert_says(f, "\"name\":\"fifteen-letters-and-more\"");
	put_process(f, 10, "renamed", 0);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"name\":\"renamed\"");
}

static void test_memory_is_exact_and_read_again_when_used(void **state)
{
	struct fixture *f = *state;
	char expected[64];
	put_process(f, 10, "a", 0);
	host_tree_put(&f->tree, "proc/10/statm", "99 7 1 1 0 1 0\n");
	take(f, HOST_PROCESSES);
	snprintf(expected, sizeof(expected), "\"rss\":%llu,",
		 7ULL * (unsigned long long)f->c->page_size);
	assert_says(f, expected);
	host_tree_put(&f->tree, "proc/10/statm", "99 8 1 1 0 1 0\n");
	take(f, HOST_PROCESSES);
	assert_says(f, expected); /* it did not run */
	put_process(f, 10, "a", 1);
	take(f, HOST_PROCESSES);
	snprintf(expected, sizeof(expected), "\"rss\":%llu,",
		 8ULL * (unsigned long long)f->c->page_size);
	assert_says(f, expected);
}

static void test_unknown_users_are_numbers(void **state)
{
	struct fixture *f = *state;
	put_process(f, 10, "a", 0);
	host_tree_put(&f->tree, "proc/10/status", "Name:\ta\nUid:\t4123456789\t0\t0\t0\n");
	put_process(f, 20, "b", 0);
	host_tree_put(&f->tree, "proc/20/status", "Uid:\t0\t5\t5\t5\n");
	put_process(f, 30, "c", 0); /* the same place in the cache as the first */
	host_tree_put(&f->tree, "proc/30/status", "Uid:\t4123457045\t0\t0\t0\n");
	take(f, HOST_PROCESSES);
	assert_says(f, "\"username\":\"4123456789\"");
	assert_says(f, "\"username\":\"4123457045\"");
	assert_says(f, "\"username\":\"root\"");
}

static void test_owners_of_ports(void **state)
{
	struct fixture *f = *state;
	host_tree_put(&f->tree, "proc/net/tcp",
		      "  sl\n"
		      " 0: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 501 1\n"
		      " 1: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 502 1\n"
		      " 2: 0100007F:0BB8 00000000:0000 0A 0:0 0:0 0 0 0 503 1\n");
	put_process(f, 300, "worker", 0);
	put_process(f, 200, "master\n", 0);
	host_tree_link(&f->tree, "proc/300/fd/3", "socket:[501]");
	host_tree_link(&f->tree, "proc/200/fd/7", "socket:[501]");
	host_tree_link(&f->tree, "proc/200/fd/8", "socket:[502]");
	host_tree_link(&f->tree, "proc/200/fd/0", "/dev/null");
	host_tree_link(&f->tree, "proc/400/fd/4", "socket:[503]"); /* went before we asked */
	take(f, HOST_PORTS);
	/* One row for one process, however many sockets it has. */
	assert_says(f, "\"count\":2,\"ports\":[{\"port\":22,\"pid\":200,\"process_name\":"
		       "\"master\\n\",\"process\":\"master\\n\",\"service\":");
	assert_says(f, "{\"port\":3000,\"pid\":null,\"process_name\":null,\"process\":null,");
}

/* memcached takes 1 MiB. */
static void test_samples_stay_small(void **state)
{
	struct fixture *f = *state;
	enum { ORDINARY = 4000, ALL = 8000 };
	char name[201];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int pid = 1; pid <= ORDINARY; pid++)
		put_process(f, pid, "fifteen-letters", (unsigned long)pid);
	take(f, HOST_PROCESSES);
	assert_in_range(f->sample.len, 200 << 10, 500 << 10);
	for (int pid = ORDINARY + 1; pid <= ALL; pid++)
		put_process(f, pid, name, 0);
	take(f, HOST_PROCESSES);
	assert_says(f, "\"count\":8000");
	assert_in_range(f->sample.len, 900 << 10, 1000 << 10);
	STRBUF_CLEANUP json = STRBUF_INIT;
	const struct host_process_query query = {.limit = 500, .sort = HOST_SORT_PID};
	assert_int_equal(host_view_processes(&f->view, &query, &json, NULL), ERR_OK);
	assert_non_null(strstr(json.data, "\"count\":8000,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_names_survive, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_what_can_not_be_read_is_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_processor_use_between_scans, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_processes_come_and_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cut_names_are_completed_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_memory_is_exact_and_read_again_when_used, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_unknown_users_are_numbers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_owners_of_ports, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_samples_stay_small, setup, teardown),
	};
	return cmocka_run_group_tests_name("host_processes", tests, NULL, NULL);
}
