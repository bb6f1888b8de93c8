/*
 * Accounts that an import brings.
 */
#ifndef ZIGGIE_STORE_USER_IMPORT_H
#define ZIGGIE_STORE_USER_IMPORT_H

#include "store/audit.h"
#include "store/import_outcome.h"
#include "store/users.h"

/*
 * Adds the user, or changes the one of that name when `source` changed after it; belongs
 * into a transaction.  source->id is that of a new user; created_us and updated_us are the
 * source's own.  An account that changed here since then is kept, and so is whoever is the
 * last active administrator, whatever the source says.  Errors as in store/accounts.h.
 */
enum err user_import(struct db_conn *db, struct arena *arena, const struct user *source,
		     const struct audit_entry *by, enum import_outcome *outcome,
		     struct errmsg *why);

#endif
