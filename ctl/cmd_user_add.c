#include <string.h>
#include <sysexits.h>

#include "auth/principal.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "ctl.h"
#include "password_input.h"
#include "store/users.h"

enum { NAME_MIN = 3, NAME_MAX_CHARACTERS = 100, EMAIL_MAX = 254, FULL_NAME_MAX = 200 };
enum { LIMIT_MS = 30000 };

static enum err check_text(const char *what, const char *text, size_t least, size_t most,
			   struct errmsg *why)
{
	size_t len = strlen(text);
	if (!utf8_valid(text, len) || utf8_has_control(text))
		return err_set(why, ERR_INVALID, "%s holds characters that are not allowed", what);
	size_t count = utf8_count(text, len);
	if (count < least || count > most)
		return err_set(why, ERR_INVALID, "%s must have %zu to %zu characters, has %zu",
			       what, least, most, count);
	return ERR_OK;
}

static enum err check_user(const struct user *user, struct errmsg *why)
{
	const char *name = user->username;
	enum err err = check_text("the name", name, NAME_MIN, NAME_MAX_CHARACTERS, why);
	if (err == ERR_OK && (name[0] == ' ' || name[strlen(name) - 1] == ' '))
		err = err_set(why, ERR_INVALID, "the name begins or ends with a blank");
	if (err == ERR_OK && user->role == ROLE_NONE)
		err = err_set(why, ERR_INVALID, "the role must be admin, user or readonly");
	if (err == ERR_OK && user->email != NULL)
		err = check_text("the e-mail address", user->email, 3, EMAIL_MAX, why);
	if (err == ERR_OK && user->email != NULL && strchr(user->email, '@') == NULL)
		err = err_set(why, ERR_INVALID, "the e-mail address has no @");
	if (err == ERR_OK && user->full_name != NULL)
		err = check_text("the full name", user->full_name, 1, FULL_NAME_MAX, why);
	return err;
}

static enum err add(struct db_conn *db, void *arg, struct errmsg *why)
{
	return users_add(db, arg, why);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *name, *role = "user", *email = NULL, *full_name = NULL, *file = NULL;
	const struct ctl_option options[] = {
	    {.name = "role", .value = &role},
	    {.name = "email", .value = &email},
	    {.name = "full-name", .value = &full_name},
	    {.name = "password-file", .value = &file},
	};
	if (!ctl_arguments(ctl, argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1,
			   1))
		return EX_USAGE;
	char hash[PASSWORD_HASH_SIZE];
	struct errmsg why = ERRMSG_INIT;
	struct user user = {
	    .username = name,
	    .email = email,
	    .full_name = full_name,
	    .role = role_parse(role),
	    .is_active = true,
	    .password_hash = hash,
	    .created_us = clock_wall_us(),
	};
	uuid_new(&user.id);
	enum err err = check_user(&user, &why);
	if (err == ERR_OK)
		err = password_input(file, name, hash, &why);
	if (err != ERR_OK)
		return ctl_fail_err(err, &why);
	return ctl_transaction(ctl, LIMIT_MS, add, &user);
}

const struct command command_user_add = {
    .name = "user add",
    .synopsis = "NAME [--role ROLE] [--email ADDRESS] [--full-name TEXT] [--password-file FILE]",
    .summary = "Add a user.",
    .help = "ROLE is admin, user (the default) or readonly. The password, of 10 characters at\n"
	    "least, is asked for twice on a terminal; otherwise it is the first line of FILE or\n"
	    "of standard input.\n",
    .reads_settings = true,
    .run = run,
};
