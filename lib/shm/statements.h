/*
 * The statements that took the database long, of all processes of the host, in the scoreboard's
 * memory: how often, how long, when last and for which route.
 *
 *	statements_begin(board, 100000);		// the threshold, unless there is one
 *	statements_note(board, sql, route, took_ns);	// after each statement
 *	count = statements_read(board, rows, STATEMENT_PLACES);
 *
 * A statement is known by its digest, a hash of its text with blanks run together and literals
 * replaced by "?", cut at STATEMENT_TEXT.  Values are bound and never in a text; that rule is
 * for the rest.  The first STATEMENT_PLACES statements have a place, what comes later is only
 * counted, until statements_reset() begins anew.
 *
 * Every function may be called on any thread of any process, takes no lock and waits for nobody.
 */
#ifndef ZIGGIE_SHM_STATEMENTS_H
#define ZIGGIE_SHM_STATEMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "shm/scoreboard.h"

enum { STATEMENT_PLACES = 128, STATEMENT_TEXT = 1024 /* with the NUL */ };

/* What counts as long.  _begin() is for the start: it changes nothing that was set before. */
void statements_begin(struct scoreboard *board, int64_t threshold_us);
void statements_set_threshold(struct scoreboard *board, int64_t threshold_us);
int64_t statements_threshold_us(const struct scoreboard *board); /* 0: nothing is noted yet */

/* Counts the statement if it took long.  route is of scoreboard_route(), or _ROUTE_OTHER. */
void statements_note(struct scoreboard *board, const char *sql, unsigned route, int64_t took_ns);
/* Forgets what was noted: for everybody, at once. */
void statements_reset(struct scoreboard *board);

struct slow_statement {
	uint64_t digest;
	char text[STATEMENT_TEXT];
	char route[SCOREBOARD_ROUTE_NAME]; /* of the last one; "" for none of the table's */
	uint64_t count;
	int64_t total_us, max_us;
	int64_t last_seen_us; /* wall time */
};
/* Those that took most time together first; returns how many.  out has room for max. */
size_t statements_read(const struct scoreboard *board, struct slow_statement *out, size_t max);
/* How many were noted since the reset without a place. */
uint64_t statements_uncounted(const struct scoreboard *board);

#endif
