/*
 * Idempotency-Key: what a POST answered is kept, and answered again to a request
 * with the same key, so that a client that heard nothing can ask again without
 * doing it twice.
 *
 *	reserve	→ mine	→ transaction { write; keep }	(drop when it failed)
 *		→ kept	→ answer that again
 *
 * A request whose worker died holds its key until hold_us are over; then the next one
 * with that key takes it over.  keep is part of the transaction that writes, and
 * refuses when another one took over meanwhile: it happens once.
 */
#ifndef ZIGGIE_STORE_IDEMPOTENCY_H
#define ZIGGIE_STORE_IDEMPOTENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

enum { IDEMPOTENCY_HASH_LEN = 32 };

struct idempotency {
	struct uuid principal;
	uint8_t key[IDEMPOTENCY_HASH_LEN];     /* SHA-256 of the key */
	uint8_t request[IDEMPOTENCY_HASH_LEN]; /* SHA-256 of method, path and body */
	struct uuid holder;                    /* this attempt */
};

struct kept_answer {
	int status;
	const char *location; /* NULL for none */
	const char *etag;     /* NULL for none */
	const char *body;
	size_t body_len;
};

/*
 * *kept says that there is an answer already, and *out is that.  ERR_CONFLICT while
 * another request with this key is under way, ERR_INVALID when the key was used for
 * another request.  Not in a transaction.
 */
enum err idempotency_reserve(struct db_conn *db, struct arena *arena,
			     const struct idempotency *attempt, int64_t hold_us, bool *kept,
			     struct kept_answer *out, struct errmsg *why);
/* In the transaction that writes; ERR_CONFLICT when another attempt took over. */
enum err idempotency_keep(struct db_conn *db, const struct idempotency *attempt,
			  const struct kept_answer *answer, struct errmsg *why);
/* After a failure: the key is free again. */
enum err idempotency_drop(struct db_conn *db, const struct idempotency *attempt,
			  struct errmsg *why);
/* Forgets at most so many answers that are older than wall_us. */
enum err idempotency_remove_old(struct db_conn *db, int64_t wall_us, unsigned most,
				uint64_t *removed, struct errmsg *why);

#endif
