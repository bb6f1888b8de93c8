#include "store/accounts.h"

#include "json/writer.h"

/* What the audit keeps of a user: everything but the password. */
static void describe(struct strbuf *out, const struct user *user, bool new_password)
{
	struct json_writer w;
	json_init(&w, out);
	json_object(&w);
	json_put_string(&w, "username", user->username);
	json_put_string(&w, "email", user->email);
	json_put_string(&w, "full_name", user->full_name);
	json_put_string(&w, "role", role_name(user->role));
	json_put_bool(&w, "is_active", user->is_active);
	if (new_password)
		json_put_bool(&w, "new_password", true);
	json_end(&w);
}

static enum err note(struct db_conn *db, const struct audit_entry *by, const char *action,
		     const struct user *before, const struct user *after, bool new_password,
		     struct errmsg *why)
{
	STRBUF_CLEANUP old = STRBUF_INIT;
	STRBUF_CLEANUP new = STRBUF_INIT;
	struct audit_entry entry = *by;
	entry.action = action;
	entry.resource = "user";
	entry.record = before != NULL ? &before->id : &after->id;
	if (before != NULL)
		describe(&old, before, false);
	if (after != NULL)
		describe(&new, after, new_password);
	if (old.failed || new.failed)
		return err_set(why, ERR_NOMEM, "out of memory for the audit");
	entry.before = before != NULL ? old.data : NULL;
	entry.after = after != NULL ? new.data : NULL;
	return audit_add(db, &entry, why);
}

enum err accounts_add(struct db_conn *db, const struct user *user, const struct audit_entry *by,
		      struct errmsg *why)
{
	enum err err = users_add(db, user, why);
	return err == ERR_OK ? note(db, by, "create", NULL, user, true, why) : err;
}

/*
 * Locks the user's record and, when it may be that of the last active administrator,
 * those of all of them before it: always in that order, so that of two who want to
 * remove each other one waits, and then sees that the other is gone.
 */
static enum err lock(struct db_conn *db, struct arena *arena, const struct uuid *id, bool may_go,
		     struct user *out, struct errmsg *why)
{
	uint64_t admins = 0;
	enum err err = may_go ? users_lock_admins(db, arena, &admins, why) : ERR_OK;
	if (err == ERR_OK)
		err = users_lock(db, arena, id, out, why);
	if (err == ERR_OK && may_go && out->role == ROLE_ADMIN && out->is_active && admins <= 1)
		return err_set(why, ERR_CONFLICT,
			       "%s is the last active administrator and must stay one",
			       out->username);
	return err;
}

static enum err end_sessions(struct db_conn *db, const struct uuid *id,
			     const struct account_change *change, struct errmsg *why)
{
	bool disabled = change->user.sets_active && !change->user.active;
	if (!disabled && change->user.password_hash == NULL)
		return ERR_OK;
	if (disabled || change->kept_session == NULL)
		return tokens_remove_all_of(db, id, why);
	return tokens_remove_others_of(db, id, change->kept_session, why);
}

enum err accounts_change(struct db_conn *db, struct arena *arena, const struct uuid *id,
			 const struct account_change *change, const struct audit_entry *by,
			 struct user *out, struct errmsg *why)
{
	const struct user_change *user = &change->user;
	bool demotes = user->role != ROLE_NONE && user->role != ROLE_ADMIN;
	bool disables = user->sets_active && !user->active;
	struct user before;
	enum err err = lock(db, arena, id, demotes || disables, &before, why);
	if (err == ERR_OK && change->replaces != NULL &&
	    strcmp(change->replaces, before.password_hash) != 0)
		err = err_set(why, ERR_CONFLICT, "the password has been changed meanwhile");
	if (err == ERR_OK)
		err = users_change(db, id, user, why);
	if (err == ERR_OK)
		err = end_sessions(db, id, change, why);
	if (err == ERR_OK)
		err = users_by_id(db, arena, id, out, why);
	if (err == ERR_OK)
		err = note(db, by, "update", &before, out, user->password_hash != NULL, why);
	return err;
}

enum err accounts_remove(struct db_conn *db, struct arena *arena, const struct uuid *id,
			 const struct audit_entry *by, struct errmsg *why)
{
	struct user before;
	enum err err = lock(db, arena, id, true, &before, why);
	if (err == ERR_OK)
		err = users_remove(db, id, why);
	if (err == ERR_OK)
		err = note(db, by, "delete", &before, NULL, false, why);
	return err;
}
