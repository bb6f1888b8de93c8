/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/assert.h"
#include "db/db.h"
#include "support.h"
#include "support_mariadb.h"

static int set_up_server(void **state)
{
	(void)state;
	test_mariadb_start();
	test_mariadb_sql("CREATE TABLE ziggie.words (id INT PRIMARY KEY AUTO_INCREMENT, "
			 "word VARCHAR(20) UNIQUE, bytes VARBINARY(20)) ENGINE=InnoDB");
	test_mariadb_sql("CREATE TABLE ziggie.counters (id INT PRIMARY KEY, n INT NOT NULL) "
			 "ENGINE=InnoDB");
	return 0;
}

static int tear_down_server(void **state)
{
	(void)state;
	test_mariadb_stop();
	return 0;
}

static int set_up(void **state)
{
	test_mariadb_sql("TRUNCATE ziggie.words");
	test_mariadb_sql("REPLACE INTO ziggie.counters VALUES (1, 0), (2, 0)");
	*state = test_mariadb_connect(test_mariadb_server());
	return 0;
}

static int tear_down(void **state)
{
	db_close(*state);
	return 0;
}

static enum err write_later(struct db_conn *db, const char *word, struct errmsg *why)
{
	return db_exec_later(db, "INSERT INTO words (word) VALUES (?)", DB_BINDS(db_text(word)),
			     why);
}

/* "one two": what is there, in the order in which it came. */
static void assert_words(const char *expected)
{
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 4096);
	assert_int_equal(db_query(db, &arena,
				  "SELECT GROUP_CONCAT(word ORDER BY id SEPARATOR ' ') FROM words",
				  DB_NO_BINDS, &rows, NULL),
			 ERR_OK);
	const char *words = db_col_text(&rows, 0, 0);
	assert_string_equal(words != NULL ? words : "", expected);
	arena_release(&arena);
	db_close(db);
}

/* Statements that a client sent on this connection. */
static int64_t questions(struct db_conn *db)
{
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 4096);
	assert_int_equal(db_query(db, &arena,
				  "SELECT CAST(VARIABLE_VALUE AS INT) FROM"
				  " information_schema.SESSION_STATUS"
				  " WHERE VARIABLE_NAME = 'QUESTIONS'",
				  DB_NO_BINDS, &rows, NULL),
			 ERR_OK);
	int64_t count = db_col_i64(&rows, 0, 0);
	arena_release(&arena);
	return count;
}

static enum err write_three(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char *const words[] = {"one", "two", "three"};
	enum err err = ERR_OK;
	(void)arg;
	for (size_t i = 0; i < 3 && err == ERR_OK; i++)
		err = write_later(db, words[i], why);
	return err;
}

static void test_they_go_with_the_commit_in_one_statement(void **state)
{
	struct db_conn *db = *state;
	int64_t before = questions(db);
	int64_t of_asking = questions(db) - before;
	for (int i = 0; i < 3; i++) {
		test_mariadb_sql("TRUNCATE ziggie.words");
		before = questions(db);
		assert_int_equal(db_transaction(db, write_three, NULL, NULL), ERR_OK);
		/* START TRANSACTION is in it. */
		assert_int_equal(questions(db) - before - of_asking, 1);
		assert_words("one two three");
	}
}

/* A counter that is raised by one who has read it before. */
struct raise {
	struct db_conn *rival; /* raises it in between the first time; NULL: nobody does */
	bool writes;
	int64_t seen;
	unsigned attempts;
};

static enum err peek_and_raise(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct raise *r = arg;
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 4096);
	enum err err =
	    db_peek(db, &arena, "SELECT n FROM counters WHERE id = 1", DB_NO_BINDS, &rows, why);
	if (err == ERR_OK)
		r->seen = db_col_i64(&rows, 0, 0);
	arena_release(&arena);
	r->attempts = db_attempt(db) + 1;
	if (err == ERR_OK && r->rival != NULL && db_attempt(db) == 0)
		err = db_command(r->rival, "UPDATE counters SET n = n + 1 WHERE id = 1", why);
	if (err == ERR_OK && r->writes)
		err = db_exec_if_unchanged(db, "UPDATE counters SET n = ? WHERE id = 1 AND n = ?",
					   DB_BINDS(db_i64(r->seen + 1), db_i64(r->seen)), why);
	return err == ERR_OK && r->writes ? write_later(db, "raised", why) : err;
}

static void test_what_is_decided_by_peeking_takes_two_statements(void **state)
{
	struct raise r = {.writes = true};
	int64_t before = questions(*state);
	int64_t of_asking = questions(*state) - before;
	before = questions(*state);
	assert_int_equal(db_transaction(*state, peek_and_raise, &r, NULL), ERR_OK);
	assert_int_equal(questions(*state) - before - of_asking, 2);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 1"), 1);
	assert_words("raised");
}

static void test_peeking_alone_begins_no_transaction(void **state)
{
	struct raise r = {.writes = false};
	int64_t before = questions(*state);
	int64_t of_asking = questions(*state) - before;
	before = questions(*state);
	assert_int_equal(db_transaction(*state, peek_and_raise, &r, NULL), ERR_OK);
	assert_int_equal(questions(*state) - before - of_asking, 1);
}

static void test_who_lost_what_was_peeked_runs_again(void **state)
{
	struct raise r = {.rival = test_mariadb_connect(test_mariadb_server()), .writes = true};
	assert_int_equal(db_transaction(*state, peek_and_raise, &r, NULL), ERR_OK);
	assert_int_equal(r.attempts, 2);
	assert_int_equal(r.seen, 1);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 1"), 2);
	assert_words("raised");
	db_close(r.rival);
}

static enum err write_and_peek(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = write_later(db, "one", why);
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 4096);
	if (err == ERR_OK)
		err = db_peek(db, &arena, "SELECT COUNT(*) FROM words", DB_NO_BINDS, &rows, why);
	if (err == ERR_OK)
		*(int64_t *)arg = db_col_i64(&rows, 0, 0);
	arena_release(&arena);
	return err == ERR_OK ? err_set(why, ERR_PRECONDITION, "refused") : err;
}

static void test_peeking_behind_a_write_belongs_to_the_transaction(void **state)
{
	int64_t seen = 0;
	assert_int_equal(db_transaction(*state, write_and_peek, &seen, NULL), ERR_PRECONDITION);
	assert_int_equal(seen, 1);
	assert_words("");
}

static void test_outside_a_transaction_they_are_not_deferred(void **state)
{
	assert_int_equal(write_later(*state, "now", NULL), ERR_OK);
	assert_words("now");
}

static enum err read_between(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct arena arena;
	struct db_result rows;
	enum err err = write_later(db, "one", why);
	if (err == ERR_OK)
		err = write_later(db, "two", why);
	if (err != ERR_OK)
		return err;
	arena_init(&arena, 1024, 4096);
	err = db_query(db, &arena, "SELECT COUNT(*) FROM words", DB_NO_BINDS, &rows, why);
	if (err == ERR_OK)
		*(int64_t *)arg = db_col_i64(&rows, 0, 0);
	arena_release(&arena);
	return err == ERR_OK ? write_later(db, "three", why) : err;
}

static void test_a_statement_sees_those_before_it(void **state)
{
	int64_t seen = 0;
	assert_int_equal(db_transaction(*state, read_between, &seen, NULL), ERR_OK);
	assert_int_equal(seen, 2);
	assert_words("one two three");
}

static enum err command_between(struct db_conn *db, void *arg, struct errmsg *why)
{
	(void)arg;
	enum err err = write_later(db, "one", why);
	if (err == ERR_OK)
		err = db_command(db, "UPDATE words SET word = 'uno'", why);
	return err == ERR_OK ? write_later(db, "two", why) : err;
}

static void test_a_command_comes_after_those_before_it(void **state)
{
	assert_int_equal(db_transaction(*state, command_between, NULL, NULL), ERR_OK);
	assert_words("uno two");
}

static enum err write_and_refuse(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = write_three(db, arg, why);
	return err == ERR_OK ? err_set(why, ERR_PRECONDITION, "refused") : err;
}

static void test_a_refusal_sends_none_of_them(void **state)
{
	assert_int_equal(db_transaction(*state, write_and_refuse, NULL, NULL), ERR_PRECONDITION);
	assert_words("");
	assert_int_equal(db_transaction(*state, write_three, NULL, NULL), ERR_OK);
	assert_words("one two three");
}

static void test_one_that_fails_undoes_all(void **state)
{
	struct errmsg why = ERRMSG_INIT;
	test_mariadb_sql("INSERT INTO ziggie.words (word) VALUES ('two')");
	assert_int_equal(db_transaction(*state, write_three, NULL, &why), ERR_CONFLICT);
	assert_non_null(strstr(why.text, "Duplicate entry"));
	assert_words("two");
	test_mariadb_sql("TRUNCATE ziggie.words");
	assert_int_equal(db_transaction(*state, write_three, NULL, NULL), ERR_OK);
	assert_words("one two three");
}

static enum err write_over(struct db_conn *db, void *arg, struct errmsg *why)
{
	char word[] = "kept";
	unsigned char bytes[] = {0, 1, 2};
	(void)arg;
	enum err err = db_exec_later(db, "INSERT INTO words (word, bytes) VALUES (?, ?)",
				     DB_BINDS(db_text(word), db_blob(bytes, sizeof(bytes))), why);
	memset(word, 'x', 4);
	memset(bytes, 0xff, sizeof(bytes));
	return err;
}

static void test_values_are_copied(void **state)
{
	assert_int_equal(db_transaction(*state, write_over, NULL, NULL), ERR_OK);
	assert_int_equal(
	    test_mariadb_number(
		"SELECT COUNT(*) FROM ziggie.words WHERE word = 'kept' AND bytes = x'000102'"),
	    1);
}

static enum err count_often(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (int i = 0; i < *(int *)arg && err == ERR_OK; i++)
		err = db_exec_later(db, "UPDATE counters SET n = n + ? WHERE id = ?",
				    DB_BINDS(db_i64(1), db_i64(1 + i % 2)), why);
	return err;
}

/* Each has two values, and a statement takes 64. */
static void test_more_than_one_statement_takes(void **state)
{
	int times = 100;
	assert_int_equal(db_transaction(*state, count_often, &times, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.counters WHERE n = 50"),
			 2);
}

struct rival {
	int ids[2];
	int runs;
	pthread_barrier_t *met;
	enum err err;
};

/* Each holds a row when the commit asks for the other's. */
static enum err cross(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] = "UPDATE counters SET n = n + 1 WHERE id = ?";
	struct rival *r = arg;
	enum err err = db_exec(db, sql, DB_BINDS(db_i64(r->ids[0])), NULL, why);
	if (r->runs++ == 0)
		pthread_barrier_wait(r->met);
	return err == ERR_OK ? db_exec_later(db, sql, DB_BINDS(db_i64(r->ids[1])), why) : err;
}

static void *compete(void *arg)
{
	struct rival *r = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	r->err = db_transaction(db, cross, r, NULL);
	db_close(db);
	return NULL;
}

static void test_a_deadlock_at_the_commit_is_retried(void **state)
{
	(void)state;
	pthread_barrier_t met;
	struct rival rivals[2] = {{.ids = {1, 2}, .met = &met}, {.ids = {2, 1}, .met = &met}};
	pthread_t threads[2];
	pthread_barrier_init(&met, NULL, 2);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, compete, &rivals[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&met);
	assert_int_equal(rivals[0].err, ERR_OK);
	assert_int_equal(rivals[1].err, ERR_OK);
	assert_int_equal(rivals[0].runs + rivals[1].runs, 3);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.counters WHERE n = 2"),
			 2);
}

static enum err wait_too_long(struct db_conn *db, void *arg, struct errmsg *why)
{
	(void)arg;
	enum err err = write_later(db, "late", why);
	struct deadline over = deadline_in_ms(0);
	db_set_deadline(db, &over);
	return err;
}

static void test_none_is_sent_after_the_deadline(void **state)
{
	assert_int_equal(db_transaction(*state, wait_too_long, NULL, NULL), ERR_TIMEOUT);
	assert_words("");
}

/* The client of the transaction that waits for this row goes, and then the row is let go. */
struct holder {
	struct db_conn *db;
	int client;
};

static void *hang_up_and_let_go(void *arg)
{
	enum { LOOK_MS = 20, NOTICED_MS = 100 };
	const struct holder *h = arg;
	while (test_mariadb_number("SELECT CAST(VARIABLE_VALUE AS SIGNED)"
				   " FROM information_schema.GLOBAL_STATUS"
				   " WHERE VARIABLE_NAME = 'Innodb_row_lock_current_waits'") == 0)
		test_sleep_ms(LOOK_MS);
	close(h->client);
	test_sleep_ms(NOTICED_MS);
	AN_INVARIANT(db_command(h->db, "COMMIT", NULL) == ERR_OK);
	return NULL;
}

static void test_a_hang_up_does_not_end_what_commits(void **state)
{
	int client[2], times = 1;
	pthread_t thread;
	struct holder holder = {.db = test_mariadb_connect(test_mariadb_server())};
	struct deadline limit = deadline_in_ms(10000);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	holder.client = client[1];
	limit.client_fd = client[0];
	db_set_deadline(*state, &limit);
	assert_int_equal(db_command(holder.db, "START TRANSACTION", NULL), ERR_OK);
	assert_int_equal(db_command(holder.db, "UPDATE counters SET n = 5 WHERE id = 1", NULL),
			 ERR_OK);
	assert_int_equal(pthread_create(&thread, NULL, hang_up_and_let_go, &holder), 0);
	assert_int_equal(db_transaction(*state, count_often, &times, NULL), ERR_OK);
	pthread_join(thread, NULL);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 1"), 6);
	close(client[0]);
	db_close(holder.db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_they_go_with_the_commit_in_one_statement),
	    TEST(test_what_is_decided_by_peeking_takes_two_statements),
	    TEST(test_peeking_alone_begins_no_transaction),
	    TEST(test_who_lost_what_was_peeked_runs_again),
	    TEST(test_peeking_behind_a_write_belongs_to_the_transaction),
	    TEST(test_outside_a_transaction_they_are_not_deferred),
	    TEST(test_a_statement_sees_those_before_it),
	    TEST(test_a_command_comes_after_those_before_it),
	    TEST(test_a_refusal_sends_none_of_them),
	    TEST(test_one_that_fails_undoes_all),
	    TEST(test_values_are_copied),
	    TEST(test_more_than_one_statement_takes),
	    TEST(test_a_deadlock_at_the_commit_is_retried),
	    TEST(test_none_is_sent_after_the_deadline),
	    TEST(test_a_hang_up_does_not_end_what_commits),
	};
	return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
