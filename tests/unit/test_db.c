/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <float.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "support.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 10000, MS_SLACK = 100 };

struct fixture {
	struct db_conn *db;
	struct arena arena;
	struct errmsg why;
};

static int set_up_server(void **state)
{
	(void)state;
	test_mariadb_start();
	test_mariadb_sql(
	    "CREATE TABLE ziggie.kinds (id INT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, "
	    "s SMALLINT, d DOUBLE, t LONGTEXT CHARACTER SET utf8mb4, b LONGBLOB, "
	    "at DATETIME(6), flag BOOLEAN) ENGINE=InnoDB");
	test_mariadb_sql("CREATE TABLE ziggie.counters (id INT PRIMARY KEY, n INT NOT NULL, "
			 "name VARCHAR(10) UNIQUE, CHECK (n >= 0)) ENGINE=InnoDB");
	return 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	test_mariadb_sql("DELETE FROM ziggie.kinds");
	test_mariadb_sql("DELETE FROM ziggie.counters");
	test_mariadb_sql("INSERT INTO ziggie.counters VALUES (1, 0, 'one'), (2, 0, 'two')");
	f->db = test_mariadb_connect(test_mariadb_server());
	arena_init(&f->arena, 16384, 64 * 1024 * 1024);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	db_close(f->db);
	arena_release(&f->arena);
	free(f);
	return 0;
}

static void set_limit(struct db_conn *db, int64_t ms)
{
	struct deadline limit = deadline_in_ms(ms);
	db_set_deadline(db, &limit);
}

static const char insert_kinds[] =
    "INSERT INTO kinds (id, i, u, s, d, t, b, at, flag) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char select_kinds[] = "SELECT i, u, s, d, t, b, at, flag FROM kinds WHERE id = ?";

static void assert_ok(enum err err, const struct fixture *f)
{
	if (err != ERR_OK)
		fail_msg("%s: %s", err_name(err), f->why.text);
}

static void test_values_come_back_as_they_went(void **state)
{
	struct fixture *f = *state;
	static const unsigned char bytes[] = {0, 1, 0xff, 0, '\'', 0};
	int64_t at = INT64_C(1769903999123456);
	assert_ok(db_exec(f->db, insert_kinds,
			  DB_BINDS(db_i64(1), db_i64(INT64_MIN), db_u64(UINT64_MAX), db_i64(-7),
				   db_f64(DBL_MAX), db_text("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
				   db_blob(bytes, sizeof(bytes)), db_time(at), db_bool(true)),
			  NULL, &f->why),
		  f);
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, select_kinds, DB_BINDS(db_i64(1)), &r, &f->why), f);
	assert_int_equal(r.row_count, 1);
	assert_true(db_col_i64(&r, 0, 0) == INT64_MIN);
	assert_true(db_col_u64(&r, 0, 1) == UINT64_MAX);
	assert_int_equal(db_col_i64(&r, 0, 2), -7);
	assert_true(db_col_f64(&r, 0, 3) == DBL_MAX);
	assert_string_equal(db_col_text(&r, 0, 4), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	size_t len;
	const void *blob = db_col_blob(&r, 0, 5, &len);
	assert_int_equal(len, sizeof(bytes));
	assert_memory_equal(blob, bytes, sizeof(bytes));
	assert_true(db_col_time_us(&r, 0, 6) == at);
	assert_true(db_col_bool(&r, 0, 7));
}

static void test_limits_of_the_other_side_come_back_too(void **state)
{
	struct fixture *f = *state;
	assert_ok(
	    db_exec(f->db, insert_kinds,
		    DB_BINDS(db_i64(1), db_i64(INT64_MAX), db_u64(0), db_i64(32767), db_f64(-0.1),
			     db_text(""), db_blob("", 0), db_time(0), db_bool(false)),
		    NULL, &f->why),
	    f);
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, select_kinds, DB_BINDS(db_i64(1)), &r, &f->why), f);
	assert_true(db_col_i64(&r, 0, 0) == INT64_MAX);
	assert_true(db_col_u64(&r, 0, 1) == 0);
	assert_true(db_col_f64(&r, 0, 3) == -0.1);
	assert_string_equal(db_col_text(&r, 0, 4), "");
	size_t len = 9;
	assert_non_null(db_col_blob(&r, 0, 5, &len));
	assert_int_equal(len, 0);
	assert_false(db_col_null(&r, 0, 6));
	assert_true(db_col_time_us(&r, 0, 6) == 0);
	assert_false(db_col_bool(&r, 0, 7));
}

static void test_null_comes_back_as_null(void **state)
{
	struct fixture *f = *state;
	assert_ok(db_exec(f->db, insert_kinds,
			  DB_BINDS(db_i64(1), db_null(), db_null(), db_null(), db_null(),
				   db_text(NULL), db_blob(NULL, 3), db_null(), db_null()),
			  NULL, &f->why),
		  f);
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, select_kinds, DB_BINDS(db_i64(1)), &r, &f->why), f);
	for (size_t column = 0; column < 8; column++)
		assert_true(db_col_null(&r, 0, column));
	assert_null(db_col_text(&r, 0, 4));
	assert_int_equal(db_col_i64(&r, 0, 0), 0);
}

static void test_long_text_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	enum { LONG = 3 * 1024 * 1024 };
	char *text = malloc(LONG + 1);
	assert_non_null(text);
	for (size_t i = 0; i < LONG; i++)
		text[i] = (char)('a' + i % 26);
	text[LONG] = '\0';
	assert_ok(db_exec(f->db, "INSERT INTO kinds (id, t) VALUES (?, ?)",
			  DB_BINDS(db_i64(1), db_textn(text, LONG)), NULL, &f->why),
		  f);
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, "SELECT t FROM kinds WHERE id = ?",
			   DB_BINDS(db_i64(1)), &r, &f->why),
		  f);
	assert_int_equal(strlen(db_col_text(&r, 0, 0)), LONG);
	assert_string_equal(db_col_text(&r, 0, 0), text);
	free(text);
}

/* Short and long ones take different ways out of the row; two of them, lest they mix. */
static void test_texts_of_every_length_come_back(void **state)
{
	struct fixture *f = *state;
	for (int64_t len = 0; len < 130; len++) {
		struct db_result r;
		size_t got;
		assert_ok(db_query(f->db, &f->arena, "SELECT REPEAT('x', ?), REPEAT(x'00', ?)",
				   DB_BINDS(db_i64(len), db_i64(129 - len)), &r, &f->why),
			  f);
		const char *text = db_col_text(&r, 0, 0);
		assert_int_equal(strlen(text), len);
		assert_int_equal(strspn(text, "x"), len);
		const char *blob = db_col_blob(&r, 0, 1, &got);
		assert_int_equal(got, 129 - len);
		for (size_t i = 0; i < got; i++)
			assert_int_equal(blob[i], 0);
	}
}

static void test_many_rows_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena,
			   "SELECT seq, CONCAT('row ', seq) FROM seq_1_to_1000 ORDER BY seq",
			   DB_NO_BINDS, &r, &f->why),
		  f);
	assert_int_equal(r.row_count, 1000);
	for (size_t i = 0; i < r.row_count; i++) {
		char text[32];
		snprintf(text, sizeof(text), "row %zu", i + 1);
		assert_int_equal(db_col_u64(&r, i, 0), i + 1);
		size_t len;
		const void *name = db_col_blob(&r, i, 1, &len);
		assert_int_equal(len, strlen(text));
		assert_memory_equal(name, text, len);
	}
}

static void test_a_full_arena_leaves_the_connection_in_step(void **state)
{
	struct fixture *f = *state;
	struct arena small;
	arena_init(&small, 1024, 8192);
	struct db_result r;
	assert_int_equal(
	    db_query(f->db, &small, "SELECT seq FROM seq_1_to_100000", DB_NO_BINDS, &r, &f->why),
	    ERR_NOMEM);
	arena_release(&small);
	assert_ok(db_query(f->db, &f->arena, "SELECT 42", DB_NO_BINDS, &r, &f->why), f);
	assert_int_equal(db_col_i64(&r, 0, 0), 42);
}

static void test_injection_stays_data(void **state)
{
	struct fixture *f = *state;
	static const char *const attacks[] = {
	    "'; DROP TABLE kinds; --", "\\'; DELETE FROM kinds; #",
	    "\" OR \"\"=\"",           "?",
	    "\xbf' OR 1=1 --",         "%s%n"};
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		bool utf8 = attacks[i][0] != '\xbf';
		enum err err = db_exec(f->db, "INSERT INTO kinds (id, t) VALUES (?, ?)",
				       DB_BINDS(db_u64(i), db_text(attacks[i])), NULL, &f->why);
		assert_int_equal(err, utf8 ? ERR_OK : ERR_INVALID);
		if (!utf8)
			continue;
		struct db_result r;
		assert_ok(db_query(f->db, &f->arena, "SELECT t FROM kinds WHERE t = ?",
				   DB_BINDS(db_text(attacks[i])), &r, &f->why),
			  f);
		assert_int_equal(r.row_count, 1);
		assert_string_equal(db_col_text(&r, 0, 0), attacks[i]);
	}
}

static void test_the_session_is_strict_utc_and_read_committed(void **state)
{
	struct fixture *f = *state;
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena,
			   "SELECT @@time_zone, @@tx_isolation, @@character_set_client, "
			   "@@sql_mode LIKE '%STRICT_ALL_TABLES%', "
			   "ROUND(@@max_statement_time * 1000)",
			   DB_NO_BINDS, &r, &f->why),
		  f);
	assert_string_equal(db_col_text(&r, 0, 0), "+00:00");
	assert_string_equal(db_col_text(&r, 0, 1), "READ-COMMITTED");
	assert_string_equal(db_col_text(&r, 0, 2), "utf8mb4");
	assert_true(db_col_bool(&r, 0, 3));
	assert_true(db_col_f64(&r, 0, 4) == 10000);
}

static void test_errors_become_ours(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *sql;
		enum err expected;
	} rows[] = {
	    {"INSERT INTO counters VALUES (1, 0, 'x')", ERR_CONFLICT},
	    {"INSERT INTO counters VALUES (3, 0, 'one')", ERR_CONFLICT},
	    {"INSERT INTO counters VALUES (3, -1, 'x')", ERR_INVALID},
	    {"INSERT INTO counters VALUES (3, 0, '12345678901')", ERR_INVALID},
	    {"INSERT INTO counters VALUES (3, 99999999999, 'x')", ERR_INVALID},
	    {"INSERT INTO counters VALUES (3, NULL, 'x')", ERR_INVALID},
	    {"INSERT INTO nowhere VALUES (1)", ERR_INTERNAL},
	    {"UPDATE counters SET", ERR_INTERNAL},
	    {"INSERT INTO mysql.user SELECT * FROM mysql.user", ERR_INTERNAL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f->why.text[0] = '\0';
		enum err err = db_exec(f->db, rows[i].sql, DB_NO_BINDS, NULL, &f->why);
		if (err != rows[i].expected)
			fail_msg("%s: %s: %s", rows[i].sql, err_name(err), f->why.text);
		assert_true(strlen(f->why.text) > 0);
	}
	f->why.text[0] = '\0';
	assert_ok(db_ping(f->db, &f->why), f);
	assert_string_equal(f->why.text, "");
}

static void test_matched_rows_count_as_affected(void **state)
{
	struct fixture *f = *state;
	uint64_t affected = 9;
	assert_ok(db_exec(f->db, "UPDATE counters SET n = 0 WHERE id = ?", DB_BINDS(db_i64(1)),
			  &affected, &f->why),
		  f);
	assert_int_equal(affected, 1);
	assert_ok(db_exec(f->db, "UPDATE counters SET n = 0 WHERE id = ?", DB_BINDS(db_i64(77)),
			  &affected, &f->why),
		  f);
	assert_int_equal(affected, 0);
}

static void test_more_statements_than_the_cache_holds(void **state)
{
	struct fixture *f = *state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 300; i++) {
			char sql[64];
			snprintf(sql, sizeof(sql), "SELECT %d, ?", i);
			struct db_result r;
			assert_ok(
			    db_query(f->db, &f->arena, sql, DB_BINDS(db_i64(-i)), &r, &f->why), f);
			assert_int_equal(db_col_i64(&r, 0, 0), i);
			assert_int_equal(db_col_i64(&r, 0, 1), -i);
		}
	assert_true(test_mariadb_number("SELECT CAST(variable_value AS SIGNED) FROM "
					"information_schema.global_status "
					"WHERE variable_name = 'Prepared_stmt_count'") <= 64 + 2);
}

static void test_a_parameters_type_may_change(void **state)
{
	struct fixture *f = *state;
	static const char sql[] = "SELECT ?";
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, sql, DB_BINDS(db_i64(-5)), &r, &f->why), f);
	assert_int_equal(db_col_i64(&r, 0, 0), -5);
	assert_ok(db_query(f->db, &f->arena, sql, DB_BINDS(db_text("five")), &r, &f->why), f);
	assert_string_equal(db_col_text(&r, 0, 0), "five");
	assert_ok(db_query(f->db, &f->arena, sql, DB_BINDS(db_null()), &r, &f->why), f);
	assert_true(db_col_null(&r, 0, 0));
}

static void test_a_changed_table_is_prepared_again(void **state)
{
	struct fixture *f = *state;
	test_mariadb_sql("CREATE OR REPLACE TABLE ziggie.moving (v INT)");
	test_mariadb_sql("INSERT INTO ziggie.moving VALUES (7)");
	struct db_result r;
	static const char sql[] = "SELECT v FROM moving";
	assert_ok(db_query(f->db, &f->arena, sql, DB_NO_BINDS, &r, &f->why), f);
	assert_int_equal(db_col_i64(&r, 0, 0), 7);
	test_mariadb_sql("ALTER TABLE ziggie.moving ADD COLUMN w INT FIRST, MODIFY v BIGINT");
	assert_ok(db_query(f->db, &f->arena, sql, DB_NO_BINDS, &r, &f->why), f);
	assert_int_equal(db_col_i64(&r, 0, 0), 7);
	test_mariadb_sql("DROP TABLE ziggie.moving");
}

static int64_t now_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

/* For one more attempt, as a statement that was cut off breaks its connection. */
static void connect_again(struct fixture *f)
{
	db_close(f->db);
	f->db = test_mariadb_connect(test_mariadb_server());
}

static int64_t statement_past_its_deadline(void *context)
{
	struct fixture *f = context;
	connect_again(f);
	set_limit(f->db, 300);
	struct db_result r;
	int64_t began = now_ms();
	assert_int_equal(
	    db_query(f->db, &f->arena, "SELECT SLEEP(?)", DB_BINDS(db_i64(5)), &r, &f->why),
	    ERR_TIMEOUT);
	return now_ms() - began;
}

static void test_the_deadline_ends_a_statement(void **state)
{
	enum { LIMIT_MS = 300 + MS_SLACK };
	struct fixture *f = *state;
	assert_in_range(test_best_ms(statement_past_its_deadline, f, LIMIT_MS), 299, LIMIT_MS);
	/* Broken from then on, whatever the deadline. */
	set_limit(f->db, PATIENCE_MS);
	assert_int_equal(db_ping(f->db, &f->why), ERR_TIMEOUT);
}

static int64_t statement_that_nobody_cancels(void *context)
{
	struct fixture *f = context;
	connect_again(f);
	set_limit(f->db, 300);
	struct db_result r;
	assert_int_equal(
	    db_query(f->db, &f->arena, "SELECT SLEEP(5), 'nobody'", DB_NO_BINDS, &r, &f->why),
	    ERR_TIMEOUT);
	int64_t began = now_ms();
	while (test_mariadb_running() > 0 && now_ms() - began < PATIENCE_MS)
		usleep(20000);
	return now_ms() - began;
}

/* The statement started with a limit of one second, not with the session's ten. */
static void test_the_server_ends_what_nobody_cancels(void **state)
{
	enum { LIMIT_MS = 1200 };
	assert_in_range(test_best_ms(statement_that_nobody_cancels, *state, LIMIT_MS), 0, LIMIT_MS);
}

static void test_a_passed_deadline_sends_nothing(void **state)
{
	struct fixture *f = *state;
	set_limit(f->db, 0);
	assert_int_equal(db_exec(f->db, "UPDATE counters SET n = 5", DB_NO_BINDS, NULL, &f->why),
			 ERR_TIMEOUT);
	set_limit(f->db, PATIENCE_MS);
	assert_ok(db_ping(f->db, &f->why), f);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 0 FROM ziggie.counters"), 1);
}

static void test_the_servers_limit_is_a_timeout(void **state)
{
	struct fixture *f = *state;
	assert_ok(db_command(f->db, "SET max_statement_time = 0.1", &f->why), f);
	struct db_result r;
	enum err err = db_query(f->db, &f->arena, "SELECT SLEEP(5)", DB_NO_BINDS, &r, &f->why);
	if (err != ERR_TIMEOUT)
		fail_msg("%s: %s", err_name(err), f->why.text);
	assert_ok(db_ping(f->db, &f->why), f);
}

struct closer {
	int fd;
	int64_t after_ms;
};

static void *close_later(void *arg)
{
	struct closer *c = arg;
	usleep((useconds_t)(c->after_ms * 1000));
	close(c->fd);
	return NULL;
}

static int64_t statement_of_a_client_that_goes(void *context)
{
	struct fixture *f = context;
	connect_again(f);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	limit.client_fd = pair[0];
	db_set_deadline(f->db, &limit);
	struct closer closer = {.fd = pair[1], .after_ms = 200};
	pthread_t thread;
	int64_t began = now_ms();
	pthread_create(&thread, NULL, close_later, &closer);
	struct db_result r;
	assert_int_equal(db_query(f->db, &f->arena, "SELECT SLEEP(5)", DB_NO_BINDS, &r, &f->why),
			 ERR_CANCELLED);
	int64_t took = now_ms() - began;
	pthread_join(thread, NULL);
	close(pair[0]);
	return took;
}

static void test_the_clients_hang_up_ends_a_statement(void **state)
{
	enum { LIMIT_MS = 200 + MS_SLACK };
	assert_in_range(test_best_ms(statement_of_a_client_that_goes, *state, LIMIT_MS), 190,
			LIMIT_MS);
}

static int64_t connecting_to_a_frozen_server(void *context)
{
	struct fixture *f = context;
	test_mariadb_freeze();
	struct deadline limit = deadline_in_ms(300);
	struct db_conn *db = NULL;
	int64_t began = now_ms();
	enum err err = db_connect(test_mariadb_server(), &limit, &db, &f->why);
	int64_t took = now_ms() - began;
	test_mariadb_thaw();
	assert_int_equal(err, ERR_TIMEOUT);
	return took;
}

static void test_connecting_obeys_the_deadline(void **state)
{
	enum { LIMIT_MS = 300 + MS_SLACK };
	assert_in_range(test_best_ms(connecting_to_a_frozen_server, *state, LIMIT_MS), 299,
			LIMIT_MS);
}

static void test_no_server_and_wrong_password_are_unavailable(void **state)
{
	struct fixture *f = *state;
	struct db_server server = *test_mariadb_server();
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	struct db_conn *db = NULL;
	server.password = "wrong";
	assert_int_equal(db_connect(&server, &limit, &db, &f->why), ERR_UNAVAILABLE);
	assert_non_null(strstr(f->why.text, "Access denied"));
	server.socket = "/nonexistent/socket";
	assert_int_equal(db_connect(&server, &limit, &db, &f->why), ERR_UNAVAILABLE);
	assert_null(db);
}

static void test_a_killed_connection_is_unavailable(void **state)
{
	struct fixture *f = *state;
	struct db_result r;
	assert_ok(db_query(f->db, &f->arena, "SELECT CONNECTION_ID()", DB_NO_BINDS, &r, &f->why),
		  f);
	char sql[64];
	snprintf(sql, sizeof(sql), "KILL %llu", (unsigned long long)db_col_u64(&r, 0, 0));
	test_mariadb_sql(sql);
	usleep(100000);
	assert_int_equal(db_query(f->db, &f->arena, "SELECT 1", DB_NO_BINDS, &r, &f->why),
			 ERR_UNAVAILABLE);
	assert_int_equal(db_ping(f->db, &f->why), ERR_UNAVAILABLE);
}

/* Transactions */

static enum err add_to(struct db_conn *db, int id, struct errmsg *why)
{
	return db_exec(db, "UPDATE counters SET n = n + 1 WHERE id = ?", DB_BINDS(db_i64(id)), NULL,
		       why);
}

static enum err add_to_both(struct db_conn *db, void *arg, struct errmsg *why)
{
	const int *ids = arg;
	enum err err = add_to(db, ids[0], why);
	return err == ERR_OK ? add_to(db, ids[1], why) : err;
}

static enum err change_and_refuse(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = db_exec(db, "UPDATE counters SET n = 50", DB_NO_BINDS, NULL, why);
	return err != ERR_OK ? err : err_set(why, *(enum err *)arg, "refused");
}

static void test_a_transaction_commits_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	int ids[2] = {1, 2};
	assert_ok(db_transaction(f->db, add_to_both, ids, &f->why), f);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 2 FROM ziggie.counters"), 1);
	enum err refusal = ERR_PRECONDITION;
	assert_int_equal(db_transaction(f->db, change_and_refuse, &refusal, &f->why),
			 ERR_PRECONDITION);
	assert_string_equal(f->why.text, "refused");
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 2 FROM ziggie.counters"), 1);
	assert_ok(db_transaction(f->db, add_to_both, ids, &f->why), f);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 4 FROM ziggie.counters"), 1);
}

struct rival {
	int ids[2];
	int rounds;
	int runs; /* how often the function ran */
	pthread_barrier_t *met;
	enum err err;
	struct errmsg why;
};

/* At its first run each holds one row and then asks for the other's: a deadlock for certain. */
static enum err cross(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct rival *r = arg;
	bool first = r->runs++ == 0;
	enum err err = add_to(db, r->ids[0], why);
	if (first)
		pthread_barrier_wait(r->met);
	return err == ERR_OK ? add_to(db, r->ids[1], why) : err;
}

static void *compete(void *arg)
{
	struct rival *r = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	for (int i = 0; i < r->rounds && r->err == ERR_OK; i++) {
		set_limit(db, PATIENCE_MS);
		r->err = db_transaction(db, cross, r, &r->why);
	}
	db_close(db);
	return NULL;
}

static void test_deadlocks_are_retried_inside(void **state)
{
	(void)state;
	pthread_barrier_t met;
	struct rival rivals[2] = {{.ids = {1, 2}, .rounds = 20, .met = &met},
				  {.ids = {2, 1}, .rounds = 20, .met = &met}};
	pthread_t threads[2];
	pthread_barrier_init(&met, NULL, 2);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, compete, &rivals[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++)
		if (rivals[i].err != ERR_OK)
			fail_msg("%s: %s", err_name(rivals[i].err), rivals[i].why.text);
	pthread_barrier_destroy(&met);
	assert_true(rivals[0].runs + rivals[1].runs > 40);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 80 FROM ziggie.counters"), 1);
}

static enum err always_retry(struct db_conn *db, void *arg, struct errmsg *why)
{
	(void)db;
	++*(int *)arg;
	return err_set(why, ERR_RETRY, "deadlock");
}

static void test_retrying_ends_with_the_deadline_or_the_count(void **state)
{
	struct fixture *f = *state;
	int runs = 0;
	assert_int_equal(db_transaction(f->db, always_retry, &runs, &f->why), ERR_OVERLOADED);
	assert_int_equal(runs, 10);
	runs = 0;
	set_limit(f->db, 20);
	assert_int_equal(db_transaction(f->db, always_retry, &runs, &f->why), ERR_TIMEOUT);
	assert_in_range(runs, 1, 9);
}

static enum err wait_out(struct db_conn *db, void *arg, struct errmsg *why)
{
	enum err err = add_to_both(db, arg, why);
	set_limit(db, 0);
	return err;
}

static void test_no_commit_after_the_deadline(void **state)
{
	struct fixture *f = *state;
	int ids[2] = {1, 2};
	assert_int_equal(db_transaction(f->db, wait_out, ids, &f->why), ERR_TIMEOUT);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 0 FROM ziggie.counters"), 1);
	set_limit(f->db, PATIENCE_MS);
	assert_ok(db_transaction(f->db, add_to_both, ids, &f->why), f);
}

/* A relay between us and the server that loses the answer to a given statement. */
struct relay {
	char path[108];
	const char *lose_after; /* the text of the statement */
	int listener;
	pthread_t thread;
};

static bool relay_some(int from, int to, const char *needle, bool *seen)
{
	char buffer[65536];
	ssize_t got = recv(from, buffer, sizeof(buffer), 0);
	if (got <= 0)
		return false;
	if (needle != NULL && memmem(buffer, (size_t)got, needle, strlen(needle)) != NULL)
		*seen = true;
	return send(to, buffer, (size_t)got, MSG_NOSIGNAL) == got;
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void *relay_main(void *arg)
{
	struct relay *r = arg;
	int client = accept(r->listener, NULL, NULL);
	struct sockaddr_un address;
	int server = unix_socket(test_mariadb_server()->socket, &address);
	assert_int_equal(connect(server, (struct sockaddr *)&address, sizeof(address)), 0);
	bool seen = false, alive = true;
	while (alive) {
		struct pollfd fds[2] = {{.fd = client, .events = POLLIN},
					{.fd = server, .events = POLLIN}};
		if (poll(fds, 2, PATIENCE_MS) <= 0)
			break;
		if (fds[0].revents != 0)
			alive = relay_some(client, server, r->lose_after, &seen);
		if (alive && fds[1].revents != 0) {
			if (seen)
				break; /* it has been carried out; the answer is lost */
			alive = relay_some(server, client, NULL, NULL);
		}
	}
	close(client);
	close(server);
	return NULL;
}

static void relay_start(struct relay *r, const char *lose_after)
{
	snprintf(r->path, sizeof(r->path), "%s/r", test_mariadb_dir());
	r->lose_after = lose_after;
	struct sockaddr_un address;
	r->listener = unix_socket(r->path, &address);
	unlink(r->path);
	assert_int_equal(bind(r->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(r->listener, 4), 0);
	pthread_create(&r->thread, NULL, relay_main, r);
}

static void relay_stop(struct relay *r)
{
	pthread_join(r->thread, NULL);
	close(r->listener);
	unlink(r->path);
}

static void test_a_connection_lost_during_commit_is_unknown(void **state)
{
	struct fixture *f = *state;
	struct relay relay = {0};
	relay_start(&relay, "\x03"
			    "COMMIT"); /* the command byte before it */
	struct db_server server = *test_mariadb_server();
	server.socket = relay.path;
	struct db_conn *db = test_mariadb_connect(&server);
	int ids[2] = {1, 2};
	assert_int_equal(db_transaction(db, add_to_both, ids, &f->why), ERR_UNKNOWN_OUTCOME);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 2 FROM ziggie.counters"), 1);
	db_close(db);
	relay_stop(&relay);
}

static enum err insert_later(struct db_conn *db, void *arg, struct errmsg *why)
{
	return db_exec_later(db, "INSERT INTO kinds (id, t) VALUES (?, ?)",
			     DB_BINDS(db_i64(1), db_text(arg)), why);
}

static void test_a_connection_lost_during_what_commits_is_unknown(void **state)
{
	struct fixture *f = *state;
	struct relay relay = {0};
	char text[] = "lose the answer";
	relay_start(&relay, text);
	struct db_server server = *test_mariadb_server();
	server.socket = relay.path;
	struct db_conn *db = test_mariadb_connect(&server);
	assert_int_equal(db_transaction(db, insert_later, text, &f->why), ERR_UNKNOWN_OUTCOME);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.kinds"), 1);
	db_close(db);
	relay_stop(&relay);
}

static void test_a_connection_lost_before_commit_is_unavailable(void **state)
{
	struct fixture *f = *state;
	struct relay relay = {0};
	relay_start(&relay, "UPDATE counters");
	struct db_server server = *test_mariadb_server();
	server.socket = relay.path;
	struct db_conn *db = test_mariadb_connect(&server);
	int ids[2] = {1, 2};
	assert_int_equal(db_transaction(db, add_to_both, ids, &f->why), ERR_UNAVAILABLE);
	assert_int_equal(test_mariadb_number("SELECT SUM(n) = 0 FROM ziggie.counters"), 1);
	db_close(db);
	relay_stop(&relay);
}

static void test_a_change_that_is_lost_on_its_own_is_unknown(void **state)
{
	struct fixture *f = *state;
	struct relay relay = {0};
	relay_start(&relay, "lose the answer");
	struct db_server server = *test_mariadb_server();
	server.socket = relay.path;
	struct db_conn *db = test_mariadb_connect(&server);
	assert_int_equal(db_exec(db, "INSERT INTO kinds (id, t) VALUES (?, ?)",
				 DB_BINDS(db_i64(1), db_text("lose the answer")), NULL, &f->why),
			 ERR_UNKNOWN_OUTCOME);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.kinds"), 1);
	/* What never left is not unknown. */
	assert_int_equal(db_exec(db, "DELETE FROM kinds", DB_NO_BINDS, NULL, &f->why),
			 ERR_UNAVAILABLE);
	db_close(db);
	relay_stop(&relay);
}

/* Checks */

static void test_capacity_is_a_sum(void **state)
{
	struct fixture *f = *state;
	/* The test's server allows 100. */
	struct db_demand demand = {.hosts = 1, .pool_max = 40, .job_threads = 3, .reserve = 10};
	assert_ok(db_check_capacity(f->db, &demand, &f->why), f);
	demand.job_threads = 4;
	assert_int_equal(db_check_capacity(f->db, &demand, &f->why), ERR_INVALID);
	assert_non_null(strstr(f->why.text, "(db_pool_max 40 + job_threads 4 + 2)"));
	assert_non_null(strstr(f->why.text, "= 102 connections"));
	assert_non_null(strstr(f->why.text, "max_connections is 100"));
	demand = (struct db_demand){.hosts = 1000, .pool_max = 4000000};
	assert_int_equal(db_check_capacity(f->db, &demand, &f->why), ERR_INVALID);
}

static void test_durability_is_checked(void **state)
{
	struct fixture *f = *state;
	assert_ok(db_check_durability(f->db, &f->why), f);
	test_mariadb_sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
	enum err err = db_check_durability(f->db, &f->why);
	test_mariadb_sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
	assert_int_equal(err, ERR_INVALID);
	assert_non_null(strstr(f->why.text, "innodb_flush_log_at_trx_commit is 2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_values_come_back_as_they_went),
	    TEST(test_limits_of_the_other_side_come_back_too),
	    TEST(test_null_comes_back_as_null),
	    TEST(test_long_text_comes_back_whole),
	    TEST(test_texts_of_every_length_come_back),
	    TEST(test_many_rows_keep_their_order),
	    TEST(test_a_full_arena_leaves_the_connection_in_step),
	    TEST(test_injection_stays_data),
	    TEST(test_the_session_is_strict_utc_and_read_committed),
	    TEST(test_errors_become_ours),
	    TEST(test_matched_rows_count_as_affected),
	    TEST(test_more_statements_than_the_cache_holds),
	    TEST(test_a_parameters_type_may_change),
	    TEST(test_a_changed_table_is_prepared_again),
	    TEST(test_the_deadline_ends_a_statement),
	    TEST(test_the_server_ends_what_nobody_cancels),
	    TEST(test_a_passed_deadline_sends_nothing),
	    TEST(test_the_servers_limit_is_a_timeout),
	    TEST(test_the_clients_hang_up_ends_a_statement),
	    TEST(test_connecting_obeys_the_deadline),
	    TEST(test_no_server_and_wrong_password_are_unavailable),
	    TEST(test_a_killed_connection_is_unavailable),
	    TEST(test_a_transaction_commits_all_or_nothing),
	    TEST(test_deadlocks_are_retried_inside),
	    TEST(test_retrying_ends_with_the_deadline_or_the_count),
	    TEST(test_no_commit_after_the_deadline),
	    TEST(test_a_connection_lost_during_commit_is_unknown),
	    TEST(test_a_connection_lost_during_what_commits_is_unknown),
	    TEST(test_a_connection_lost_before_commit_is_unavailable),
	    TEST(test_a_change_that_is_lost_on_its_own_is_unknown),
	    TEST(test_capacity_is_a_sum),
	    TEST(test_durability_is_checked),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
