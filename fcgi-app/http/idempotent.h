/*
 * The Idempotency-Key header of a POST (draft-ietf-httpapi-idempotency-key-header): the
 * first request with a key does it and its answer is kept; a later one with the same key
 * and body gets that answer again, with "Idempotency-Replayed: true".
 *
 *	err = idempotent_begin(&attempt, r, response, &keyed, &answered, why);
 *	if (err != ERR_OK || answered) return err;
 *	... in the transaction that writes: idempotent_keep(&attempt, db, 201, &body, why);
 *	... when it failed: idempotent_drop(&attempt, err);
 *
 * Keys belong to the user who sends them.
 */
#ifndef ZIGGIE_HTTP_IDEMPOTENT_H
#define ZIGGIE_HTTP_IDEMPOTENT_H

#include "http/request.h"
#include "store/idempotency.h"

struct idempotent {
	struct http_request *r;
	struct idempotency attempt;
	const char *location;
	int64_t version;
};

/* Errors of idempotency_reserve(), and ERR_MALFORMED for a key that is none. */
enum err idempotent_begin(struct idempotent *attempt, struct http_request *r,
			  struct http_response *response, bool *keyed, bool *answered,
			  struct errmsg *why);
/* What the answer names besides its body; the location lives as long as the request. */
void idempotent_names(struct idempotent *attempt, const char *location, int64_t version);
enum err idempotent_keep(struct idempotent *attempt, struct db_conn *db, int status,
			 const struct strbuf *body, struct errmsg *why);
/* Frees the key, unless it is not known whether the work was done. */
void idempotent_drop(struct idempotent *attempt, enum err failure);

#endif
