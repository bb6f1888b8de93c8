/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "store/agents.h"
#include "store/projects.h"
#include "store/record_batch.h"
#include "support.h"
#include "support_mariadb.h"

enum { NO_PROJECT = 0xee, READERS_MAX = 16, PATIENCE_MS = 2000 };

static struct record_batch *batch;
static struct db_conn *locker;

enum { LARGE = 1200 * 1024 };

/*
 * Projects of the ids 0…01 to 0…18, whose description is the last byte of the id, and large
 * agents of the first of these ids.
 */
static int set_up_server(void **state)
{
	test_mariadb_set_up(state);
	test_mariadb_sql("INSERT INTO ziggie.projects (id, version, created_at, updated_at, name,"
			 " description, status) SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 1,"
			 " UTC_TIMESTAMP(), UTC_TIMESTAMP(), CONCAT('p', seq), seq, 'active'"
			 " FROM ziggie.seq_1_to_24");
	test_mariadb_sql("INSERT INTO ziggie.agents (id, created_at, updated_at, name, agent_type,"
			 " status, configuration, metadata, resource_limits) SELECT"
			 " UNHEX(LPAD(HEX(seq), 32, '0')), UTC_TIMESTAMP(), UTC_TIMESTAMP(), 'a',"
			 " 'x', 'idle', CONCAT('\"', REPEAT(CHAR(64 + seq), 1200 * 1024), '\"'),"
			 " '{}', '{}' FROM ziggie.seq_1_to_9");
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(record_batch_new(READERS_MAX, 60000, &batch, NULL), ERR_OK);
	locker = test_mariadb_connect(test_mariadb_root());
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	db_close(locker);
	record_batch_free(batch);
	return 0;
}

static void with_other_batch(unsigned threads, int64_t patience_ms)
{
	record_batch_free(batch);
	assert_int_equal(record_batch_new(threads, patience_ms, &batch, NULL), ERR_OK);
}

/* While the tables are locked every statement that reads them waits on the server. */
static void lock_tables(void)
{
	assert_int_equal(db_command(locker,
				    "LOCK TABLES ziggie.projects WRITE,"
				    " ziggie.agents WRITE",
				    NULL),
			 ERR_OK);
}

static void unlock_tables(void)
{
	assert_int_equal(db_command(locker, "UNLOCK TABLES", NULL), ERR_OK);
}

/* One who reads a record on a thread and a connection of its own. */
struct reader {
	pthread_t thread;
	uint8_t number; /* of the record */
	struct test_session session;
	_Atomic pid_t tid;
	enum err err;
	int64_t value; /* what the record says of its number */
	struct errmsg why;
};

static void *read_project(void *arg)
{
	struct reader *r = arg;
	const struct uuid id = {.bytes = {[15] = r->number}};
	struct record record;
	atomic_store(&r->tid, gettid());
	r->err = record_batch_find(batch, r->session.db, &r->session.arena, &projects, &id, &record,
				   &r->why);
	if (r->err == ERR_OK)
		r->value = strtoll(record_text(&record, PROJECT_DESCRIPTION), NULL, 10);
	return NULL;
}

static bool sleeps(pid_t tid)
{
	char path[64], state = '?';
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	FILE *f = fopen(path, "r");
	if (f != NULL && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f != NULL)
		fclose(f);
	return state == 'S';
}

/* Returns when it waits for the server or for others. */
static void begin(struct reader *r, void *(*read)(void *), uint8_t number, int64_t deadline_ms)
{
	*r = (struct reader){.number = number};
	test_session_open(&r->session);
	const struct deadline deadline = deadline_in_ms(deadline_ms);
	db_set_deadline(r->session.db, &deadline);
	assert_int_equal(pthread_create(&r->thread, NULL, read, r), 0);
	for (int quiet = 0; quiet < 3; test_sleep_ms(2))
		quiet = atomic_load(&r->tid) != 0 && sleeps(atomic_load(&r->tid)) ? quiet + 1 : 0;
}

static void begin_reading(struct reader *r, uint8_t number, int64_t deadline_ms)
{
	begin(r, read_project, number, deadline_ms);
}

static void end_reading(struct reader *r)
{
	pthread_join(r->thread, NULL);
	test_session_close(&r->session);
}

static void assert_was_read(const struct reader *r)
{
	assert_int_equal(r->err, ERR_OK);
	assert_int_equal(r->value, r->number);
}

static void wait_until_running(int64_t statements)
{
	for (int tries = 0; test_mariadb_running() != statements; tries++) {
		assert_true(tries < 5000);
		test_sleep_ms(2);
	}
}

/* Executions of prepared statements on the server until now, but for those of this function. */
static int64_t executed(void)
{
	static int64_t own;
	own++;
	return test_mariadb_number("SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM"
				   " information_schema.GLOBAL_STATUS"
				   " WHERE VARIABLE_NAME = 'Com_stmt_execute'") -
	       own;
}

static void test_alone_it_is_one_statement(void **state)
{
	(void)state;
	struct reader r = {.number = 7};
	test_session_open(&r.session);
	int64_t before = executed();
	read_project(&r);
	assert_was_read(&r);
	assert_int_equal(executed() - before, 1);

	r.number = NO_PROJECT;
	read_project(&r);
	assert_int_equal(r.err, ERR_NOT_FOUND);
	assert_string_equal(r.why.text, "there is no such project");
	assert_int_equal(executed() - before, 2);
	test_session_close(&r.session);
}

static void test_who_waits_is_read_together(void **state)
{
	(void)state;
	struct reader readers[6];
	const uint8_t wanted[] = {1, 2, 3, NO_PROJECT, 2, 5};
	int64_t before = executed();
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin_reading(&readers[i], wanted[i], 60000);
	assert_int_equal(test_mariadb_running(), 1);
	before += 1; /* test_mariadb_running() */
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		end_reading(&readers[i]);
	assert_int_equal(executed() - before, 2);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		if (wanted[i] != NO_PROJECT)
			assert_was_read(&readers[i]);
	}
	assert_int_equal(readers[3].err, ERR_NOT_FOUND);
}

/* What was changed before somebody asked is never missing from what they are told. */
static void test_nobody_joins_a_statement_under_way(void **state)
{
	(void)state;
	struct reader first, second;
	lock_tables();
	begin_reading(&first, 9, 60000);
	wait_until_running(1);
	begin_reading(&second, 9, 60000);
	int64_t before = executed();
	unlock_tables();
	end_reading(&first);
	end_reading(&second);
	assert_was_read(&second);
	assert_int_equal(executed() - before, 1);
}

static void test_a_full_one_does_not_wait(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		assert_int_equal(test_mariadb_running(), i > 0 ? 1 : 0);
		begin_reading(&readers[i], (uint8_t)(1 + i), 60000);
		if (i == 0)
			wait_until_running(1);
	}
	wait_until_running(2);
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
}

/* A statement that hangs keeps others for a while, and then nobody who comes. */
static void test_patience_ends(void **state)
{
	(void)state;
	struct reader hangs, waits, comes;
	with_other_batch(READERS_MAX, PATIENCE_MS);
	lock_tables();
	begin_reading(&hangs, 1, 60000);
	wait_until_running(1);
	int64_t began_ns = clock_mono_ns();
	begin_reading(&waits, 2, 60000);
	wait_until_running(2);
	assert_true(clock_mono_ns() - began_ns >= PATIENCE_MS * NS_PER_MS);

	unlock_tables();
	end_reading(&waits);
	end_reading(&hangs);
	assert_was_read(&waits);
	assert_was_read(&hangs);
	lock_tables();
	begin_reading(&comes, 3, 60000);
	wait_until_running(1);
	unlock_tables();
	end_reading(&comes);
	assert_was_read(&comes);
}

/* Those in a statement that hangs read by themselves, and newcomers go on without it. */
static void test_patience_ends_within_a_statement(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST], comes;
	with_other_batch(READERS_MAX, PATIENCE_MS);
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin_reading(&readers[i], (uint8_t)(1 + i), 60000);
	/* The first, the one who reads for eight, and the seven others of those. */
	wait_until_running(1 + RECORD_BATCH_MOST);
	int64_t began_ns = clock_mono_ns();
	begin_reading(&comes, 20, 60000);
	wait_until_running(2 + RECORD_BATCH_MOST);
	assert_true(clock_mono_ns() - began_ns < PATIENCE_MS * NS_PER_MS);
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
	end_reading(&comes);
	assert_was_read(&comes);
}

/* The one whose statement it is meets its deadline; that is nobody else's. */
static void test_who_fails_fails_alone(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	const size_t last = RECORD_BATCH_MOST;
	lock_tables();
	for (size_t i = 0; i < last; i++)
		begin_reading(&readers[i], (uint8_t)(1 + i), 60000);
	begin_reading(&readers[last], (uint8_t)(1 + last), 150);
	pthread_join(readers[last].thread, NULL);
	assert_int_equal(readers[last].err, ERR_TIMEOUT);
	unlock_tables();
	for (size_t i = 0; i < last; i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
	test_session_close(&readers[last].session);
}

static void test_who_waits_has_a_deadline(void **state)
{
	(void)state;
	struct reader first, second;
	lock_tables();
	begin_reading(&first, 1, 60000);
	wait_until_running(1);
	int64_t began_ns = clock_mono_ns();
	begin_reading(&second, 2, 100);
	end_reading(&second);
	assert_true(clock_mono_ns() - began_ns < 30 * NS_PER_S);
	assert_int_equal(second.err, ERR_TIMEOUT);
	unlock_tables();
	end_reading(&first);
	assert_was_read(&first);
}

static void *read_agent(void *arg)
{
	struct reader *r = arg;
	const struct uuid id = {.bytes = {[15] = r->number}};
	struct record record;
	atomic_store(&r->tid, gettid());
	r->err = record_batch_find(batch, r->session.db, &r->session.arena, &agents, &id, &record,
				   &r->why);
	if (r->err == ERR_OK) {
		const char *text = record_text(&record, AGENT_CONFIGURATION);
		r->value = strlen(text) == LARGE + 2 ? text[1] - 64 : -1;
	}
	return NULL;
}

static void test_what_is_too_large_together_is_read_alone(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin(&readers[i], read_agent, (uint8_t)(1 + i), 60000);
	wait_until_running(2);
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
}

static void test_more_than_there_is_room_for_read_alone(void **state)
{
	(void)state;
	struct reader readers[3];
	with_other_batch(1, 60000);
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin_reading(&readers[i], (uint8_t)(1 + i), 60000);
	wait_until_running(3);
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
}

/* In the transaction that it begins, and the second time under a lock. */
static enum err peek_twice(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct reader *r = arg;
	const struct uuid id = {.bytes = {[15] = r->number}};
	struct record record;
	enum err err =
	    record_batch_peek(batch, db, &r->session.arena, &projects, &id, &record, why);
	r->value = test_mariadb_number("SELECT COUNT(*) FROM ziggie.projects WHERE"
				       " name = 'p4' FOR UPDATE SKIP LOCKED");
	return err == ERR_OK && db_attempt(db) == 0 ? ERR_RETRY : err;
}

static void test_peeking_locks_the_second_time(void **state)
{
	(void)state;
	struct reader r = {.number = 4, .value = -1};
	test_session_open(&r.session);
	assert_int_equal(db_transaction(r.session.db, peek_twice, &r, NULL), ERR_OK);
	assert_int_equal(r.value, 0);
	test_session_close(&r.session);
}

/* Many at once; each changes a project of its own and finds what it wrote. */
enum { ROUNDS = 150 };

static void *write_and_read(void *arg)
{
	struct reader *r = arg;
	const struct uuid own = {.bytes = {[15] = r->number}};
	for (int64_t i = 0; i < ROUNDS && r->err == ERR_OK; i++) {
		struct record record;
		r->err = db_exec(r->session.db, "UPDATE projects SET path = ? WHERE id = ?",
				 DB_BINDS(db_i64(i), db_blob(own.bytes, sizeof(own.bytes))), NULL,
				 &r->why);
		if (r->err == ERR_OK)
			r->err = record_batch_find(batch, r->session.db, &r->session.arena,
						   &projects, &own, &record, &r->why);
		if (r->err == ERR_OK &&
		    (strtoll(record_text(&record, PROJECT_PATH), NULL, 10) != i ||
		     strtoll(record_text(&record, PROJECT_DESCRIPTION), NULL, 10) != r->number))
			r->err = err_set(&r->why, ERR_INTERNAL, "round %d: not what was written",
					 (int)i);
		arena_reset(&r->session.arena);
	}
	return NULL;
}

static void test_each_finds_what_it_wrote(void **state)
{
	(void)state;
	struct reader readers[READERS_MAX];
	int64_t before = executed();
	for (size_t i = 0; i < READERS_MAX; i++) {
		readers[i] = (struct reader){.number = (uint8_t)(1 + i)};
		test_session_open(&readers[i].session);
	}
	for (size_t i = 0; i < READERS_MAX; i++)
		assert_int_equal(
		    pthread_create(&readers[i].thread, NULL, write_and_read, &readers[i]), 0);
	for (size_t i = 0; i < READERS_MAX; i++) {
		end_reading(&readers[i]);
		assert_string_equal(readers[i].why.text, "");
		assert_int_equal(readers[i].err, ERR_OK);
	}
	/* Some have met, or it was no test. */
	assert_true(executed() - before < 2 * READERS_MAX * ROUNDS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_alone_it_is_one_statement),
	    TEST(test_who_waits_is_read_together),
	    TEST(test_nobody_joins_a_statement_under_way),
	    TEST(test_a_full_one_does_not_wait),
	    TEST(test_patience_ends),
	    TEST(test_patience_ends_within_a_statement),
	    TEST(test_who_fails_fails_alone),
	    TEST(test_who_waits_has_a_deadline),
	    TEST(test_what_is_too_large_together_is_read_alone),
	    TEST(test_more_than_there_is_room_for_read_alone),
	    TEST(test_peeking_locks_the_second_time),
	    TEST(test_each_finds_what_it_wrote),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
