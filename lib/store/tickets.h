/*
 * The ws_tickets table: what opens a WebSocket in place of a header that browsers can't
 * send with one.  A ticket opens one, once, within TICKET_LIFETIME_S, and is gone with
 * the session that it was given to.  Kept as a SHA-256.  Errors as in db/db.h.
 */
#ifndef ZIGGIE_STORE_TICKETS_H
#define ZIGGIE_STORE_TICKETS_H

#include "auth/principal.h"
#include "auth/token.h"
#include "base/error.h"
#include "db/db.h"

enum { TICKET_LIFETIME_S = 30 };

/* For the session whose token has that digest; ERR_UNAUTHORIZED when it is over. */
enum err tickets_add(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		     const uint8_t session[TOKEN_DIGEST_LEN], int64_t wall_us, struct errmsg *why);

/*
 * Takes the ticket, and reads whose session it is: inside a transaction, of two at
 * once one gets it.  ERR_UNAUTHORIZED when it was taken, is too old, or the session is over.
 */
enum err tickets_take(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		      struct principal *out, struct errmsg *why);

/* Deletes at most `most` that are too old. */
enum err tickets_remove_expired(struct db_conn *db, unsigned most, uint64_t *removed,
				struct errmsg *why);

#endif
