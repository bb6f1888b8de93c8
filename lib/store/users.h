/*
 * The users table.  Every function works on a connection that carries the
 * deadline, or inside the caller's transaction; errors as in db/db.h.
 */
#ifndef ZIGGIE_STORE_USERS_H
#define ZIGGIE_STORE_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

/* Texts belong to the arena that the user was read into. */
struct user {
	struct uuid id;
	const char *username;
	const char *email;     /* NULL when not given */
	const char *full_name; /* NULL when not given */
	enum role role;
	bool is_active;
	const char *password_hash;
	int64_t created_us;
	int64_t last_login_us; /* 0 for never */
};

/* ERR_NOT_FOUND when there is none. */
enum err users_by_name(struct db_conn *db, struct arena *arena, const char *username,
		       struct user *out, struct errmsg *why);
enum err users_by_id(struct db_conn *db, struct arena *arena, const struct uuid *id,
		     struct user *out, struct errmsg *why);

/* All of them, by name; *out is an array in the arena. */
enum err users_list(struct db_conn *db, struct arena *arena, struct user **out, size_t *count,
		    struct errmsg *why);

/* The id and the times are given by the caller; ERR_CONFLICT when the name is taken. */
enum err users_add(struct db_conn *db, const struct user *user, struct errmsg *why);

/* What a user may change of the own record; NULL clears a field that is to be set. */
struct user_profile {
	bool sets_email;
	bool sets_full_name;
	const char *email;
	const char *full_name;
};
enum err users_set_profile(struct db_conn *db, const struct uuid *id,
			   const struct user_profile *profile, struct errmsg *why);
enum err users_set_password(struct db_conn *db, const struct uuid *id, const char *password_hash,
			    struct errmsg *why);
enum err users_set_active(struct db_conn *db, const struct uuid *id, bool active,
			  struct errmsg *why);

/*
 * Notes the time and locks the record until the transaction ends, so that a change
 * of the password that comes later ends the new session too.  ERR_NOT_FOUND when
 * the user has another password by now or is disabled.
 */
enum err users_note_login(struct db_conn *db, const struct user *checked, int64_t wall_us,
			  struct errmsg *why);

#endif
