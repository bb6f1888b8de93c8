/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/agents.h"
#include "store/goals.h"
#include "store/idempotency.h"
#include "store/jobs.h"
#include "store/plans.h"
#include "store/projects.h"
#include "store/tasks.h"
#include "support_mariadb.h"

static const struct record_kind *const kinds[] = {&agents, &projects, &goals,
						  &plans,  &tasks,    &jobs};

static struct test_session fixture;

static int set_up_server(void **state)
{
	test_mariadb_set_up(state);
	/* A table of fewer rows than a page may be sorted. */
	test_mariadb_sql("INSERT INTO ziggie.agents (id, created_at, updated_at, name, agent_type,"
			 " status, configuration, metadata, resource_limits) SELECT"
			 " UNHEX(MD5(seq)), UTC_TIMESTAMP(), UTC_TIMESTAMP(), 'a', 'x', 'idle',"
			 " '{}', '{}', '{}' FROM ziggie.seq_1_to_200");
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

static struct db_value some_value(const struct field *field)
{
	static const uint8_t id[16] = {1};
	if (field->type == FIELD_ID)
		return db_blob(id, sizeof(id));
	if (field->type == FIELD_INT)
		return db_i64(5);
	if (field->type == FIELD_TIME)
		return db_time(1);
	return db_text("x");
}

static size_t bind_all(const struct record_kind *kind, const struct record_query *q,
		       struct db_value *binds)
{
	size_t n = 0;
	for (size_t i = 0; i < q->order->filter_count; i++)
		binds[n++] = some_value(&kind->fields[q->order->filters[i]]);
	if (q->continues && q->order->sort != RECORD_CREATED_AT) {
		binds[n++] = some_value(&kind->fields[q->order->sort]);
		binds[n++] = some_value(&kind->fields[q->order->sort]);
	}
	if (q->continues)
		binds[n++] = some_value(&kind->fields[RECORD_ID]);
	binds[n++] = db_u64(51);
	binds[n++] = db_u64(0);
	return n;
}

static void expect_index(const struct record_kind *kind, const struct record_query *q)
{
	enum { KEY = 5, EXTRA = 9, BINDS = 8 };
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS];
	struct db_result plan;
	struct errmsg why = ERRMSG_INIT;
	strbuf_adds(&sql, "EXPLAIN ");
	record_list_sql(kind, q, &sql);
	if (db_query(fixture.db, &fixture.arena, sql.data, binds, bind_all(kind, q, binds), &plan,
		     &why) != ERR_OK)
		fail_msg("%s: %s", sql.data, why.text);
	size_t computed = kind == &agents || kind == &plans, total = q->order->filter_count == 0;
	assert_int_equal(plan.row_count, 1 + computed + total);
	/* What is computed of each record is looked up, too. */
	for (size_t i = 1; i < plan.row_count; i++)
		if (db_col_null(&plan, i, KEY))
			fail_msg("%s: computes without an index", sql.data);
	const char *key = db_col_text(&plan, 0, KEY), *extra = db_col_text(&plan, 0, EXTRA);
	if (key == NULL || strcmp(key, q->order->index) != 0)
		fail_msg("%s: is read along %s", sql.data, key != NULL ? key : "no index");
	if (extra != NULL && (strstr(extra, "filesort") != NULL || strstr(extra, "temporary")))
		fail_msg("%s: %s", sql.data, extra);
}

static void test_every_list_is_read_along_its_index(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < kinds[k]->order_count; i++)
			for (unsigned way = 0; way < 4; way++) {
				arena_reset(&fixture.arena);
				expect_index(kinds[k],
					     &(struct record_query){.order = &kinds[k]->orders[i],
								    .descending = way & 1,
								    .continues = way & 2});
			}
}

/* A kind's rows name what there is: a column that the table has, a status of its field. */
static void test_the_rows_agree(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct record_kind *kind = kinds[k];
		assert_in_range(kind->column_count, RECORD_HEAD, RECORD_FIELDS_MAX);
		for (size_t i = 0; i < kind->field_count; i++)
			assert_true(kind->fields[i].name != NULL && kind->fields[i].type != 0 &&
				    kind->fields[i].summary != NULL);
		for (size_t i = 0; kind->states != NULL && kind->states[i].status != NULL; i++)
			assert_true(
			    field_takes_text(&kind->fields[kind->status], kind->states[i].status));
	}
}

/* Changes */

#define CONTESTED "id = UNHEX('00000000000070008000000000000001')"

/* A project that somebody else changes, too, whenever nobody has locked it. */
struct contest {
	unsigned attempts;
	bool locked; /* in the last of them */
};

static enum err change_contested(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct contest *c = arg;
	struct uuid id;
	struct record before, after;
	static const struct field_value values[PROJECT_FIELDS] = {
	    [PROJECT_PATH] = {.given = true, .as.text = {"/ours", 5}}};
	assert_true(uuid_parse("00000000-0000-7000-8000-000000000001", &id));
	enum err err = record_peek(db, &fixture.arena, &projects, &id, &before, why);
	c->attempts++;
	c->locked = test_mariadb_number("SELECT COUNT(*) FROM ziggie.projects WHERE " CONTESTED
					" FOR UPDATE SKIP LOCKED") == 0;
	if (!c->locked)
		test_mariadb_sql("UPDATE ziggie.projects SET description = 'theirs',"
				 " version = version + 1 WHERE " CONTESTED);
	if (err == ERR_OK)
		err = record_change(&fixture.arena, &before, values, &after, why);
	return err == ERR_OK ? record_update(db, &before, &after, why) : err;
}

static void test_who_lost_a_record_locks_it(void **state)
{
	(void)state;
	struct contest c = {0};
	test_mariadb_sql("INSERT INTO ziggie.projects (id, version, created_at, updated_at, name,"
			 " path, description, status) VALUES (UNHEX("
			 "'00000000000070008000000000000001'), 1, UTC_TIMESTAMP(), UTC_TIMESTAMP(),"
			 " 'contested', '/', '', 'active')");
	assert_int_equal(db_transaction(fixture.db, change_contested, &c, NULL), ERR_OK);
	assert_int_equal(c.attempts, 2);
	assert_true(c.locked);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.projects WHERE " CONTESTED
					     " AND version = 3 AND path = '/ours'"
					     " AND description = 'theirs'"),
			 1);
	test_mariadb_sql("DELETE FROM ziggie.projects WHERE " CONTESTED);
}

/* Idempotency */

static struct idempotency attempt_with(uint8_t key, uint8_t request)
{
	struct idempotency a = {.key = {key}, .request = {request}};
	uuid_new(&a.holder);
	return a;
}

static enum err reserve(const struct idempotency *a, int64_t hold_us, bool *kept,
			struct kept_answer *answer)
{
	return idempotency_reserve(fixture.db, &fixture.arena, a, hold_us, kept, answer, NULL);
}

static void test_a_kept_answer_comes_again(void **state)
{
	(void)state;
	struct idempotency first = attempt_with(1, 1), again = attempt_with(1, 1),
			   other = attempt_with(1, 2);
	struct kept_answer answer = {201, "/x", "\"1\"", "{}", 2}, found;
	bool kept;
	assert_int_equal(reserve(&first, 1000000, &kept, &found), ERR_OK);
	assert_false(kept);
	assert_int_equal(reserve(&again, 1000000, &kept, &found), ERR_CONFLICT);
	assert_int_equal(idempotency_keep(fixture.db, &first, &answer, NULL), ERR_OK);
	assert_int_equal(idempotency_keep(fixture.db, &first, &answer, NULL), ERR_CONFLICT);
	assert_int_equal(reserve(&again, 1000000, &kept, &found), ERR_OK);
	assert_true(kept);
	assert_int_equal(found.status, 201);
	assert_string_equal(found.location, "/x");
	assert_string_equal(found.etag, "\"1\"");
	assert_string_equal(found.body, "{}");
	assert_int_equal(reserve(&other, 1000000, &kept, &found), ERR_INVALID);
	assert_int_equal(idempotency_drop(fixture.db, &first, NULL), ERR_OK);
	assert_int_equal(reserve(&again, 1000000, &kept, &found), ERR_OK);
	assert_true(kept);
}

/* Whose worker died holds the key for a while; then it can't write any more. */
static void test_a_key_is_taken_over(void **state)
{
	(void)state;
	struct idempotency dead = attempt_with(2, 1), next = attempt_with(2, 1);
	struct kept_answer answer = {.status = 201, .body = ""}, found;
	bool kept;
	assert_int_equal(reserve(&dead, 0, &kept, &found), ERR_OK);
	assert_int_equal(reserve(&next, 1000000, &kept, &found), ERR_OK);
	assert_false(kept);
	assert_int_equal(idempotency_keep(fixture.db, &dead, &answer, NULL), ERR_CONFLICT);
	assert_int_equal(idempotency_drop(fixture.db, &dead, NULL), ERR_OK);
	assert_int_equal(idempotency_keep(fixture.db, &next, &answer, NULL), ERR_OK);
}

static void test_old_answers_are_forgotten(void **state)
{
	(void)state;
	struct idempotency a = attempt_with(3, 1);
	struct kept_answer answer = {.status = 201, .body = ""}, found;
	bool kept;
	assert_int_equal(reserve(&a, 1000000, &kept, &found), ERR_OK);
	assert_int_equal(idempotency_keep(fixture.db, &a, &answer, NULL), ERR_OK);
	assert_int_equal(idempotency_remove_old(fixture.db, 1, 10, NULL, NULL), ERR_OK);
	assert_int_equal(reserve(&a, 1000000, &kept, &found), ERR_OK);
	assert_true(kept);
	assert_int_equal(idempotency_remove_old(fixture.db, INT64_C(1) << 52, 10, NULL, NULL),
			 ERR_OK);
	assert_int_equal(reserve(&a, 1000000, &kept, &found), ERR_OK);
	assert_false(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_every_list_is_read_along_its_index, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(test_the_rows_agree, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_who_lost_a_record_locks_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_kept_answer_comes_again, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_key_is_taken_over, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_old_answers_are_forgotten, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("store_records", tests, set_up_server,
					   test_mariadb_tear_down);
}
