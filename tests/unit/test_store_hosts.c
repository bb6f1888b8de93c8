/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "base/clock.h"
#include "db/pool.h"
#include "store/hosts.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 20000 };

static int set_up(void **state)
{
	static struct test_session session;
	test_mariadb_sql("DELETE FROM ziggie.hosts");
	test_session_open(&session);
	*state = &session;
	return 0;
}

static int tear_down(void **state)
{
	test_session_close(*state);
	return 0;
}

static void beat(struct test_session *f, const char *id, const char *version)
{
	const struct host_beat says = {
	    .id = id, .hostname = "box", .version = version, .interval_ms = 10000};
	struct errmsg why = ERRMSG_INIT;
	if (hosts_beat(f->db, &says, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static struct host_entry read_host(struct test_session *f, const char *id)
{
	struct host_entry host;
	assert_int_equal(hosts_by_id(f->db, &f->arena, id, &host, NULL), ERR_OK);
	return host;
}

static void test_a_host_is_read_as_it_said(void **state)
{
	struct test_session *f = *state;
	beat(f, "n\xc3\xb6rd-1", "1.2.3");
	struct host_entry host = read_host(f, "n\xc3\xb6rd-1");
	assert_string_equal(host.id, "n\xc3\xb6rd-1");
	assert_string_equal(host.hostname, "box");
	assert_string_equal(host.version, "1.2.3");
	assert_true(host.is_up);
	assert_true(host.first_seen_us == host.last_seen_us);
	int64_t age_us = clock_wall_us() - host.last_seen_us;
	assert_true(age_us >= 0 && age_us < PATIENCE_MS * US_PER_MS);
}

static void test_a_heartbeat_renews_all_but_the_first(void **state)
{
	struct test_session *f = *state;
	beat(f, "a", "1");
	struct host_entry before = read_host(f, "a");
	beat(f, "a", "2");
	struct host_entry after = read_host(f, "a");
	assert_true(after.first_seen_us == before.first_seen_us);
	assert_true(after.last_seen_us > before.last_seen_us);
	assert_string_equal(after.version, "2");
}

static void test_three_missing_heartbeats_are_silence(void **state)
{
	struct test_session *f = *state;
	beat(f, "a", "1");
	test_mariadb_sql(
	    "UPDATE ziggie.hosts SET last_seen = UTC_TIMESTAMP(6) - INTERVAL 29 SECOND");
	assert_true(read_host(f, "a").is_up);
	test_mariadb_sql(
	    "UPDATE ziggie.hosts SET last_seen = UTC_TIMESTAMP(6) - INTERVAL 31 SECOND");
	assert_false(read_host(f, "a").is_up);
	/* Of the interval that this host promised, not of ours. */
	test_mariadb_sql("UPDATE ziggie.hosts SET interval_ms = 60000");
	assert_true(read_host(f, "a").is_up);
	beat(f, "a", "1");
	assert_true(read_host(f, "a").is_up);
}

static void test_ids_are_exact(void **state)
{
	struct test_session *f = *state;
	struct host_entry host;
	struct errmsg why = ERRMSG_INIT;
	beat(f, "a", "1");
	assert_int_equal(hosts_by_id(f->db, &f->arena, "A", &host, &why), ERR_NOT_FOUND);
	assert_string_equal(why.text, "there is no host \"A\"");
	assert_int_equal(hosts_by_id(f->db, &f->arena, "a ", &host, NULL), ERR_NOT_FOUND);
	assert_int_equal(hosts_by_id(f->db, &f->arena, "", &host, NULL), ERR_NOT_FOUND);
}

static size_t list(struct test_session *f, const char *after, uint64_t skip, uint64_t limit,
		   struct host_entry **hosts, uint64_t *total)
{
	const struct host_page page = {.after = after, .skip = skip, .limit = limit};
	size_t count;
	assert_int_equal(hosts_list(f->db, &f->arena, &page, hosts, &count, total, NULL), ERR_OK);
	return count;
}

static void test_lists_come_in_pages(void **state)
{
	struct test_session *f = *state;
	struct host_entry *hosts;
	uint64_t total;
	assert_int_equal(list(f, "", 0, 5, &hosts, &total), 0);
	assert_int_equal(total, 0);
	beat(f, "c", "1");
	beat(f, "a", "1");
	beat(f, "b", "1");
	assert_int_equal(list(f, "", 0, 2, &hosts, &total), 2);
	assert_int_equal(total, 3);
	assert_string_equal(hosts[0].id, "a");
	assert_string_equal(hosts[1].id, "b");
	assert_int_equal(list(f, "b", 0, 2, &hosts, &total), 1);
	assert_string_equal(hosts[0].id, "c");
	assert_int_equal(list(f, "", 1, 1, &hosts, &total), 1);
	assert_string_equal(hosts[0].id, "b");
	assert_int_equal(list(f, "", 3, 1, &hosts, &total), 0);
	assert_int_equal(total, 3);
}

static void test_a_removed_host_is_gone_until_it_says_something(void **state)
{
	struct test_session *f = *state;
	struct host_entry host;
	struct errmsg why = ERRMSG_INIT;
	beat(f, "a", "1");
	beat(f, "b", "1");
	assert_int_equal(hosts_remove(f->db, "a", NULL), ERR_OK);
	assert_int_equal(hosts_by_id(f->db, &f->arena, "a", &host, NULL), ERR_NOT_FOUND);
	assert_int_equal(hosts_remove(f->db, "a", &why), ERR_NOT_FOUND);
	assert_string_equal(why.text, "there is no host \"a\"");
	beat(f, "a", "1");
	read_host(f, "a");
	read_host(f, "b");
}

static void test_the_pool_finds_a_host(void **state)
{
	struct test_session *f = *state;
	const struct db_pool_config config = {.server = *test_mariadb_server(),
					      .min = 1,
					      .max = 1,
					      .wait_ms = 1000,
					      .recycle_ms = 60000,
					      .validate_ms = 60000,
					      .leak_ms = 60000,
					      .connect_timeout_ms = 5000};
	struct db_pool *pool;
	assert_int_equal(db_pool_new(&config, &pool, NULL), ERR_OK);
	beat(f, "a", "1");
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	struct host_sighting sighting;
	assert_int_equal(hosts_find(pool, "a", &limit, &sighting, NULL), ERR_OK);
	assert_true(sighting.is_up);
	assert_true(sighting.seen_us == read_host(f, "a").last_seen_us);
	assert_int_equal(hosts_find(pool, "b", &limit, &sighting, NULL), ERR_NOT_FOUND);
	db_pool_free(pool);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_TABLE(test_a_host_is_read_as_it_said),
	    WITH_TABLE(test_a_heartbeat_renews_all_but_the_first),
	    WITH_TABLE(test_three_missing_heartbeats_are_silence),
	    WITH_TABLE(test_ids_are_exact),
	    WITH_TABLE(test_lists_come_in_pages),
	    WITH_TABLE(test_a_removed_host_is_gone_until_it_says_something),
	    WITH_TABLE(test_the_pool_finds_a_host),
	};
	return cmocka_run_group_tests_name("store_hosts", tests, test_mariadb_set_up,
					   test_mariadb_tear_down);
}
