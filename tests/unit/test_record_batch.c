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
	const struct deadline long_enough = deadline_in_ms(600000);
	locker = test_mariadb_connect(test_mariadb_root());
	db_set_deadline(locker, &long_enough);
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
	const struct record_kind *kind;
	struct db_conn *db;
	struct arena arena;
	struct record_access access;
	_Atomic pid_t tid;
	_Atomic bool over;
	_Atomic bool hangs; /* in borrowing a connection */
	enum err refuses;   /* what borrowing a connection ends with */
	enum err err;
	int64_t value; /* what the record says of its number */
	struct errmsg why;
};

static enum err borrow(void *context, struct db_conn **db, struct errmsg *why)
{
	struct reader *r = context;
	while (atomic_load(&r->hangs))
		test_sleep_ms(1);
	*db = r->db;
	return r->refuses == ERR_OK ? ERR_OK : err_set(why, r->refuses, "no connection");
}

static void give_back(void *context, struct db_conn *db)
{
	const struct reader *r = context;
	assert_ptr_equal(db, r->db);
}

static void prepare(struct reader *r, const struct record_kind *kind, uint8_t number,
		    int64_t deadline_ms)
{
	struct db_server server = *test_mariadb_server();
	server.statement_ms = 0; /* no limit of the server's own */
	*r = (struct reader){.number = number, .kind = kind, .value = -1};
	r->access = (struct record_access){borrow, give_back, r, deadline_in_ms(deadline_ms)};
	r->db = test_mariadb_connect(&server);
	db_set_deadline(r->db, &r->access.deadline);
	arena_init(&r->arena, 65536, 64 << 20);
}

static void finish(struct reader *r)
{
	db_close(r->db);
	arena_release(&r->arena);
}

/* A project says it in its description, an agent by the letters that it is full of. */
static int64_t number_in(const struct record *record)
{
	if (record->kind == &projects)
		return strtoll(record_text(record, PROJECT_DESCRIPTION), NULL, 10);
	const char *text = record_text(record, AGENT_CONFIGURATION);
	return strlen(text) == LARGE + 2 ? text[1] - 64 : -1;
}

static void *read_record(void *arg)
{
	struct reader *r = arg;
	const struct uuid id = {.bytes = {[15] = r->number}};
	struct record record;
	atomic_store(&r->tid, gettid());
	r->err = record_batch_find(batch, &r->access, &r->arena, r->kind, &id, &record, &r->why);
	if (r->err == ERR_OK)
		r->value = number_in(&record);
	atomic_store(&r->over, true);
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

/* Returns when it waits for the server or for others, or is over. */
static void start(struct reader *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, read_record, r), 0);
	for (int quiet = 0; quiet < 3 && !atomic_load(&r->over); test_sleep_ms(2))
		quiet = atomic_load(&r->tid) != 0 && sleeps(atomic_load(&r->tid)) ? quiet + 1 : 0;
}

static void begin_reading(struct reader *r, uint8_t number)
{
	prepare(r, &projects, number, 600000);
	start(r);
}

static void end_reading(struct reader *r)
{
	pthread_join(r->thread, NULL);
	finish(r);
}

static void assert_was_read(const struct reader *r)
{
	assert_int_equal(r->err, ERR_OK);
	assert_int_equal(r->value, r->number);
	assert_string_equal(r->why.text, "");
}

static void end_well(struct reader *readers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		end_reading(&readers[i]);
		assert_was_read(&readers[i]);
	}
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
	struct reader r;
	prepare(&r, &projects, 7, 600000);
	int64_t before = executed();
	read_record(&r);
	assert_was_read(&r);
	assert_int_equal(executed() - before, 1);

	r.number = NO_PROJECT;
	read_record(&r);
	assert_int_equal(r.err, ERR_NOT_FOUND);
	assert_string_equal(r.why.text, "there is no such project");
	assert_int_equal(executed() - before, 2);
	finish(&r);
}

static void test_who_waits_is_read_together(void **state)
{
	(void)state;
	struct reader readers[6];
	const uint8_t wanted[] = {1, 2, 3, NO_PROJECT, 2, 5};
	int64_t before = executed();
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin_reading(&readers[i], wanted[i]);
	unlock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		end_reading(&readers[i]);
	assert_int_equal(executed() - before, 2);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		if (wanted[i] != NO_PROJECT)
			assert_was_read(&readers[i]);
	}
	assert_int_equal(readers[3].err, ERR_NOT_FOUND);
	assert_string_equal(readers[3].why.text, "there is no such project");
}

/* What was changed before somebody asked is never missing from what they are told. */
static void test_nobody_joins_a_statement_under_way(void **state)
{
	(void)state;
	struct reader readers[2];
	int64_t before = executed();
	lock_tables();
	begin_reading(&readers[0], 9);
	begin_reading(&readers[1], 9);
	unlock_tables();
	end_well(readers, ARRAY_LEN(readers));
	assert_int_equal(executed() - before, 2);
}

static void test_kinds_do_not_wait_for_each_other(void **state)
{
	(void)state;
	struct reader project, agent;
	lock_tables();
	begin_reading(&project, 1);
	wait_until_running(1);
	prepare(&agent, &agents, 1, 600000);
	start(&agent);
	wait_until_running(2);
	unlock_tables();
	end_well(&project, 1);
	end_well(&agent, 1);
}

static void test_a_full_one_does_not_wait(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		wait_until_running(i > 0 ? 1 : 0);
		begin_reading(&readers[i], (uint8_t)(1 + i));
	}
	wait_until_running(2);
	unlock_tables();
	end_well(readers, ARRAY_LEN(readers));
}

/* A statement that hangs keeps who waits behind it for a while, and nobody who comes later. */
static void test_patience_ends(void **state)
{
	(void)state;
	struct reader readers[3];
	with_other_batch(READERS_MAX, PATIENCE_MS);
	lock_tables();
	begin_reading(&readers[0], 1);
	wait_until_running(1);
	int64_t began_ns = clock_mono_ns();
	begin_reading(&readers[1], 2);
	wait_until_running(2);
	assert_true(clock_mono_ns() - began_ns >= PATIENCE_MS * NS_PER_MS);
	unlock_tables();
	end_well(readers, 2);

	lock_tables();
	began_ns = clock_mono_ns();
	begin_reading(&readers[2], 3);
	wait_until_running(1);
	assert_true(clock_mono_ns() - began_ns < PATIENCE_MS * NS_PER_MS);
	unlock_tables();
	end_well(&readers[2], 1);
}

/* Those in a statement that hangs read by themselves, and newcomers go on without it. */
static void test_patience_ends_within_a_statement(void **state)
{
	(void)state;
	struct reader readers[2 + RECORD_BATCH_MOST];
	const size_t last = RECORD_BATCH_MOST + 1;
	with_other_batch(READERS_MAX, PATIENCE_MS);
	lock_tables();
	for (size_t i = 0; i < last; i++)
		begin_reading(&readers[i], (uint8_t)(1 + i));
	/* The first, the one who reads for eight, and the seven others of those. */
	wait_until_running(1 + RECORD_BATCH_MOST);
	int64_t began_ns = clock_mono_ns();
	begin_reading(&readers[last], 20);
	wait_until_running(2 + RECORD_BATCH_MOST);
	assert_true(clock_mono_ns() - began_ns < PATIENCE_MS * NS_PER_MS);
	unlock_tables();
	end_well(readers, ARRAY_LEN(readers));
}

/* Half of the time that is left is kept for reading alone. */
static void test_who_has_little_time_waits_less(void **state)
{
	(void)state;
	struct reader first, second;
	lock_tables();
	begin_reading(&first, 1);
	wait_until_running(1);
	prepare(&second, &projects, 2, 4000);
	start(&second);
	wait_until_running(2);
	unlock_tables();
	end_well(&first, 1);
	end_well(&second, 1);
}

/* The one whose statement it is meets its deadline; that is nobody else's. */
static void test_who_fails_fails_alone(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	const size_t last = RECORD_BATCH_MOST;
	lock_tables();
	for (size_t i = 0; i < last; i++)
		begin_reading(&readers[i], (uint8_t)(1 + i));
	prepare(&readers[last], &projects, (uint8_t)(1 + last), 1000);
	start(&readers[last]);
	end_reading(&readers[last]);
	assert_int_equal(readers[last].err, ERR_TIMEOUT);
	assert_string_not_equal(readers[last].why.text, "");
	unlock_tables();
	end_well(readers, last);
}

/* Begins with eight behind one that hangs, the last of whom gets no connection. */
static void refuse_the_last(struct reader readers[1 + RECORD_BATCH_MOST], enum err refusal)
{
	const size_t last = RECORD_BATCH_MOST;
	lock_tables();
	for (size_t i = 0; i < last; i++)
		begin_reading(&readers[i], (uint8_t)(1 + i));
	prepare(&readers[last], &projects, (uint8_t)(1 + last), 600000);
	readers[last].refuses = refusal;
	start(&readers[last]);
	end_reading(&readers[last]);
	assert_int_equal(readers[last].err, refusal);
	assert_string_equal(readers[last].why.text, "no connection");
	unlock_tables();
}

static void test_without_a_connection_the_others_try(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	refuse_the_last(readers, ERR_UNAVAILABLE);
	end_well(readers, RECORD_BATCH_MOST);
}

/* They have all waited for one. */
static void test_when_all_connections_are_in_use_nobody_tries_again(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	refuse_the_last(readers, ERR_OVERLOADED);
	end_well(readers, 1);
	for (size_t i = 1; i < RECORD_BATCH_MOST; i++) {
		end_reading(&readers[i]);
		assert_int_equal(readers[i].err, ERR_OVERLOADED);
		assert_string_equal(readers[i].why.text, "no connection");
	}
}

/* The memory for what is read together is limited; a request's own is larger. */
static void test_what_is_too_large_together_is_read_alone(void **state)
{
	(void)state;
	struct reader readers[1 + RECORD_BATCH_MOST];
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		prepare(&readers[i], &agents, (uint8_t)(1 + i), 600000);
		start(&readers[i]);
	}
	wait_until_running(2);
	unlock_tables();
	end_well(readers, ARRAY_LEN(readers));
}

static void test_more_than_there_is_room_for_read_alone(void **state)
{
	(void)state;
	struct reader readers[3];
	with_other_batch(1, 600000);
	lock_tables();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		begin_reading(&readers[i], (uint8_t)(1 + i));
	wait_until_running(3);
	unlock_tables();
	end_well(readers, ARRAY_LEN(readers));
}

/* Peeking */

/* What a transaction saw at its attempts. */
struct peeking {
	struct reader *reader;
	int64_t unlocked[2]; /* whether the record could be locked by others */
	bool writes_first;
};

static enum err peek(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct peeking *p = arg;
	struct reader *r = p->reader;
	const struct uuid id = {.bytes = {[15] = r->number}};
	struct record record;
	unsigned attempt = db_attempt(db);
	enum err err = ERR_OK;
	if (p->writes_first)
		err = db_exec_later(db, "UPDATE projects SET description = '44' WHERE id = ?",
				    DB_BINDS(db_blob(id.bytes, sizeof(id.bytes))), why);
	if (err == ERR_OK)
		err = record_batch_peek(batch, db, &r->arena, &projects, &id, &record, why);
	if (err != ERR_OK)
		return err;
	r->value = number_in(&record);
	p->unlocked[attempt] = test_mariadb_number("SELECT COUNT(*) FROM ziggie.projects WHERE"
						   " name = 'p4' FOR UPDATE SKIP LOCKED");
	return attempt == 0 && !p->writes_first ? ERR_RETRY : ERR_CONFLICT;
}

static void test_peeking_locks_the_second_time(void **state)
{
	(void)state;
	struct reader r;
	struct peeking p = {.reader = &r};
	prepare(&r, &projects, 4, 600000);
	assert_int_equal(db_transaction(r.db, peek, &p, NULL), ERR_CONFLICT);
	assert_int_equal(r.value, 4);
	assert_int_equal(p.unlocked[0], 1);
	assert_int_equal(p.unlocked[1], 0);
	finish(&r);
}

/* What a transaction has not committed is read by itself, and by nobody else. */
static void test_behind_a_write_it_reads_by_itself(void **state)
{
	(void)state;
	struct reader hangs, r;
	struct peeking p = {.reader = &r, .writes_first = true};
	prepare(&hangs, &projects, 1, 600000);
	atomic_store(&hangs.hangs, true);
	start(&hangs);
	prepare(&r, &projects, 4, 20000); /* of which it would wait half for the other */
	int64_t began_ns = clock_mono_ns();
	assert_int_equal(db_transaction(r.db, peek, &p, NULL), ERR_CONFLICT);
	assert_true(clock_mono_ns() - began_ns < 10 * NS_PER_S);
	assert_int_equal(r.value, 44);
	assert_int_equal(p.unlocked[0], 0);
	finish(&r);
	atomic_store(&hangs.hangs, false);
	end_well(&hangs, 1);
}

/* Many at once; each changes a project of its own and finds what it wrote. */
enum { ROUNDS = 150 };

static enum err write_round(struct reader *r, const struct uuid *id, int64_t round)
{
	struct record record;
	enum err err =
	    db_exec(r->db, "UPDATE projects SET path = ? WHERE id = ?",
		    DB_BINDS(db_i64(round), db_blob(id->bytes, sizeof(id->bytes))), NULL, &r->why);
	if (err == ERR_OK)
		err = record_batch_find(batch, &r->access, &r->arena, &projects, id, &record,
					&r->why);
	if (err == ERR_OK && (strtoll(record_text(&record, PROJECT_PATH), NULL, 10) != round ||
			      number_in(&record) != r->number))
		err = err_set(&r->why, ERR_INTERNAL, "round %d: not what was written", (int)round);
	arena_reset(&r->arena);
	return err;
}

static void *write_and_read(void *arg)
{
	struct reader *r = arg;
	const struct uuid id = {.bytes = {[15] = r->number}};
	for (int64_t i = 0; i < ROUNDS && r->err == ERR_OK; i++)
		r->err = write_round(r, &id, i);
	return NULL;
}

static void test_each_finds_what_it_wrote(void **state)
{
	(void)state;
	struct reader readers[READERS_MAX];
	int64_t before = executed();
	for (size_t i = 0; i < READERS_MAX; i++)
		prepare(&readers[i], &projects, (uint8_t)(1 + i), 600000);
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
	    TEST(test_kinds_do_not_wait_for_each_other),
	    TEST(test_a_full_one_does_not_wait),
	    TEST(test_patience_ends),
	    TEST(test_patience_ends_within_a_statement),
	    TEST(test_who_has_little_time_waits_less),
	    TEST(test_who_fails_fails_alone),
	    TEST(test_without_a_connection_the_others_try),
	    TEST(test_when_all_connections_are_in_use_nobody_tries_again),
	    TEST(test_what_is_too_large_together_is_read_alone),
	    TEST(test_more_than_there_is_room_for_read_alone),
	    TEST(test_peeking_locks_the_second_time),
	    TEST(test_behind_a_write_it_reads_by_itself),
	    TEST(test_each_finds_what_it_wrote),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
