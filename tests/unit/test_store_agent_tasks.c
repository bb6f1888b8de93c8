/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/deadline.h"
#include "store/agent_tasks.h"
#include "store/agent_tasks_check.h"
#include "store/tasks.h"
#include "support.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 60000, AGENTS = 5, WRITERS = 4, WRITES = 60, MENDERS = 2, POLL_MS = 5 };

static struct test_session fixture;

/* Agents 1 to AGENTS: the number is the last byte of the id. */
#define AGENT_ID(seq) "UNHEX(LPAD(HEX(" seq "), 32, '0'))"

static struct uuid agent_id(int number)
{
	return (struct uuid){{[15] = (uint8_t)number}};
}

static int set_up(void **state)
{
	(void)state;
	test_session_open(&fixture);
	test_mariadb_sql("DELETE FROM ziggie.tasks");
	test_mariadb_sql("DELETE FROM ziggie.agents");
	test_mariadb_sql("INSERT INTO ziggie.agents (id, created_at, updated_at, name, agent_type,"
			 " status, configuration, metadata, resource_limits)"
			 " SELECT " AGENT_ID("seq") ", '2026-01-01', '2026-01-01', 'a', 'x',"
						    " 'idle', '{}', '{}', '{}' FROM"
						    " ziggie.seq_1_to_5");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_session_close(&fixture);
	return 0;
}

/* A task that nobody counts. */
static enum err insert_task(struct db_conn *db, int agent, const char *status, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO tasks (id, created_at, updated_at, agent_id, description, task_type,"
	    " status, input_data, priority)"
	    " VALUES (?, UTC_TIMESTAMP(), UTC_TIMESTAMP(), ?, 'd', 'x', ?, '{}', 5)";
	struct uuid id;
	const struct uuid owner = agent_id(agent);
	uuid_new(&id);
	return db_exec(db, sql,
		       DB_BINDS(db_blob(id.bytes, sizeof(id.bytes)),
				db_blob(owner.bytes, sizeof(owner.bytes)), db_text(status)),
		       NULL, why);
}

static void add_tasks(int agent, const char *status, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(insert_task(fixture.db, agent, status, NULL), ERR_OK);
}

static enum err count(struct db_conn *db, int agent, enum task_status status, int change,
		      struct errmsg *why)
{
	const struct uuid id = agent_id(agent);
	int changes[TASK_STATUSES] = {0};
	changes[status] = change;
	return agent_tasks_add(db, &id, changes, why);
}

static void spoil(int agent, enum task_status status, int change)
{
	assert_int_equal(count(fixture.db, agent, status, change, NULL), ERR_OK);
}

static struct agent_tasks_check check_all(unsigned most)
{
	struct agent_tasks_check check = {.done = false};
	struct errmsg why = ERRMSG_INIT;
	while (!check.done)
		if (agent_tasks_check_next(fixture.db, &check, most, &why) != ERR_OK)
			fail_msg("%s", why.text);
	return check;
}

#define WRONG(comma, status)                                                                       \
	" + ((SELECT COUNT(*) FROM ziggie.tasks WHERE agent_id = a.id AND status = '" status       \
	"') <> COALESCE(k." status ", 0))"

static int64_t wrong_counts(void)
{
	return test_mariadb_number("SELECT CAST(SUM(0" TASK_STATUS_ROWS(
	    WRONG) ") AS SIGNED) FROM ziggie.agents a"
		   " LEFT JOIN ziggie.agent_tasks k ON k.agent_id = a.id");
}

/* What is wrong is mended */

static void test_wrong_counts_are_mended(void **state)
{
	(void)state;
	for (unsigned most = 1; most <= AGENTS + 1; most += AGENTS) {
		test_mariadb_sql("DELETE FROM ziggie.agent_tasks");
		test_mariadb_sql("DELETE FROM ziggie.tasks");
		add_tasks(1, "pending", 2);
		spoil(1, TASK_IS_PENDING, 7);
		spoil(1, TASK_IS_BLOCKED, -3);
		add_tasks(2, "ready", 3); /* never counted: there is no row */
		add_tasks(3, "running", 1);
		spoil(3, TASK_IS_RUNNING, 1); /* right */
		spoil(5, TASK_IS_FAILED, 4);
		assert_int_equal(wrong_counts(), 4);
		const struct agent_tasks_check check = check_all(most);
		assert_int_equal(wrong_counts(), 0);
		assert_int_equal(check.agents, AGENTS);
		assert_int_equal(check.mended, 3);
		assert_int_equal(check_all(most).mended, 0);
	}
}

static void test_what_is_right_is_not_written(void **state)
{
	(void)state;
	add_tasks(1, "pending", 1);
	spoil(1, TASK_IS_PENDING, 1);
	assert_int_equal(check_all(2).mended, 0);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.agent_tasks"), 1);
}

static void test_a_portion_is_bounded(void **state)
{
	(void)state;
	struct agent_tasks_check check = {.done = false};
	assert_int_equal(agent_tasks_check_next(fixture.db, &check, 2, NULL), ERR_OK);
	assert_int_equal(check.agents, 2);
	assert_false(check.done);
	assert_int_equal(check.last.bytes[15], 2);
}

/* While others write */

static void commit(db_work *work, void *arg)
{
	struct test_session own;
	test_session_open(&own);
	assert_int_equal(db_transaction(own.db, work, arg, NULL), ERR_OK);
	test_session_close(&own);
}

/* What is not committed is neither seen nor waited for when nothing is wrong. */
static enum err write_and_check(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = insert_task(db, 1, "ready", why);
	if (err == ERR_OK)
		err = count(db, 1, TASK_IS_READY, 1, why);
	*(struct agent_tasks_check *)arg = check_all(AGENTS);
	return err;
}

static void test_who_writes_keeps_nobody_waiting(void **state)
{
	(void)state;
	struct agent_tasks_check check;
	commit(write_and_check, &check);
	assert_int_equal(check.mended, 0);
	assert_int_equal(check.agents, AGENTS);
	assert_int_equal(wrong_counts(), 0);
}

struct mender {
	pthread_t thread;
	struct agent_tasks_check check;
};

static void *mend_all(void *arg)
{
	struct mender *m = arg;
	struct test_session own;
	test_session_open(&own);
	while (!m->check.done)
		AN_INVARIANT(agent_tasks_check_next(own.db, &m->check, AGENTS, NULL) == ERR_OK);
	test_session_close(&own);
	return NULL;
}

static void wait_until_both_wait(void)
{
	const struct deadline limit = deadline_in_ms(PATIENCE_MS);
	while (test_mariadb_number("SELECT CAST(VARIABLE_VALUE AS SIGNED)"
				   " FROM information_schema.GLOBAL_STATUS WHERE"
				   " VARIABLE_NAME = 'Innodb_row_lock_current_waits'") < MENDERS) {
		assert_false(deadline_passed(&limit));
		test_sleep_ms(POLL_MS);
	}
}

/* Has counted, and commits when all menders know that the counts are wrong and want the row. */
static enum err write_before(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct mender *menders = arg;
	enum err err = insert_task(db, 1, "ready", why);
	if (err == ERR_OK)
		err = count(db, 1, TASK_IS_READY, 1, why);
	if (err == ERR_OK)
		err = db_command(db, "DO 0", why); /* or the count would wait for the commit */
	for (int i = 0; i < MENDERS; i++)
		AN_INVARIANT(pthread_create(&menders[i].thread, NULL, mend_all, &menders[i]) == 0);
	wait_until_both_wait();
	return err;
}

static void test_of_two_who_mend_one_does(void **state)
{
	(void)state;
	struct mender menders[MENDERS] = {{.check = {.done = false}}};
	uint64_t mended = 0;
	spoil(1, TASK_IS_READY, 10);
	commit(write_before, menders);
	for (int i = 0; i < MENDERS; i++) {
		pthread_join(menders[i].thread, NULL);
		mended += menders[i].check.mended;
	}
	assert_int_equal(wrong_counts(), 0);
	assert_int_equal(mended, 1);
}

/* Has written a task that is counted when the row is mended. */
static enum err write_after(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = insert_task(db, 1, "ready", why);
	*(struct agent_tasks_check *)arg = check_all(AGENTS);
	return err == ERR_OK ? count(db, 1, TASK_IS_READY, 1, why) : err;
}

static void test_counting_after_it_adds_to_what_is_right(void **state)
{
	(void)state;
	struct agent_tasks_check check;
	spoil(1, TASK_IS_READY, 10);
	commit(write_after, &check);
	assert_int_equal(check.mended, 1);
	assert_int_equal(wrong_counts(), 0);
}

struct writer {
	pthread_t thread;
	int number;
	int round;
	atomic_int *busy;
};

/* The lock order of lib/store: tasks, and at last the counts of each agent by its id. */
static enum err write_some(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] = "UPDATE tasks SET status = 'running' WHERE agent_id = ?"
				  " AND status = 'ready' LIMIT 1";
	const struct writer *w = arg;
	int low = 1 + (w->number + w->round) % (AGENTS - 1), high = low + 1;
	const struct uuid id = agent_id(high);
	uint64_t begun = 0;
	enum err err = insert_task(db, low, "ready", why);
	if (err == ERR_OK)
		err = db_exec(db, sql, DB_BINDS(db_blob(id.bytes, sizeof(id.bytes))), &begun, why);
	if (err == ERR_OK)
		err = count(db, low, TASK_IS_READY, 1, why);
	if (err == ERR_OK)
		err = count(db, high, TASK_IS_READY, -(int)begun, why);
	return err == ERR_OK ? count(db, high, TASK_IS_RUNNING, (int)begun, why) : err;
}

static void *write_on(void *arg)
{
	struct writer *w = arg;
	struct test_session own;
	test_session_open(&own);
	for (w->round = 0; w->round < WRITES; w->round++)
		AN_INVARIANT(db_transaction(own.db, write_some, w, NULL) == ERR_OK);
	test_session_close(&own);
	atomic_fetch_sub(w->busy, 1);
	return NULL;
}

static void test_while_many_write_nothing_is_spoilt(void **state)
{
	(void)state;
	struct writer writers[WRITERS];
	atomic_int busy = WRITERS;
	uint64_t mended = 0, spoilt = 0;
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.number = i, .busy = &busy};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]),
				 0);
	}
	do {
		assert_int_equal(check_all(2).mended, 0);
		spoil(1 + (int)(spoilt++ % AGENTS), TASK_IS_READY, 1);
		mended += check_all(2).mended;
	} while (atomic_load(&busy) > 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	assert_int_equal(mended, spoilt);
	assert_int_equal(wrong_counts(), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_wrong_counts_are_mended),
	    TEST(test_what_is_right_is_not_written),
	    TEST(test_a_portion_is_bounded),
	    TEST(test_who_writes_keeps_nobody_waiting),
	    TEST(test_of_two_who_mend_one_does),
	    TEST(test_counting_after_it_adds_to_what_is_right),
	    TEST(test_while_many_write_nothing_is_spoilt),
	};
	return cmocka_run_group_tests(tests, test_mariadb_set_up, test_mariadb_tear_down);
}
