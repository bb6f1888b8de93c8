/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_row_says_who_what_and_where_from),
	    TEST(test_what_is_not_known_is_null),
	    TEST(test_a_write_that_is_undone_leaves_no_row),
	};
	return cmocka_run_group_tests_name("store_audit", tests, test_mariadb_set_up,
					   test_mariadb_tear_down);
}
