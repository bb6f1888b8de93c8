#include <sysexits.h>

#include "auth/account.h"
#include "base/clock.h"
#include "password_input.h"
#include "user_change.h"

enum { LIMIT_MS = 30000 };

static enum err check(const char *what, const char *text,
		      enum err (*rule)(const char *text, struct errmsg *why), struct errmsg *why)
{
	struct errmsg fault = ERRMSG_INIT;
	enum err err = text != NULL ? rule(text, &fault) : ERR_OK;
	return err == ERR_OK ? ERR_OK : err_set(why, err, "%s %s", what, fault.text);
}

static enum err check_user(const struct user *user, struct errmsg *why)
{
	enum err err = check("the name", user->username, account_check_username, why);
	if (err == ERR_OK && user->role == ROLE_NONE)
		err = err_set(why, ERR_INVALID, "the role must be admin, user or readonly");
	if (err == ERR_OK)
		err = check("the e-mail address", user->email, account_check_email, why);
	if (err == ERR_OK)
		err = check("the full name", user->full_name, account_check_full_name, why);
	return err;
}

static enum err add(struct db_conn *db, void *arg, struct errmsg *why)
{
	return accounts_add(db, arg, &ctl_origin, why);
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
