/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "store/audit.h"
#include "support_mariadb.h"

static int set_up(void **state)
{
	test_mariadb_sql("DELETE FROM ziggie.audit");
	*state = test_mariadb_connect(test_mariadb_server());
	return 0;
}

static int tear_down(void **state)
{
	db_close(*state);
	return 0;
}

static struct principal bob_with_a_key(void)
{
	struct principal bob = {.role = ROLE_USER, .username = "bob"};
	uuid_new(&bob.user_id);
	uuid_new(&bob.key_id);
	uuid_new(&bob.agent_id);
	return bob;
}

static void test_a_row_says_who_what_and_where_from(void **state)
{
	struct principal bob = bob_with_a_key();
	struct uuid task;
	uuid_new(&task);
	const struct audit_entry entry = {.who = &bob,
					  .action = "update",
					  .resource = "task",
					  .record = &task,
					  .before = "{\"status\":\"ready\"}",
					  .after = "{\"status\":\"running\"}",
					  .remote_addr = "2001:db8::7",
					  .request_id = "abc123"};
	assert_int_equal(audit_add(*state, &entry, NULL), ERR_OK);
	assert_int_equal(
	    test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit WHERE username = 'bob' AND"
				" action = 'update' AND resource = 'task' AND"
				" JSON_VALUE(before_json, '$.status') = 'ready' AND"
				" JSON_VALUE(after_json, '$.status') = 'running' AND"
				" remote_address = '2001:db8::7' AND request_id = 'abc123' AND"
				" ABS(TIMESTAMPDIFF(SECOND, at, UTC_TIMESTAMP(6))) < 60"),
	    1);
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 4096, 65536);
	assert_int_equal(db_query(*state, &arena,
				  "SELECT user_id, key_id, agent_id, record_id FROM audit",
				  DB_NO_BINDS, &rows, NULL),
			 ERR_OK);
	const struct uuid *expected[] = {&bob.user_id, &bob.key_id, &bob.agent_id, &task};
	for (size_t i = 0; i < 4; i++) {
		size_t len;
		assert_memory_equal(db_col_blob(&rows, 0, i, &len), expected[i], 16);
	}
	arena_release(&arena);
}

static void test_what_is_not_known_is_null(void **state)
{
	const struct principal nobody = {.role = ROLE_NONE, .username = "left over"};
	const struct audit_entry entry = {.who = &nobody,
					  .username = "admin' OR 1=1",
					  .action = "login_failed",
					  .resource = "user"};
	assert_int_equal(audit_add(*state, &entry, NULL), ERR_OK);
	assert_int_equal(
	    test_mariadb_number(
		"SELECT COUNT(*) FROM ziggie.audit WHERE username = 'admin'' OR 1=1' AND"
		" COALESCE(user_id, key_id, agent_id, record_id) IS NULL AND"
		" COALESCE(before_json, after_json, remote_address, request_id) IS NULL"),
	    1);
}

static enum err add_and_fail(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = audit_add(db, arg, why);
	assert_int_equal(err, ERR_OK);
	return err_set(why, ERR_CONFLICT, "the write did not come about");
}

static void test_a_write_that_is_undone_leaves_no_row(void **state)
{
	struct principal bob = bob_with_a_key();
	struct audit_entry entry = {.who = &bob, .action = "create", .resource = "task"};
	assert_int_equal(db_transaction(*state, add_and_fail, &entry, NULL), ERR_CONFLICT);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit"), 0);
}

/* The list */

static void add_entry(struct db_conn *db, const char *username, const char *resource,
		      const struct uuid *record)
{
	const struct audit_entry entry = {
	    .username = username, .action = "create", .resource = resource, .record = record};
	assert_int_equal(audit_add(db, &entry, NULL), ERR_OK);
}

static struct audit_list list(struct db_conn *db, struct arena *arena, struct audit_query query)
{
	struct audit_list out;
	struct errmsg why = ERRMSG_INIT;
	if (query.limit == 0)
		query.limit = 100;
	if (audit_list(db, arena, &query, &out, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return out;
}

static void test_the_list_is_filtered_and_goes_on_behind_a_page(void **state)
{
	struct arena arena;
	struct uuid one, other;
	uuid_new(&one);
	uuid_new(&other);
	arena_init(&arena, 65536, 1 << 20);
	for (int i = 0; i < 5; i++)
		add_entry(*state, i % 2 == 0 ? "anna" : "bert", "task", &one);
	add_entry(*state, "anna", "goal", &other);
	struct audit_list all = list(*state, &arena, (struct audit_query){.limit = 4});
	assert_int_equal(all.count, 4);
	assert_int_equal(all.total, 6);
	assert_false(all.total_is_min);
	assert_string_equal(all.rows[0].resource, "goal");
	struct audit_list rest =
	    list(*state, &arena, (struct audit_query){.continues = &all.rows[3].id});
	assert_int_equal(rest.count, 2);
	assert_int_equal(rest.total, 6);
	assert_true(memcmp(&rest.rows[0].id, &all.rows[3].id, sizeof(struct uuid)) < 0);
	assert_int_equal(list(*state, &arena, (struct audit_query){.username = "anna"}).count, 4);
	assert_int_equal(list(*state, &arena, (struct audit_query){.record = &other}).count, 1);
	assert_int_equal(list(*state, &arena, (struct audit_query){.resource = "task"}).count, 5);
	assert_int_equal(
	    list(*state, &arena,
		 (struct audit_query){
		     .resource = "task", .username = "anna", .record = &one, .skip = 1})
		.count,
	    2);
	assert_int_equal(list(*state, &arena, (struct audit_query){.username = "Anna"}).count, 0);
	arena_release(&arena);
}

static void test_times_bound_the_list(void **state)
{
	struct arena arena;
	arena_init(&arena, 65536, 1 << 20);
	add_entry(*state, "anna", "task", NULL);
	struct audit_row row = list(*state, &arena, (struct audit_query){.limit = 1}).rows[0];
	const struct {
		int64_t from_us, to_us;
		size_t count;
	} cases[] = {{row.at_us, 0, 1},
		     {row.at_us + 1, 0, 0},
		     {0, row.at_us, 0},
		     {0, row.at_us + 1, 1},
		     {row.at_us, row.at_us + 1, 1},
		     {row.at_us - 3600 * US_PER_S, row.at_us - 60 * US_PER_S, 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct audit_query query = {.from_us = cases[i].from_us,
						  .to_us = cases[i].to_us};
		struct audit_list found = list(*state, &arena, query);
		assert_int_equal(found.count, cases[i].count);
		assert_int_equal(found.total, cases[i].count);
	}
	arena_release(&arena);
}

/* Whatever is asked for, the list is read along an index, and nothing is sorted. */
static void test_every_list_is_read_along_an_index(void **state)
{
	struct arena arena;
	struct uuid id, last;
	uuid_new(&id);
	memset(last.bytes, 0xff, sizeof(last.bytes));
	arena_init(&arena, 65536, 1 << 20);
	test_mariadb_sql("INSERT INTO ziggie.audit (id, at, username, action, resource, record_id)"
			 " SELECT UNHEX(LPAD(HEX(seq), 32, '0')), NOW(6), 'task', 'create', 'task',"
			 " UNHEX(LPAD(HEX(seq), 32, '0')) FROM ziggie.seq_1_to_5000");
	for (unsigned filters = 0; filters < 16; filters++) {
		const struct audit_query query = {.resource = filters & 1 ? "task" : NULL,
						  .username = filters & 2 ? "anna" : NULL,
						  .record = filters & 4 ? &id : NULL,
						  .from_us = filters & 8 ? 1 : 0};
		STRBUF_CLEANUP sql = STRBUF_INIT;
		struct db_value binds[9];
		struct db_result plan;
		size_t n = 0;
		strbuf_adds(&sql, "EXPLAIN ");
		audit_list_sql(&query, &sql);
		for (const char *at = sql.data; *at != '\0'; at++)
			n += *at == '?';
		for (size_t i = 0; i < n; i++)
			binds[i] = i + 2 >= n ? db_u64(1)
				   : i < 2 || (i == 2 && query.record != NULL)
				       ? db_blob(id.bytes, sizeof(id.bytes))
				       : db_text("task");
		struct errmsg why = ERRMSG_INIT;
		binds[0] = db_blob(last.bytes, sizeof(last.bytes));
		if (filters & 8)
			binds[n - 3] = binds[n - 4] = db_time(1);
		if (db_query(*state, &arena, sql.data, binds, n, &plan, &why) != ERR_OK)
			fail_msg("%s: %s", sql.data, why.text);
		const char *key = db_col_text(&plan, 0, 5), *extra = db_col_text(&plan, 0, 9);
		assert_string_equal(key, filters & 4   ? "audit_record"
					 : filters & 2 ? "audit_username"
					 : filters & 1 ? "audit_resource"
						       : "PRIMARY");
		if (extra != NULL)
			assert_null(strstr(extra, "filesort"));
	}
	arena_release(&arena);
}

static void test_old_rows_go_a_few_at_a_time(void **state)
{
	for (int i = 0; i < 5; i++)
		add_entry(*state, "anna", "task", NULL);
	assert_int_equal(audit_remove_before(*state, clock_wall_us() - US_PER_S, 9, NULL, NULL),
			 ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit"), 5);
	assert_int_equal(audit_remove_before(*state, clock_wall_us() + US_PER_S, 3, NULL, NULL),
			 ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit"), 2);
}

static void test_a_long_list_is_not_counted_to_its_end(void **state)
{
	struct arena arena;
	arena_init(&arena, 65536, 8 << 20);
	test_mariadb_sql("INSERT INTO ziggie.audit (id, at, action, resource) SELECT"
			 " UNHEX(LPAD(HEX(seq), 32, '0')), NOW(6), 'create', 'task'"
			 " FROM ziggie.seq_1_to_1001");
	struct audit_list found = list(*state, &arena, (struct audit_query){.limit = 1});
	assert_true(found.total_is_min);
	assert_int_equal(found.total, AUDIT_TOTAL_MAX);
	test_mariadb_sql("DELETE FROM ziggie.audit LIMIT 1");
	found = list(*state, &arena, (struct audit_query){.resource = "task", .limit = 1});
	assert_false(found.total_is_min);
	assert_int_equal(found.total, AUDIT_TOTAL_MAX);
	arena_release(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_row_says_who_what_and_where_from),
	    TEST(test_what_is_not_known_is_null),
	    TEST(test_a_write_that_is_undone_leaves_no_row),
	    TEST(test_the_list_is_filtered_and_goes_on_behind_a_page),
	    TEST(test_times_bound_the_list),
	    TEST(test_every_list_is_read_along_an_index),
	    TEST(test_old_rows_go_a_few_at_a_time),
	    TEST(test_a_long_list_is_not_counted_to_its_end),
	};
	return cmocka_run_group_tests_name("store_audit", tests, test_mariadb_set_up,
					   test_mariadb_tear_down);
}
