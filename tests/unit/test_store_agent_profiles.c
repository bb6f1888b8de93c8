/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "base/strbuf.h"
#include "store/agent_profiles.h"
#include "support_mariadb.h"

enum { CROWD = PROFILE_SEARCHED_MAX + 50 };

static struct test_session fixture;

/* More agents than a search looks at, all of level L3; only the first and last are special. */
static int set_up_server(void **state)
{
	test_mariadb_set_up(state);
	test_mariadb_sql(
	    "INSERT INTO ziggie.agents (id, created_at, updated_at, did, name, agent_type, status,"
	    " level, configuration, metadata, resource_limits)"
	    " SELECT UNHEX(LPAD(HEX(seq), 32, '0')), NOW(6), NOW(6), CONCAT('did:ziggie:a', seq),"
	    " CASE seq WHEN 1 THEN 'The First' WHEN 10050 THEN 'The Last' ELSE 'One of many' END,"
	    " 'x', 'active', 'L3', '{}', '{\"role\": \"Waits\"}', '{}'"
	    " FROM ziggie.seq_1_to_10050");
	test_mariadb_sql("INSERT INTO ziggie.record_counts VALUES ('agent', 0, 10050)");
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	test_session_open(&fixture);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_session_close(&fixture);
	return 0;
}

/* Plans */

static bool has(const struct db_result *plan, size_t row, size_t column, const char *text)
{
	const char *value = db_col_text(plan, row, column);
	return value != NULL && strstr(value, text) != NULL;
}

/* Each table by an index; a sort only of the rows of a page, which stand in a table of their own.
 */
static void check_plan(const char *sql, const struct db_result *plan, const char *index)
{
	enum { TABLE = 2, TYPE = 3, KEY = 5, EXTRA = 9 };
	bool used = false;
	for (size_t i = 0; i < plan->row_count; i++) {
		bool derived = has(plan, i, TABLE, "<");
		used = used || has(plan, i, KEY, index);
		if (!derived && has(plan, i, TYPE, "ALL"))
			fail_msg("%s: reads a whole table", sql);
		if (!derived &&
		    (has(plan, i, EXTRA, "filesort") || has(plan, i, EXTRA, "temporary")))
			fail_msg("%s: sorts", sql);
	}
	if (!used)
		fail_msg("%s: does not read along %s", sql, index);
}

static void expect_index(const struct profile_query *q, const char *index)
{
	static const uint8_t id[16] = {1};
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[12];
	struct db_result plan;
	struct errmsg why = ERRMSG_INIT;
	size_t n = 0;
	strbuf_adds(&sql, "EXPLAIN ");
	profiles_list_sql(q, &sql);
	for (int twice = 0; twice < (q->search != NULL ? 2 : 1); twice++) {
		if (q->parent != NULL)
			binds[n++] = db_blob(id, sizeof(id));
		if (q->level != NULL)
			binds[n++] = db_text(q->level);
	}
	if (q->search != NULL)
		binds[n++] = db_text(q->search);
	for (int status = 0; q->at_work && status < 3; status++)
		binds[n++] = db_u64(50);
	binds[n++] = db_u64(50);
	binds[n++] = db_u64(0);
	if (db_query(fixture.db, &fixture.arena, sql.data, binds, n, &plan, &why) != ERR_OK)
		fail_msg("%s: %s", sql.data, why.text);
	check_plan(sql.data, &plan, index);
}

static void test_every_list_is_read_along_its_index(void **state)
{
	(void)state;
	static const struct uuid parent = {{1}};
	for (int search = 0; search < 2; search++) {
		const char *text = search ? "x" : NULL;
		expect_index(&(struct profile_query){.search = text}, "PRIMARY");
		expect_index(&(struct profile_query){.search = text, .level = "L3"},
			     "agents_level");
		expect_index(&(struct profile_query){.search = text, .parent = &parent},
			     "agents_parent");
		expect_index(
		    &(struct profile_query){.search = text, .parent = &parent, .level = "L3"},
		    "agents_parent_level");
	}
	expect_index(&(struct profile_query){.at_work = true}, "agents_status");
}

/* Bounds */

static struct profile_list list(const struct profile_query *query)
{
	struct profile_list out;
	struct errmsg why = ERRMSG_INIT;
	if (profiles_list(fixture.db, &fixture.arena, query, &out, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return out;
}

static void test_a_search_looks_at_so_many_and_says_so(void **state)
{
	(void)state;
	struct profile_query query = {.search = "the first", .limit = 50};
	struct profile_list found = list(&query);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].id, "a1");
	assert_true(found.total_is_min);
	query.search = "the last";
	found = list(&query);
	assert_int_equal(found.count, 0);
	assert_true(found.total_is_min);
	query.search = "WAITS";
	query.level = "L3";
	found = list(&query);
	assert_int_equal(found.count, 50);
	assert_int_equal(found.total, PROFILE_SEARCHED_MAX);
	assert_true(found.total_is_min);
}

static void test_a_search_of_all_is_exact(void **state)
{
	(void)state;
	const struct profile_query query = {.search = "waits", .level = "L1", .limit = 50};
	struct profile_list found = list(&query);
	assert_int_equal(found.total, 0);
	assert_false(found.total_is_min);
}

static void test_totals_are_exact_up_to_a_bound(void **state)
{
	(void)state;
	struct profile_list all =
	    list(&(struct profile_query){.limit = 1, .skip = PROFILE_SKIP_MAX});
	assert_int_equal(all.total, CROWD);
	assert_false(all.total_is_min);
	assert_string_equal(all.items[0].id, "a10001");
	struct profile_list level = list(&(struct profile_query){.level = "L3", .limit = 1});
	assert_int_equal(level.total, CROWD);
	assert_false(level.total_is_min);
	struct profile_list at_work = list(&(struct profile_query){.at_work = true, .limit = 1});
	assert_int_equal(at_work.total, CROWD);
	assert_false(at_work.total_is_min);
}

static void test_counts_are_of_all(void **state)
{
	(void)state;
	struct profile_counts counts;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(profiles_count(fixture.db, &fixture.arena, &counts, &why), ERR_OK);
	assert_int_equal(counts.total, CROWD);
	assert_int_equal(counts.by_level[2], CROWD);
	assert_int_equal(counts.by_level[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_every_list_is_read_along_its_index, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(test_a_search_looks_at_so_many_and_says_so, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(test_a_search_of_all_is_exact, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_totals_are_exact_up_to_a_bound, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_counts_are_of_all, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("store_agent_profiles", tests, set_up_server,
					   test_mariadb_tear_down);
}
