#include <sysexits.h>

#include "password_input.h"
#include "user_change.h"

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *name, *file = NULL;
	char hash[PASSWORD_HASH_SIZE];
	struct errmsg why = ERRMSG_INIT;
	const struct ctl_option options[] = {{.name = "password-file", .value = &file}};
	if (!ctl_arguments(ctl, argc, argv, options, 1, &name, 1, 1))
		return EX_USAGE;
	enum err err = password_input(file, name, hash, &why);
	if (err != ERR_OK)
		return ctl_fail_err(err, &why);
	const struct account_change change = {.user = {.password_hash = hash}};
	return ctl_change_user(ctl, name, &change);
}

const struct command command_user_passwd = {
    .name = "user passwd",
    .synopsis = "NAME [--password-file FILE]",
    .summary = "Set a user's password and end all of the user's sessions.",
    .help = "The password is read as by \"user add\".\n",
    .reads_settings = true,
    .run = run,
};
