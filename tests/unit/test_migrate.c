/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/migrate.h"
#include "support.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 20000, MIGRATORS = 4 };

#define FIRST                                                                                      \
	{                                                                                          \
		1, "first",                                                                        \
		    "-- A comment; with a semicolon;\nCREATE TABLE IF NOT EXISTS a (\n"            \
		    "\tid INT PRIMARY KEY\n);\n\nINSERT IGNORE INTO a VALUES (1);  \n"             \
	}
static const struct migration one[] = {FIRST, {0, NULL, NULL}};
static const struct migration two[] = {
    FIRST,
    {2, "second", "ALTER TABLE a ADD COLUMN IF NOT EXISTS b INT;\n"},
    {0, NULL, NULL},
};

static int set_up_server(void **state)
{
	(void)state;
	test_mariadb_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	test_mariadb_sql("DROP DATABASE IF EXISTS ziggie");
	test_mariadb_sql("CREATE DATABASE ziggie");
	return 0;
}

static enum err apply(const struct migration *list, migrate_progress *progress, void *arg,
		      struct errmsg *why)
{
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	return migrate_apply(test_mariadb_server(), list, &limit, progress, arg, why);
}

static unsigned pending(const struct migration *list)
{
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	struct errmsg why = ERRMSG_INIT;
	unsigned count = 99;
	enum err err = migrate_pending(db, list, &count, &why);
	if (err != ERR_OK)
		fail_msg("%s", why.text);
	db_close(db);
	return count;
}

static void count_applied(const struct migration *m, int64_t took_ns, void *arg)
{
	(void)m;
	assert_true(took_ns > 0);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void test_all_are_applied_once(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	int applied = 0;
	assert_int_equal(pending(two), 2);
	assert_int_equal(apply(two, count_applied, &applied, &why), ERR_OK);
	assert_int_equal(applied, 2);
	assert_int_equal(pending(two), 0);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.a WHERE b IS NULL"), 1);
	assert_int_equal(apply(two, count_applied, &applied, &why), ERR_OK);
	assert_int_equal(applied, 2);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.schema_migrations"), 2);
	assert_string_equal(why.text, "");
}

static void test_the_shipped_ones_make_users_and_tokens(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	if (apply(migrations, NULL, NULL, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(pending(migrations), 0);
	test_mariadb_sql(
	    "INSERT INTO ziggie.users (id, username, role, password_hash, created_at, "
	    "updated_at) VALUES (REPEAT('u', 16), 'bob', 'admin', 'x', NOW(6), NOW(6))");
	test_mariadb_sql("INSERT INTO ziggie.tokens (hash, user_id, created_at, expires_at) "
			 "VALUES (REPEAT('t', 32), REPEAT('u', 16), NOW(6), NOW(6))");
	/* Names compare byte by byte. */
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.users "
					     "WHERE username IN ('Bob', 'bob ', 'b\xc3\xb6"
					     "b')"),
			 0);
	test_mariadb_sql("DELETE FROM ziggie.users");
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 0);
}

static void test_the_shipped_ones_can_run_again(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(apply(migrations, NULL, NULL, &why), ERR_OK);
	/* As if each had been cut off before it was recorded. */
	test_mariadb_sql("DELETE FROM ziggie.schema_migrations");
	if (apply(migrations, NULL, NULL, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static void test_newer_ones_in_the_database_are_fine(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(apply(one, NULL, NULL, &why), ERR_OK);
	test_mariadb_sql("INSERT INTO ziggie.schema_migrations VALUES (99, 'later', "
			 "REPEAT('x', 32), NOW(6))");
	assert_int_equal(pending(one), 0);
	assert_int_equal(apply(one, NULL, NULL, &why), ERR_OK);
}

static void test_a_changed_text_is_refused_before_anything_runs(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	static const struct migration changed[] = {
	    {1, "first", "CREATE TABLE IF NOT EXISTS other (id INT PRIMARY KEY);\n"},
	    {3, "third", "CREATE TABLE third (id INT PRIMARY KEY);\n"},
	    {0, NULL, NULL}};
	assert_int_equal(apply(two, NULL, NULL, &why), ERR_OK);
	assert_int_equal(apply(changed, NULL, NULL, &why), ERR_CONFLICT);
	assert_non_null(strstr(why.text, "0001_first"));
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM information_schema.tables "
					     "WHERE table_schema = 'ziggie' AND "
					     "table_name IN ('other', 'third')"),
			 0);
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	unsigned missing = 99;
	assert_int_equal(migrate_pending(db, changed, &missing, &why), ERR_CONFLICT);
	db_close(db);
}

static void test_a_failure_names_its_migration_and_can_be_mended(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	static const struct migration broken[] = {
	    {1, "first", "CREATE TABLE IF NOT EXISTS a (id INT PRIMARY KEY);\n"},
	    {2, "second", "CREATE TABLE IF NOT EXISTS b (id INT PRIMARY KEY);\nALTER NONSENSE;\n"},
	    {0, NULL, NULL}};
	static const struct migration mended[] = {
	    {1, "first", "CREATE TABLE IF NOT EXISTS a (id INT PRIMARY KEY);\n"},
	    {2, "second", "CREATE TABLE IF NOT EXISTS b (id INT PRIMARY KEY);\n"},
	    {0, NULL, NULL}};
	assert_int_equal(apply(broken, NULL, NULL, &why), ERR_INTERNAL);
	assert_non_null(strstr(why.text, "0002_second"));
	assert_non_null(strstr(why.text, "NONSENSE"));
	assert_int_equal(pending(mended), 1);
	assert_int_equal(apply(mended, NULL, NULL, &why), ERR_OK);
	assert_int_equal(pending(mended), 0);
}

struct migrator {
	const struct migration *list;
	int *applied;
	enum err err;
	struct errmsg why;
};

static void *migrate(void *arg)
{
	struct migrator *m = arg;
	m->err = apply(m->list, count_applied, m->applied, &m->why);
	return NULL;
}

static void test_several_at_once_apply_each_once(void **state)
{
	(void)state;
	/* Neither of these would bear to run twice, or beside each other. */
	static const struct migration list[] = {
	    {1, "first", "CREATE TABLE a (id INT PRIMARY KEY);\nSELECT SLEEP(0.3) INTO @x;\n"},
	    {2, "second", "INSERT INTO a VALUES (1);\nDO SLEEP(0.2);\n"},
	    {3, "third", "ALTER TABLE a ADD COLUMN b INT;\n"},
	    {0, NULL, NULL}};
	int applied = 0;
	struct migrator migrators[MIGRATORS];
	pthread_t threads[MIGRATORS];
	for (int i = 0; i < MIGRATORS; i++) {
		migrators[i] = (struct migrator){.list = list, .applied = &applied};
		pthread_create(&threads[i], NULL, migrate, &migrators[i]);
	}
	for (int i = 0; i < MIGRATORS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < MIGRATORS; i++)
		if (migrators[i].err != ERR_OK)
			fail_msg("%s: %s", err_name(migrators[i].err), migrators[i].why.text);
	assert_int_equal(applied, 3);
}

static int64_t waiting_for_another(void *context)
{
	(void)context;
	struct deadline limit = deadline_in_ms(500);
	int64_t began = clock_mono_ns();
	assert_int_equal(migrate_apply(test_mariadb_server(), two, &limit, NULL, NULL, NULL),
			 ERR_TIMEOUT);
	return (clock_mono_ns() - began) / NS_PER_MS;
}

static void test_waiting_for_another_ends_with_the_deadline(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(apply(two, NULL, NULL, &why), ERR_OK);
	struct db_conn *other = test_mariadb_connect(test_mariadb_server());
	assert_int_equal(db_command(other, "BEGIN", &why), ERR_OK);
	assert_int_equal(db_command(other, "UPDATE schema_guard SET id = 1", &why), ERR_OK);
	assert_int_equal(db_command(other, "DELETE FROM schema_guard", &why), ERR_OK);
	assert_in_range(test_best_ms(waiting_for_another, NULL, 700), 499, 700);
	/* The other one dies; its lock dies with it. */
	db_close(other);
	assert_int_equal(apply(two, NULL, NULL, &why), ERR_OK);
}

/* A transaction that has read a table and does not end. */
static struct db_conn *long_reader(void)
{
	struct db_conn *reader = test_mariadb_connect(test_mariadb_server());
	assert_int_equal(db_command(reader, "BEGIN", NULL), ERR_OK);
	assert_int_equal(db_exec(reader, "UPDATE a SET id = id", DB_NO_BINDS, NULL, NULL), ERR_OK);
	return reader;
}

static void wait_for_a_waiting_alter(void)
{
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	while (test_mariadb_number("SELECT COUNT(*) FROM information_schema.processlist WHERE "
				   "state LIKE 'Waiting for table metadata lock%'") == 0)
		assert_false(deadline_passed(&limit));
}

static void test_others_go_on_while_a_table_is_in_use(void **state)
{
	(void)state;
	int applied = 0;
	assert_int_equal(apply(one, NULL, NULL, NULL), ERR_OK);
	struct db_conn *reader = long_reader();
	struct migrator migrator = {.list = two, .applied = &applied};
	pthread_t thread;
	pthread_create(&thread, NULL, migrate, &migrator);
	wait_for_a_waiting_alter();
	/* Behind the ALTER, and still not behind the transaction that it waits for. */
	struct db_conn *other = test_mariadb_connect(test_mariadb_server());
	struct errmsg why = ERRMSG_INIT;
	if (db_exec(other, "INSERT INTO a (id) VALUES (2)", DB_NO_BINDS, NULL, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(applied, 0);
	db_close(other);
	assert_int_equal(db_command(reader, "COMMIT", NULL), ERR_OK);
	pthread_join(thread, NULL);
	if (migrator.err != ERR_OK)
		fail_msg("%s", migrator.why.text);
	assert_int_equal(applied, 1);
	assert_int_equal(pending(two), 0);
	db_close(reader);
}

static void test_a_table_that_stays_in_use_ends_it_at_the_deadline(void **state)
{
	(void)state;
	assert_int_equal(apply(one, NULL, NULL, NULL), ERR_OK);
	struct db_conn *reader = long_reader();
	struct deadline limit = deadline_in_ms(500);
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(migrate_apply(test_mariadb_server(), two, &limit, NULL, NULL, &why),
			 ERR_TIMEOUT);
	assert_non_null(strstr(why.text, "0002_second"));
	assert_non_null(strstr(why.text, "run it again"));
	assert_int_equal(pending(two), 1);
	db_close(reader);
	assert_int_equal(apply(two, NULL, NULL, NULL), ERR_OK);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_all_are_applied_once),
	    TEST(test_the_shipped_ones_make_users_and_tokens),
	    TEST(test_the_shipped_ones_can_run_again),
	    TEST(test_newer_ones_in_the_database_are_fine),
	    TEST(test_a_changed_text_is_refused_before_anything_runs),
	    TEST(test_a_failure_names_its_migration_and_can_be_mended),
	    TEST(test_several_at_once_apply_each_once),
	    TEST(test_waiting_for_another_ends_with_the_deadline),
	    TEST(test_others_go_on_while_a_table_is_in_use),
	    TEST(test_a_table_that_stays_in_use_ends_it_at_the_deadline),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
