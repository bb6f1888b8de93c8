/*
 * Reads of one record each, made as one statement when they meet.
 *
 * Of what a row costs that is read by its key, the server has spent four fifths before it comes
 * to the row: being woken, taking the statement off the wire, opening the table.  So whoever wants
 * a record while another one of its kind is being read waits for that to end, and all who waited
 * are read by one statement, WHERE id IN (...), on the connection of one of them.  A read that
 * meets nobody goes at once.  docs/decisions/0024-read-together.md has the figures.
 *
 * What is read is as new as by record_find(): a statement is joined only before it begins.
 * And nobody is worse off for the others: after a moment of patience, and when the common
 * statement fails for whatever reason, each reads by itself, with its own deadline, client and
 * error.
 *
 * Thread-safe, except new and free.
 */
#ifndef ZIGGIE_STORE_RECORD_BATCH_H
#define ZIGGIE_STORE_RECORD_BATCH_H

#include "store/record.h"

enum {
	/* Records that one statement reads.  With so many waiting it does not wait for another. */
	RECORD_BATCH_MOST = 8,
	RECORD_BATCH_PATIENCE_MS = 500,
};

struct record_batch;

/*
 * For so many threads; with more, some read by themselves.  Nobody waits longer than patience_ms
 * for others; RECORD_BATCH_PATIENCE_MS is the usual one.
 */
enum err record_batch_new(unsigned threads, int64_t patience_ms, struct record_batch **out,
			  struct errmsg *why);
/* When nobody reads any more.  NULL is fine. */
void record_batch_free(struct record_batch *batch);

/* record_find() and record_peek(). */
enum err record_batch_find(struct record_batch *batch, struct db_conn *db, struct arena *arena,
			   const struct record_kind *kind, const struct uuid *id,
			   struct record *out, struct errmsg *why);
enum err record_batch_peek(struct record_batch *batch, struct db_conn *db, struct arena *arena,
			   const struct record_kind *kind, const struct uuid *id,
			   struct record *out, struct errmsg *why);

#endif
