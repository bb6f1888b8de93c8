/*
 * A database driver without a database, in the place of db_mariadb.c: a test program
 * that has it links no other.  Its connections are numbered from 1.  Whatever is done
 * with them goes into a journal, with the time that it may take:
 *
 *	"open 1 (2000 ms); ping 1 (2000 ms); ROLLBACK on 1 (1000 ms); close 1; "
 *
 * and "no connection (2000 ms); " where none could be had.  Needs still_time.h.
 */
#ifndef ZIGGIE_TESTS_FAKE_DRIVER_H
#define ZIGGIE_TESTS_FAKE_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct db_conn;

/* What the driver answers; all zero when all goes well.  Changed while nobody calls it. */
struct fake_answers {
	enum err connect;
	int64_t connect_takes_ms;
	enum err ping;
	enum err command;
	bool command_breaks; /* the connection, when the command fails */
};
extern struct fake_answers fake_answers;

/* Forgets connections, journal and answers. */
void fake_driver_reset(void);
/* The journal since it was last asked is this, or the test fails. */
void fake_driver_did(const char *expected);
unsigned fake_driver_connects(void);

/* From now on who connects waits for fake_driver_let_go(). */
void fake_driver_hold(void);
void fake_driver_await_held(unsigned count);
void fake_driver_let_go(void);

uint64_t fake_conn_number(const struct db_conn *db);
/* The server says something unasked. */
void fake_conn_disturb(uint64_t number);
void fake_conn_begin_transaction(uint64_t number);
/* Given up at its deadline in the middle of a statement, which the server still works on. */
void fake_conn_interrupt(struct db_conn *db);
/* Lost, with nothing left running. */
void fake_conn_break(struct db_conn *db);

#endif
