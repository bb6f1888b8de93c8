/*
 * Reads of one record each, made as one statement when they meet.
 *
 * Of what a row costs that is read by its key, the server has spent four fifths before it comes
 * to the row: being woken, taking the statement off the wire, opening the table.  So whoever wants
 * a record while another one of its kind is being read waits for that to end, and all who waited
 * are read by one statement, WHERE id IN (...), on the connection of one of them.  A read that
 * meets nobody goes at once.  docs/decisions/0024-read-together.md has the figures.
 *
 * What is read is as new as by record_find(): a statement is joined only before it begins.  When
 * the common statement fails, each of the others reads by itself, with its own deadline, client
 * and error; so does who has waited for half of the time that is left to it, or for
 * RECORD_BATCH_PATIENCE_MS, and from then on nobody joins or waits behind what hangs.  Only the
 * one who reads holds a connection.
 *
 * Thread-safe, except new and free.
 */
#ifndef ZIGGIE_STORE_RECORD_BATCH_H
#define ZIGGIE_STORE_RECORD_BATCH_H

#include "store/record.h"

enum {
	/* Records that one statement reads.  When so many are waited for they wait no longer. */
	RECORD_BATCH_MOST = 8,
	RECORD_BATCH_PATIENCE_MS = 500,
};

struct record_batch;

/* A way to a connection, for the one who needs it. */
struct record_access {
	enum err (*borrow)(void *context, struct db_conn **db, struct errmsg *why);
	void (*give_back)(void *context, struct db_conn *db);
	void *context;
	struct deadline deadline; /* that of the connections, too */
};

/*
 * For so many threads; with more, some read by themselves.  patience_ms is
 * RECORD_BATCH_PATIENCE_MS but in tests.
 */
enum err record_batch_new(unsigned threads, int64_t patience_ms, struct record_batch **out,
			  struct errmsg *why);
/* When nobody reads any more.  NULL is fine. */
void record_batch_free(struct record_batch *all);

/* record_find(), and errors of borrow(). */
enum err record_batch_find(struct record_batch *all, const struct record_access *access,
			   struct arena *arena, const struct record_kind *kind,
			   const struct uuid *id, struct record *out, struct errmsg *why);
/* record_peek().  Behind what the transaction has written, by itself. */
enum err record_batch_peek(struct record_batch *all, struct db_conn *db, struct arena *arena,
			   const struct record_kind *kind, const struct uuid *id,
			   struct record *out, struct errmsg *why);

#endif
