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
	int64_t updated_us;    /* when it last changed; of a new one, 0 for when it was made */
	int64_t last_login_us; /* 0 for never */
};

/* ERR_NOT_FOUND when there is none. */
enum err users_by_name(struct db_conn *db, struct arena *arena, const char *username,
		       struct user *out, struct errmsg *why);
enum err users_by_id(struct db_conn *db, struct arena *arena, const struct uuid *id,
		     struct user *out, struct errmsg *why);

/* Locks the record until the transaction ends. */
enum err users_lock(struct db_conn *db, struct arena *arena, const struct uuid *id,
		    struct user *out, struct errmsg *why);

/* A part of them, by name; *out is an array in the arena. */
enum err users_list(struct db_conn *db, struct arena *arena, uint64_t skip, uint64_t limit,
		    struct user **out, size_t *count, struct errmsg *why);

struct user_counts {
	uint64_t total, active;
	uint64_t by_role[ROLE_ADMIN + 1];
};
enum err users_count(struct db_conn *db, struct arena *arena, struct user_counts *out,
		     struct errmsg *why);

/*
 * The functions below change the table and nothing else.  Programs go by
 * store/accounts.h, which knows what a change entails.
 */

/* The id and the times are given by the caller; ERR_CONFLICT when the name is taken. */
enum err users_add(struct db_conn *db, const struct user *user, struct errmsg *why);

/* What is to change; NULL clears an address or a name that is to be set. */
struct user_change {
	bool sets_email;
	bool sets_full_name;
	bool sets_active;
	bool active;
	const char *email;
	const char *full_name;
	enum role role;            /* ROLE_NONE leaves it */
	const char *password_hash; /* NULL leaves it */
};
enum err users_change(struct db_conn *db, const struct uuid *id, const struct user_change *change,
		      struct errmsg *why);
enum err users_remove(struct db_conn *db, const struct uuid *id, struct errmsg *why);

/* Locks the active administrators until the transaction ends, and counts them. */
enum err users_lock_admins(struct db_conn *db, struct arena *arena, uint64_t *count,
			   struct errmsg *why);

/*
 * Notes the time and locks the record until the transaction ends, so that a change
 * of the password that comes later ends the new session too.  ERR_NOT_FOUND when
 * the user has another password by now or is disabled.
 */
enum err users_note_login(struct db_conn *db, const struct user *checked, int64_t wall_us,
			  struct errmsg *why);

/*
 * Gives the same password another hash; the account does not count as changed.  Nothing
 * happens when it has another password by now.
 */
enum err users_rehash(struct db_conn *db, const struct user *checked, const char *hash,
		      struct errmsg *why);

#endif
