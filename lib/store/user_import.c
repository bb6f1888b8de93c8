#include "store/user_import.h"

#include <string.h>

#include "auth/password.h"
#include "store/accounts.h"

/* A hash of ours in place of an imported one is of the same password. */
static bool same_password(const struct user *here, const struct user *source)
{
	return strcmp(here->password_hash, source->password_hash) == 0 ||
	       (password_hash_foreign(source->password_hash) &&
		!password_hash_foreign(here->password_hash));
}

static bool is_same(const struct user *here, const struct user *source)
{
	return import_same_text(here->email, source->email) &&
	       import_same_text(here->full_name, source->full_name) && here->role == source->role &&
	       here->is_active == source->is_active;
}

/* Locks the administrators before the user, as store/accounts.c does. */
static enum err is_last_admin(struct db_conn *db, struct arena *arena, const struct user *here,
			      bool *last, struct errmsg *why)
{
	uint64_t admins = 0;
	*last = false;
	if (here->role != ROLE_ADMIN || !here->is_active)
		return ERR_OK;
	enum err err = users_lock_admins(db, arena, &admins, why);
	*last = admins <= 1;
	return err;
}

static enum err change(struct db_conn *db, struct arena *arena, const struct user *here,
		       const struct user *source, const struct audit_entry *by, struct errmsg *why)
{
	const struct account_change all = {
	    .user = {.sets_email = true,
		     .email = source->email,
		     .sets_full_name = true,
		     .full_name = source->full_name,
		     .sets_active = true,
		     .active = source->is_active,
		     .role = source->role,
		     .password_hash = same_password(here, source) ? NULL : source->password_hash}};
	struct user after;
	return accounts_change(db, arena, &here->id, &all, by, &after, why);
}

enum err user_import(struct db_conn *db, struct arena *arena, const struct user *source,
		     const struct audit_entry *by, enum import_outcome *outcome, struct errmsg *why)
{
	struct user here;
	struct errmsg message = ERRMSG_INIT;
	bool last;
	enum err err = users_by_name(db, arena, source->username, &here, &message);
	*outcome = IMPORT_CREATED;
	if (err == ERR_NOT_FOUND)
		return accounts_add(db, source, by, why);
	if (err != ERR_OK)
		return err_set(why, err, "%s", message.text);
	err = is_last_admin(db, arena, &here, &last, why);
	if (err != ERR_OK)
		return err;
	bool newer = source->updated_us > here.updated_us;
	bool same = is_same(&here, source) && (!newer || same_password(&here, source));
	*outcome = same ? IMPORT_UNCHANGED : newer && !last ? IMPORT_UPDATED : IMPORT_KEPT;
	return *outcome == IMPORT_UPDATED ? change(db, arena, &here, source, by, why) : ERR_OK;
}
