/*
 * Changes of accounts, each with what it entails: sessions end, the audit has its row,
 * and the last active administrator stays.  HTTP and ziggiectl both go this way.
 *
 * Each belongs inside a transaction of the caller's, and auth_revoked() behind the commit.
 * `by` says who does it and where from; action, resource, record, before and after are
 * filled in here.
 */
#ifndef ZIGGIE_STORE_ACCOUNTS_H
#define ZIGGIE_STORE_ACCOUNTS_H

#include "store/audit.h"
#include "store/tokens.h"
#include "store/users.h"

/* ERR_CONFLICT when the name is taken. */
enum err accounts_add(struct db_conn *db, const struct user *user, const struct audit_entry *by,
		      struct errmsg *why);

struct account_change {
	struct user_change user;
	const char *replaces;        /* the password hash that must still be there, or NULL */
	const uint8_t *kept_session; /* digest of a token that outlives a new password, or NULL */
};

/*
 * Reads the user as it is afterwards into *out (in the arena).  ERR_NOT_FOUND;
 * ERR_CONFLICT when the last active administrator would be no more, or the password
 * has been changed meanwhile.  A new password ends the sessions, and so does disabling.
 */
enum err accounts_change(struct db_conn *db, struct arena *arena, const struct uuid *id,
			 const struct account_change *change, const struct audit_entry *by,
			 struct user *out, struct errmsg *why);

/* With all sessions and keys; errors as above. */
enum err accounts_remove(struct db_conn *db, struct arena *arena, const struct uuid *id,
			 const struct audit_entry *by, struct errmsg *why);

#endif
