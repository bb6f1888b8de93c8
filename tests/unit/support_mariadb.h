/*
 * A real MariaDB server for a test program: private, on a Unix socket in a short
 * temporary directory, with database `ziggie` and account `ziggie`.  It dies with the
 * test program, however that ends; the directory goes at a regular exit.
 *
 * A start takes about a second, so one server serves a whole program.  Every
 * failure here aborts the program with a message.
 */
#ifndef ZIGGIE_TESTS_SUPPORT_MARIADB_H
#define ZIGGIE_TESTS_SUPPORT_MARIADB_H

#include <stdint.h>

#include "base/arena.h"
#include "base/deadline.h"
#include "db/db.h"

void test_mariadb_start(void);
void test_mariadb_stop(void);
/* The schema of today. */
void test_mariadb_migrate(void);
/* All that, for a group of tests. */
int test_mariadb_set_up(void **state);
int test_mariadb_tear_down(void **state);
/* SIGKILL and wait; test_mariadb_revive() starts it on the same data. */
void test_mariadb_kill(void);
void test_mariadb_revive(void);
/* SIGSTOP and SIGCONT. */
void test_mariadb_freeze(void);
void test_mariadb_thaw(void);

/* The directory of the server's socket, for sockets of the test's own. */
const char *test_mariadb_dir(void);
const struct db_server *test_mariadb_server(void); /* as the application's account */
const struct db_server *test_mariadb_root(void);

/* A connection with ten seconds for everything; aborts when there is none. */
struct db_conn *test_mariadb_connect(const struct db_server *server);

/* What a test of lib/store needs: such a connection, with a minute for everything, and an arena. */
struct test_session {
	struct db_conn *db;
	struct arena arena;
};
void test_session_open(struct test_session *session);
void test_session_close(struct test_session *session);

/* One statement as root, on a connection of its own. */
void test_mariadb_sql(const char *sql);
/* The single number that a query as root gives. */
int64_t test_mariadb_number(const char *sql);
/* Statements of the application's account that run on the server now. */
int64_t test_mariadb_running(void);

#endif
