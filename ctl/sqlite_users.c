#include <string.h>
#include <strings.h>

#include "auth/account.h"
#include "auth/password.h"
#include "base/clock.h"
#include "sqlite_kinds.h"
#include "store/user_import.h"
#include "user_change.h"

enum {
	COL_USERNAME,
	COL_HASH,
	COL_EMAIL,
	COL_FULL_NAME,
	COL_ROLE,
	COL_ACTIVE,
	COL_CREATED,
	COL_UPDATED,
	COL_LOGIN,
	COL_COUNT
};

static const struct sqlite_column columns[COL_COUNT] = {
    [COL_USERNAME] = {.names = "username|user_name|login|name", .required = true},
    [COL_HASH] = {.names = "hashed_password|password_hash|password", .required = true},
    [COL_EMAIL] = {.names = "email|email_address"},
    [COL_FULL_NAME] = {.names = "full_name|fullname|display_name"},
    [COL_ROLE] = {.names = "role|user_role", .required = true},
    [COL_ACTIVE] = {.names = "is_active|active|enabled"},
    [COL_CREATED] = {.names = "created_at|created"},
    [COL_UPDATED] = {.names = "updated_at|updated|modified_at"},
    [COL_LOGIN] = {.names = "last_login|last_login_at"},
};

/* "admin", "ADMIN" and "UserRole.ADMIN", as different versions kept it. */
static enum role role_of(const char *text)
{
	static const struct {
		const char *word;
		enum role role;
	} words[] = {
	    {"admin", ROLE_ADMIN},       {"administrator", ROLE_ADMIN}, {"user", ROLE_USER},
	    {"readonly", ROLE_READONLY}, {"read_only", ROLE_READONLY},  {"viewer", ROLE_READONLY},
	};
	const char *dot = text != NULL ? strrchr(text, '.') : NULL;
	const char *word = dot != NULL ? dot + 1 : text;
	for (size_t i = 0; word != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i].word) == 0)
			return words[i].role;
	return ROLE_NONE;
}

static enum err check_text(const char *what, const char *text,
			   enum err (*rule)(const char *text, struct errmsg *why),
			   struct errmsg *why)
{
	struct errmsg fault = ERRMSG_INIT;
	enum err err = text != NULL ? rule(text, &fault) : ERR_OK;
	return err == ERR_OK ? ERR_OK : err_set(why, err, "the %s %s", what, fault.text);
}

static enum err check(const struct user *user, struct errmsg *why)
{
	if (user->username == NULL)
		return err_set(why, ERR_INVALID, "it has no name");
	if (user->role == ROLE_NONE)
		return err_set(why, ERR_INVALID, "%.100s: its role is none of ours",
			       user->username);
	if (user->password_hash == NULL || !password_hash_known(user->password_hash))
		return err_set(why, ERR_INVALID, "%.100s: its password's hash is of no known kind",
			       user->username);
	enum err err = check_text("name", user->username, account_check_username, why);
	if (err == ERR_OK)
		err = check_text("e-mail address", user->email, account_check_email, why);
	if (err == ERR_OK)
		err = check_text("full name", user->full_name, account_check_full_name, why);
	return err;
}

/* When nothing says since when it has been so, it is older than everything here. */
static void set_times(struct user *user, const struct sqlite_rows *rows, size_t row)
{
	user->created_us = sqlite_time_us(rows, row, COL_CREATED);
	user->updated_us = sqlite_time_us(rows, row, COL_UPDATED);
	user->last_login_us = sqlite_time_us(rows, row, COL_LOGIN);
	if (user->created_us == 0)
		user->created_us = US_PER_S;
	if (user->updated_us < user->created_us)
		user->updated_us = user->created_us;
}

static enum err write_user(struct db_conn *db, struct arena *arena, const struct sqlite_rows *rows,
			   size_t row, enum import_outcome *outcome, struct errmsg *why)
{
	struct user user = {
	    .username = sqlite_text(rows, row, COL_USERNAME),
	    .email = sqlite_text(rows, row, COL_EMAIL),
	    .full_name = sqlite_text(rows, row, COL_FULL_NAME),
	    .role = role_of(sqlite_text(rows, row, COL_ROLE)),
	    .is_active = sqlite_bool(rows, row, COL_ACTIVE, true),
	    .password_hash = sqlite_text(rows, row, COL_HASH),
	};
	uuid_new(&user.id);
	set_times(&user, rows, row);
	enum err err = check(&user, why);
	return err == ERR_OK ? user_import(db, arena, &user, &ctl_origin, outcome, why) : err;
}

const struct sqlite_kind sqlite_users = {"users", "users", columns, COL_COUNT, write_user, NULL};
