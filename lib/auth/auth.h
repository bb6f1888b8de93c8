/*
 * Who a token or an API key belongs to, without asking the database each time.  All
 * that is said of tokens here holds for keys.
 *
 * A known token is trusted for cache_ttl_ms after the database was asked about it,
 * then one thread reads it again while the others wait for that answer.  A
 * revocation bumps the epoch after its commit, which makes every entry stale at
 * once in all processes that share the scoreboard; elsewhere the time does it.  Unknown
 * tokens have a table of their own, so that they can't push out the known ones.
 *
 * While the database gives no answer, an entry of the current epoch serves, for
 * grace_ms more, those callers that allow it.  A token revoked from another host
 * during that time goes on working there until the database is back or the grace
 * is over.
 *
 * A hit costs a SipHash and the copy of a principal, and takes no lock.
 *
 * Thread-safe, except auth_new() and auth_free().
 */
#ifndef ZIGGIE_AUTH_AUTH_H
#define ZIGGIE_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/password.h"
#include "auth/principal.h"
#include "auth/token.h"
#include "base/deadline.h"
#include "base/error.h"

struct auth;
struct conf;
struct scoreboard;

/*
 * Reads what the database knows of a token or key: ERR_UNAUTHORIZED when there is none,
 * it has expired, was revoked or its user is disabled.  store/credentials.h has one.
 */
typedef enum err auth_load(void *context, enum token_kind kind,
			   const uint8_t digest[TOKEN_DIGEST_LEN], const struct deadline *deadline,
			   struct principal *out, struct errmsg *why);

struct auth_config {
	auth_load *load;
	void *load_context;
	struct scoreboard *board; /* holds the epoch; NULL for one of its own */
	int64_t cache_ttl_ms;
	int64_t grace_ms;
	size_t cache_size;              /* entries, of known and of unknown tokens each */
	unsigned password_hashes;       /* at once */
	unsigned password_waiting;      /* threads that may wait for their turn */
	const char *metrics_token_file; /* NULL or "" for none */
};

/* Everything that the settings say; load, load_context and board stay as they are. */
void auth_config_load(struct auth_config *config, const struct conf *conf);

/* Reads the metrics token's file; ERR_IO or ERR_INVALID when there is one that can't be used. */
enum err auth_new(const struct auth_config *config, struct auth **out, struct errmsg *why);
void auth_free(struct auth *a); /* NULL is fine */

/* What a client shows; the text is borrowed and need not be terminated. */
struct credential {
	enum token_kind kind;
	const char *text;
	size_t len;
};

/*
 * ERR_UNAUTHORIZED when it is not valid; otherwise what the database's read returned.
 * May wait, until the deadline.
 */
enum err auth_check(struct auth *a, const struct credential *given, const struct deadline *deadline,
		    bool grace_allowed, struct principal *out, struct errmsg *why);

/*
 * Takes up to `most` keys that were used and whose last use was noted long ago (a
 * minute), for somebody to note it; how many.  None comes twice within a second.
 */
size_t auth_take_used_keys(struct auth *a, struct uuid *out, size_t most);

/* How tokens were checked since the start. */
struct auth_stats {
	uint64_t remembered; /* good, by memory */
	uint64_t read;       /* good, by the database */
	uint64_t grace;      /* let in without the database */
	uint64_t refused;    /* malformed, unknown or expired */
	size_t entries;      /* remembered now, good and unknown ones */
};
void auth_stats_read(struct auth *a, struct auth_stats *out);

/* To be called after the commit that took a token or a right away. */
void auth_revoked(struct auth *a);

/* Whether the text is the metrics token; false when there is none.  Takes the same time always. */
bool auth_is_metrics_token(const struct auth *a, const char *text, size_t len);

struct password_hasher *auth_hasher(struct auth *a);

/* True for one caller every interval_ms: whose turn it is to delete expired tokens. */
bool auth_cleaning_due(struct auth *a, int64_t interval_ms);

#endif
